//! The target tablet's process is stopped, and goes on later as if nothing had been: shorter than its
//! lease in etcd, or so much longer that all others took it for dead.

use std::time::{Duration, Instant};

use reports::journal::Evidence;

use super::{Strike, Struck};
use crate::observer::ProcessState;
use crate::tablet::{Signal, TabletError};
use crate::trial::{ActError, During, Stage};

/// Of a freeze whose schedule gives no length: longer than a lease of five seconds.
const USUAL: Duration = Duration::from_secs(7);
/// A stopped process is seen stopped in this time.
const SEEN_WITHIN: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_millis(5);

pub(super) async fn inject(strike: &Strike<'_>) -> Result<Struck, ActError> {
    let before = strike.look().await?;
    let lasts = strike.lasts.unwrap_or(USUAL);
    let until = Instant::now() + lasts;
    let Some(means) = stop(strike).await? else {
        return Ok(strike.missed("the target tablet does not run".to_owned(), false));
    };
    if !is_seen(strike.stage).await? {
        let reason = "the process was not seen stopped".to_owned();
        return Ok(strike.missed(reason, false).lasting_until(until));
    }
    let what = format!("the process was seen stopped; for {} ms", lasts.as_millis());
    tracing::debug!(means, "frozen");
    let interrupted = strike.interrupted(&before);
    Ok(strike.proven(Evidence::Observed { what }, interrupted).lasting_until(until))
}

/// Sends SIGSTOP to the target tablet; none when it does not run.
pub(super) async fn stop(strike: &Strike<'_>) -> Result<Option<String>, ActError> {
    let target = strike.stage.target();
    if !matches!(target.state_now(), ProcessState::Running { .. }) {
        return Ok(None);
    }
    let means = target.tablet().kill(Signal::SIGSTOP).await.during("sending SIGSTOP")?;
    strike.injected(format!("SIGSTOP {means}"));
    Ok(Some(means.to_string()))
}

/// Waits until the target tablet is seen stopped.
pub(super) async fn is_seen(stage: &Stage) -> Result<bool, ActError> {
    let began = Instant::now();
    let mut tick = tokio::time::interval(LOOK);
    loop {
        tick.tick().await;
        if stage.target().tablet().is_frozen().await.during("looking at a stopped process")? {
            return Ok(true);
        }
        if began.elapsed() >= SEEN_WITHIN {
            return Ok(false);
        }
    }
}

/// SIGCONT. A fault on top may have ended the process meanwhile.
pub(super) async fn heal(stage: &Stage) -> Result<(), ActError> {
    match stage.target().tablet().kill(Signal::SIGCONT).await {
        Ok(_) | Err(TabletError::NotRunning { .. }) => Ok(()),
        Err(error) => Err(error).during("sending SIGCONT"),
    }
}
