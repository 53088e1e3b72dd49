//! What a fault hits.

use serde::{Deserialize, Serialize};

/// Which of a cluster's tablets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    /// The tablet that serves the source keyspace.
    Source,
    /// The tablet that runs the VDiff.
    Target,
}

impl Side {
    /// As observers, files and messages carry it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Side::Source => "source",
            Side::Target => "target",
        }
    }
}

/// What a fault may hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HitKind {
    /// A tablet's process that was at work on the diff: it ended, or stood still.
    Process,
    /// A row of the diff: an operator's verb, or hand, changed it.
    Row,
    /// A row stream with rows outstanding: MySQL had not sent the last of them.
    RowStream,
    /// A call to the source tablet that was about to be made, or was refused.
    Call,
    /// A statement or call that was on its way over a link.
    Exchange,
    /// Exchanges that took longer, measured against those before.
    Delay,
    /// A connection to MySQL in use.
    Connection,
    /// A write that was refused, or waited.
    Write,
    /// The tablet's memory: it gave way.
    Memory,
    /// A lease with a key bound to it.
    Lease,
    /// A watch in etcd.
    Watch,
    /// The role of a primary.
    Role,
    /// A tablet that starts, and is not ready without it.
    Start,
    /// A tablet's share of a core: the kernel held it back.
    Processor,
}
