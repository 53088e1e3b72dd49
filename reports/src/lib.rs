//! The record of a run: what was planned ([`schedule`]), what happened ([`journal`]), what was
//! judged ([`verdict`]), and the renderers of it. Pure data and text: no async, no MySQL, no Docker.

pub mod journal;
pub mod schedule;
pub mod verdict;
