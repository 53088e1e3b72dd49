//! The harness of vdiff-chaos: containers, workloads, faults, triggers, observers, oracles, campaigns.

pub mod journal;
pub mod plan;
