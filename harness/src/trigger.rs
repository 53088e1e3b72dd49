//! Triggers: when a fault is injected.
//!
//! A time is a fraction of the calibrated length of the diff; a progress is polled in MySQL every few
//! milliseconds; a phase is held by a [`Latch`] (a row lock that the phase's statement needs), so that
//! it can be hit however short it is; a recovery is counted from the start of the container.

mod latch;

use std::time::{Duration, Instant};

use reports::journal::Event;
use reports::schedule::{Phase, Trigger};

use crate::observer::ProcessState;
use crate::plan::trigger_text;
use crate::trial::{ActError, Stage, Waited};

pub use latch::{Ghost, Latch};

/// What came of waiting for a trigger.
#[derive(Debug)]
pub enum Fired {
    /// Now.
    Now {
        /// The lock that holds the diff in its phase, where one was asked for.
        latch: Option<Box<Latch>>,
    },
    /// Its moment will not come any more.
    Gone {
        /// Why.
        reason: String,
        /// The diff had ended: a new diff may be aimed at again.
        diff_ended: bool,
    },
}

/// Waits for a step's trigger, and records that it fired.
///
/// # Errors
/// When the harness fails; a moment that passed by is [`Fired::Gone`].
pub async fn wait_for(stage: &Stage, step: usize, trigger: &Trigger) -> Result<Fired, ActError> {
    let within = stage.settle_within();
    let (seen, latch) = match trigger {
        Trigger::Time { fraction } => match at_time(stage, *fraction).await? {
            Ok(seen) => (seen, None),
            Err(gone) => return Ok(gone),
        },
        Trigger::Progress { fraction } => match stage.wait_fraction(*fraction, within).await? {
            Waited::Yes { .. } => (progress_text(stage).await, None),
            Waited::No { reason } => return Ok(gone(reason)),
        },
        Trigger::Phase { phase } => match Latch::catch(stage, *phase, within).await? {
            Ok(latch) => (latch.seen(), Some(Box::new(latch))),
            Err(reason) => return Ok(gone(reason)),
        },
        Trigger::DuringRecovery { after_ms } => {
            match into_recovery(stage, Duration::from_millis(*after_ms)).await {
                Ok(seen) => (seen, None),
                Err(reason) => return Ok(gone(reason)),
            }
        }
        Trigger::DuringFault { after_ms } => match into_fault(stage, step, *after_ms).await {
            Ok(seen) => (seen, None),
            Err(reason) => return Ok(gone(reason)),
        },
    };
    let seen = format!("{}: {seen}", trigger_text(trigger));
    stage.journal().record(Event::TriggerFired { step, seen });
    Ok(Fired::Now { latch })
}

fn gone(reason: String) -> Fired {
    let diff_ended = reason.contains("had ended");
    Fired::Gone { reason, diff_ended }
}

/// The moment itself is what is waited for, so this is a sleep.
async fn at_time(stage: &Stage, fraction: f64) -> Result<Result<String, Fired>, ActError> {
    let started = stage.diff_started().ok_or_else(|| ActError::new("no VDiff was created yet"))?;
    let length = Duration::from_millis(stage.environment().calibrated_ms);
    let moment = started + length.mul_f64(fraction);
    tokio::time::sleep_until(moment.into()).await;
    let progress = stage.progress().await?;
    if progress.is_completed() {
        return Ok(Err(gone("the diff had ended".to_owned())));
    }
    Ok(Ok(progress_text(stage).await))
}

async fn into_recovery(stage: &Stage, after: Duration) -> Result<String, String> {
    let ProcessState::Running { since, incarnation } = stage.target().state_now() else {
        return Err("the target tablet does not run".to_owned());
    };
    tokio::time::sleep_until((since + after).into()).await;
    match stage.target().state_now() {
        ProcessState::Running { incarnation: now, .. } if now == incarnation => {
            Ok(format!("{} ms after the start", since.elapsed().as_millis()))
        }
        _ => Err("the recovering tablet ended by itself".to_owned()),
    }
}

/// The harm of the step before goes on meanwhile: whoever drives the steps has not healed it.
async fn into_fault(stage: &Stage, step: usize, after_ms: u64) -> Result<String, String> {
    let injected_ms = stage.journal().inspect(|records| {
        records.iter().rev().find_map(|record| match &record.event {
            Event::FaultHealed { step: before, .. } if before + 1 == step => Some(None),
            Event::FaultInjected { step: before, .. } if before + 1 == step => {
                Some(Some(record.at_ms))
            }
            _ => None,
        })
    });
    let Some(Some(injected_ms)) = injected_ms else {
        return Err("the fault before it is not at work".to_owned());
    };
    let passed_ms = stage.journal().now_ms().saturating_sub(injected_ms);
    tokio::time::sleep(Duration::from_millis(after_ms.saturating_sub(passed_ms))).await;
    Ok(format!("{} ms after the fault before it", after_ms.max(passed_ms)))
}

async fn progress_text(stage: &Stage) -> String {
    let began = Instant::now();
    match stage.progress().await {
        Ok(progress) => format!(
            "{} rows of {} in state {}{}",
            progress.rows_compared,
            stage.rows_total(),
            progress.state.as_deref().unwrap_or("(none)"),
            progress
                .at_work()
                .map(|table| format!(
                    ", table {} {}",
                    table.table,
                    table.phase.as_deref().unwrap_or("")
                ))
                .unwrap_or_default(),
        ),
        Err(error) => format!("unknown progress after {:?} ({error})", began.elapsed()),
    }
}

/// The phase of a table, as the sidecar names it.
#[must_use]
pub(crate) fn phase_of(text: &str) -> Option<Phase> {
    match text {
        "snapshot" => Some(Phase::Snapshot),
        "streaming" => Some(Phase::Streaming),
        "reconcile" => Some(Phase::Reconcile),
        _ => None,
    }
}
