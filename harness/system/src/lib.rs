//! The boundary: what the harness needs of a system under test, and nothing of how one does it.
//!
//! A [`System`] stands on the servers of a slot. For each trial it is deployed: a [`Deployment`] has a
//! [`Tablet`] a side, the [`Operator`]'s verbs, the [`Sidecar`] in which the diffs lie, and the [`Topology`].
//! What a system cannot do or tell is a [`Capability`](records::schedule::Capability) that it lacks, or a
//! [`Telling`](records::tellings::Telling) that its dialect leaves out: faults and invariants that need it are
//! not dealt, or not judged, and the report says so.

mod demand;
mod deployment;
mod error;
mod known_bugs;
mod operator;
mod sidecar;
mod tablet;
mod topology;

pub use demand::Demand;
pub use deployment::{Deployment, LinkControls, System, TrialSpec};
pub use error::{ErrorKind, SystemError};
pub use known_bugs::{Aim, KnownBug, Window};
pub use nix::sys::signal::Signal;
pub use operator::{Action, Operator};
pub use sidecar::{Progress, Sidecar, TableProgress, WorkflowRow};
pub use tablet::{
    LogLine, LogLines, Means, OomEvidence, Predecessor, Readiness, RowReader, Started, Tablet,
};
pub use topology::{HeldLease, Topology};

/// The source keyspace.
pub const SOURCE_KEYSPACE: &str = "commerce";
/// Its database.
pub const SOURCE_DB: &str = "vt_commerce";
/// The target keyspace.
pub const TARGET_KEYSPACE: &str = "customer";
/// Its database.
pub const TARGET_DB: &str = "vt_customer";
/// The one shard of both.
pub const SHARD: &str = "0";
/// The workflow under diff.
pub const WORKFLOW: &str = "move";
