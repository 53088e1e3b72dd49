//! The acts of an operator and a supervisor on a stage.

use std::time::{Duration, Instant};

use records::journal::{Event, OperatorAct, Side, Try, VdiffAction};

use super::waits::answered;
use super::{ActError, During, Stage, Waited};
use system::{Action, SystemError};

/// How often an action that was not answered for a passing reason is tried again.
const TRY_AGAIN: Duration = Duration::from_millis(100);
/// So many different answers to one action are kept apart.
const TRIES_MAX: usize = 32;

impl Stage {
    /// Starts both tablets and waits until both are ready.
    ///
    /// # Errors
    /// When one cannot be started, or is not ready in time.
    pub async fn launch(&self) -> Result<(), ActError> {
        let (source, target) = tokio::join!(self.start(Side::Source), self.start(Side::Target));
        source?;
        target?;
        let holds = Duration::ZERO;
        for side in [Side::Source, Side::Target] {
            if let Waited::No { reason } =
                self.wait_ready(side, self.ready_within() * 2, holds).await
            {
                return Err(ActError::new(format!("the tablets did not come up: {reason}")));
            }
        }
        self.held_at_rest().await;
        Ok(())
    }

    /// Starts a tablet's next incarnation, as a supervisor would.
    ///
    /// # Errors
    /// When the container cannot be started.
    pub async fn start(&self, side: Side) -> Result<(), ActError> {
        let name = side.name();
        if side == Side::Target {
            self.switchboard().begin_life();
        }
        self.tablet(side).start().await.during(format!("starting the {name} tablet"))
    }

    /// Creates the workflow's row, as a MoveTables would.
    ///
    /// # Errors
    /// When the target tablet refuses.
    pub async fn start_workflow(&self) -> Result<(), ActError> {
        let began = Instant::now();
        let mut tick = tokio::time::interval(TRY_AGAIN);
        loop {
            tick.tick().await;
            let Err(error) = self.operator().create_workflow().await else {
                return Ok(());
            };
            // The tablet may have died over it, before or after it was done.
            if self.has_workflow().await? {
                return Ok(());
            }
            if began.elapsed() >= self.ready_within() {
                return Err(error).during("creating the workflow");
            }
        }
    }

    async fn has_workflow(&self) -> Result<bool, ActError> {
        match answered("looking for the workflow", self.sidecar().workflow()).await {
            Ok(row) => Ok(row.is_some()),
            Err(error) if error.is_missing_table() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Stops or freezes the workflow, as an operator would who wants it to rest: no VDiff may start it.
    ///
    /// # Errors
    /// When the target tablet refuses.
    pub async fn rest_workflow(&self, freeze: bool) -> Result<(), ActError> {
        let done = self.operator().rest_workflow(freeze).await;
        done.during("stopping the workflow as an operator")?;
        let act = if freeze { OperatorAct::FreezeWorkflow } else { OperatorAct::StopWorkflow };
        self.journal().record(Event::OperatorAct { act });
        Ok(())
    }

    /// Creates a VDiff; from now on it is the newest one, which waits and samples look at.
    ///
    /// # Errors
    /// When the tablet does not take it.
    pub async fn create_vdiff(&self, uuid: &str) -> Result<(), ActError> {
        if self.insist(Action::Create, uuid).await? {
            return Ok(());
        }
        let refusal = self.journal().inspect(|records| {
            records.iter().rev().find_map(|record| match &record.event {
                Event::VdiffAction(action) => action.error.clone(),
                _ => None,
            })
        });
        let why = refusal.unwrap_or_default();
        Err(ActError::new(format!("the VDiff {uuid} was not created: {why}")))
    }

    /// Stops, resumes or deletes a VDiff and waits for the effect (for stop: `stopped` in MySQL; for
    /// delete: the row is gone; a resume has none of its own). A refusal has none, and is not waited for.
    ///
    /// # Errors
    /// When the harness fails; what the tablet answers stands in the result and the journal.
    pub async fn act_on(&self, action: Action, uuid: &str) -> Result<VdiffAction, ActError> {
        let began = Instant::now();
        let mut answer = self.act(action, uuid, self.cancel_within()).await;
        let refused = answer.tries.iter().any(|tried| tried.refused);
        let effect = match action {
            _ if refused => false,
            Action::Stop => self.wait_state_quietly(Some("stopped")).await?,
            Action::Delete => self.wait_state_quietly(None).await?,
            Action::Create | Action::Resume => false,
        };
        if !answer.tries.is_empty() {
            let state = self.state_of(uuid).await?;
            answer.tries.iter_mut().for_each(|tried| tried.state.clone_from(&state));
        }
        answer.effect_ms = effect.then(|| records::millis(began.elapsed()));
        answer.asked_ms_ago = Some(records::millis(began.elapsed()));
        self.journal().record(Event::VdiffAction(answer.clone()));
        Ok(answer)
    }

    /// Does an action again and again until it is acknowledged, or seen done in MySQL: the tablet may
    /// just be starting, or die over it. False when the deadline passes. The last answer is recorded
    /// with all tries before it, and those over which the tablet died.
    ///
    /// # Errors
    /// When the harness fails.
    pub async fn insist(&self, action: Action, uuid: &str) -> Result<bool, ActError> {
        let began = Instant::now();
        let mut tick = tokio::time::interval(TRY_AGAIN);
        let mut tries = Vec::new();
        loop {
            tick.tick().await;
            let before = self.target().state_now();
            let called = Instant::now();
            let mut answer = self.act(action, uuid, self.cancel_within()).await;
            let acknowledged = answer.acknowledged;
            let died = self.target().state_now() != before;
            let state = self.state_of(uuid).await?;
            for mut tried in answer.tries.drain(..) {
                tried.state.clone_from(&state);
                add_try(&mut tries, tried);
            }
            let seen = is_done(action, state.as_deref());
            if acknowledged && seen && matches!(action, Action::Stop | Action::Delete) {
                answer.effect_ms = Some(records::millis(called.elapsed()));
            }
            let is_done = acknowledged || seen;
            let is_last = is_done || began.elapsed() >= self.ready_within();
            if is_last || died {
                answer.tries = std::mem::take(&mut tries);
                answer.asked_ms_ago = Some(records::millis(began.elapsed()));
                self.journal().record(Event::VdiffAction(answer));
            }
            if is_done && action == Action::Create {
                self.created(uuid);
            }
            if is_last {
                return Ok(is_done);
            }
        }
    }

    /// The state of a VDiff in MySQL; none: there is no such row, or no such table.
    async fn state_of(&self, uuid: &str) -> Result<Option<String>, ActError> {
        match self.progress_of(uuid).await {
            Ok(progress) => Ok(progress.state),
            Err(error) if error.is_missing_table() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Deletes a VDiff's row by hand, as the operator of the incident did.
    ///
    /// # Errors
    /// When MySQL refuses.
    pub async fn delete_row_by_hand(&self, uuid: &str) -> Result<u64, ActError> {
        self.sidecar().delete_row(uuid).await.during("deleting the VDiff's row by hand")
    }

    async fn act(&self, action: Action, uuid: &str, within: Duration) -> VdiffAction {
        let began = Instant::now();
        let call = self.operator().act(action, uuid);
        let first_ms = self.journal().now_ms();
        let answer: Result<Result<(), SystemError>, _> = tokio::time::timeout(within, call).await;
        let no_answer = || "no answer".to_owned();
        let (error, code, refused) = match answer {
            Ok(Ok(())) => (None, String::new(), false),
            Ok(Err(error)) => {
                let code = error.code().map_or_else(no_answer, str::to_owned);
                (Some(engine::errors::chain(&error)), code, error.is_refusal())
            }
            Err(_) => (
                Some(format!("no answer within {} ms", records::millis(within))),
                no_answer(),
                false,
            ),
        };
        let tries = error.clone().map(|text| Try {
            code,
            text,
            refused,
            state: None,
            count: 1,
            first_ms,
            last_ms: self.journal().now_ms(),
        });
        VdiffAction {
            action: action.name().to_owned(),
            uuid: uuid.to_owned(),
            acknowledged: error.is_none(),
            error,
            took_ms: records::millis(began.elapsed()),
            asked_ms_ago: None,
            effect_ms: None,
            tries: tries.into_iter().collect(),
        }
    }

    /// As [`Stage::wait_state`], without a word in the journal: the action's own record tells.
    async fn wait_state_quietly(&self, state: Option<&str>) -> Result<bool, ActError> {
        let began = Instant::now();
        let mut tick = tokio::time::interval(Duration::from_millis(10));
        loop {
            tick.tick().await;
            let progress = self.progress().await?;
            if progress.state.as_deref() == state {
                return Ok(true);
            }
            if progress.is_completed() || began.elapsed() >= self.cancel_within() {
                return Ok(false);
            }
        }
    }
}

/// Whether an action that was not acknowledged has happened all the same.
fn is_done(action: Action, state: Option<&str>) -> bool {
    match action {
        Action::Create => state.is_some(),
        Action::Stop => state == Some("stopped"),
        Action::Resume => state.is_some_and(|state| state != "stopped"),
        Action::Delete => state.is_none(),
    }
}

/// Adds a try; the same answer again is counted.
fn add_try(tries: &mut Vec<Try>, tried: Try) {
    let is_full = tries.len() >= TRIES_MAX;
    match tries.last_mut() {
        Some(last) if is_full || is_same(last, &tried) => {
            last.count += 1;
            last.last_ms = tried.last_ms;
        }
        Some(_) | None => tries.push(tried),
    }
}

fn is_same(last: &Try, tried: &Try) -> bool {
    (&last.code, &last.text, last.refused, &last.state)
        == (&tried.code, &tried.text, tried.refused, &tried.state)
}

#[cfg(test)]
mod tests {
    use super::*;

    // What was refused on the way to a yes is not lost, and does not fill the journal.
    #[test]
    fn each_refused_try_is_told_and_the_same_one_is_counted() {
        let tried = |text: &str, at_ms: u64| Try {
            code: "Unavailable".to_owned(),
            text: text.to_owned(),
            refused: true,
            state: None,
            count: 1,
            first_ms: at_ms,
            last_ms: at_ms + 5,
        };
        let mut tries = Vec::new();
        for (text, at_ms) in [("closed", 0), ("closed", 100), ("busy", 200), ("closed", 300)] {
            add_try(&mut tries, tried(text, at_ms));
        }
        let told: Vec<_> = tries.iter().map(|it| (it.text.as_str(), it.count)).collect();
        assert_eq!(told, [("closed", 2), ("busy", 1), ("closed", 1)]);
        assert_eq!((tries[0].first_ms, tries[0].last_ms), (0, 105));
        for number in 0..100 {
            add_try(&mut tries, tried(&number.to_string(), 400));
        }
        assert_eq!(tries.iter().map(|it| it.count).sum::<u32>(), 104);
        assert_eq!(tries.len(), TRIES_MAX);
    }
}
