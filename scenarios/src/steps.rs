//! The steps: few, typed, combinable. Each is one act on the stage, or one judgement.

mod given;
mod point;
mod then;
mod when;

use cucumber::Parameter;
use reports::schedule::{Fault, Phase, Trigger};

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

/// What befalls the cluster.
#[derive(Clone, Copy, Debug, Parameter)]
#[param(
    name = "harm",
    regex = "the target's MySQL is killed|the source's MySQL is killed|the source tablet is killed|etcd is killed|the target tablet's connections are killed|the target's MySQL takes no writes|the table of checkpoints is locked|the target tablet's lease ends|another tablet becomes primary|a new container takes the frozen target tablet's alias"
)]
struct Harm(Fault);

impl std::str::FromStr for Harm {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "the target's MySQL is killed" => Ok(Self(Fault::MysqlKill)),
            "the source's MySQL is killed" => Ok(Self(Fault::MysqlSourceKill)),
            "the source tablet is killed" => Ok(Self(Fault::SourceKill)),
            "etcd is killed" => Ok(Self(Fault::EtcdKill)),
            "the target tablet's connections are killed" => Ok(Self(Fault::MysqlConnectionKill)),
            "the target's MySQL takes no writes" => Ok(Self(Fault::MysqlReadonly)),
            "the table of checkpoints is locked" => Ok(Self(Fault::LockTable)),
            "the target tablet's lease ends" => Ok(Self(Fault::LeaseExpiry)),
            "another tablet becomes primary" => Ok(Self(Fault::Demote)),
            "a new container takes the frozen target tablet's alias" => {
                Ok(Self(Fault::TabletReplace))
            }
            other => Err(format!("unknown harm `{other}`")),
        }
    }
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
