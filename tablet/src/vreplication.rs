//! The replication workflow as far as VDiff needs it: its row in `vreplication`, statements of the
//! operator on that row, and its pause while snapshots are taken.
//!
//! Live replication comes later; the row is the contract that it will follow.

mod exec;
mod pause;
mod source;

pub use exec::{ExecError, rewrite};
pub use pause::{PausedWorkflow, Pauser, Workflow, WorkflowError};
pub use source::{SourceError, parse_source};
