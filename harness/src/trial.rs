//! One trial: a schedule executed once on a [`Stage`](crate::stage::Stage).
//!
//! [`run_trial`] is a thin driver over the stage's acts; feature scenarios are another.

mod driver;
mod strikes;

pub(crate) use driver::not_opened as lost;
pub use driver::run_trial;
