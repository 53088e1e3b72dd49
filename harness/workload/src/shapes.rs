//! The catalogue of tables: one file a table, one line in the list.

mod corder;
mod customer;
mod document;
mod event;
mod product;
mod stay;

use super::shape::Shape;

/// The whole catalogue, in name order.
pub static SHAPES: [&Shape; 6] = [
    &corder::CORDER,
    &customer::CUSTOMER,
    &document::DOCUMENT,
    &event::EVENT,
    &product::PRODUCT,
    &stay::STAY,
];

/// The table of this name.
#[must_use]
pub fn shape_of(name: &str) -> Option<&'static Shape> {
    SHAPES.into_iter().find(|shape| shape.name == name)
}
