//! The tablet: the system under test of vdiff-chaos, one process beside one MySQL.
//!
//! It registers itself in etcd, learns by its shard sync loop whether it is its shard's primary, and
//! as primary opens the vreplication and VDiff engines.

pub mod engine;
pub mod panics;
pub mod seeded_bugs;
