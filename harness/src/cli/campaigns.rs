//! `run`, `replay` and `zoo`.

use std::path::Path;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::arguments::{ReplayArgs, RunArgs, ZooArgs};
use super::{Exit, Failure, put, putln, say};
use crate::campaign::{self, CampaignError, CampaignOptions, CampaignOutcome, Work};
use crate::plan::{self, PlanOptions};
use crate::prepare::PrepareError;
use crate::systems::SystemKind;
use crate::zoo::{self, ZooOptions, ZooTask};
use engine::images::{Patch, PatchError};
use records::schedule::Schedule;

/// A trial takes at most about this long in the mean; building images once comes on top.
pub(super) const TRIAL_MEAN: Duration = Duration::from_secs(60);
pub(super) const SET_UP: Duration = Duration::from_secs(1_200);

pub(super) async fn run(args: RunArgs, stop: &CancellationToken) -> Result<Exit, Failure> {
    let seed = args.seed.unwrap_or_else(campaign::fresh_seed);
    let system = args.images.kind();
    let length = args.duration.unwrap_or(TRIAL_MEAN * args.trials / u32::from(args.jobs));
    let options = CampaignOptions {
        work: Work::Planned {
            seed,
            plan: PlanOptions {
                trials: args.trials,
                faults: args.faults,
                triggers: args.triggers,
                without: Vec::new(),
                tables: args.tables,
                rows: args.rows.unwrap_or(plan::rows_of(system)),
                bug: args.bug,
                system,
            },
            shard: args.shard,
            duration: args.duration,
        },
        jobs: usize::from(args.jobs),
        fail_fast: args.fail_fast,
        floor: args.floor,
        deadline: args.deadline.unwrap_or(length + SET_UP),
        out: args.out.out,
        junit: args.out.junit,
        system: args.images.system(args.bug.is_some())?,
        program: program(),
    };
    let outcome = execute(&options, stop).await?;
    Ok(told(&outcome))
}

pub(super) async fn replay(args: ReplayArgs, stop: &CancellationToken) -> Result<Exit, Failure> {
    let schedule = records::schedule::load(&args.file).map_err(|error| Failure::usage(&error))?;
    let bug = schedule.bug.is_some();
    fits(&schedule, args.images.kind())?;
    // A replay in which nothing lands says nothing of a schedule with faults.
    let floor = u64::from(!schedule.steps.is_empty() && !schedule.explores);
    let schedules = (0..args.times)
        .map(|time| {
            let mut again = schedule.clone();
            if args.times > 1 {
                again.trial = time;
            }
            again
        })
        .collect();
    let options = CampaignOptions {
        work: Work::Given(schedules),
        jobs: usize::from(args.jobs),
        fail_fast: false,
        floor: Some(floor),
        deadline: TRIAL_MEAN * 3 * args.times + SET_UP,
        out: args.out.out,
        junit: args.out.junit,
        system: args.images.system(bug)?,
        program: program(),
    };
    let recorded = recorded_images(&args.file);
    let outcome = execute(&options, stop).await?;
    for (name, id) in &outcome.summary.images {
        match recorded.as_ref().and_then(|images| images.get(name)) {
            Some(was) if was != id => {
                say(&format!("note     image {name} is {id}; the schedule was run with {was}"));
            }
            Some(_) | None => {}
        }
    }
    Ok(told(&outcome))
}

/// That a schedule is tried on the system that it was made for.
pub(super) fn fits(schedule: &Schedule, system: SystemKind) -> Result<(), Failure> {
    let wanted = SystemKind::of(schedule);
    if wanted == system {
        return Ok(());
    }
    Err(Failure::wrong(match wanted {
        SystemKind::Vitess => {
            "the schedule was made for Vitess: name yours with --vitess-image or --vitess-programs"
        }
        SystemKind::Tablet => {
            "the schedule was made for this project's tablet: leave Vitess out, or set its \"system\" and its pace"
        }
    }))
}

/// The images of the run that a schedule lies in, where it still does.
fn recorded_images(file: &Path) -> Option<std::collections::BTreeMap<String, String>> {
    let root = file.parent()?.parent()?.parent()?;
    let info = records::layout::RunDirectory::new(root).read_run().ok()?;
    Some(info.images)
}

pub(super) async fn zoo(args: ZooArgs, stop: &CancellationToken) -> Result<Exit, Failure> {
    let (kind, game) = match (&args.patch, args.clean_tablet) {
        (Some(file), _) => ("zoo-patch", ZooTask::Patch(patch(file).await?)),
        (None, true) => ("zoo-control", ZooTask::CleanTablet(args.bugs)),
        (None, false) => ("zoo", ZooTask::Bugs(args.bugs)),
    };
    let default =
        Path::new("reports/runs").join(format!("{}-{kind}", engine::docker::Run::fresh_id()));
    let options = ZooOptions {
        game,
        seed: args.seed,
        jobs: usize::from(args.jobs),
        out: args.out.unwrap_or(default),
        images: args.images.of_tablet(true)?,
        program: program(),
    };
    let zoo = zoo::run(&options, stop, &say).await.map_err(|error| failure(&error))?;
    putln!(
        "{:<26} {:<6} {:<16} {:>9} {:>5}  unscheduled exits",
        "bug",
        "found",
        "oracle",
        "in trials",
        "first"
    );
    for specimen in &zoo.specimens {
        putln!(
            "{:<26} {:<6} {:<16} {:>9} {:>5}  {}",
            specimen.bug,
            if specimen.found { "yes" } else { "no" },
            specimen.oracle.join(","),
            format!("{} of {}", specimen.trials_that_found, specimen.trials),
            specimen.found_in.map_or_else(|| "-".to_owned(), |trial| trial.to_string()),
            specimen.exits.len()
        );
    }
    // What was found was found, however its campaign ended.
    for specimen in zoo.specimens.iter().filter(|specimen| !specimen.found) {
        for doubt in &specimen.doubts {
            putln!("unclear  {}: {doubt}", specimen.bug);
        }
    }
    putln!("report   {}", options.out.join("zoo.json").display());
    let verdict = zoo::verdict(&zoo.specimens, &options.game);
    Ok(exit(verdict.into(), &zoo.failures))
}

async fn patch(file: &Path) -> Result<Patch, Failure> {
    let failure = |error: PatchError| match error.is_usage() {
        true => Failure::usage(&error),
        false => Failure::harness(&error),
    };
    Patch::open(file).await.map_err(failure)
}

async fn execute(
    options: &CampaignOptions,
    stop: &CancellationToken,
) -> Result<CampaignOutcome, Failure> {
    campaign::run(options, stop, &say).await.map_err(|error| failure(&error))
}

/// Tells what a campaign came to.
pub(super) fn told(outcome: &CampaignOutcome) -> Exit {
    let page = outcome.directory.join("index.html");
    put(&reports::render::terminal::render(&outcome.summary, &page.display().to_string()));
    exit(outcome.summary.verdict.into(), &outcome.failures)
}

/// How a command ends that came to `exit`, and in which the harness failed besides: with the worst.
pub(super) fn exit(exit: Exit, failures: &[CampaignError]) -> Exit {
    failures.iter().fold(exit, |worst, error| {
        let Failure { exit, text } = failure(error);
        say(&format!("error: {text}"));
        worst.worst(exit)
    })
}

/// What the user asked for cannot be, or the harness failed.
pub(super) fn failure(error: &CampaignError) -> Failure {
    match error {
        CampaignError::Plan(_) | CampaignError::Slot(crate::campaign::SlotError::Workload(_)) => {
            Failure::usage(error)
        }
        CampaignError::Prepare(PrepareError::Stopped) => Failure::stopped(error),
        CampaignError::Prepare(_)
        | CampaignError::NotPossible(_)
        | CampaignError::Removal(_)
        | CampaignError::Dealer(_)
        | CampaignError::Slot(_)
        | CampaignError::Write { .. }
        | CampaignError::Layout(_)
        | CampaignError::Coverage(_)
        | CampaignError::Schedule(_) => Failure::harness(error),
    }
}

/// The program as the user calls it.
pub(super) fn program() -> String {
    match std::env::var_os("CARGO") {
        Some(_) => "cargo run --".to_owned(),
        None => "vdiff-chaos".to_owned(),
    }
}
