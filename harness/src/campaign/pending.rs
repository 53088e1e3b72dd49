//! The trials of a campaign that are still to do: planned, given, drawn for as long as there is time, or
//! decided on the way.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use records::coverage::Coverage;
use records::run::Part;
use records::schedule::{Hurts, Schedule};
use records::{NotPossible, TrialRecord};

use super::Work;
use super::dealer::{Dealer, Problem};
use crate::plan::{self, PlanError, PlanOptions, TriggerKind};
use crate::survey::Survey;

/// The floor of a long campaign; a short one's is two thirds of its trials.
const FLOOR: u64 = 8;
/// More than this is no campaign for one machine.
const ENDLESS_TRIALS_MAX: u32 = 100_000;

/// Trials still to do.
pub(super) struct Pending {
    queue: VecDeque<Schedule>,
    /// Who decides on the way, where the trials are not known beforehand.
    dealer: Option<Arc<Mutex<dyn Dealer>>>,
    /// Where more come from, when a duration was given.
    endless: Option<Endless>,
    seed: u64,
    /// What the trials are drawn from, in words.
    description: String,
    part: Part,
}

#[derive(Debug)]
struct Endless {
    plan: PlanOptions,
    next: u32,
    shard: Option<(u32, u32)>,
    until: Instant,
}

impl Pending {
    pub(super) fn plan(work: &Work) -> Result<Pending, PlanError> {
        match work {
            Work::Given(schedules) => {
                for schedule in schedules {
                    plan::check(schedule)?;
                }
                let seed = schedules.first().map_or(0, |schedule| schedule.seed);
                let description = format!("{} given schedules", schedules.len());
                let queue = schedules.iter().cloned().collect();
                Ok(Pending::of(seed, description, queue))
            }
            Work::Planned { seed, plan, shard, duration } => {
                let seed = *seed;
                let mine = |schedule: &Schedule| in_shard(schedule.trial, *shard);
                let queue = match duration {
                    None => plan::campaign(seed, plan)?.into_iter().filter(mine).collect(),
                    Some(_) => {
                        // The first is planned now, so that an impossible plan is refused at once.
                        plan::schedule(seed, 0, plan)?;
                        VecDeque::new()
                    }
                };
                let endless = duration.map(|duration| Endless {
                    plan: plan.clone(),
                    next: 0,
                    shard: *shard,
                    until: Instant::now() + duration,
                });
                let part = shard.map_or(Part::Whole, |(index, of)| Part::Shard { index, of });
                let description = plan.in_words(*duration);
                Ok(Pending { endless, part, ..Pending::of(seed, description, queue) })
            }
            Work::Dealt { seed, dealer } => {
                let (description, part) = {
                    let dealer = locked(dealer);
                    (dealer.plan(), dealer.part())
                };
                let dealer = Some(Arc::clone(dealer));
                let none = Pending::of(*seed, description, VecDeque::new());
                Ok(Pending { dealer, part, ..none })
            }
        }
    }

    fn of(seed: u64, description: String, queue: VecDeque<Schedule>) -> Pending {
        let part = Part::Whole;
        Pending { queue, dealer: None, endless: None, seed, description, part }
    }

    /// What the trials are drawn from, in words.
    pub(super) fn description(&self) -> String {
        self.description.clone()
    }

    /// Whether they are a finite list, all of which is to be done.
    pub(super) fn is_exhaustive(&self) -> bool {
        self.dealer.as_ref().is_some_and(|dealer| locked(dealer).is_exhaustive())
    }

    /// Which part of the campaign they are.
    pub(super) fn part(&self) -> Part {
        self.part
    }

    /// What a dealer was to do and did not.
    pub(super) fn undone(&self) -> Vec<String> {
        self.dealer.as_ref().map(|dealer| locked(dealer).undone()).unwrap_or_default()
    }

    pub(super) fn problem(&self) -> Option<Problem> {
        locked(self.dealer.as_ref()?).problem()
    }

    /// Crash points, and what came of them so far; none when nobody enumerates them.
    pub(super) fn coverage(&self) -> Option<Coverage> {
        locked(self.dealer.as_ref()?).coverage()
    }

    /// How many trials there are in all, as far as is known by now: what was planned at the begin, but
    /// a dealer's plan grows on the way.
    pub(super) fn dealt_of(&self, planned: Option<u64>) -> Option<u64> {
        if self.dealer.is_some() { self.planned() } else { planned }
    }

    /// How long trials are still begun, where that is a matter of time.
    pub(super) fn time_left(&self) -> Option<Duration> {
        let endless = self.endless.as_ref()?;
        Some(endless.until.saturating_duration_since(Instant::now()))
    }

    /// Tells the dealer, where there is one, what has ended.
    pub(super) fn ended(&mut self, trial: &TrialRecord, directory: &Path) {
        if let Some(dealer) = &self.dealer {
            locked(dealer).ended(trial, directory);
        }
    }

    pub(super) fn seed(&self) -> u64 {
        self.seed
    }

    pub(super) fn known(&self) -> impl Iterator<Item = &Schedule> {
        self.queue.iter()
    }

    pub(super) fn planned(&self) -> Option<u64> {
        match &self.dealer {
            Some(dealer) => locked(dealer).planned(),
            None => self.endless.is_none().then_some(self.queue.len() as u64),
        }
    }

    pub(super) fn default_floor(&self) -> u64 {
        match (&self.endless, &self.dealer) {
            (Some(_), _) | (_, Some(_)) => FLOOR,
            (None, None) => {
                let with_faults = self.queue.iter().filter(|s| !s.steps.is_empty()).count() as u64;
                FLOOR.min(with_faults * 2 / 3).max(u64::from(with_faults > 0))
            }
        }
    }

    /// The first trial that can run now.
    pub(super) fn next(&mut self, exclusive_is_free: bool) -> Option<Schedule> {
        self.refill();
        if let Some(dealer) = &self.dealer {
            return locked(dealer).next();
        }
        let fits = |schedule: &Schedule| exclusive_is_free || !is_exclusive(schedule);
        let place = self.queue.iter().position(fits)?;
        self.queue.remove(place)
    }

    /// Keeps a few trials at hand while time is left.
    fn refill(&mut self) {
        let Some(endless) = &mut self.endless else { return };
        while self.queue.len() < 4
            && Instant::now() < endless.until
            && endless.next < ENDLESS_TRIALS_MAX
        {
            let trial = endless.next;
            endless.next += 1;
            if !in_shard(trial, endless.shard) {
                continue;
            }
            // The same options planned trial 0, and no other check depends on the number.
            let Ok(schedule) = plan::schedule(self.seed, trial, &endless.plan) else { return };
            self.queue.push_back(schedule);
        }
        if Instant::now() >= endless.until {
            self.queue.clear();
        }
    }
}

/// The part of the work that is possible on this host; none: all of it.
///
/// # Errors
/// When what was asked for by name is not.
pub(super) fn within(work: &Work, survey: &Survey) -> Result<Option<Work>, NotPossible> {
    let impossible = survey.impossible();
    match work {
        Work::Given(schedules) => {
            schedules.iter().find_map(|schedule| survey.refuses(schedule)).map_or(Ok(None), Err)
        }
        Work::Dealt { .. } => survey.crash_points().map_or(Ok(None), Err),
        Work::Planned { .. } if impossible.is_empty() && survey.phases().is_none() => Ok(None),
        Work::Planned { seed, plan, shard, duration } => {
            let asked_for = plan.faults.iter().map(|fault| survey.refuses_fault(*fault));
            let refused: Option<Vec<NotPossible>> = asked_for.collect();
            if let Some(first) = refused.and_then(|refused| refused.into_iter().next()) {
                return Err(first);
            }
            let mut plan = PlanOptions { without: impossible, ..plan.clone() };
            if let Some(refused) = survey.phases() {
                if plan.triggers == [TriggerKind::Phase] {
                    return Err(refused);
                }
                if plan.triggers.is_empty() {
                    plan.triggers = TriggerKind::ALL.to_vec();
                }
                plan.triggers.retain(|kind| *kind != TriggerKind::Phase);
            }
            let (seed, shard, duration) = (*seed, *shard, *duration);
            Ok(Some(Work::Planned { seed, plan, shard, duration }))
        }
    }
}

fn locked<'a>(dealer: &'a Arc<Mutex<dyn Dealer>>) -> MutexGuard<'a, dyn Dealer + 'static> {
    dealer.lock().unwrap_or_else(PoisonError::into_inner)
}

fn in_shard(trial: u32, shard: Option<(u32, u32)>) -> bool {
    shard.is_none_or(|(index, of)| trial % of == index - 1)
}

/// Whether a trial hurts servers that others may use.
#[must_use]
pub fn is_exclusive(schedule: &Schedule) -> bool {
    schedule.steps.iter().any(|step| step.fault.facts().hurts != Hurts::NobodyElse)
}

#[cfg(test)]
mod tests {
    use records::schedule::{Capability, Fault, Step, Trigger};

    use super::*;

    fn work(trials: u32, shard: Option<(u32, u32)>) -> Work {
        let plan = PlanOptions { trials, ..PlanOptions::default() };
        Work::Planned { seed: 7, plan, shard, duration: None }
    }

    // Shards that overlap, or leave a trial out, would still look green one by one.
    #[test]
    fn shards_cover_the_plan_without_overlap() {
        let whole: Vec<u32> =
            Pending::plan(&work(20, None)).unwrap().known().map(|s| s.trial).collect();
        let mut joined: Vec<u32> = (1..=3)
            .flat_map(|index| {
                let shard = Pending::plan(&work(20, Some((index, 3)))).unwrap();
                shard.known().map(|s| s.trial).collect::<Vec<_>>()
            })
            .collect();
        joined.sort_unstable();
        assert_eq!(joined, whole);
    }

    // An exclusive trial that waits must not hold up the others.
    #[test]
    fn a_busy_exclusive_slot_lets_shared_trials_pass() {
        let mut pending = Pending::plan(&work(12, None)).unwrap();
        let mut shared = 0;
        while let Some(schedule) = pending.next(false) {
            assert!(!is_exclusive(&schedule));
            shared += 1;
        }
        assert!(shared >= 9 && !pending.queue.is_empty());
        assert!(pending.next(true).is_some_and(|schedule| is_exclusive(&schedule)));
    }

    // A fault of a server that ran on shared ones would break the trials of others.
    #[test]
    fn trials_that_hurt_servers_are_exclusive() {
        let mut schedule = plan::schedule(7, 0, &PlanOptions::default()).unwrap();
        let mut exclusive = |fault: Fault| {
            schedule.steps = vec![Step::new(Trigger::Progress { fraction: 0.5 }, fault)];
            is_exclusive(&schedule)
        };
        for fault in [Fault::EtcdKill, Fault::MysqlReadonly, Fault::DiskFull, Fault::HostCrash] {
            assert!(exclusive(fault), "{fault}");
        }
        for fault in [Fault::Sigkill, Fault::Freeze, Fault::LockTable, Fault::TabletReplace] {
            assert!(!exclusive(fault), "{fault}");
        }
    }

    // Dealt all the same, what is not possible would be inconclusive, and the run never green.
    #[test]
    fn what_this_host_cannot_do_is_not_drawn_and_refused_by_name() {
        let survey = Survey::default().lacking(Capability::WireProxy, "a firewall");
        let drawn = within(&work(40, None), &survey).unwrap().unwrap();
        let faults: Vec<Fault> = Pending::plan(&drawn)
            .unwrap()
            .known()
            .flat_map(|schedule| schedule.steps.iter().map(|step| step.fault))
            .collect();
        assert!(!faults.is_empty());
        assert!(faults.iter().all(|fault| survey.refuses_fault(*fault).is_none()), "{faults:?}");
        assert!(within(&work(40, None), &Survey::default()).unwrap().is_none());

        let asked = |faults: &[Fault]| {
            let plan = PlanOptions { trials: 4, faults: faults.to_vec(), ..PlanOptions::default() };
            within(&Work::Planned { seed: 7, plan, shard: None, duration: None }, &survey)
        };
        assert!(asked(&[Fault::Sigkill, Fault::Reset]).unwrap().is_some());
        let refused = asked(&[Fault::Reset, Fault::Latency]).unwrap_err();
        assert_eq!((refused.what.as_str(), refused.why.as_str()), ("reset", "a firewall"));

        let mut schedule = plan::schedule(7, 0, &PlanOptions::default()).unwrap();
        schedule.steps = vec![Step::new(Trigger::Progress { fraction: 0.5 }, Fault::Partition)];
        assert!(within(&Work::Given(vec![schedule]), &survey).is_err());
    }

    #[test]
    fn the_floor_follows_the_number_of_trials() {
        for (trials, floor) in [(1, 1), (3, 2), (12, 8), (40, 8)] {
            assert_eq!(Pending::plan(&work(trials, None)).unwrap().default_floor(), floor);
        }
    }
}
