//! Shrinking: the smallest schedule that still fails as a given one does, and a scenario for it.
//!
//! The search ([`search`]) is apart from what executes trials; how often a candidate is run is told
//! by [`confidence`], what may be smaller by [`moves`], the scenario by [`feature`]. The smallest schedule so far is written
//! each time it becomes smaller, so that a shrink that is killed leaves it.

pub mod confidence;
pub mod feature;
mod lab;
pub mod moves;
pub mod search;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use records::RunInfo;
use records::layout::{LayoutError, RunDirectory};
use records::schedule::{Schedule, ScheduleError};
use records::verdict::{Invariant, Verdict};
use reports::summary::Summary;
use tokio_util::sync::CancellationToken;

use crate::campaign::{Ground, Slots};
use crate::judge::JudgeError;
use crate::prepare::{PrepareError, Prepared};
use crate::systems::SystemOptions;
use engine::docker::{DockerError, Run};

pub use lab::LabError;
pub use search::{Aim, Budget, Ending, SearchError, Shrunk};

/// What a shrink shall do.
#[derive(Clone, Debug)]
pub struct ShrinkOptions {
    /// The failing schedule.
    pub original: Schedule,
    /// What must keep failing, and when to end.
    pub aim: Aim,
    /// Trials at a time.
    pub jobs: u16,
    /// The run's directory; none: a new one in `reports/runs`.
    pub out: Option<PathBuf>,
    /// Which system, and of which images.
    pub system: SystemOptions,
    /// The program as the user calls it.
    pub program: String,
}

/// What a shrink came to.
#[derive(Clone, Debug)]
pub struct Report {
    /// The search's result.
    pub shrunk: Shrunk,
    /// The smallest schedule.
    pub schedule: PathBuf,
    /// The scenario for it.
    pub feature: PathBuf,
    /// The page with all trials.
    pub page: PathBuf,
}

/// A shrink could not be done.
#[derive(Debug, thiserror::Error)]
pub enum ShrinkError {
    /// There is nothing to shrink.
    #[error("{}", path.display())]
    Target {
        /// What was named.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: TargetError,
    },
    /// No engine, no images, or the user stopped it before it began.
    #[error(transparent)]
    Prepare(PrepareError),
    /// What the run made is not gone.
    #[error("not all of the run was removed; `vdiff-chaos clean` tries it again")]
    Removal(#[source] DockerError),
    /// The search ended without a result.
    #[error("nothing was shrunk")]
    Search(#[source] SearchError<LabError>),
    /// A file could not be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A report could not be written.
    #[error("a report cannot be written")]
    Layout(#[source] LayoutError),
    /// A schedule could not be written.
    #[error("the schedule cannot be written")]
    Schedule(#[source] ScheduleError),
}

/// What was named cannot be shrunk.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// No schedule in it.
    #[error("not a schedule")]
    Schedule(#[source] ScheduleError),
    /// No run in it.
    #[error("not a run")]
    Run(#[source] JudgeError),
    /// No such trial.
    #[error("the run has no trial {0}; look into its directory `trials`")]
    NoTrial(u32),
    /// All is well.
    #[error("no trial of the run failed: there is nothing to shrink")]
    NoFailure,
    /// The trial is well.
    #[error("trial {0} did not fail: there is nothing to shrink; name another with --trial")]
    Passed(u32),
    /// It cannot be executed.
    #[error("the schedule cannot be executed")]
    Impossible(#[source] crate::plan::PlanError),
}

/// Reads what shall be shrunk: a schedule, or a run's first failed trial (or the one of this number)
/// with the invariants that it broke.
///
/// # Errors
/// When there is none, or nothing failed.
pub fn target(
    path: &Path,
    trial: Option<u32>,
) -> Result<(Schedule, BTreeSet<Invariant>), ShrinkError> {
    let found = if path.is_dir() { of_run(path, trial) } else { of_file(path) };
    let checked = found.and_then(|(mut schedule, broken)| {
        // To shrink is to ask for the failure, not for where the points end.
        schedule.explores = false;
        crate::plan::check(&schedule).map_err(TargetError::Impossible)?;
        Ok((schedule, broken))
    });
    checked.map_err(|source| ShrinkError::Target { path: path.to_owned(), source })
}

fn of_file(path: &Path) -> Result<(Schedule, BTreeSet<Invariant>), TargetError> {
    let schedule = records::schedule::load(path).map_err(TargetError::Schedule)?;
    Ok((schedule, BTreeSet::new()))
}

fn of_run(path: &Path, trial: Option<u32>) -> Result<(Schedule, BTreeSet<Invariant>), TargetError> {
    let run = RunDirectory::new(path);
    let numbers = match trial {
        Some(number) => vec![number],
        None => {
            run.trial_numbers().map_err(|source| TargetError::Run(JudgeError::Layout(source)))?
        }
    };
    for number in numbers {
        let judged = crate::judge::judge_trial(&run, number).map_err(TargetError::Run)?;
        let Some(judged) = judged else { continue };
        let failed = judged.judgements.iter().filter(|judgement| judgement.is_fail());
        let broken: BTreeSet<Invariant> = failed.map(|judgement| judgement.invariant).collect();
        match (judged.verdict(), trial) {
            (Verdict::Fail, _) => return Ok((judged.schedule, broken)),
            (Verdict::Pass | Verdict::Inconclusive, Some(number)) => {
                return Err(TargetError::Passed(number));
            }
            (Verdict::Pass | Verdict::Inconclusive, None) => {}
        }
    }
    Err(trial.map_or(TargetError::NoFailure, TargetError::NoTrial))
}

/// Shrinks a schedule on real containers. Whatever happens, nothing is left on the engine.
///
/// # Errors
/// When the harness fails, the original does not fail, or a file cannot be written.
pub async fn run(
    options: &ShrinkOptions,
    stop: &CancellationToken,
    say: &(dyn Fn(&str) + Send + Sync),
) -> Result<Report, ShrinkError> {
    let prepared = Prepared::make(&options.system, stop, say).await;
    run_on(options, prepared.map_err(ShrinkError::Prepare)?.into(), stop, say).await
}

/// As [`run`], on a prepared ground.
///
/// # Errors
/// As [`run`].
pub async fn run_on(
    options: &ShrinkOptions,
    ground: Ground,
    stop: &CancellationToken,
    say: &(dyn Fn(&str) + Send + Sync),
) -> Result<Report, ShrinkError> {
    let begun = Instant::now();
    let id = Run::fresh_id();
    let name = format!("{id}-shrink");
    let out = options.out.clone().unwrap_or_else(|| Path::new("reports/runs").join(&name));
    let directory = RunDirectory::new(&out);
    let results = out.join("shrunk");
    std::fs::create_dir_all(&results)
        .map_err(|source| ShrinkError::Write { path: results.clone(), source })?;
    let smallest = results.join("schedule.json");
    let mut info = info(options, name, &out);
    info.images = ground.source.images();
    info.host = ground.host.clone();
    directory.write_run(&info).map_err(ShrinkError::Layout)?;
    say(&format!("run      {}", out.display()));
    let mut lab = lab::Lab {
        slots: Slots::new(ground, id),
        directory,
        smallest: smallest.clone(),
        jobs: u32::from(options.jobs),
        stop,
        say,
        trials: Vec::new(),
    };
    let searched = search::shrink(&options.original, &options.aim, &mut lab).await;
    let removed = lab.slots.remove().await;
    info.duration_ms = records::millis(begun.elapsed());
    info.planned = Some(lab.trials.len() as u64);
    info.interrupted = stop.is_cancelled().then(|| "the user stopped it".to_owned());
    lab.directory.write_run(&info).map_err(ShrinkError::Layout)?;
    let summary = Summary::build(&info, &lab.trials);
    reports::write_all(&out, &summary, &lab.trials).map_err(ShrinkError::Layout)?;
    let mut shrunk = searched.map_err(ShrinkError::Search)?;
    shrunk.schedule.trial = options.original.trial;
    records::schedule::save(&shrunk.schedule, &smallest).map_err(ShrinkError::Schedule)?;
    let path = results.join("shrunk.feature");
    std::fs::write(&path, feature::render(&shrunk.schedule, &shrunk.broken))
        .map_err(|source| ShrinkError::Write { path: path.clone(), source })?;
    removed.map_err(ShrinkError::Removal)?;
    Ok(Report { shrunk, schedule: smallest, feature: path, page: out.join("index.html") })
}

fn info(options: &ShrinkOptions, run: String, out: &Path) -> RunInfo {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    RunInfo {
        format: records::run::FORMAT,
        run,
        seed: options.original.seed,
        program: options.program.clone(),
        version: crate::version::of_program().to_owned(),
        directory: out.display().to_string(),
        started_wall_ms: records::millis(now),
        ..RunInfo::default()
    }
}

#[cfg(test)]
mod tests;
