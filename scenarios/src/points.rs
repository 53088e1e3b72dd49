//! The crash points of a scenario: the target tablet is held and struck at them, beside the steps, which
//! play the operator meanwhile.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use harness::stage::{ActError, Stage};
use records::journal::Event;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// When the scenario is over, what is held is let go in this time.
const ENDS_WITHIN: Duration = Duration::from_secs(30);

/// Crash points at work. Ended with [`Points::pass`] or [`Points::end`].
pub(crate) struct Points {
    stage: Arc<Stage>,
    striking: JoinSet<Result<(), ActError>>,
    over: CancellationToken,
}

impl Points {
    /// Arms the schedule's crash points, if it has any; before the tablets' start.
    #[must_use]
    pub(crate) fn begin(stage: &Arc<Stage>) -> Option<Self> {
        if !stage.schedule().steps.iter().any(|step| step.is_at_point()) {
            return None;
        }
        stage.arm_first_point();
        let over = CancellationToken::new();
        let mut striking = JoinSet::new();
        let (struck, done) = (Arc::clone(stage), over.clone());
        striking.spawn(async move { struck.strike_at_points(&done).await });
        Some(Self { stage: Arc::clone(stage), striking, over })
    }

    /// Waits until all were struck, each within the deadline of its trigger; how many landed.
    ///
    /// # Errors
    /// When one was not reached or missed, or the harness fails.
    pub(crate) async fn pass(&mut self) -> anyhow::Result<u64> {
        let ended = self.striking.join_next().await.context("they were waited for before")?;
        ended.context("striking at the crash points")??;
        let points = self.stage.schedule().steps.len();
        let mut landed = 0;
        for record in self.stage.records() {
            match record.event {
                Event::FaultLanded(fault) if fault.step < points => landed += 1,
                Event::FaultMissed { step, fault, reason, .. } if step < points => {
                    bail!("the fault {fault} at a crash point did not land: {reason}")
                }
                _ => {}
            }
        }
        Ok(landed)
    }

    /// The scenario is over: what is not struck by now never is.
    pub(crate) async fn end(mut self) {
        self.over.cancel();
        let ended = tokio::time::timeout(ENDS_WITHIN, self.striking.join_next()).await;
        if ended.is_err() {
            self.striking.shutdown().await;
        }
    }
}
