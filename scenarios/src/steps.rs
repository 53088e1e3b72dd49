//! The steps: few, typed, combinable. Each is one act on the stage, or one judgement.

mod given;
mod point;
mod then;
mod when;

use cucumber::Parameter;
use harness::plan;
use records::schedule::{Fault, Phase, Trigger};

use point::{Manner, Point};

/// How the target tablet's process dies.
#[derive(Clone, Copy, Debug, Parameter)]
#[param(name = "death", regex = "killed|OOM-killed|asked to terminate")]
enum Death {
    Kill,
    Oom,
    Terminate,
}

impl std::str::FromStr for Death {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "killed" => Ok(Self::Kill),
            "OOM-killed" => Ok(Self::Oom),
            "asked to terminate" => Ok(Self::Terminate),
            other => Err(format!("unknown death `{other}`")),
        }
    }
}

impl From<Death> for Fault {
    fn from(death: Death) -> Self {
        match death {
            Death::Kill => Self::Sigkill,
            Death::Oom => Self::Oom,
            Death::Terminate => Self::Sigterm,
        }
    }
}

/// What befalls the cluster: a fault whose words, with a moment behind them, are a step.
#[derive(Clone, Copy, Debug)]
struct FaultPhrase(Fault);

impl Parameter for FaultPhrase {
    const REGEX: &'static str = match std::str::from_utf8(&PHRASES) {
        Ok(phrases) => phrases,
        Err(_) => panic!("a fault's words are no text"),
    };
    const NAME: &'static str = "harm";
}

impl std::str::FromStr for FaultPhrase {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fault = Fault::ALL.into_iter().find(|fault| phrase(*fault) == Some(text));
        fault.map(Self).ok_or_else(|| format!("unknown harm `{text}`"))
    }
}

const fn phrase(fault: Fault) -> Option<&'static str> {
    match fault.facts().said {
        Some(said) => said.phrase(),
        None => None,
    }
}

/// The phrases of all faults that have one, with `|` between them: a regular expression, for they are plain
/// words.
const PHRASES: [u8; phrases_len()] = {
    let mut phrases = [b'|'; phrases_len()];
    let (mut fault, mut at) = (0, 0);
    while fault < Fault::ALL.len() {
        if let Some(words) = phrase(Fault::ALL[fault]) {
            let mut letter = 0;
            while letter < words.len() {
                phrases[at + letter] = words.as_bytes()[letter];
                letter += 1;
            }
            at += words.len() + 1;
        }
        fault += 1;
    }
    phrases
};

const fn phrases_len() -> usize {
    let (mut fault, mut len) = (0, 0);
    while fault < Fault::ALL.len() {
        if let Some(words) = phrase(Fault::ALL[fault]) {
            len += words.len() + 1;
        }
        fault += 1;
    }
    // None after the last one.
    len - 1
}

/// Steps of `when.rs` that say their fault in words of their own, and may hurt more than the tablet.
const IN_WORDS: [(&str, Fault); 2] = [
    ("etcd is restarted", Fault::EtcdRestart),
    ("the target tablet and its MySQL die together", Fault::HostCrash),
];

/// The fault that a step injects, as far as it can hurt others; asked before anything is started.
///
/// # Errors
/// When it names a fault that there is not.
pub(crate) fn fault_in(step: &str) -> Result<Option<Fault>, String> {
    if let Some((name, _)) = step.strip_prefix("the fault \"").and_then(|it| it.split_once('"')) {
        return plan::parse_fault(name).map(Some);
    }
    let in_phrases = Fault::ALL.into_iter().filter_map(|fault| Some((phrase(fault)?, fault)));
    let mut known = in_phrases.chain(IN_WORDS);
    Ok(known.find(|(said, _)| step.starts_with(said)).map(|(_, fault)| fault))
}

/// A moment at which something goes wrong.
#[derive(Clone, Debug, PartialEq, Parameter)]
#[param(
    name = "moment",
    regex = r"(?:at|after) \d+(?:\.\d+)?% of the diff(?:'s time)?|in the [a-z]+ phase|\d+ milliseconds (?:after its start|into the fault before it)"
)]
struct At(Trigger);

impl std::str::FromStr for At {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let unknown = || format!("unknown moment `{text}`");
        let between = |before: &str, after: &str| {
            text.strip_prefix(before)?.strip_suffix(after).map(str::to_owned)
        };
        if let Some(percent) = between("at ", "% of the diff") {
            let fraction = fraction(&percent).ok_or_else(unknown)?;
            return Ok(Self(Trigger::Progress { fraction }));
        }
        if let Some(percent) = between("after ", "% of the diff's time") {
            let fraction = fraction(&percent).ok_or_else(unknown)?;
            return Ok(Self(Trigger::Time { fraction }));
        }
        if let Some(name) = between("in the ", " phase") {
            return Ok(Self(Trigger::Phase { phase: phase(&name)? }));
        }
        let ms = between("", " milliseconds into the fault before it");
        if let Some(after_ms) = ms.and_then(|ms| ms.parse().ok()) {
            return Ok(Self(Trigger::DuringFault { after_ms }));
        }
        let ms = between("", " milliseconds after its start").and_then(|ms| ms.parse().ok());
        ms.map(|after_ms| Self(Trigger::DuringRecovery { after_ms })).ok_or_else(unknown)
    }
}

fn fraction(percent: &str) -> Option<f64> {
    let percent: f64 = percent.parse().ok()?;
    (0.0..=100.0).contains(&percent).then_some(percent / 100.0)
}

fn phase(name: &str) -> Result<Phase, String> {
    Phase::ALL.into_iter().find(|phase| phase.name() == name).ok_or_else(|| {
        let known = Phase::ALL.map(Phase::name).join(", ");
        format!("unknown phase `{name}`; known are: {known}")
    })
}

#[cfg(test)]
mod tests;
