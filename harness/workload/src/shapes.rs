//! The catalogue of tables: one file a table, one line in the list.

mod corder;
mod customer;
mod document;
mod event;
mod product;

use super::shape::Shape;

/// The whole catalogue, in name order.
pub static SHAPES: [&Shape; 5] =
    [&corder::CORDER, &customer::CUSTOMER, &document::DOCUMENT, &event::EVENT, &product::PRODUCT];

/// The table of this name.
#[must_use]
pub fn shape_of(name: &str) -> Option<&'static Shape> {
    SHAPES.into_iter().find(|shape| shape.name == name)
}
