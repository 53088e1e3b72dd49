//! `crash-points list` and `crash-points run`.

use std::time::Duration;

use records::coverage::Coverage;
use tokio_util::sync::CancellationToken;

use super::arguments::{CrashPointArgs, CrashPointsCommand, StrikeArgs};
use super::campaigns::{SET_UP, exit, failure, program, told};
use super::{Exit, Failure, putln, say};
use crate::campaign::{self, CampaignOptions, Work};
use crate::crash_points::hunt::{Entry, HuntOptions};
use crate::crash_points::plan::Frame;
use crate::crash_points::run::{self, CrashPointError};

/// An exhaustive run ends by itself; this is for one that does not.
const LIMIT: Duration = Duration::from_secs(4 * 3_600);

pub(super) async fn execute(
    command: CrashPointsCommand,
    stop: &CancellationToken,
) -> Result<Exit, Failure> {
    match command {
        CrashPointsCommand::List(args) => list(args, stop).await,
        CrashPointsCommand::Run(args) => strike(args, stop).await,
    }
}

async fn list(args: CrashPointArgs, stop: &CancellationToken) -> Result<Exit, Failure> {
    let hunt = HuntOptions { faults: Vec::new(), ..HuntOptions::exhaustive(frame(&args, None)) };
    let campaign = CampaignOptions { floor: Some(0), ..options(&args, None, false)? };
    let found = run::run(hunt, campaign, None, stop, &say).await.map_err(|error| failed(&error))?;
    for entry in &found.entries {
        putln!("{}", line(entry));
    }
    let timed = found.entries.iter().filter(|entry| entry.listed.timed).count();
    putln!("points   {} ({timed} of them timed, listed apart)", found.entries.len());
    putln!("list     {}", found.outcome.directory.join(run::LIST_FILE).display());
    Ok(exit(found.outcome.summary.verdict.into(), &found.outcome.failures))
}

async fn strike(args: StrikeArgs, stop: &CancellationToken) -> Result<Exit, Failure> {
    let covered = match &args.coverage {
        Some(file) => run::load_if_any(file).map_err(|error| Failure::usage(&error))?,
        None => Coverage::default(),
    };
    let hunt = HuntOptions {
        faults: args.faults,
        shard: args.shard,
        during_recovery: args.during_recovery,
        duration: args.duration,
        until_percent: args.until,
        covered,
        ..HuntOptions::exhaustive(frame(&args.recorded, args.bug))
    };
    let campaign = options(&args.recorded, args.duration, args.bug.is_some())?;
    let keep = args.coverage.as_deref();
    let done = run::run(hunt, campaign, keep, stop, &say).await.map_err(|error| failed(&error))?;
    Ok(told(&done.outcome))
}

fn frame(args: &CrashPointArgs, bug: Option<records::schedule::Bug>) -> Frame {
    Frame {
        seed: args.seed.unwrap_or_else(campaign::fresh_seed),
        tables: args.tables.clone(),
        rows: args.rows,
        bug,
        system: args.images.kind(),
    }
}

fn options(
    args: &CrashPointArgs,
    duration: Option<Duration>,
    seeded_bugs: bool,
) -> Result<CampaignOptions, Failure> {
    Ok(CampaignOptions {
        work: Work::Given(Vec::new()),
        jobs: usize::from(args.jobs),
        fail_fast: false,
        floor: None,
        deadline: duration.unwrap_or(LIMIT) + SET_UP,
        out: args.out.out.clone(),
        junit: args.out.junit.clone(),
        system: args.images.system(seeded_bugs)?,
        program: program(),
    })
}

fn line(entry: &Entry) -> String {
    let timed = if entry.listed.timed { "  (timed)" } else { "" };
    format!("{}  [{}, {}]{timed}", entry.listed.point, entry.listed.occurrence, entry.script.name)
}

fn failed(error: &CrashPointError) -> Failure {
    match error {
        CrashPointError::Campaign(campaign) => failure(campaign),
        CrashPointError::Coverage(_) => Failure::harness(error),
    }
}
