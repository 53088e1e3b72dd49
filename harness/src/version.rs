//! Which build ran: it stands in each run, and runs of different builds are not merged.

use std::sync::OnceLock;

static BUILD: OnceLock<&str> = OnceLock::new();

/// Says which build this is. Only the first call counts.
pub fn set(build: &'static str) {
    BUILD.get_or_init(|| build);
}

/// The version, and where the program said so the commit that it was built from.
#[must_use]
pub fn of_program() -> &'static str {
    BUILD.get().copied().unwrap_or(env!("CARGO_PKG_VERSION"))
}
