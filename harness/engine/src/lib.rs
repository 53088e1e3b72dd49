//! Containers and images: the only crate that names the container engine. Names, ownership and cleaning of
//! what runs are here too.

pub mod clean;
pub mod docker;
pub mod errors;
pub mod images;
pub mod process;
