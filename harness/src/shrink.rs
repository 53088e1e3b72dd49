//! Shrinking.

pub mod confidence;
pub mod moves;
pub mod search;
