//! Renderers: each one file that consumes the same data and yields text.

pub mod html;
pub mod junit;
pub mod markdown;
pub mod terminal;

#[cfg(test)]
mod tests;
