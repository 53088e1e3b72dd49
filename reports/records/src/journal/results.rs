//! What the diff should have found, what it reported, and how its rows in MySQL came about.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::facts::Fact;

/// The planted truth of a workload.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Truth {
    /// By table.
    pub tables: BTreeMap<String, TableTruth>,
}

/// What an exact diff reports of one table.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TableTruth {
    /// Rows processed: pairs, and rows of one side only.
    pub processed: u64,
    /// Equal pairs.
    pub matching: u64,
    /// Keys of unequal pairs, as [`Difference::key`].
    pub mismatched: Vec<String>,
    /// Keys that only the source has.
    pub extra_source: Vec<String>,
    /// Keys that only the target has.
    pub extra_target: Vec<String>,
}

/// What `show` said of a VDiff.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FinalReport {
    /// Which VDiff.
    pub uuid: String,
    /// Its state.
    pub state: String,
    /// Its last error.
    pub last_error: String,
    /// By table.
    pub tables: BTreeMap<String, TableReport>,
}

/// The report of one table.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TableReport {
    /// The table's state.
    pub state: String,
    /// Rows processed.
    pub processed: u64,
    /// Equal pairs.
    pub matching: u64,
    /// Unequal pairs, counted.
    pub mismatched: u64,
    /// Rows only on the source, counted.
    pub extra_source: u64,
    /// Rows only on the target, counted.
    pub extra_target: u64,
    /// Every difference reported.
    pub differences: Vec<Difference>,
}

/// The kind of a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DifferenceKind {
    /// Both sides have the key, with unequal rows.
    Mismatch,
    /// Only the source has the key.
    ExtraSource,
    /// Only the target has the key.
    ExtraTarget,
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Difference {
    /// Its kind.
    pub kind: DifferenceKind,
    /// The key's values as the report prints them, joined by `,`; of a mismatch the source's.
    pub key: String,
}

/// A committed row change of a sidecar table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SidecarChange {
    /// Which table of the system's sidecar.
    pub table: String,
    /// The transaction's GTID.
    pub gtid: String,
    /// When it was written, by the server's clock, microseconds since the Unix epoch.
    pub commit_us: u64,
    /// The row before; none for an insert. Values as text, NULL as null, blobs that are not UTF-8
    /// as `0x…`.
    pub before: Option<BTreeMap<String, Option<String>>>,
    /// The row after; none for a delete.
    pub after: Option<BTreeMap<String, Option<String>>>,
    /// For a row with a cursor: how many rows an exact diff has processed when it
    /// stands there (from the workload, not from the tablet).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor_ordinal: Option<u64>,
    /// What the change says. Oracles judge these, and no column.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub facts: Vec<Fact>,
}
