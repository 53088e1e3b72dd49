//! Deals trials to workers.
//!
//! What the infrastructure does to one trial ends that trial, and not the campaign: servers that do not
//! come up get one more try, then their trial is inconclusive and the next one is dealt. Only where
//! nothing works, no more trials are begun.

use std::collections::HashMap;
use std::time::Duration;

use records::TrialRecord;
use records::layout::RunDirectory;
use records::schedule::Schedule;
use records::verdict::Verdict;
use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use super::CampaignOptions;
use super::dealer::Problem;
use super::ledger::{Ledger, SoFar};
use super::pending::{Pending, is_exclusive};
use super::progress::Bar;
use super::slot::{SlotError, Slots};
use crate::stage::Environment;
use crate::trial::{lost, run_trial};
use engine::errors::chain;

/// Redraw the bar so often.
const TICK: Duration = Duration::from_millis(250);
/// Servers get so many tries for one trial.
const TRIES: u32 = 2;
/// So many trials in a row without servers, and no more are begun.
const LOST_IN_A_ROW_MAX: u32 = 3;

/// What came of dealing, beside the trials.
pub(super) struct Dealt {
    /// What the reports say of it.
    pub(super) at_end: SoFar,
    /// Why the dealer could not go on.
    pub(super) problem: Option<Problem>,
    /// Why no more trials could be begun.
    pub(super) broken: Option<SlotError>,
}

/// A trial at work.
struct AtWork {
    schedule: Schedule,
    exclusive: bool,
}

/// How the servers fared.
#[derive(Debug, Default)]
struct Fortune {
    has_worked: bool,
    lost_in_a_row: u32,
}

impl Fortune {
    fn worked(&mut self) {
        *self = Self { has_worked: true, lost_in_a_row: 0 };
    }

    /// A trial was lost; whether the next one may be tried.
    fn lost(&mut self, error: &SlotError) -> bool {
        self.lost_in_a_row += 1;
        self.has_worked && self.lost_in_a_row < LOST_IN_A_ROW_MAX && may_work_again(error)
    }
}

/// Whether another try may come to another end: not where the data itself is wrong.
fn may_work_again(error: &SlotError) -> bool {
    !matches!(error, SlotError::Workload(_) | SlotError::Truth { .. })
}

/// Deals the trials of one campaign.
struct Deal<'a> {
    slots: &'a Slots,
    pending: Pending,
    options: &'a CampaignOptions,
    ledger: &'a mut Ledger,
    say: &'a (dyn Fn(&str) + Send + Sync),
    bar: Bar<'a>,
    planned: Option<u64>,
    running: JoinSet<TrialRecord>,
    at_work: HashMap<Id, AtWork>,
    exclusive_is_free: bool,
    /// Cuts the running trials short.
    cut: CancellationToken,
    interrupted: Option<String>,
    fortune: Fortune,
    broken: Option<SlotError>,
}

/// Runs all trials, or as many as the campaign's end allows. Always comes back.
pub(super) async fn deal(
    slots: &Slots,
    pending: Pending,
    options: &CampaignOptions,
    ledger: &mut Ledger,
    stop: &CancellationToken,
    say: &(dyn Fn(&str) + Send + Sync),
) -> Dealt {
    let planned = pending.planned();
    let mut deal = Deal {
        slots,
        pending,
        options,
        ledger,
        say,
        bar: Bar::new(say),
        planned,
        running: JoinSet::new(),
        at_work: HashMap::new(),
        exclusive_is_free: true,
        cut: CancellationToken::new(),
        interrupted: None,
        fortune: Fortune::default(),
        broken: None,
    };
    deal.all(stop).await;
    let at_end = deal.so_far();
    let Deal { pending, bar, broken, .. } = deal;
    bar.finish();
    Dealt { at_end, problem: pending.problem(), broken }
}

impl Deal<'_> {
    async fn all(&mut self, stop: &CancellationToken) {
        let mut ending = std::pin::pin!(ending(stop, self.options.deadline));
        let mut tick = tokio::time::interval(TICK);
        self.aim();
        loop {
            while self.interrupted.is_none() && self.running.len() < self.options.jobs.max(1) {
                let Some(schedule) = self.pending.next(self.exclusive_is_free) else { break };
                tokio::select! {
                    prepared = prepare(self.slots, &schedule, self.say) => match prepared {
                        Ok(environment) => self.begin(environment, schedule),
                        Err(error) => self.lose(&schedule, error),
                    },
                    why = &mut ending => self.cut_short(why),
                }
            }
            if self.running.is_empty() {
                break;
            }
            tokio::select! {
                Some(ended) = self.running.join_next_with_id() => self.ended(ended),
                why = &mut ending, if !self.cut.is_cancelled() => self.cut_short(why),
                _ = tick.tick() => {
                    self.bar.tick();
                    if self.ledger.is_due() {
                        self.keep();
                    }
                }
            }
        }
    }

    /// A trial that has all it needs.
    fn begin(&mut self, environment: Environment, schedule: Schedule) {
        self.fortune.worked();
        self.ledger.begins();
        let exclusive = is_exclusive(&schedule);
        self.exclusive_is_free &= !exclusive;
        let run = self.ledger.directory().clone();
        let trial = run_and_keep(run, environment, schedule.clone(), self.cut.clone());
        let id = self.running.spawn(trial).id();
        self.at_work.insert(id, AtWork { schedule, exclusive });
    }

    /// A trial for which there are no servers.
    fn lose(&mut self, schedule: &Schedule, error: SlotError) {
        let why = format!("no servers: {}", chain(&error));
        (self.say)(&format!("lost     trial {}: {why}", schedule.trial));
        let goes_on = self.fortune.lost(&error);
        if may_work_again(&error) {
            self.close(keep_lost(self.ledger.directory(), schedule, &why));
        }
        if !goes_on {
            self.interrupted.get_or_insert_with(|| format!("no trial could be begun: {why}"));
            self.broken = Some(error);
            self.keep();
        }
    }

    fn ended(&mut self, ended: Result<(Id, TrialRecord), JoinError>) {
        let id = ended.as_ref().map_or_else(JoinError::id, |(id, _)| *id);
        let Some(AtWork { schedule, exclusive }) = self.at_work.remove(&id) else { return };
        self.exclusive_is_free |= exclusive;
        let trial = ended.map_or_else(
            |error| {
                let why = format!("a worker of the harness ended badly: {error}");
                (self.say)(&format!("lost     trial {}: {why}", schedule.trial));
                keep_lost(self.ledger.directory(), &schedule, &why)
            },
            |(_, trial)| trial,
        );
        self.close(trial);
    }

    /// Tells everybody of a trial that has ended.
    fn close(&mut self, trial: TrialRecord) {
        let directory = self.ledger.directory().trial(trial.number());
        self.pending.ended(&trial, &directory);
        self.aim();
        self.bar.trial(&trial, self.pending.coverage().as_ref());
        let has_failed = trial.verdict() == Verdict::Fail;
        let number = trial.number();
        self.ledger.ended(trial);
        if self.options.fail_fast && has_failed && self.interrupted.is_none() {
            self.interrupted = Some(format!("trial {number} failed (--fail-fast)"));
        }
    }

    /// What was done is written before anything else: nobody knows how much time is left.
    fn cut_short(&mut self, why: String) {
        self.interrupted.get_or_insert(why);
        self.cut.cancel();
        self.keep();
    }

    fn keep(&mut self) {
        let so_far = self.so_far();
        let ledger = &mut *self.ledger;
        // It takes a moment; the trials' observers shall not wait for it.
        tokio::task::block_in_place(|| ledger.keep(&so_far));
    }

    fn so_far(&self) -> SoFar {
        SoFar {
            interrupted: self.interrupted.clone(),
            undone: self.pending.undone(),
            coverage: self.pending.coverage(),
        }
    }

    fn aim(&mut self) {
        self.bar.aim(self.pending.dealt_of(self.planned), self.pending.time_left());
    }
}

/// Servers for a trial. What failed may have been a moment's weakness: it gets one more try.
async fn prepare(
    slots: &Slots,
    schedule: &Schedule,
    say: &(dyn Fn(&str) + Send + Sync),
) -> Result<Environment, SlotError> {
    let mut tries = 1;
    loop {
        match slots.environment(schedule, is_exclusive(schedule), say).await {
            Err(error) if tries < TRIES && may_work_again(&error) => {
                say(&format!("again    no servers: {}", chain(&error)));
                tries += 1;
            }
            prepared => return prepared,
        }
    }
}

/// Comes back when the campaign must end before its trials do, and says why.
async fn ending(stop: &CancellationToken, deadline: Duration) -> String {
    match tokio::time::timeout(deadline, stop.cancelled()).await {
        Ok(()) => "the user stopped it".to_owned(),
        Err(_) => format!("its deadline of {} s", deadline.as_secs()),
    }
}

async fn run_and_keep(
    run: RunDirectory,
    environment: Environment,
    schedule: Schedule,
    cut: CancellationToken,
) -> TrialRecord {
    let dir = run.trial(schedule.trial);
    let name = format!("t{:04}", schedule.trial);
    if let Err(error) = super::write_schedule(&run, &schedule) {
        tracing::warn!(%error, trial = schedule.trial, "the schedule was not written");
    }
    let trial = Box::pin(run_trial(&environment, &schedule, &name, &dir, &cut)).await;
    // At once, so that a campaign that is killed leaves its verdicts so far.
    if let Err(error) = run.write_verdict(&trial) {
        tracing::warn!(%error, trial = schedule.trial, "the verdict was not written");
    }
    trial
}

/// A trial that the infrastructure took: inconclusive, with a schedule and a journal that says why.
fn keep_lost(run: &RunDirectory, schedule: &Schedule, why: &str) -> TrialRecord {
    if let Err(error) = super::write_schedule(run, schedule) {
        tracing::warn!(%error, trial = schedule.trial, "the schedule was not written");
    }
    let trial = lost(schedule, &run.trial(schedule.trial), why);
    if let Err(error) = run.write_verdict(&trial) {
        tracing::warn!(%error, trial = schedule.trial, "the verdict was not written");
    }
    trial
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::ActError;

    fn not_up() -> SlotError {
        SlotError::Calibration(ActError::new("MySQL did not boot"))
    }

    // Hour seven of a soak: one server that does not boot must not take what was found before.
    #[test]
    fn a_server_that_does_not_boot_costs_a_trial_and_not_the_campaign() {
        let mut fortune = Fortune::default();
        fortune.worked();
        assert!(fortune.lost(&not_up()) && fortune.lost(&not_up()));
        fortune.worked();
        assert!(fortune.lost(&not_up()) && fortune.lost(&not_up()));
        assert!(!fortune.lost(&not_up()), "an engine that is gone is not asked for ever");
    }

    #[test]
    fn where_nothing_ever_worked_the_first_trial_is_the_last() {
        assert!(!Fortune::default().lost(&not_up()));
        let mut fortune = Fortune::default();
        fortune.worked();
        assert!(!fortune.lost(&SlotError::Truth { table: "corder".to_owned() }));
    }
}
