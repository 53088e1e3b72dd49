//! Makes the engines follow the state: open as registered primary, closed otherwise.
//!
//! A failed open is tried again with back-off for as long as the goal stands; a goal that changes
//! while opening drops the attempt and closes what it may have begun. The task ends when told to
//! stop, with the engines closed.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::state::{EnginesStatus, StateCell, TabletState};
use crate::backoff::Backoff;
use crate::engine::{Engines, Epoch};
use crate::error_chain;

const OPEN: Duration = Duration::from_secs(60);
/// Longer than any orderly close; a close that takes longer is a defect and is reported.
pub(crate) const CLOSE: Duration = Duration::from_secs(5);
const RETRY_MIN: Duration = Duration::from_millis(200);
const RETRY_MAX: Duration = Duration::from_secs(5);
const WATCH_OPEN: Duration = Duration::from_secs(1);
const CHECK: Duration = Duration::from_secs(2);
/// One lost answer, for instance of a machine that is short of time, is no reason to be not ready.
const CHECKS_FAILED: u32 = 2;
/// For the row streams that are served at the end of the process, beside the close.
const END_STREAMS: Duration = Duration::from_secs(2);

/// Runs until `stop`; closes the engines and ends the streams that they serve before it returns.
pub(crate) async fn run(engines: Arc<dyn Engines>, state: StateCell, stop: CancellationToken) {
    let mut driver = Driver {
        engines,
        changes: state.subscribe(),
        state,
        backoff: Backoff::new(RETRY_MIN, RETRY_MAX),
        checks_failed: 0,
    };
    loop {
        let goal = driver.goal();
        let stopped = match goal {
            Some(epoch) => driver.hold_open(epoch, &stop).await,
            None => driver.hold_closed(&stop).await,
        };
        if stopped {
            let engines = Arc::clone(&driver.engines);
            tokio::join!(driver.close(), end_streams(&*engines));
            return;
        }
    }
}

struct Driver {
    engines: Arc<dyn Engines>,
    state: StateCell,
    changes: watch::Receiver<TabletState>,
    backoff: Backoff,
    checks_failed: u32,
}

impl Driver {
    fn goal(&mut self) -> Option<Epoch> {
        self.changes.borrow_and_update().engines_goal()
    }

    /// Opens and watches over the engines until the goal changes (false) or the tablet stops (true).
    async fn hold_open(&mut self, epoch: Epoch, stop: &CancellationToken) -> bool {
        self.backoff.reset();
        let stopped = loop {
            let mut changes = self.changes.clone();
            let try_and_pause = async {
                let wait = self.open_unless_open(epoch).await;
                tokio::time::sleep(wait).await;
            };
            let ended = tokio::select! {
                () = stop.cancelled() => Some(true),
                () = goal_left(&mut changes, Some(epoch)) => Some(self.state.snapshot().stopping),
                () = try_and_pause => None,
            };
            if let Some(stopped) = ended {
                break stopped;
            }
        };
        if !stopped {
            self.close().await;
        }
        stopped
    }

    /// One try; gives the time until the next look.
    async fn open_unless_open(&mut self, epoch: Epoch) -> Duration {
        if self.engines.is_open() && self.state.snapshot().engines == EnginesStatus::Open {
            self.check().await;
            return WATCH_OPEN;
        }
        self.set(match self.state.snapshot().engines {
            EnginesStatus::Opening(error) => EnginesStatus::Opening(error),
            EnginesStatus::Closed | EnginesStatus::Open | EnginesStatus::Closing => {
                EnginesStatus::Opening(None)
            }
        });
        let error = match tokio::time::timeout(OPEN, self.engines.open(epoch)).await {
            Ok(Ok(())) => {
                tracing::info!(%epoch, "the engines are open");
                self.backoff.reset();
                self.checks_failed = 0;
                self.set(EnginesStatus::Open);
                return WATCH_OPEN;
            }
            Ok(Err(error)) => error_chain(&error),
            Err(_elapsed) => format!("opening took longer than {OPEN:?}"),
        };
        let wait = self.backoff.wait();
        tracing::warn!(%epoch, error, ?wait, "the engines do not open");
        self.set(EnginesStatus::Opening(Some(error)));
        wait
    }

    /// Asks open engines whether they can work.
    async fn check(&mut self) {
        let error = match tokio::time::timeout(CHECK, self.engines.check()).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error_chain(&error)),
            Err(_elapsed) => Some(format!("MySQL did not answer within {CHECK:?}")),
        };
        self.checks_failed = if error.is_some() { self.checks_failed.saturating_add(1) } else { 0 };
        let error = error.filter(|_| self.checks_failed >= CHECKS_FAILED);
        match (&error, &self.state.snapshot().engines_error) {
            (Some(error), None) => tracing::warn!(error, "the open engines cannot work"),
            (None, Some(_)) => tracing::info!("the open engines can work again"),
            (Some(_), Some(_)) | (None, None) => {}
        }
        self.state.update(|state| state.engines_error = error);
    }

    /// Waits while closed until they should be open (false) or the tablet stops (true).
    async fn hold_closed(&mut self, stop: &CancellationToken) -> bool {
        let mut changes = self.changes.clone();
        tokio::select! {
            () = stop.cancelled() => true,
            () = goal_left(&mut changes, None) => false,
        }
    }

    async fn close(&mut self) {
        if self.state.snapshot().engines == EnginesStatus::Closed {
            return;
        }
        self.set(EnginesStatus::Closing);
        if tokio::time::timeout(CLOSE, self.engines.close()).await.is_err() {
            tracing::error!("the engines did not close within {CLOSE:?}");
        }
        self.set(EnginesStatus::Closed);
        tracing::info!("the engines are closed");
    }

    fn set(&self, status: EnginesStatus) {
        self.state.update(|state| {
            state.engines = status;
            state.engines_error = None;
        });
    }
}

async fn end_streams(engines: &dyn Engines) {
    if tokio::time::timeout(END_STREAMS, engines.end_streams()).await.is_err() {
        tracing::error!("the row streams that are served did not end within {END_STREAMS:?}");
    }
}

/// Returns when the goal is another one. The state outlives its readers, so the channel stays open.
async fn goal_left(changes: &mut watch::Receiver<TabletState>, goal: Option<Epoch>) {
    if changes.wait_for(|state| state.engines_goal() != goal).await.is_err() {
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests;
