//! When a tablet that is held has in its hands what it was asked to do, so that this finds the diff
//! where it is held.

use std::time::Duration;

use serde_json::Value;

use crate::observer::ProcessState;
use crate::stage::Stage;
use engine::errors::chain;

/// The tablet shows it in this time, also on a busy machine.
const WITHIN: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_millis(5);

/// Waits until the tablet ends in order, or has ended.
pub(super) async fn of_sigterm(stage: &Stage) {
    wait(stage, "it is stopping", |vars| vars["Stopping"] == true).await;
}

/// Waits until more of an operator's actions have arrived than `before`.
pub(super) async fn of_action(stage: &Stage, before: u64) {
    let has_it = |vars: &Value| actions_of(vars).is_some_and(|now| now > before);
    wait(stage, "the action has arrived", has_it).await;
}

/// How many of an operator's actions have arrived at the tablet. None, and told in the journal, when it
/// does not say so: then there is nothing to wait for.
pub(super) async fn actions(stage: &Stage) -> Option<u64> {
    let vars = tokio::time::timeout(WITHIN, stage.target().tablet().debug_vars()).await;
    let why = match vars {
        Ok(Ok(vars)) => match actions_of(&vars) {
            Some(count) => return Some(count),
            None => "no VDiffActionsTotal in /debug/vars".to_owned(),
        },
        Ok(Err(error)) => chain(&error),
        Err(_) => format!("no answer within {WITHIN:?}"),
    };
    stage.journal().note(format!("the tablet does not tell its actions: {why}"));
    None
}

fn actions_of(vars: &Value) -> Option<u64> {
    vars["VDiffActionsTotal"].as_u64()
}

async fn wait(stage: &Stage, what: &str, has_it: impl Fn(&Value) -> bool) {
    let target = stage.target();
    let mut last = "it answered".to_owned();
    let seen = async {
        while matches!(target.state_now(), ProcessState::Running { .. }) {
            match target.tablet().debug_vars().await {
                Ok(vars) if has_it(&vars) => return,
                Ok(_) => {}
                Err(error) => last = chain(&error),
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    if tokio::time::timeout(WITHIN, seen).await.is_err() {
        let text = format!("the tablet did not show within {WITHIN:?} that {what}: {last}");
        stage.journal().note(text);
    }
}
