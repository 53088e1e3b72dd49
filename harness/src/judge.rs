//! A saved run, judged again: journals are read, oracles run over them, the summary rebuilt. The
//! campaign itself comes to its verdict the same way.

use std::path::Path;

use records::coverage::{self, Coverage, CoverageError};
use records::journal::{self, JournalError, facts};
use records::layout::{LayoutError, RunDirectory};
use records::schedule::{self, ScheduleError};
use records::verdict::{Invariant, Judgement, Reason, Verdict};
use records::{RunInfo, TrialRecord};
use reports::summary::Summary;

use crate::systems;

/// Why a run cannot be judged.
#[derive(Debug, thiserror::Error)]
pub enum JudgeError {
    /// Its layout is not that of a run.
    #[error("the run cannot be read")]
    Layout(#[source] LayoutError),
    /// Its coverage cannot be read.
    #[error("the run's coverage cannot be read")]
    Coverage(#[source] CoverageError),
    /// A schedule cannot be read.
    #[error("the schedule of trial {trial} cannot be read")]
    Schedule {
        /// The trial's number.
        trial: u32,
        /// Why.
        source: ScheduleError,
    },
    /// A journal cannot be read.
    #[error("the journal of trial {trial} cannot be read")]
    Journal {
        /// The trial's number.
        trial: u32,
        /// Why.
        source: JournalError,
    },
}

/// A run with its judgements.
#[derive(Clone, Debug)]
pub struct JudgedRun {
    /// What the campaign knew of itself.
    pub info: RunInfo,
    /// Its trials, by number.
    pub trials: Vec<TrialRecord>,
    /// What they come to.
    pub summary: Summary,
}

/// Reads a run's directory, judges its journals, and sums them up; writes nothing.
///
/// A trial that was scheduled and left no journal is inconclusive; in a run that was cut short, or has
/// not ended, it was never begun, and is no trial.
///
/// # Errors
/// When a part of the run cannot be read, is damaged or of a newer format.
pub fn judge_run(dir: &Path) -> Result<JudgedRun, JudgeError> {
    let run = RunDirectory::new(dir);
    let info = run.read_run().map_err(JudgeError::Layout)?;
    let was_cut = info.interrupted.is_some() || info.duration_ms == 0;
    let mut trials = Vec::new();
    for number in run.trial_numbers().map_err(JudgeError::Layout)? {
        if !was_cut || run.journal(number).exists() {
            trials.extend(judge_trial(&run, number)?);
        }
    }
    let coverage = coverage_of(&run).map_err(JudgeError::Coverage)?;
    let summary = Summary::build(&info, &trials).cover(coverage.as_ref());
    Ok(JudgedRun { info, trials, summary })
}

/// What a run's enumeration came to; none when it enumerated nothing.
///
/// # Errors
/// When it cannot be read.
pub fn coverage_of(run: &RunDirectory) -> Result<Option<Coverage>, CoverageError> {
    let path = run.coverage_json();
    path.exists().then(|| coverage::load(&path)).transpose()
}

/// Reads one trial of a run and judges it; none when it was not even scheduled.
///
/// # Errors
/// When its schedule or journal cannot be read.
pub fn judge_trial(run: &RunDirectory, number: u32) -> Result<Option<TrialRecord>, JudgeError> {
    let path = run.schedule(number);
    if !path.exists() {
        return Ok(None);
    }
    let schedule =
        schedule::load(&path).map_err(|source| JudgeError::Schedule { trial: number, source })?;
    let mut records = match journal::read(&run.journal(number)) {
        Ok(records) => records,
        Err(JournalError::Empty { .. }) => Vec::new(),
        Err(JournalError::Unreadable { source, .. })
            if source.kind() == std::io::ErrorKind::NotFound =>
        {
            Vec::new()
        }
        Err(source) => return Err(JudgeError::Journal { trial: number, source }),
    };
    // What an unknown system did not tell when it ran, nobody can tell now.
    if let Some(dialect) = systems::dialect_of(&records) {
        facts::complete(&mut records, dialect);
    }
    let judgements = if records.is_empty() { vec![never_ran()] } else { oracles::judge(&records) };
    Ok(Some(TrialRecord { schedule, records, judgements }))
}

fn never_ran() -> Judgement {
    let text = "the trial was scheduled and left no journal".to_owned();
    Judgement {
        invariant: Invariant::I3,
        verdict: Verdict::Inconclusive,
        checks: 0,
        reasons: vec![Reason { text, seq: None, cause: None }],
        not_applicable: false,
        excused: false,
    }
}

#[cfg(test)]
mod tests;
