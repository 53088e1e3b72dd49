//! Campaigns: many trials on one cluster, and what they come to.
//!
//! A campaign removes what dead runs left, makes sure of the images, starts the servers once, loads
//! each workload once, checks the planted truth once by an independent comparer, measures a clean
//! diff, and then deals trials to `jobs` workers. Trials that hurt a server run alone, on servers of
//! their own. It ends by itself, by its deadline, or by the caller's token; in each case the reports of
//! finished trials are written, and then everything is removed. A trial that its servers or its worker
//! let down is inconclusive, and the others go on.

mod deal;
mod dealer;
mod floor;
mod ledger;
mod pending;
mod progress;
mod slot;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use records::layout::{LayoutError, RunDirectory};
use records::schedule::Schedule;
use records::{NotPossible, RunInfo, TrialRecord};
use reports::summary::Summary;
use tokio_util::sync::CancellationToken;

use crate::plan::{PlanError, PlanOptions};
use crate::prepare::{PrepareError, Prepared};
use crate::systems::SystemOptions;
use engine::docker::{DockerError, Run};

pub use dealer::{Dealer, Problem};
pub use pending::is_exclusive;
pub use slot::{Ground, ServerSlot, ServerSlots, Slot, SlotError, SlotSource, Slots};

use ledger::Ledger;
use pending::Pending;

/// Four trials at a time keep two cores busy; with eight, checkpoints come too late for I5 to judge them.
const JOBS_PER_CORE: u64 = 2;

/// What a campaign shall do.
#[derive(Clone, Debug)]
pub struct CampaignOptions {
    /// What to try.
    pub work: Work,
    /// Trials at a time.
    pub jobs: usize,
    /// Begin no trial after the first that failed.
    pub fail_fast: bool,
    /// Landed faults below which the run is not green; none: by the number of trials.
    pub floor: Option<u64>,
    /// Ends the campaign in any case.
    pub deadline: Duration,
    /// The run's directory; none: a new one in `reports/runs`.
    pub out: Option<PathBuf>,
    /// A copy of the JUnit report.
    pub junit: Option<PathBuf>,
    /// Which system, and of which images.
    pub system: SystemOptions,
    /// The program as the user calls it, for commands in reports.
    pub program: String,
}

/// What to try.
#[derive(Clone)]
pub enum Work {
    /// Trials from a seed.
    Planned {
        /// The seed.
        seed: u64,
        /// What to draw from.
        plan: PlanOptions,
        /// Which of them: this shard of so many, from 1.
        shard: Option<(u32, u32)>,
        /// Instead of a number of trials: as many as begin in this time.
        duration: Option<Duration>,
    },
    /// These schedules.
    Given(Vec<Schedule>),
    /// Trials that are decided on the way.
    Dealt {
        /// The seed, for the report.
        seed: u64,
        /// Who decides.
        dealer: Arc<Mutex<dyn Dealer>>,
    },
}

impl std::fmt::Debug for Work {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Planned { seed, .. } => write!(f, "trials from the seed {seed}"),
            Self::Given(schedules) => write!(f, "{} given schedules", schedules.len()),
            Self::Dealt { seed, .. } => write!(f, "trials decided on the way, seed {seed}"),
        }
    }
}

/// What a campaign came to.
#[derive(Debug)]
pub struct CampaignOutcome {
    /// Its summary.
    pub summary: Summary,
    /// Its trials.
    pub trials: Vec<TrialRecord>,
    /// Its directory.
    pub directory: PathBuf,
    /// In what the harness failed all the same: what the trials have found is told before.
    pub failures: Vec<CampaignError>,
}

/// The harness could not run a campaign.
#[derive(Debug, thiserror::Error)]
pub enum CampaignError {
    /// The plan is impossible.
    #[error("the campaign cannot be planned")]
    Plan(#[source] PlanError),
    /// This host cannot do what was asked for.
    #[error("{0}")]
    NotPossible(NotPossible),
    /// No engine, no images, or the user stopped it before it began.
    #[error(transparent)]
    Prepare(PrepareError),
    /// What the run made is not gone.
    #[error("not all of the run was removed; `vdiff-chaos clean` tries it again")]
    Removal(#[source] DockerError),
    /// The servers, the data or the calibration failed.
    #[error("the cluster could not be prepared")]
    Slot(#[source] SlotError),
    /// Who decides on the way could not go on.
    #[error("the campaign could not go on")]
    Dealer(#[source] Problem),
    /// A directory or report could not be written.
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
    /// The coverage could not be written.
    #[error("the coverage cannot be written")]
    Coverage(#[source] records::coverage::CoverageError),
    /// A schedule could not be written.
    #[error("a schedule cannot be written")]
    Schedule(#[source] records::schedule::ScheduleError),
}

/// Runs a campaign. `say` takes lines for the user; `stop` ends it in order.
///
/// # Errors
/// When the harness fails before there are trials to tell of; what fails later is part of the outcome.
/// Whatever happens, nothing of the run is left on the engine.
pub async fn run(
    options: &CampaignOptions,
    stop: &CancellationToken,
    say: &(dyn Fn(&str) + Send + Sync),
) -> Result<CampaignOutcome, CampaignError> {
    // Before the engine is asked for anything: an impossible plan needs no Docker.
    Pending::plan(&options.work).map_err(CampaignError::Plan)?;
    let prepared = Prepared::make(&options.system, stop, say).await;
    let ground = Ground::from(prepared.map_err(CampaignError::Prepare)?);
    run_on(options, ground, stop, say).await
}

/// As [`run`], on a prepared ground; the options' images say nothing then.
///
/// # Errors
/// As [`run`].
pub async fn run_on(
    options: &CampaignOptions,
    ground: Ground,
    stop: &CancellationToken,
    say: &(dyn Fn(&str) + Send + Sync),
) -> Result<CampaignOutcome, CampaignError> {
    let begun = Instant::now();
    let mut pending = Pending::plan(&options.work).map_err(CampaignError::Plan)?;
    let possible = pending::within(&options.work, &ground.survey);
    if let Some(work) = possible.map_err(CampaignError::NotPossible)? {
        pending = Pending::plan(&work).map_err(CampaignError::Plan)?;
    }
    let host = &ground.host;
    if options.jobs as u64 > JOBS_PER_CORE * host.cores {
        say(&format!(
            "note     {} trials at a time on {} cores wait for each other: what is judged by time may \
             be inconclusive for that; try --jobs {}",
            options.jobs,
            host.cores,
            JOBS_PER_CORE * host.cores
        ));
    }
    let id = Run::fresh_id();
    let info = info(options, &pending, &id, &ground);
    let out = PathBuf::from(&info.directory);
    let directory = RunDirectory::new(&out);
    for schedule in pending.known() {
        write_schedule(&directory, schedule)?;
    }
    let seed = info.seed;
    let mut ledger = Ledger::open(directory, info, options, begun)?;
    say(&format!("images   {}", image_line(&ground.source.images())));
    say(&format!("run      {} (seed {seed})", out.display()));

    match floor_cycle(ground.source.as_ref(), &id, stop).await {
        Ok(floor_ms) => ledger.info().floor_cycle_ms = floor_ms,
        Err(error) => {
            let interrupted = Some(error.to_string());
            ledger.close(&ledger::SoFar { interrupted, ..Default::default() }).2?;
            return Err(error);
        }
    }
    let slots = Slots::new(ground, id);
    let dealt = deal::deal(&slots, pending, options, &mut ledger, stop, say).await;
    // Reports first: whoever stops a run may not wait for the removal.
    let (summary, trials, written) = ledger.close(&dealt.at_end);
    let removed = slots.remove().await;
    let broken = match dealt.broken {
        Some(error @ SlotError::Workload(_)) => return Err(CampaignError::Slot(error)),
        broken => broken.map(CampaignError::Slot),
    };
    let failures = written.err().into_iter().chain(broken);
    let failures = failures.chain(dealt.problem.map(CampaignError::Dealer));
    let failures = failures.chain(removed.err().map(CampaignError::Removal)).collect();
    Ok(CampaignOutcome { summary, trials, directory: out, failures })
}

/// What a run knows of itself before its first trial.
fn info(options: &CampaignOptions, pending: &Pending, id: &str, ground: &Ground) -> RunInfo {
    let name = format!("{id}-seed{}", pending.seed());
    let out = options.out.clone().unwrap_or_else(|| Path::new("reports/runs").join(&name));
    RunInfo {
        format: records::run::FORMAT,
        run: name,
        seed: pending.seed(),
        program: options.program.clone(),
        version: crate::version::of_program().to_owned(),
        directory: out.display().to_string(),
        floor: options.floor.unwrap_or_else(|| pending.default_floor()),
        plan: pending.description(),
        exhaustive: pending.is_exhaustive(),
        part: pending.part(),
        jobs: options.jobs.max(1) as u64,
        planned: pending.planned(),
        started_wall_ms: wall_ms(),
        images: ground.source.images(),
        host: ground.host.clone(),
        ..RunInfo::default()
    }
}

/// Measured while nothing else of the run is at work. A campaign goes on without it.
async fn floor_cycle(
    source: &dyn SlotSource,
    id: &str,
    stop: &CancellationToken,
) -> Result<Option<u64>, CampaignError> {
    let measured = stop.run_until_cancelled(source.floor_cycle_ms(id)).await;
    match measured.ok_or(CampaignError::Prepare(PrepareError::Stopped))? {
        Ok(floor_ms) => Ok(floor_ms),
        Err(error) => {
            let why = engine::errors::chain(&error);
            tracing::warn!(why, "the engine's own kill-to-running cycle was not measured");
            Ok(None)
        }
    }
}

/// Writes a trial's schedule before the trial begins.
fn write_schedule(directory: &RunDirectory, schedule: &Schedule) -> Result<(), CampaignError> {
    let path = directory.trial(schedule.trial);
    std::fs::create_dir_all(&path)
        .map_err(|source| CampaignError::Write { path: path.clone(), source })?;
    records::schedule::save(schedule, &directory.schedule(schedule.trial))
        .map_err(CampaignError::Schedule)
}

fn image_line(images: &BTreeMap<String, String>) -> String {
    let short = |(name, id): (&String, &String)| {
        let id = id.trim_start_matches("sha256:");
        format!("{name} {}", id.get(..7).unwrap_or(id))
    };
    images.iter().map(short).collect::<Vec<_>>().join(" · ")
}

fn wall_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    records::millis(now)
}

/// A seed nobody chose.
#[must_use]
pub fn fresh_seed() -> u64 {
    // Short enough to be typed again.
    rand::random::<u64>() % 1_000_000_000
}
