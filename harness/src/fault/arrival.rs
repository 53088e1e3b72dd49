//! When a tablet that is held has in its hands what it was asked to do, so that this finds the diff
//! where it is held.

use std::time::Duration;

use serde_json::Value;

use crate::observer::ProcessState;
use crate::trial::Stage;

/// The tablet shows it in this time, also on a busy machine.
const WITHIN: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_millis(5);

/// Waits until the tablet ends in order, or has ended.
pub(super) async fn of_sigterm(stage: &Stage) {
    wait(stage, "it is stopping", |vars| vars["Stopping"] == true).await;
}

/// Waits until more of an operator's actions have arrived than `before`.
pub(super) async fn of_action(stage: &Stage, before: u64) {
    wait(stage, "the action has arrived", |vars| actions_of(vars) > before).await;
}

/// How many of an operator's actions have arrived at the tablet; 0 when it does not answer.
pub(super) async fn actions(stage: &Stage) -> u64 {
    let vars = tokio::time::timeout(WITHIN, stage.target().tablet().debug_vars()).await;
    vars.map_or(0, |vars| vars.as_ref().map_or(0, actions_of))
}

fn actions_of(vars: &Value) -> u64 {
    vars["VDiffActionsTotal"].as_u64().unwrap_or(0)
}

async fn wait(stage: &Stage, what: &str, has_it: impl Fn(&Value) -> bool) {
    let target = stage.target();
    let seen = async {
        while matches!(target.state_now(), ProcessState::Running { .. }) {
            if target.tablet().debug_vars().await.is_ok_and(|vars| has_it(&vars)) {
                return;
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    if tokio::time::timeout(WITHIN, seen).await.is_err() {
        stage.journal().note(format!("the tablet did not show within {WITHIN:?} that {what}"));
    }
}
