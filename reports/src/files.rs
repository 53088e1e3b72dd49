//! The reports of a run, written into its directory and read from it.

use std::fs;
use std::path::Path;

use records::TrialRecord;
use records::layout::{LayoutError, RunDirectory, read_json, write_file, write_json};

use crate::render;
use crate::summary::Summary;

/// Writes all reports of a run into its directory: `summary.json`, `junit.xml`, `summary.md`,
/// `index.html`, and each trial's `verdict.json`.
///
/// # Errors
/// When one cannot be written.
pub fn write_all(dir: &Path, summary: &Summary, trials: &[TrialRecord]) -> Result<(), LayoutError> {
    let run = RunDirectory::new(dir);
    for trial in trials {
        let path = run.trial(trial.number());
        fs::create_dir_all(&path)
            .map_err(|source| LayoutError::Unwritable { path: path.clone(), source })?;
        run.write_verdict(trial)?;
    }
    write_summaries(dir, summary, trials)
}

/// As [`write_all`], without the trials' own files.
///
/// # Errors
/// When one cannot be written.
pub fn write_summaries(
    dir: &Path,
    summary: &Summary,
    trials: &[TrialRecord],
) -> Result<(), LayoutError> {
    let run = RunDirectory::new(dir);
    write_json(&run.summary_json(), summary)?;
    write_file(&dir.join("junit.xml"), &render::junit::render(summary, trials))?;
    write_file(&dir.join("summary.md"), &render::markdown::render(summary))?;
    write_file(&run.index_html(), &render::html::render(summary, trials))
}

/// Reads a run's `summary.json`.
///
/// # Errors
/// When it cannot be read or is damaged.
pub fn read_summary(path: &Path) -> Result<Summary, LayoutError> {
    read_json(path)
}
