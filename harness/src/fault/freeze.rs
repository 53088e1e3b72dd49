//! The target tablet's process is stopped, and goes on later as if nothing had been: shorter than its
//! lease in etcd, or so much longer that all others took it for dead.

use std::time::{Duration, Instant};

use records::journal::{Evidence, Hit, HitKind};

use super::{Strike, Struck, effect};
use crate::observer::ProcessState;
use crate::stage::{ActError, During, Stage};
use system::{ErrorKind, Signal};

/// Of a freeze whose schedule gives no length: longer than a lease of five seconds.
const USUAL: Duration = Duration::from_secs(7);
/// A stopped process is seen stopped in this time.
const SEEN_WITHIN: Duration = Duration::from_secs(2);
/// Longer than a paced diff goes without a checkpoint.
const STILL_FOR: Duration = Duration::from_millis(250);
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
    let Some(process) = standing_still(strike).await? else {
        let reason = "the diff moved while its process was stopped".to_owned();
        return Ok(strike.missed(reason, false).lasting_until(until));
    };
    let interrupted = strike.interrupted(&before);
    Ok(strike.proven(Evidence::Observed { what }, interrupted, process).lasting_until(until))
}

/// The stopped process, if the diff stands still with it; a fault on top may find MySQL away.
pub(super) async fn standing_still(strike: &Strike<'_>) -> Result<Option<Hit>, ActError> {
    let incarnation = strike.stage.target().state_now().incarnation();
    let process = format!("the process of incarnation {incarnation}, stopped");
    if strike.on_top {
        return Ok(Some(effect::hit(HitKind::Process, process)));
    }
    let first = strike.stage.progress_if_any().await?.unwrap_or_default();
    // Not to wait for anything: a diff that moves writes in this time.
    tokio::time::sleep(STILL_FOR).await;
    let then = strike.stage.progress_if_any().await?.unwrap_or_default();
    if first != then {
        return Ok(None);
    }
    let rows = then.rows_compared;
    let process = format!("{process}; the diff stands still at {rows} rows for {STILL_FOR:?}");
    Ok(Some(effect::hit(HitKind::Process, process)))
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
        Ok(_) => Ok(()),
        Err(error) if *error.kind() == ErrorKind::NotRunning => Ok(()),
        Err(error) => Err(error).during("sending SIGCONT"),
    }
}
