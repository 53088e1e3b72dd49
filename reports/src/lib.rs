//! What a run comes to ([`summary`]), the renderers of it ([`render`]), and its reports' files ([`files`]).
//! Pure data and text: no async, no MySQL, no Docker.

pub mod files;
pub mod render;
#[cfg(test)]
mod sample;
pub mod summary;

pub use files::{write_all, write_summaries};
