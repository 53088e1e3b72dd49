//! The task of one diff: runs it, records how it ended, and tries again what may pass.
//!
//! How it ends: the diff is completed or rests in a lasting error; its row was deleted or taken over;
//! it was cancelled (by stop, delete or the closing of the engine, which care for the state). A panic
//! becomes this diff's lasting error, and nobody else's.

use std::future::Future;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio_util::sync::CancellationToken;

use super::error::DiffError;
use super::schema::DiffRow;
use super::state::DiffState;
use super::{Context, workflow_differ};
use crate::backoff::Backoff;
use crate::engine::Pressure;
use crate::panics::caught;
use crate::seeded_bugs::SeededBug;

const RECORD_RETRY_MIN: Duration = Duration::from_millis(100);
const RECORD_RETRY_MAX: Duration = Duration::from_secs(5);
const RELEASE_DEADLINE: Duration = Duration::from_secs(1);

/// Counted in `VDiffCount` while it lives.
struct Counted<'a>(&'a Context, &'a str);

impl<'a> Counted<'a> {
    fn new(context: &'a Context, uuid: &'a str) -> Counted<'a> {
        context.deps.stats.controllers.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Counted(context, uuid)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.deps.stats.controllers.fetch_sub(1, std::sync::atomic::Ordering::Relaxed);
        self.0.deps.stats.remove(self.1);
    }
}

/// Runs until the diff is at rest or `cancel` is cancelled.
pub(super) async fn run(context: Context, diff: DiffRow, cancel: CancellationToken) {
    let _counted = Counted::new(&context, &diff.uuid);
    tracing::info!(uuid = diff.uuid, state = diff.state, "a vdiff controller begins");
    let mut backoff = resumed_backoff(&context, diff.retries);
    let failed_before = diff.state == DiffState::Error.name();
    let mut retry_at = failed_before.then(|| diff.next_retry_at_ms.unwrap_or_default());
    let sits = context.deps.bugs.has(SeededBug::SitsAfterRestart)
        && diff.state == DiffState::Started.name();
    let end = loop {
        if sits && let Err(error) = or_cancelled(&cancel, sit()).await {
            break error;
        }
        if let Some(at) = retry_at
            && let Err(error) = wait_and_retry(&context, &diff, at, &mut backoff, &cancel).await
        {
            break error;
        }
        let error = match caught(workflow_differ::run(&context, &diff, &cancel)).await {
            Ok(Ok(())) => {
                tracing::info!(uuid = diff.uuid, "the vdiff is completed");
                return;
            }
            Ok(Err(error)) => error,
            Err(panicked) => DiffError::Panicked(panicked),
        };
        if !error.is_recorded() {
            break error;
        }
        context.deps.stats.errors_total.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let ephemeral = is_ephemeral(&context, &error);
        let retry = ephemeral && auto_retry(&diff);
        retry_at = retry.then(|| now_ms().saturating_add(millis(backoff.wait())));
        tracing::warn!(uuid = diff.uuid, error = error.text(), retry_at, "the vdiff failed");
        if let Err(error) = record(&context, &diff, &error, retry_at, &cancel).await {
            break error;
        }
        if !retry {
            return;
        }
    };
    if matches!(end, DiffError::Cancelled) {
        release(&context, &diff).await;
    }
    tracing::info!(uuid = diff.uuid, why = end.text(), "the vdiff controller ends");
}

/// As Vitess's retry task, which looks for what to retry every so often (`retryVDiffs`): only a seeded
/// bug waits so.
async fn sit() -> Result<(), DiffError> {
    tokio::time::sleep(Duration::from_secs(10)).await;
    Ok(())
}

/// vitessio/vitess#11768: an errno that was missing in a list made a lost connection a lasting error.
fn is_ephemeral(context: &Context, error: &DiffError) -> bool {
    error.is_ephemeral() && !context.deps.bugs.has(SeededBug::FlagLostOnError)
}

/// A diff that failed often before the last restart goes on waiting long.
fn resumed_backoff(context: &Context, retries: u32) -> Backoff {
    let options = &context.deps.options;
    let mut backoff = Backoff::new(options.retry_min, options.retry_max);
    for _ in 0..retries.min(16) {
        backoff.wait();
    }
    backoff
}

fn auto_retry(diff: &DiffRow) -> bool {
    let options: Result<super::options::StoredOptions, _> = serde_json::from_str(&diff.options);
    options.map_or(diff.options.is_empty(), |options| options.resolve().auto_retry)
}

/// Waits until the announced time, and until memory is free, and makes the diff pending.
async fn wait_and_retry(
    context: &Context,
    diff: &DiffRow,
    next_retry_at: i64,
    backoff: &mut Backoff,
    cancel: &CancellationToken,
) -> Result<(), DiffError> {
    let mut at = next_retry_at;
    loop {
        let wait = u64::try_from(at.saturating_sub(now_ms())).unwrap_or_default();
        // A clock that was set back must not keep a diff waiting for hours.
        let wait = Duration::from_millis(wait).min(context.deps.options.retry_max * 2);
        tokio::select! {
            biased;
            () = cancel.cancelled() => return Err(DiffError::Cancelled),
            () = tokio::time::sleep(wait) => {}
        }
        let pressure = *context.deps.memory.borrow();
        let outcome = async {
            if pressure == Pressure::High {
                at = now_ms().saturating_add(millis(backoff.wait()));
                context.store.postpone(diff.id, at).await.map(|()| false)
            } else {
                context.store.retry(diff.id).await.map(|()| true)
            }
        };
        match or_cancelled(cancel, outcome).await {
            Ok(true) => return Ok(()),
            Ok(false) => {}
            Err(error) if error.is_ephemeral() => {
                tracing::warn!(uuid = diff.uuid, %error, "a retry was not recorded");
                at = now_ms().saturating_add(millis(backoff.wait()));
            }
            Err(error) => return Err(error),
        }
    }
}

/// The outcome of `work`, unless it is cancelled before: then `work` is dropped, and a statement of
/// its that hangs is killed.
pub(super) async fn or_cancelled<T>(
    cancel: &CancellationToken,
    work: impl Future<Output = Result<T, DiffError>>,
) -> Result<T, DiffError> {
    if cancel.is_cancelled() {
        return Err(DiffError::Cancelled);
    }
    tokio::select! {
        biased;
        outcome = work => outcome,
        () = cancel.cancelled() => Err(DiffError::Cancelled),
    }
}

/// Writes the error into the diff's row, for as long as it takes.
async fn record(
    context: &Context,
    diff: &DiffRow,
    error: &DiffError,
    retry_at: Option<i64>,
    cancel: &CancellationToken,
) -> Result<(), DiffError> {
    let mut backoff = Backoff::new(RECORD_RETRY_MIN, RECORD_RETRY_MAX);
    let (text, ephemeral) = (error.text(), is_ephemeral(context, error));
    loop {
        let recorded = context.store.fail(diff.id, &text, ephemeral, retry_at);
        let Err(failed) = or_cancelled(cancel, recorded).await else { return Ok(()) };
        if !failed.is_recorded() {
            return Err(failed);
        }
        tracing::error!(uuid = diff.uuid, %failed, "the vdiff's error was not recorded");
        tokio::select! {
            () = tokio::time::sleep(backoff.wait()) => {}
            () = cancel.cancelled() => return Err(DiffError::Cancelled),
        }
    }
}

async fn release(context: &Context, diff: &DiffRow) {
    let released = tokio::time::timeout(RELEASE_DEADLINE, context.store.release(diff.id)).await;
    match released {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(uuid = diff.uuid, %error, "the vdiff was not released"),
        Err(_) => tracing::warn!(uuid = diff.uuid, "releasing the vdiff took too long"),
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Unix time: it is shown to people and compared after restarts.
fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, millis)
}
