//! The harness of vdiff-chaos: containers, workloads, faults, triggers, observers, oracles, campaigns.

pub mod campaign;
pub mod clean;
pub mod cli;
pub mod cluster;
pub mod crash_points;
pub mod docker;
pub mod doctor;
mod errors;
pub mod fault;
pub mod history;
pub mod images;
pub mod journal;
pub mod judge;
#[cfg(test)]
mod layers;
pub mod memory;
pub mod merge;
pub mod naive;
pub mod observer;
pub mod oracle;
pub mod plan;
pub mod prepare;
pub mod proxy;
pub mod shrink;
pub mod stage;
pub mod survey;
pub mod tablet;
pub mod trial;
pub mod trigger;
pub mod version;
pub mod workload;
pub mod zoo;
