//! Runs the diffs that are measured.

use std::sync::Arc;
use std::time::Duration;

use records::NotPossible;
use records::journal::Event;
use records::schedule::{Capability, Schedule};
use tokio_util::sync::CancellationToken;

use super::{Measured, MemoryError, MemoryOptions, OneDiff};
use crate::campaign::{ServerSlot, Slot};
use crate::plan::{self, PlanError, PlanOptions};
use crate::prepare::Prepared;
use crate::stage::{ActError, Environment, Stage};
use engine::docker::Run;

/// A diff compares at least so many rows a second.
const ROWS_PER_SECOND_MIN: u64 = 2_000;

/// Measures the diffs of each size without differences, and of the smallest with the usual ones.
///
/// # Errors
/// When the harness fails; a tablet that dies is measured, not an error.
pub async fn run(
    options: &MemoryOptions,
    stop: &CancellationToken,
    say: &(dyn Fn(&str) + Send + Sync),
) -> Result<Vec<Measured>, MemoryError> {
    let smallest = options.rows.iter().min().copied();
    let sizes = options.rows.iter().map(|rows| (*rows, false));
    let plans: Result<Vec<Schedule>, PlanError> = sizes
        .chain(smallest.map(|rows| (rows, true)))
        .map(|(rows, differs)| plan_of(rows, differs, options.limit_bytes))
        .collect();
    let plans = plans.map_err(MemoryError::Plan)?;
    let prepared = Prepared::make(&options.images.clone().into(), stop, say).await;
    let Prepared { engine, images, survey, .. } = prepared.map_err(MemoryError::Prepare)?;
    if let Some(why) = survey.lacks(Capability::MemoryLimit) {
        let (what, why) = ("a tablet's peak below a limit".to_owned(), why.to_owned());
        return Err(MemoryError::NotPossible(NotPossible { what, why }));
    }
    let (images, survey) = (Arc::new(images), Arc::new(survey));
    let id = Run::fresh_id();
    let mut all = Vec::new();
    for (index, schedule) in plans.iter().enumerate() {
        let rows = schedule.workload.rows;
        let differences = differences_of(schedule);
        say(&format!("load     {rows} rows, {differences} differences"));
        let id = format!("{id}-m{index}");
        let started = ServerSlot::start(&engine, &images, &id, &schedule.workload);
        let started = stop.run_until_cancelled(started).await.ok_or(MemoryError::Stopped)?;
        let slot = started.map_err(MemoryError::Slot)?;
        let environment = slot.environment(&survey, 1, None);
        let diffs = diffs(&environment, schedule, options.times, say);
        let diffs = stop.run_until_cancelled(diffs).await;
        slot.remove().await.map_err(MemoryError::Removal)?;
        let diffs = diffs.ok_or(MemoryError::Stopped)?;
        let diffs = diffs.map_err(|source| MemoryError::Diff { rows, source })?;
        all.push(Measured { rows, differences, diffs });
    }
    Ok(all)
}

/// Single ones, and a run of each kind.
fn differences_of(schedule: &Schedule) -> u64 {
    u64::from(schedule.workload.differences) + 3 * schedule.workload.run_length
}

async fn diffs(
    environment: &Environment,
    schedule: &Schedule,
    times: u32,
    say: &(dyn Fn(&str) + Send + Sync),
) -> Result<Vec<OneDiff>, ActError> {
    let rows = schedule.workload.rows;
    let mut diffs = Vec::new();
    for time in 1..=times {
        let diff = measure(environment, schedule, time).await?;
        say(&format!(
            "diff     {rows} rows, {time} of {times}: peak {} KiB, {} after {:.1} s",
            diff.peak_rss_bytes >> 10,
            diff.state,
            diff.took_ms as f64 / 1_000.0
        ));
        diffs.push(diff);
    }
    Ok(diffs)
}

fn plan_of(rows: u64, differs: bool, limit_bytes: u64) -> Result<Schedule, PlanError> {
    let options = PlanOptions {
        trials: 1,
        tables: vec!["customer".to_owned()],
        rows,
        ..PlanOptions::default()
    };
    let mut schedule = plan::schedule(1, 0, &options)?;
    schedule.steps.clear();
    if !differs {
        schedule.workload.differences = 0;
        schedule.workload.run_length = 0;
    }
    // At full speed, as users run it.
    schedule.pace.rows_per_second = 0;
    schedule.pace.checkpoint_rows = 10_000;
    schedule.pace.checkpoint_interval_ms = 1_000;
    schedule.pace.memory_limit_bytes = limit_bytes;
    let settle_ms = 60_000 + rows * 1_000 / ROWS_PER_SECOND_MIN;
    schedule.deadlines.settle_ms = settle_ms;
    schedule.deadlines.trial_ms = (settle_ms + 60_000).min(3_600_000);
    plan::check(&schedule)?;
    Ok(schedule)
}

async fn measure(
    environment: &Environment,
    schedule: &Schedule,
    time: u32,
) -> Result<OneDiff, ActError> {
    let name = format!("memory{time}");
    let dir = environment.directory.join(&name);
    let stage = Stage::open(environment, schedule, &name, &dir).await?;
    let limit = Duration::from_millis(schedule.deadlines.trial_ms);
    let diffed = tokio::time::timeout(limit, diff(&stage, schedule)).await;
    // The kernel's own peak, of a process that still lives.
    let peak = stage.target().tablet().peak_rss_bytes();
    stage.close().await;
    diffed.map_err(|_| ActError::new(format!("it did not end within {limit:?}")))??;
    let mut measured = OneDiff {
        peak_rss_bytes: peak.unwrap_or_default(),
        state: "unsettled".to_owned(),
        ..OneDiff::default()
    };
    let mut created_ms = 0;
    for record in stage.journal().records() {
        match record.event {
            Event::Sample(sample) => {
                measured.peak_rss_bytes =
                    measured.peak_rss_bytes.max(sample.rss_bytes.unwrap_or(0));
                measured.peak_charged_bytes =
                    measured.peak_charged_bytes.max(sample.cgroup_bytes.unwrap_or(0));
            }
            Event::VdiffAction(_) => created_ms = record.at_ms,
            Event::Settled { state, .. } => {
                measured.took_ms = record.at_ms.saturating_sub(created_ms);
                measured.state = state;
            }
            Event::TabletExited(_) => measured.died = true,
            _ => {}
        }
    }
    Ok(measured)
}

async fn diff(stage: &Stage, schedule: &Schedule) -> Result<(), ActError> {
    stage.launch().await?;
    stage.start_workflow().await?;
    stage.create_vdiff(&schedule.vdiff_uuid).await?;
    stage.wait_settled(stage.settle_within()).await?;
    Ok(())
}
