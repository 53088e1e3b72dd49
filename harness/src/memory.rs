//! The tablet's peak memory against table size and limit: a clean diff at full speed for each size.

use std::sync::Arc;
use std::time::Duration;

use reports::journal::Event;
use reports::schedule::Schedule;
use tokio_util::sync::CancellationToken;

use crate::campaign::{Slot, SlotError};
use crate::docker::{DockerError, Run};
use crate::ground::{Ground, GroundError};
use crate::images::ImageOptions;
use crate::plan::{self, PlanError, PlanOptions};
use crate::trial::{ActError, Environment, Stage};

/// The largest table may need this much of the smallest one's memory…
const RATIO_MAX: f64 = 1.2;
/// …or so many bytes more.
const MORE_BYTES_MAX: u64 = 4 << 20;
/// A diff compares at least so many rows a second.
const ROWS_PER_SECOND_MIN: u64 = 2_000;

/// What to measure.
#[derive(Clone, Debug)]
pub struct MemoryOptions {
    /// Numbers of rows of the table.
    pub rows: Vec<u64>,
    /// The tablet's limit in bytes.
    pub limit_bytes: u64,
    /// Images.
    pub images: ImageOptions,
}

/// One measured diff.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// Rows of the table.
    pub rows: u64,
    /// The tablet's peak resident set, bytes.
    pub peak_rss_bytes: u64,
    /// The container's peak charged memory, bytes.
    pub peak_charged_bytes: u64,
    /// Length of the diff, milliseconds.
    pub took_ms: u64,
    /// How the diff ended.
    pub state: String,
    /// The tablet ended unasked.
    pub died: bool,
}

/// Nothing could be measured.
#[derive(Debug, thiserror::Error)]
pub enum MemoryError {
    /// The schedule is impossible.
    #[error("the measurement cannot be planned")]
    Plan(#[source] PlanError),
    /// No engine, no images, or the user stopped it before it began.
    #[error(transparent)]
    Ground(GroundError),
    /// What a diff needed is not gone.
    #[error("removing the servers")]
    Removal(#[source] DockerError),
    /// The servers failed.
    #[error("the cluster could not be prepared")]
    Slot(#[source] SlotError),
    /// The diff could not be run.
    #[error("the diff of {rows} rows could not be run")]
    Diff {
        /// Rows of the table.
        rows: u64,
        /// Why.
        #[source]
        source: ActError,
    },
    /// The user stopped it.
    #[error("the user stopped it")]
    Stopped,
}

/// Measures one diff for each size.
///
/// # Errors
/// When the harness fails; a tablet that dies is measured, not an error.
pub async fn run(
    options: &MemoryOptions,
    stop: &CancellationToken,
    say: &(dyn Fn(&str) + Send + Sync),
) -> Result<Vec<Measured>, MemoryError> {
    let plans: Result<Vec<Schedule>, PlanError> =
        options.rows.iter().map(|rows| plan_of(*rows, options.limit_bytes)).collect();
    let plans = plans.map_err(MemoryError::Plan)?;
    let ground = Ground::prepare(&options.images, stop, say).await;
    let Ground { engine, images, .. } = ground.map_err(MemoryError::Ground)?;
    let images = Arc::new(images);
    let id = Run::fresh_id();
    let mut all = Vec::new();
    for (index, schedule) in plans.iter().enumerate() {
        let rows = schedule.workload.rows;
        say(&format!("load     {rows} rows"));
        let id = format!("{id}-m{index}");
        let started = Slot::start(&engine, &images, &id, &schedule.workload);
        let started = stop.run_until_cancelled(started).await.ok_or(MemoryError::Stopped)?;
        let slot = started.map_err(MemoryError::Slot)?;
        let environment = slot.environment(&engine, &images, 1);
        let measured = stop.run_until_cancelled(measure(&environment, schedule)).await;
        slot.remove().await.map_err(MemoryError::Removal)?;
        let measured = measured.ok_or(MemoryError::Stopped)?;
        let measured = measured.map_err(|source| MemoryError::Diff { rows, source })?;
        say(&format!(
            "diff     {rows} rows: peak {} KiB, {} after {:.1} s",
            measured.peak_rss_bytes >> 10,
            measured.state,
            measured.took_ms as f64 / 1_000.0
        ));
        all.push(measured);
    }
    Ok(all)
}

/// What breaks the rule: no death, and memory that does not follow the table's size. Empty: nothing.
#[must_use]
pub fn broken(all: &[Measured]) -> Vec<String> {
    let mut broken = Vec::new();
    for one in all {
        if one.died || one.state != "completed" {
            let died = if one.died { ", and the tablet died" } else { "" };
            broken.push(format!("{} rows: the diff ended {}{died}", one.rows, one.state));
        }
    }
    let smallest = all.iter().min_by_key(|one| one.rows);
    let largest = all.iter().max_by_key(|one| one.rows);
    if let (Some(small), Some(large)) = (smallest, largest) {
        let allowed = ((small.peak_rss_bytes as f64 * RATIO_MAX) as u64)
            .max(small.peak_rss_bytes + MORE_BYTES_MAX);
        if large.peak_rss_bytes > allowed {
            broken.push(format!(
                "{} rows took {} KiB of memory, {} rows {} KiB: more than {RATIO_MAX} times and {} MiB more",
                large.rows,
                large.peak_rss_bytes >> 10,
                small.rows,
                small.peak_rss_bytes >> 10,
                MORE_BYTES_MAX >> 20
            ));
        }
    }
    broken
}

/// A table for people.
#[must_use]
pub fn table(all: &[Measured], limit_bytes: u64) -> String {
    let mut text = format!(
        "{:>12}  {:>14}  {:>14}  {:>10}  {:>9}  {}\n",
        "rows", "peak RSS KiB", "charged KiB", "limit KiB", "time s", "end"
    );
    for one in all {
        text.push_str(&format!(
            "{:>12}  {:>14}  {:>14}  {:>10}  {:>9.1}  {}\n",
            one.rows,
            one.peak_rss_bytes >> 10,
            one.peak_charged_bytes >> 10,
            limit_bytes >> 10,
            one.took_ms as f64 / 1_000.0,
            if one.died { "the tablet died" } else { &one.state }
        ));
    }
    text
}

fn plan_of(rows: u64, limit_bytes: u64) -> Result<Schedule, PlanError> {
    let options = PlanOptions {
        trials: 1,
        tables: vec!["customer".to_owned()],
        rows,
        ..PlanOptions::default()
    };
    let mut schedule = plan::schedule(1, 0, &options)?;
    schedule.steps.clear();
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

async fn measure(environment: &Environment, schedule: &Schedule) -> Result<Measured, ActError> {
    let dir = environment.run.directory().join("memory");
    let stage = Stage::open(environment, schedule, "memory", &dir).await?;
    let limit = Duration::from_millis(schedule.deadlines.trial_ms);
    let diffed = tokio::time::timeout(limit, diff(&stage, schedule)).await;
    stage.close().await;
    diffed.map_err(|_| ActError::new(format!("it did not end within {limit:?}")))??;
    let mut measured = Measured {
        rows: schedule.workload.rows,
        peak_rss_bytes: 0,
        peak_charged_bytes: 0,
        took_ms: 0,
        state: "unsettled".to_owned(),
        died: false,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(rows: u64, mib: u64) -> Measured {
        Measured {
            rows,
            peak_rss_bytes: mib << 20,
            peak_charged_bytes: mib << 20,
            took_ms: 1,
            state: "completed".to_owned(),
            died: false,
        }
    }

    // The rule of the issue: 1.2 times, or 4 MiB more, whichever is more; and nobody dies.
    #[test]
    fn memory_may_grow_a_little_and_no_more() {
        assert!(broken(&[measured(100_000, 10), measured(1_000_000, 14)]).is_empty());
        assert!(broken(&[measured(100_000, 40), measured(1_000_000, 48)]).is_empty());
        assert_eq!(broken(&[measured(100_000, 40), measured(1_000_000, 49)]).len(), 1);
        let dead = Measured { died: true, ..measured(1_000_000, 10) };
        assert_eq!(broken(&[measured(100_000, 10), dead]).len(), 1);
    }
}
