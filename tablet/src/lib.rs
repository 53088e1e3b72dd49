//! The tablet: the system under test of vdiff-chaos, one process beside one MySQL.
//!
//! It registers itself in etcd, learns by its shard sync loop whether it is its shard's primary, and
//! as primary opens the vreplication and VDiff engines.

pub(crate) mod backoff;
pub mod config;
pub mod engine;
pub mod exit;
pub(crate) mod grpc;
pub(crate) mod http;
pub mod logging;
pub mod memory_guard;
pub(crate) mod metrics;
pub mod mysql;
pub mod panics;
pub mod run;
pub mod seeded_bugs;
pub mod sidecardb;
pub mod tabletmanager;
pub mod topo;
pub mod vdiff;
pub mod vreplication;
pub mod vstreamer;

/// An error and its sources in one line.
pub fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text.push_str(": ");
        text.push_str(&source.to_string());
        next = source.source();
    }
    text
}
