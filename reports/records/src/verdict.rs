//! Verdicts: what the oracles say of a trial, and what a campaign says of its trials.

use serde::{Deserialize, Serialize};

/// An invariant of the tablet, by its number in ARCHITECTURE.md.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Invariant {
    /// Comes back.
    I1,
    /// No panic.
    I2,
    /// Resumes or fails cleanly.
    I3,
    /// Exact.
    I4,
    /// Little lost.
    I5,
    /// Workflow restored.
    I6,
    /// No residue.
    I7,
    /// Legal history.
    I8,
    /// Bounded.
    I9,
    /// Cancel is prompt.
    I10,
    /// Acknowledged is durable.
    I11,
}

impl Invariant {
    /// The invariant of this code (`I3`).
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|invariant| invariant.code() == code)
    }

    /// All of them, in order.
    pub const ALL: [Self; 11] = [
        Self::I1,
        Self::I2,
        Self::I3,
        Self::I4,
        Self::I5,
        Self::I6,
        Self::I7,
        Self::I8,
        Self::I9,
        Self::I10,
        Self::I11,
    ];

    /// Its number, as in ARCHITECTURE.md: `I1`.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::I1 => "I1",
            Self::I2 => "I2",
            Self::I3 => "I3",
            Self::I4 => "I4",
            Self::I5 => "I5",
            Self::I6 => "I6",
            Self::I7 => "I7",
            Self::I8 => "I8",
            Self::I9 => "I9",
            Self::I10 => "I10",
            Self::I11 => "I11",
        }
    }

    /// Its name in two or three words.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::I1 => "comes back",
            Self::I2 => "no panic",
            Self::I3 => "resumes or fails cleanly",
            Self::I4 => "exact",
            Self::I5 => "little lost",
            Self::I6 => "workflow restored",
            Self::I7 => "no residue",
            Self::I8 => "legal history",
            Self::I9 => "bounded memory",
            Self::I10 => "prompt cancel",
            Self::I11 => "acknowledged is durable",
        }
    }

    /// The promise, in a sentence.
    #[must_use]
    pub fn sentence(self) -> &'static str {
        match self {
            Self::I1 => {
                "After a restart the tablet is ready in time and stays so; never a crash loop."
            }
            Self::I2 => "No panic, abort or exit that the schedule did not cause.",
            Self::I3 => {
                "Every diff resumes and completes, or fails with a reason a person can act on."
            }
            Self::I4 => "A completed diff reports exactly the planted differences and row counts.",
            Self::I5 => {
                "An interruption loses at most one checkpoint interval; the cursor never falls."
            }
            Self::I6 => "The replication workflow that the diff paused runs again.",
            Self::I7 => "Nothing of a dead incarnation is left: connections, statements, locks.",
            Self::I8 => "States move along legal transitions only, and the log tells each of them.",
            Self::I9 => "Memory stays under the limit; under pressure the tablet stops cleanly.",
            Self::I10 => {
                "Stop, delete and SIGTERM take effect within seconds and leave a resumable state."
            }
            Self::I11 => {
                "What was acknowledged survives a crash; what was not happened wholly or not at all."
            }
        }
    }
}

impl std::fmt::Display for Invariant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.code())
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Pass => "pass",
            Self::Inconclusive => "inconclusive",
            Self::Fail => "fail",
        })
    }
}

/// What an oracle, a trial or a campaign comes to.
///
/// Ordered by weight: the worst of several is their maximum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// The invariant held, and was tried.
    Pass,
    /// The harness could not do its job, or the fault never landed.
    Inconclusive,
    /// The invariant was broken.
    Fail,
}

/// One oracle's judgement of one trial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    /// Which invariant.
    pub invariant: Invariant,
    /// The verdict; `fail` wins over `inconclusive` wins over `pass`.
    pub verdict: Verdict,
    /// Checks made: a pass with none would say nothing, and is not given.
    pub checks: u64,
    /// What was expected and what was found, one line each; empty for a pass.
    pub reasons: Vec<Reason>,
    /// The invariant does not apply to this trial (no fault that could break it): not a pass, and
    /// the verdict beside it (`inconclusive`) weighs nothing.
    pub not_applicable: bool,
    /// It did not pass, and a tag of the scenario excuses that: told, and weighs nothing.
    #[serde(default, skip_serializing_if = "is_false")]
    pub excused: bool,
}

fn is_false(value: &bool) -> bool {
    !value
}

impl Judgement {
    /// Whether the invariant was tried and held.
    #[must_use]
    pub fn is_pass(&self) -> bool {
        self.weighs() && self.verdict == Verdict::Pass
    }

    /// Whether the invariant was broken, and nothing excuses it.
    #[must_use]
    pub fn is_fail(&self) -> bool {
        self.weighs() && self.verdict == Verdict::Fail
    }

    /// Whether the verdict counts: the invariant applies to the trial, and no tag excuses it.
    #[must_use]
    pub fn weighs(&self) -> bool {
        !self.not_applicable && !self.excused
    }

    /// The worst verdict of those that apply; none that applies is `inconclusive`: nothing was tried.
    #[must_use]
    pub fn worst(judgements: &[Self]) -> Verdict {
        judgements
            .iter()
            .filter(|judgement| judgement.weighs())
            .map(|judgement| judgement.verdict)
            .max()
            .unwrap_or(Verdict::Inconclusive)
    }
}

/// Why a judgement is not a pass.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reason {
    /// Expected, found.
    pub text: String,
    /// The journal's record that shows it.
    pub seq: Option<u64>,
    /// Of missing evidence: what of the harness's own it is missing for, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
}

impl Reason {
    /// A reason, the record that shows it, and no cause of the harness's own.
    #[must_use]
    pub fn new(seq: Option<u64>, text: impl Into<String>) -> Self {
        Self { text: text.into(), seq, cause: None }
    }
}

/// What makes a trial inconclusive without the tablet's doing. A campaign bears a few of such trials. What
/// a broken tablet can bring about (a `show` without an answer, a history that cannot be read, a tablet
/// that cannot be reached) has no cause here, and is never borne.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// The trial had no servers, or its worker ended: nothing of the rest could be looked at.
    TrialLost,
    /// An observer of the harness did not watch.
    ObserverGap,
    /// The machine had more to do than it could.
    Overloaded,
    /// The clocks went apart.
    Clock,
    /// No fault landed.
    NotLanded,
}

impl Judgement {
    /// Whether this trial says nothing for a reason of the harness alone.
    #[must_use]
    pub fn is_harness_alone(judgements: &[Self]) -> bool {
        let unclear =
            judgements.iter().filter(|one| one.weighs() && one.verdict == Verdict::Inconclusive);
        let causes: Vec<Option<Cause>> =
            unclear.flat_map(|one| &one.reasons).map(|reason| reason.cause).collect();
        let is_lost = causes.contains(&Some(Cause::TrialLost));
        is_lost || (!causes.is_empty() && causes.iter().all(Option::is_some))
    }
}
