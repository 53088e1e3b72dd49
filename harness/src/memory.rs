//! The tablet's peak memory against table size and limit: clean diffs at full speed for each size.
//!
//! Three things make the peak of one diff: the table's size, which must not; the differences, whose
//! samples are kept and saved with each checkpoint; and chance: when the allocator gives back, and
//! which buffers are full at once. So each is held still but one. The tables that are compared with
//! each other have no differences at all; each size is measured several times by tablets of their own,
//! and the middle one counts; the peak is the kernel's (`VmHWM`), which no poll can miss. What
//! differences cost is measured apart, on the smallest table.

mod judged;
mod run;

pub use judged::{broken, table};
pub use run::run;

use records::NotPossible;

use crate::campaign::SlotError;
use crate::plan::PlanError;
use crate::prepare::PrepareError;
use crate::stage::ActError;
use engine::docker::DockerError;
use engine::images::ImageOptions;

/// What to measure.
#[derive(Clone, Debug)]
pub struct MemoryOptions {
    /// Numbers of rows of the table.
    pub rows: Vec<u64>,
    /// Diffs of each size.
    pub times: u32,
    /// The tablet's limit in bytes.
    pub limit_bytes: u64,
    /// Images.
    pub images: ImageOptions,
}

/// What was measured of one table.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// Rows of the table.
    pub rows: u64,
    /// Its planted differences, whose samples a report keeps.
    pub differences: u64,
    /// The diffs, in the order in which they ran.
    pub diffs: Vec<OneDiff>,
}

/// One measured diff.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OneDiff {
    /// The tablet's peak resident set, bytes.
    pub peak_rss_bytes: u64,
    /// The container's peak charged memory, bytes.
    pub peak_charged_bytes: u64,
    /// Length of the diff, milliseconds.
    pub took_ms: u64,
    /// How the diff ended.
    pub state: String,
    /// The tablet ended unasked.
    pub died: bool,
}

impl Measured {
    /// The middle one of the peaks: one that chance made high or low moves it little.
    #[must_use]
    pub fn peak_rss_bytes(&self) -> u64 {
        middle(self.diffs.iter().map(|diff| diff.peak_rss_bytes))
    }
}

fn middle(values: impl Iterator<Item = u64>) -> u64 {
    let mut values: Vec<u64> = values.collect();
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// Nothing could be measured.
#[derive(Debug, thiserror::Error)]
pub enum MemoryError {
    /// The schedule is impossible.
    #[error("the measurement cannot be planned")]
    Plan(#[source] PlanError),
    /// A container's memory limit does not hold on this host.
    #[error("{0}")]
    NotPossible(NotPossible),
    /// No engine, no images, or the user stopped it before it began.
    #[error(transparent)]
    Prepare(PrepareError),
    /// What a diff needed is not gone.
    #[error("removing the servers")]
    Removal(#[source] DockerError),
    /// The servers failed.
    #[error("the cluster could not be prepared")]
    Slot(#[source] SlotError),
    /// The diff could not be run.
    #[error("the diff of {rows} rows could not be run")]
    Diff {
        /// Rows of the table.
        rows: u64,
        /// Why.
        #[source]
        source: ActError,
    },
    /// The user stopped it.
    #[error("the user stopped it")]
    Stopped,
}
