//! Crash points: the tablet's conversation is recorded in clean runs, the exchanges that matter are
//! enumerated, and the tablet is struck at each of them, at each moment.
//!
//! A script is what a clean run does: a diff from its begin to its end, one that is stopped and resumed
//! on the way, one that is deleted, one whose tablet is asked to end in order. Each script is recorded
//! several times; a point belongs to the first script whose every recording has it.

pub mod enumerate;
pub mod hunt;
pub mod plan;
pub mod run;
