//! The driver: executes a schedule on a stage, act by act.
//!
//! Two flows run side by side. The operator's launches the tablets, starts the workflow, creates the
//! VDiff and goes through the faults in order. The other one holds the tablet at the schedule's crash
//! points, and strikes it there. So whatever the operator does may be cut in two by the tablet's death:
//! what was not acknowledged is looked up, and done again if it did not happen.

use std::path::Path;
use std::time::{Duration, Instant};

use records::journal::{Event, MissKind, Side};
use records::run::TrialRecord;
use records::schedule::{Schedule, Step, Trigger};
use tokio_util::sync::CancellationToken;

use crate::fault::{self, Struck};
use crate::plan;
use crate::stage::{ActError, Action, Environment, Stage, Waited};

/// A fault whose aim was gone is redrawn at most so often.
const REDRAWS_MAX: u32 = 2;
/// What of the trial's deadline is kept for collecting and closing.
const COLLECT_WITHIN: Duration = Duration::from_secs(120);
const CLOSE_WITHIN: Duration = Duration::from_secs(30);
/// The diff is seen completed in MySQL a little before the tablet has heard of it: its last words may
/// still pass the proxy.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Executes one schedule once; `name` is unique within the run, `dir` takes journal and logs. Always
/// comes back, with what there is: an interrupted or failed trial is an inconclusive one.
pub async fn run_trial(
    environment: &Environment,
    schedule: &Schedule,
    name: &str,
    dir: &Path,
    stop: &CancellationToken,
) -> TrialRecord {
    let opened = stop.run_until_cancelled(Stage::open(environment, schedule, name, dir)).await;
    let stage = match opened {
        Some(Ok(stage)) => stage,
        Some(Err(error)) => return not_opened(schedule, dir, &error.chain()),
        None => return not_opened(schedule, dir, "interrupted before the trial began"),
    };
    let limit = Duration::from_millis(schedule.deadlines.trial_ms);
    // On the heap: in a debug build a trial's flows together would not fit a worker's stack.
    let drive = Box::pin(drive(&stage));
    let driven = tokio::time::timeout(limit, stop.run_until_cancelled(drive)).await;
    let interrupted = matches!(driven, Ok(None));
    match driven {
        Ok(Some(Ok(()))) => {}
        Ok(Some(Err(error))) => trouble(&stage, error.chain()),
        Ok(None) => trouble(&stage, "the run was interrupted".to_owned()),
        Err(_) => {
            let after_ms = records::millis(limit);
            let waiting_for = "the whole trial".to_owned();
            stage.journal().record(Event::DeadlinePassed { waiting_for, after_ms });
        }
    }
    if schedule.is_proxied() {
        // Before the collecting: what it asks the tablet is no part of the script.
        let conversation = stage.switchboard().conversation();
        if let Err(error) = wire::recording::write(dir, &conversation) {
            trouble(&stage, engine::errors::chain(&error));
        }
    }
    if !interrupted {
        // On the heap, as above.
        let collect = tokio::time::timeout(COLLECT_WITHIN, Box::pin(stage.collect()));
        match stop.run_until_cancelled(collect).await {
            Some(Ok(())) => {}
            Some(Err(_)) => trouble(&stage, format!("not collected within {COLLECT_WITHIN:?}")),
            None => trouble(&stage, "the run was interrupted".to_owned()),
        }
    }
    if tokio::time::timeout(CLOSE_WITHIN, stage.close()).await.is_err() {
        trouble(&stage, format!("the trial's tablets were not removed within {CLOSE_WITHIN:?}"));
    }
    if let Err(error) = stage.journal().finish() {
        trouble(&stage, engine::errors::chain(&error));
    }
    let records = stage.journal().records();
    let judgements = oracles::judge(&records);
    TrialRecord { schedule: schedule.clone(), records, judgements }
}

/// A trial of which there is no stage (any more): its journal, if there is one, says why.
pub(crate) fn not_opened(schedule: &Schedule, dir: &Path, why: &str) -> TrialRecord {
    let path = dir.join("journal.jsonl");
    let mut records = records::journal::read(&path).unwrap_or_default();
    let seq = records.len() as u64;
    let at_ms = records.last().map_or(0, |record| record.at_ms);
    let event = Event::TrialLost { what: why.to_owned() };
    records.push(records::journal::Record { seq, at_ms, event });
    let text: String = records.iter().filter_map(|r| records::journal::line(r).ok()).collect();
    if let Err(error) = std::fs::write(&path, text) {
        tracing::warn!(%error, path = %path.display(), "the journal could not be written");
    }
    let judgements = oracles::judge(&records);
    TrialRecord { schedule: schedule.clone(), records, judgements }
}

fn trouble(stage: &Stage, what: String) {
    stage.journal().record(Event::HarnessTrouble { what });
}

async fn drive(stage: &Stage) -> Result<(), ActError> {
    let schedule = stage.schedule().clone();
    let (points, others): (Vec<_>, Vec<_>) =
        schedule.steps.iter().enumerate().partition(|(_, step)| step.is_at_point());
    arm(stage, points.first());
    let done = CancellationToken::new();
    // On the heap, as above.
    let operator = Box::pin(async {
        let outcome = operate(stage, &others).await;
        done.cancel();
        outcome
    });
    let striker = Box::pin(strike_points(stage, &points, &done));
    let (operated, struck) = tokio::join!(operator, striker);
    struck?;
    if let Taken::GivenUp = operated? {
        return Ok(());
    }
    let settled = stage.wait_settled(stage.settle_within()).await?;
    if settled.is_yes() {
        stay_ready(stage).await;
    }
    Ok(())
}

/// What the operator does, to the end of the diff.
async fn operate(stage: &Stage, steps: &[(usize, &Step)]) -> Result<Taken, ActError> {
    stage.launch().await?;
    stage.start_workflow().await?;
    if !stage.insist(Action::Create, &stage.schedule().vdiff_uuid).await? {
        // Its tries stand in the journal: the oracles judge them.
        stage.journal().note("given up: the tablet did not take the VDiff");
        return Ok(Taken::GivenUp);
    }
    let mut at_work = Vec::new();
    for (index, step) in steps {
        if let Taken::GivenUp = take_step(stage, *index, step, &mut at_work).await? {
            return Ok(Taken::GivenUp);
        }
    }
    // From here on nothing is hurt any more: everything must converge.
    let (rested, _) = stage.wait_rest(stage.settle_within()).await?;
    let struck_beside = stage.schedule().steps.iter().any(Step::is_at_point);
    // What strikes beside may have hurt it last: then it is waited for once more.
    Ok(if rested.is_yes() || struck_beside { Taken::On } else { Taken::GivenUp })
}

impl Stage {
    /// Arms the first crash point of the schedule, if it has one: before the tablet's first start.
    pub fn arm_first_point(&self) {
        let mut steps = self.schedule().steps.iter().enumerate();
        arm(self, steps.find(|(_, step)| step.is_at_point()).as_ref());
    }

    /// Strikes at each crash point of the schedule, beside whatever the caller does meanwhile, and heals;
    /// ends when all were struck or one missed. `done` says that the diff is over.
    ///
    /// # Errors
    /// When the harness fails.
    pub async fn strike_at_points(&self, done: &CancellationToken) -> Result<(), ActError> {
        let steps = self.schedule().steps.iter().enumerate();
        let points: Vec<_> = steps.filter(|(_, step)| step.is_at_point()).collect();
        strike_points(self, &points, done).await
    }
}

/// Strikes at each crash point; what the diff's end leaves unreached has missed.
async fn strike_points(
    stage: &Stage,
    points: &[(usize, &Step)],
    done: &CancellationToken,
) -> Result<(), ActError> {
    for (place, (index, step)) in points.iter().enumerate() {
        let over = async {
            done.cancelled().await;
            tokio::time::sleep(LAST_WORDS).await;
        };
        let fired = tokio::select! {
            biased;
            fired = crate::trigger::wait_for(stage, *index, &step.trigger) => Some(fired?),
            () = over => None,
        };
        let struck = stage.strike_fired(*index, step, fired).await?;
        arm(stage, points.get(place + 1));
        fault::heal_if_injected(stage, &struck).await?;
        if !struck.landed || crash_loop(stage) {
            let reason = "the crash point before it was the last one";
            for (step, never) in &points[place + 1..] {
                let (step, fault, reason) = (*step, never.fault, reason.to_owned());
                let kind = MissKind::NotReached;
                stage.journal().record(Event::FaultMissed { step, fault, reason, kind });
            }
            return Ok(());
        }
    }
    Ok(())
}

fn arm(stage: &Stage, next: Option<&(usize, &Step)>) {
    if let Some((_, Step { trigger: Trigger::CrashPoint { point }, .. })) = next {
        stage.arm(point.clone());
    }
}

enum Taken {
    On,
    GivenUp,
}

/// Waits for the trigger, injects, heals; an aim that was gone is redrawn: earlier, and in a new diff
/// when the old one had ended. Faults on top of each other are healed together, after the last of them.
async fn take_step(
    stage: &Stage,
    index: usize,
    step: &Step,
    at_work: &mut Vec<Struck>,
) -> Result<Taken, ActError> {
    let on_top = step.is_on_top();
    let next = stage.schedule().steps.get(index + 1);
    let on_top_follows = next.is_some_and(Step::is_on_top);
    let mut trigger = step.trigger.clone();
    let mut redraws = 0;
    loop {
        let aimed = Step { trigger: trigger.clone(), ..step.clone() };
        let struck = stage.attempt(index, &aimed).await?;
        if crash_loop(stage) {
            return Ok(Taken::GivenUp);
        }
        let goes_on = on_top || (struck.landed && on_top_follows);
        match fault::was_injected(stage, index) {
            true if goes_on => at_work.push(struck.clone()),
            true => fault::heal(stage, &struck).await?,
            false => {}
        }
        if struck.landed || on_top || redraws >= REDRAWS_MAX {
            break;
        }
        redraws += 1;
        trigger = again(stage, &trigger, &struck, redraws).await?;
    }
    if on_top_follows && !at_work.is_empty() {
        return Ok(Taken::On);
    }
    let restarts = step.fault.ends_target() || at_work.iter().any(|it| it.fault.ends_target());
    fault::heal_all(stage, std::mem::take(at_work)).await?;
    let recovery_follows =
        next.is_some_and(|next| matches!(next.trigger, Trigger::DuringRecovery { .. }));
    if restarts && !recovery_follows {
        let waited = stage.wait_ready(Side::Target, stage.ready_within(), Duration::ZERO).await;
        if crash_loop(stage) {
            stage.journal().note(format!("given up: {waited:?}"));
            return Ok(Taken::GivenUp);
        }
    }
    Ok(Taken::On)
}

/// Prepares another try of a fault that missed.
async fn again(
    stage: &Stage,
    trigger: &Trigger,
    struck: &Struck,
    attempt: u32,
) -> Result<Trigger, ActError> {
    let schedule = stage.schedule();
    let mut aimed = schedule.clone();
    aimed.steps = vec![Step::new(trigger.clone(), struck.fault)];
    let redrawn = plan::redraw(&aimed, attempt);
    let progress = stage.progress().await?;
    if struck.diff_ended || progress.is_completed() {
        stage.wait_ready(Side::Target, stage.ready_within(), Duration::ZERO).await;
        stage.wait_settled(stage.settle_within()).await?;
        let nth = u32::try_from(stage.uuids().len()).unwrap_or(u32::MAX);
        let uuid = plan::following_uuid(schedule, nth);
        stage.insist(Action::Create, &uuid).await?;
        stage.journal().note(format!("redrawn, try {attempt}: a new VDiff {uuid}"));
        return Ok(match redrawn.steps.first() {
            Some(step) if !matches!(step.trigger, Trigger::DuringRecovery { .. }) => {
                step.trigger.clone()
            }
            _ => Trigger::Progress { fraction: 0.4 },
        });
    }
    // The diff goes on: aim a little further on in it.
    let done = progress.fraction(stage.rows_total());
    let fraction = (done + (1.0 - done) * 0.3).clamp(0.05, 0.95);
    stage
        .journal()
        .note(format!("redrawn, try {attempt}: at {:.0} % of the rows", fraction * 100.0));
    Ok(match trigger {
        Trigger::Phase { .. } | Trigger::CrashPoint { .. } => trigger.clone(),
        Trigger::Time { .. }
        | Trigger::Progress { .. }
        | Trigger::DuringRecovery { .. }
        | Trigger::DuringFault { .. } => Trigger::Progress { fraction },
    })
}

fn crash_loop(stage: &Stage) -> bool {
    matches!(stage.target().state_now(), crate::observer::ProcessState::CrashLoop { .. })
}

/// The last incarnations must be seen ready for as long as the schedule asks, after the last harm.
async fn stay_ready(stage: &Stage) {
    let holds = Duration::from_millis(stage.schedule().deadlines.ready_holds_ms);
    let mut since = last_heal(stage);
    for side in [Side::Source, Side::Target] {
        match stage.wait_ready(side, stage.ready_within(), Duration::ZERO).await {
            Waited::Yes { .. } => {}
            Waited::No { reason } => {
                stage.journal().record(Event::NotReadyAtEnd { side, reason });
                return;
            }
        }
        since = since.max(stage.readiness_of(side).borrow().since);
    }
    if let Some(since) = since {
        tokio::time::sleep_until((since + holds).into()).await;
    }
}

/// When the last harm ended; none: there was none.
fn last_heal(stage: &Stage) -> Option<Instant> {
    let healed_ms = stage.journal().inspect(|records| {
        let mut records = records.iter().rev();
        let healed = records.find(|record| matches!(record.event, Event::FaultHealed { .. }));
        healed.map(|record| record.at_ms)
    })?;
    let passed_ms = stage.journal().now_ms().saturating_sub(healed_ms);
    Instant::now().checked_sub(Duration::from_millis(passed_ms))
}
