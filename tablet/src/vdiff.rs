//! VDiff: compares the tables of a workflow between the source shard and our own MySQL.
//!
//! [`VdiffEngines`] is opened as primary and answers the actions. Each diff has one controller task
//! (`controller`), which runs it table by table (`workflow_differ`, `table_differ`). The tables
//! of the sidecar are the truth (`schema`): a controller may die at any statement, and the next one
//! goes on from what was committed.

mod action;
mod controller;
mod cursor;
mod engine;
mod error;
mod key;
mod merge;
mod options;
mod pace;
mod report;
mod schema;
mod show;
mod side;
mod snapshot;
mod state;
mod status;
mod table_differ;
mod table_plan;
mod workflow_differ;

use crate::engine::EngineDeps;
use crate::vreplication::Pauser;
use crate::vstreamer::RowStreamer;

pub use engine::VdiffEngines;

/// What the work on diffs needs; cheap to clone, one a controller.
#[derive(Clone)]
struct Context {
    deps: EngineDeps,
    store: schema::Store,
    pauser: Pauser,
    streamer: RowStreamer,
}
