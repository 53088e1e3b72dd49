//! What a scenario came to.

use serde::Serialize;

/// What a scenario came to, the worst last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum End {
    /// It needs what the system under test does not do: nothing was judged.
    Skipped,
    /// Its steps and every invariant held.
    Passed,
    /// It says nothing: a fault did not land, or evidence is missing.
    Inconclusive,
    /// The harness failed.
    Harness,
    /// A step or an invariant did not hold.
    Failed,
}

/// How a scenario ended, and why so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    /// What it came to.
    pub(crate) end: End,
    /// Why it did not pass.
    pub(crate) message: Option<String>,
    /// What did not hold, and is excused by its tags.
    pub(crate) excused: Vec<String>,
}

/// A scenario that was played.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ScenarioRecord {
    pub(crate) feature: String,
    pub(crate) name: String,
    pub(crate) file: String,
    pub(crate) line: usize,
    pub(crate) outcome: End,
    pub(crate) seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) message: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) excused: Vec<String>,
}
