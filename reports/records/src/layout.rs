//! Where the parts of a run lie: `run.json`, `trials/<NNNN>/{schedule.json, journal.jsonl,
//! verdict.json}`, `coverage.json`, `summary.json`, `junit.xml`, `summary.md`, `index.html`, and beside
//! the runs the link `latest`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::run::{FORMAT, RunInfo, TrialRecord};

/// Why a part of a run cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// A file cannot be read.
    #[error("cannot read {}; is this the directory of a run?", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file or link cannot be written.
    #[error("cannot write {}", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file does not hold what its name says.
    #[error("{} is damaged or of another version of vdiff-chaos", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// A newer program wrote it.
    #[error("{}: format {found}, this program reads up to {FORMAT}; use a newer vdiff-chaos", path.display())]
    NewerFormat {
        /// The file.
        path: PathBuf,
        /// The format found.
        found: u32,
    },
}

/// A run's directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunDirectory {
    root: PathBuf,
}

impl RunDirectory {
    /// The run at this path.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The directory itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// `run.json`.
    #[must_use]
    pub fn run_json(&self) -> PathBuf {
        self.root.join("run.json")
    }

    /// `summary.json`.
    #[must_use]
    pub fn summary_json(&self) -> PathBuf {
        self.root.join("summary.json")
    }

    /// `coverage.json`: crash points, and what came of them; of runs that enumerate some.
    #[must_use]
    pub fn coverage_json(&self) -> PathBuf {
        self.root.join("coverage.json")
    }

    /// `index.html`.
    #[must_use]
    pub fn index_html(&self) -> PathBuf {
        self.root.join("index.html")
    }

    /// The directory of all trials.
    #[must_use]
    pub fn trials(&self) -> PathBuf {
        self.root.join("trials")
    }

    /// The directory of one trial.
    #[must_use]
    pub fn trial(&self, number: u32) -> PathBuf {
        self.trials().join(format!("{number:04}"))
    }

    /// A trial's schedule.
    #[must_use]
    pub fn schedule(&self, number: u32) -> PathBuf {
        self.trial(number).join("schedule.json")
    }

    /// A trial's journal.
    #[must_use]
    pub fn journal(&self, number: u32) -> PathBuf {
        self.trial(number).join("journal.jsonl")
    }

    /// A trial's judgements.
    #[must_use]
    pub fn verdict(&self, number: u32) -> PathBuf {
        self.trial(number).join("verdict.json")
    }

    /// Numbers of the trials that have a directory, ascending.
    ///
    /// # Errors
    /// When the directory of trials cannot be listed.
    pub fn trial_numbers(&self) -> Result<Vec<u32>, LayoutError> {
        let path = self.trials();
        let unreadable = |source| LayoutError::Unreadable { path: path.clone(), source };
        let mut numbers = Vec::new();
        for entry in fs::read_dir(&path).map_err(unreadable)? {
            let name = entry.map_err(unreadable)?.file_name();
            numbers.extend(name.to_str().and_then(|name| name.parse::<u32>().ok()));
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// Reads `run.json`.
    ///
    /// # Errors
    /// When it cannot be read, is damaged or newer.
    pub fn read_run(&self) -> Result<RunInfo, LayoutError> {
        let path = self.run_json();
        let info: RunInfo = read_json(&path)?;
        if info.format > FORMAT {
            return Err(LayoutError::NewerFormat { path, found: info.format });
        }
        Ok(info)
    }

    /// Writes `run.json`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_run(&self, info: &RunInfo) -> Result<(), LayoutError> {
        write_json(&self.run_json(), info)
    }

    /// Writes a trial's `verdict.json`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_verdict(&self, trial: &TrialRecord) -> Result<(), LayoutError> {
        write_json(&self.verdict(trial.number()), &trial.trial_verdict())
    }

    /// Points the link `latest`, beside the run's directory, at it. What is no link stays.
    ///
    /// # Errors
    /// When the link cannot be made.
    pub fn link_latest(&self) -> Result<(), LayoutError> {
        let (Some(parent), Some(name)) = (self.root.parent(), self.root.file_name()) else {
            return Ok(());
        };
        let link = parent.join("latest");
        let unwritable = |source| LayoutError::Unwritable { path: link.clone(), source };
        // Made aside and moved: two runs that end together never leave it missing.
        let aside = parent.join(format!(".latest-{}", name.to_string_lossy()));
        std::os::unix::fs::symlink(name, &aside).map_err(unwritable)?;
        fs::rename(&aside, &link).map_err(|source| {
            if let Err(left) = fs::remove_file(&aside) {
                return unwritable(left);
            }
            unwritable(source)
        })
    }
}

/// Reads a file of a run.
///
/// # Errors
/// When it cannot be read or is damaged.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, LayoutError> {
    let bytes = fs::read(path)
        .map_err(|source| LayoutError::Unreadable { path: path.to_owned(), source })?;
    serde_json::from_slice(&bytes)
        .map_err(|source| LayoutError::Damaged { path: path.to_owned(), source })
}

/// Writes a file of a run.
///
/// # Errors
/// When it cannot be written.
pub fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<(), LayoutError> {
    let mut text = serde_json::to_string_pretty(value)
        .map_err(|source| LayoutError::Damaged { path: path.to_owned(), source })?;
    text.push('\n');
    write_file(path, &text)
}

/// Writes a file aside and moves it, so that a reader never sees half a report.
///
/// # Errors
/// When it cannot be written.
pub fn write_file(path: &Path, text: &str) -> Result<(), LayoutError> {
    let unwritable = |source| LayoutError::Unwritable { path: path.to_owned(), source };
    let aside = path.with_extension("part");
    fs::write(&aside, text).map_err(unwritable)?;
    fs::rename(&aside, path).map_err(unwritable)
}
