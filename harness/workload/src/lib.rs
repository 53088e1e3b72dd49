//! The data of a trial: tables of two keyspaces with a known set of differences.
//!
//! A [`Dataset`] is a pure function of a [`Workload`](records::schedule::Workload): the same
//! workload is the same rows, byte for byte, on every machine. Rows are made on demand from their
//! place in the table, so a dataset of millions of rows costs a few kilobytes. The invariant of
//! this module: [`Dataset::truth`] is what an exact diff of the two loaded sides reports, and
//! [`Dataset::cursor_ordinal`] is how far it is.
//!
//! Each table is a sequence of *places* in key order, both sides merged. A place holds an equal
//! pair, an unequal pair, or a row of one side only; an exact diff processes one place after the
//! other. Live writers are not part of this module.

mod cell;
mod dataset;
mod keys;
mod load;
pub mod naive;
mod planting;
mod random;
mod rows;
mod shape;
mod shapes;

#[cfg(test)]
mod tests;

pub use cell::{Cell, Row};
pub use dataset::Dataset;
pub use load::{LoadError, Loaded, load};
pub use planting::{Spot, WorkloadError};
pub use shape::{Flaw, Plant, Shape, Sorts};
pub use shapes::{SHAPES, shape_of};
