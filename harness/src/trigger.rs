//! Triggers: when a fault is injected.
//!
//! A time is a fraction of the calibrated length of the diff; a progress is polled in MySQL every few
//! milliseconds; a phase is held by a [`Latch`] (a row lock that the phase's statement needs), so that
//! it can be hit however short it is; a recovery is counted from the start of the container; a crash
//! point is held by the wire proxy.

mod hold;
mod latch;

use std::time::{Duration, Instant};

use records::journal::Event;
use records::schedule::{Phase, Trigger};

use crate::observer::ProcessState;
use crate::plan::trigger_text;
use crate::stage::{ActError, Stage, Waited};

pub use hold::Hold;
pub use latch::{Ghost, Latch};

/// What came of waiting for a trigger.
#[derive(Debug)]
pub enum Fired {
    /// Now.
    Now {
        /// What holds the tablet there, where the trigger is an exact one.
        hold: Option<Box<Hold>>,
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
    let (seen, hold) = match trigger {
        Trigger::Time { fraction } => match at_time(stage, *fraction).await? {
            Ok(seen) => (seen, None),
            Err(reason) => return gone(stage, reason).await,
        },
        Trigger::Progress { fraction } => match stage.wait_fraction(*fraction, within).await? {
            Waited::Yes { .. } => (progress_text(stage).await, None),
            Waited::No { reason } => return gone(stage, reason).await,
        },
        Trigger::Phase { phase } => match Latch::catch(stage, *phase, within).await? {
            Ok(latch) => held(Hold::Phase(latch)),
            Err(reason) => return gone(stage, reason).await,
        },
        Trigger::DuringRecovery { after_ms } => {
            match into_recovery(stage, Duration::from_millis(*after_ms)).await {
                Ok(seen) => (seen, None),
                Err(reason) => return gone(stage, reason).await,
            }
        }
        Trigger::CrashPoint { .. } => match hold::at_point(stage, within).await? {
            Ok(exchange) => held(Hold::Point(exchange)),
            Err(reason) => return gone(stage, reason).await,
        },
        Trigger::DuringFault { after_ms } => match into_fault(stage, step, *after_ms).await {
            Ok(seen) => (seen, None),
            // MySQL may be away: the fault before it may have been its end.
            Err(reason) => return Ok(Fired::Gone { reason, diff_ended: false }),
        },
    };
    let seen = format!("{}: {seen}", trigger_text(trigger));
    stage.journal().record(Event::TriggerFired { step, seen });
    Ok(Fired::Now { hold })
}

fn held(hold: Hold) -> (String, Option<Box<Hold>>) {
    (hold.seen(), Some(Box::new(hold)))
}

/// The moment will not come: because the diff came to rest before, or for another reason.
async fn gone(stage: &Stage, reason: String) -> Result<Fired, ActError> {
    let progress = stage.progress_if_any().await?;
    let diff_ended = progress.is_some_and(|progress| progress.is_at_rest());
    Ok(Fired::Gone { reason, diff_ended })
}

/// The moment itself is what is waited for, so this is a sleep.
async fn at_time(stage: &Stage, fraction: f64) -> Result<Result<String, String>, ActError> {
    let started = stage.diff_started().ok_or_else(|| ActError::new("no VDiff was created yet"))?;
    let length = Duration::from_millis(stage.environment().calibrated_ms);
    let moment = started + length.mul_f64(fraction);
    tokio::time::sleep_until(moment.into()).await;
    let progress = stage.progress().await?;
    if progress.is_completed() {
        return Ok(Err("the diff had ended".to_owned()));
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
                    table.phase.map_or("", Phase::name)
                ))
                .unwrap_or_default(),
        ),
        Err(error) => format!("unknown progress after {:?} ({error})", began.elapsed()),
    }
}
