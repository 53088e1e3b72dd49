//! The harness of vdiff-chaos: containers, workloads, faults, triggers, observers, oracles, campaigns.

pub mod clean;
pub mod cluster;
pub mod docker;
pub mod doctor;
pub mod history;
pub mod images;
pub mod journal;
pub mod judge;
pub mod naive;
pub mod oracle;
pub mod plan;
pub mod tablet;
pub mod workload;
