//! Vitess, as the user has it, as a system under test behind the boundary of the crate `system`.
//!
//! All that knows Vitess is here: its options, records, columns, texts and pages. Nothing of it is in this
//! repository: its programs come from an image or a directory that the user names. Its tablets are started, hurt,
//! asked and restarted from outside, by its client, its wire protocols, signals and the kernel's accounts.

mod cell;
mod deployment;
mod dialect;
mod diffs;
mod image;
mod links;
mod must_contain;
mod names;
mod operator;
mod readiness;
mod release;
mod tablet;
mod terms;
mod topology;
mod vocabulary;
mod vtctld;

pub use deployment::VitessSystem;
pub use dialect::VitessDialect;
pub use image::{Vitess, VitessError, VitessOptions, VitessSource, ensure};
pub use must_contain::must_contain;
pub use release::Release;
pub use terms::{deadlines, lacks, pace};
