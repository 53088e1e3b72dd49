//! When a tablet that is held has in its hands what it was asked to do, so that this finds the diff
//! where it is held.

use std::time::Duration;

use crate::observer::ProcessState;
use crate::stage::Stage;
use engine::errors::chain;
use system::{SystemError, Tablet};

/// The tablet shows it in this time, also on a busy machine.
const WITHIN: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_millis(5);

/// What the tablet is to have in its hands.
#[derive(Clone, Copy, Debug)]
enum Arrival {
    Sigterm,
    Action { before: u64 },
}

impl Arrival {
    async fn is_shown(self, tablet: &dyn Tablet) -> Result<bool, SystemError> {
        match self {
            Self::Sigterm => tablet.is_stopping().await,
            Self::Action { before } => Ok(tablet.actions_arrived().await? > before),
        }
    }

    fn what(self) -> &'static str {
        match self {
            Self::Sigterm => "it is stopping",
            Self::Action { .. } => "the action has arrived",
        }
    }
}

/// Waits until the tablet ends in order, or has ended.
pub(super) async fn of_sigterm(stage: &Stage) {
    wait(stage, Arrival::Sigterm).await;
}

/// Waits until more of an operator's actions have arrived than `before`.
pub(super) async fn of_action(stage: &Stage, before: u64) {
    wait(stage, Arrival::Action { before }).await;
}

/// How many of an operator's actions have arrived at the tablet. None, and told in the journal, when it
/// does not say so: then there is nothing to wait for.
pub(super) async fn actions(stage: &Stage) -> Option<u64> {
    let tablet = stage.target().tablet();
    let why = match tokio::time::timeout(WITHIN, tablet.actions_arrived()).await {
        Ok(Ok(count)) => return Some(count),
        Ok(Err(error)) => chain(&error),
        Err(_) => format!("no answer within {WITHIN:?}"),
    };
    stage.journal().note(format!("the tablet does not tell its actions: {why}"));
    None
}

async fn wait(stage: &Stage, arrival: Arrival) {
    let target = stage.target();
    let mut last = "it answered".to_owned();
    let seen = async {
        while matches!(target.state_now(), ProcessState::Running { .. }) {
            match arrival.is_shown(target.tablet().as_ref()).await {
                Ok(true) => return,
                Ok(false) => {}
                Err(error) => last = chain(&error),
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    if tokio::time::timeout(WITHIN, seen).await.is_err() {
        let what = arrival.what();
        let text = format!("the tablet did not show within {WITHIN:?} that {what}: {last}");
        stage.journal().note(text);
    }
}
