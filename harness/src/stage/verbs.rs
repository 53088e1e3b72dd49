//! The operator's verbs on a diff that has come to rest: none may be a dead end, and a delete leaves
//! nothing behind.

use std::time::{Duration, Instant};

use records::journal::{Answer, Event, Verbs};

use super::answers::timed;
use super::{ActError, During, Stage};
use crate::observer::ProcessState;
use system::Action;

/// The workflow that a deleted diff had paused runs again in this time.
const RESTORED_WITHIN: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(10);

impl Stage {
    /// Tries show, stop, resume and delete on the newest diff, and all four again on what is not there
    /// any more; records the answers and what lies in MySQL. The trial's history ends before.
    ///
    /// # Errors
    /// When MySQL does not answer.
    pub async fn try_verbs(&self) -> Result<(), ActError> {
        let what = "trying the operator's verbs";
        let running = matches!(self.target().state_now(), ProcessState::Running { .. });
        let Ok(uuid) = self.uuid() else { return Ok(()) };
        let state_of = async || self.sidecar().progress(&uuid).await.during(what);
        let rested = state_of().await?;
        if !running || self.was_usurped() || !rested.is_at_rest() {
            let why = "no verbs were tried: the tablet does not serve, or the diff is not at rest";
            self.journal().note(why);
            return Ok(());
        }
        self.end_history().await?;
        let verb =
            async |action: Action| timed(action.name(), self.operator().act(action, &uuid)).await;
        let mut before = vec![timed("show", self.operator().show(&uuid)).await];
        before.push(verb(Action::Stop).await);
        let after_stop = state_of().await?.state;
        before.push(verb(Action::Resume).await);
        let after_resume = state_of().await?.state;
        before.push(verb(Action::Delete).await);
        let after = self.all_verbs(&uuid).await;
        let workflow = self.workflow_again().await?;
        let verbs = Verbs {
            state: rested.state.unwrap_or_default(),
            after_stop,
            after_resume,
            before,
            after,
            still_there: state_of().await?.state.is_some(),
            orphans: self.sidecar().orphans().await.during(what)?,
            workflow,
            uuid,
        };
        self.journal().record(Event::Verbs(Box::new(verbs)));
        Ok(())
    }

    async fn all_verbs(&self, uuid: &str) -> Vec<Answer> {
        let operator = self.operator();
        let verb = |action: Action| timed(action.name(), operator.act(action, uuid));
        let (show, stop, resume, delete) = tokio::join!(
            timed("show", operator.show(uuid)),
            verb(Action::Stop),
            verb(Action::Resume),
            verb(Action::Delete)
        );
        vec![show, stop, resume, delete]
    }

    /// The workflow's state once it runs again (or rests by an operator's will), or at the end of the
    /// time for it.
    async fn workflow_again(&self) -> Result<String, ActError> {
        let began = Instant::now();
        let mut tick = tokio::time::interval(LOOK);
        loop {
            tick.tick().await;
            let row = self.sidecar().workflow().await.during("looking at the workflow")?;
            let state = row.map_or_else(|| "(no row)".to_owned(), |row| row.state);
            let settled = state == "Running" || self.workflow_rests();
            if settled || began.elapsed() >= RESTORED_WITHIN {
                return Ok(state);
            }
        }
    }
}
