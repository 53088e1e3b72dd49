//! Chaos and its campaigns: stages, faults, triggers, observers, the driver, and the commands.

pub mod campaign;
pub mod cli;
pub mod crash_points;
#[cfg(test)]
mod docs;
pub mod doctor;
pub mod fault;
pub mod journal;
pub mod judge;
#[cfg(test)]
mod layers;
pub mod memory;
pub mod merge;
pub mod observer;
pub mod plan;
pub mod prepare;
pub mod shrink;
pub mod stage;
pub mod survey;
pub mod systems;
pub mod trial;
pub mod trigger;
pub mod version;
pub mod zoo;
