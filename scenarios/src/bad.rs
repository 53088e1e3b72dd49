//! Feature files that cannot be run as they are, all at once.

use std::path::{Path, PathBuf};

/// All that is wrong with the features that were asked for.
#[derive(Debug, Default)]
pub struct BadFeatures {
    all: Vec<(PathBuf, String)>,
}

impl BadFeatures {
    /// Adds one.
    pub(crate) fn add(&mut self, path: &Path, why: impl std::fmt::Display) {
        self.all.push((path.to_owned(), why.to_string()));
    }

    /// An error, unless nothing is wrong.
    pub(crate) fn none_or_err(self) -> Result<(), Self> {
        if self.all.is_empty() { Ok(()) } else { Err(self) }
    }
}

impl std::fmt::Display for BadFeatures {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("nothing was run, for these features cannot be:")?;
        for (path, why) in &self.all {
            write!(formatter, "\n  {}: {why}", path.display())?;
        }
        Ok(())
    }
}

impl std::error::Error for BadFeatures {}
