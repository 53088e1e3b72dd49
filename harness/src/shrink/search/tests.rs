use std::cell::RefCell;
use std::convert::Infallible;

use proptest::prelude::*;
use rand_chacha::ChaCha12Rng;
use records::schedule::{Fault, Step, Trigger};

use super::*;
use crate::plan::{self, PlanOptions};

/// A tablet with a made-up bug.
struct Fake<B> {
    bug: B,
    /// The bug shows with this probability.
    rate: f64,
    /// A run says nothing with this probability.
    silent: f64,
    rng: ChaCha12Rng,
    runs: u32,
    kept: Vec<Schedule>,
    lines: RefCell<Vec<String>>,
}

impl<B: Fn(&Schedule) -> Seen> Fake<B> {
    fn new(bug: B, rate: f64, seed: u64) -> Self {
        let rng = plan::fork(seed, "fake", 0);
        Self { bug, rate, silent: 0.0, rng, runs: 0, kept: Vec::new(), lines: RefCell::default() }
    }
}

impl<B: Fn(&Schedule) -> Seen> Laboratory for Fake<B> {
    type Error = Infallible;

    fn at_a_time(&self) -> u32 {
        2
    }

    async fn run(&mut self, schedule: &Schedule, times: u32) -> Result<Vec<Seen>, Infallible> {
        self.runs += times;
        Ok((0..times)
            .map(|_| {
                if self.rng.random_bool(self.silent) {
                    return Seen::Inconclusive;
                }
                let seen = (self.bug)(schedule);
                if self.rng.random_bool(self.rate) { seen } else { Seen::Held }
            })
            .collect())
    }

    fn keep(&mut self, smallest: &Schedule, _: &str) -> Result<(), Infallible> {
        self.kept.push(smallest.clone());
        Ok(())
    }

    fn tell(&mut self, line: &str) {
        self.lines.borrow_mut().push(line.to_owned());
    }
}

fn broke(which: &[Invariant]) -> Seen {
    Seen::Broke(which.iter().copied().collect())
}

/// Shows when all of these faults are there.
fn needs(faults: &'static [Fault]) -> impl Fn(&Schedule) -> Seen {
    move |schedule| {
        let has = |fault: &Fault| schedule.steps.iter().any(|step| step.fault == *fault);
        if faults.iter().all(has) { broke(&[Invariant::I1, Invariant::I2]) } else { Seen::Held }
    }
}

fn schedule(faults: &[Fault]) -> Schedule {
    let mut schedule = plan::schedule(3, 0, &PlanOptions::default()).unwrap();
    schedule.steps = (0..)
        .zip(faults)
        .map(|(place, fault)| {
            let fraction = 0.2 + 0.15 * f64::from(place);
            Step::new(Trigger::Progress { fraction }, *fault)
        })
        .collect();
    schedule
}

const THREE: [Fault; 3] = [Fault::Cancel, Fault::Sigkill, Fault::MemorySqueeze];

fn aim(trials: Option<u32>) -> Aim {
    Aim { runs: 5, budget: Budget { trials, until: None }, ..Aim::default() }
}

fn faults(schedule: &Schedule) -> Vec<Fault> {
    schedule.steps.iter().map(|step| step.fault).collect()
}

#[tokio::test]
async fn of_three_faults_the_one_that_matters_is_left_and_all_else_is_small() {
    for the_one in THREE {
        let mut fake = Fake::new(move |s: &Schedule| needs_one(s, the_one), 1.0, 1);
        let shrunk = shrink(&schedule(&THREE), &aim(None), &mut fake).await.unwrap();
        assert_eq!(faults(&shrunk.schedule), [the_one]);
        assert_eq!(shrunk.ending, Ending::Minimal);
        let workload = &shrunk.schedule.workload;
        assert_eq!((workload.tables.len(), workload.rows), (1, 10), "{workload:?}");
        assert_eq!((workload.differences, workload.run_length), (0, 0));
        assert_eq!(shrunk.schedule.steps[0].trigger, Trigger::Progress { fraction: 0.1 });
        assert_eq!(shrunk.broken, [Invariant::I1, Invariant::I2].into());
        assert_eq!((shrunk.before.failed, shrunk.after.others), (5, 0));
        assert_eq!(fake.kept.last(), Some(&shrunk.schedule));
        assert_eq!(fake.runs, shrunk.trials);
        assert!(shrunk.trials < 60, "{} trials for a failure without luck", shrunk.trials);
    }
}

fn needs_one(schedule: &Schedule, fault: Fault) -> Seen {
    let has = schedule.steps.iter().any(|step| step.fault == fault);
    if has { broke(&[Invariant::I1, Invariant::I2]) } else { Seen::Held }
}

#[tokio::test]
async fn two_faults_that_are_needed_together_both_stay() {
    let mut fake = Fake::new(needs(&[Fault::Cancel, Fault::MemorySqueeze]), 1.0, 1);
    let shrunk = shrink(&schedule(&THREE), &aim(None), &mut fake).await.unwrap();
    assert_eq!(faults(&shrunk.schedule), [Fault::Cancel, Fault::MemorySqueeze]);
}

// The point of counting runs: a failure that shows in three runs of ten must not be lost by bad luck.
#[tokio::test]
async fn a_flaky_failure_is_reduced_to_the_right_fault() {
    const SEEDS: u32 = 300;
    let (mut right, mut most) = (0, 0);
    for seed in 0..SEEDS {
        let mut fake = Fake::new(needs(&[Fault::Sigkill]), 0.3, u64::from(seed));
        fake.silent = 0.05;
        let shrunk = shrink(&schedule(&THREE), &aim(Some(600)), &mut fake).await;
        // A failure that hides in all of the first runs was never seen: there is nothing to reduce.
        let Ok(shrunk) = shrunk else { continue };
        right += u32::from(faults(&shrunk.schedule) == [Fault::Sigkill]);
        most = most.max(shrunk.trials);
        assert!(shrunk.trials <= 600);
    }
    assert!(right * 100 >= SEEDS * 95, "{right} of {SEEDS} seeds; at most {most} trials");
}

#[tokio::test]
async fn a_kill_by_other_means_becomes_a_signal_where_that_suffices() {
    let kills = |schedule: &Schedule| {
        let kill = |step: &Step| matches!(step.fault, Fault::Sigkill | Fault::Oom);
        if schedule.steps.iter().any(kill) { broke(&[Invariant::I1]) } else { Seen::Held }
    };
    let oom = schedule(&[Fault::Oom]);
    let shrunk = shrink(&oom, &aim(None), &mut Fake::new(kills, 1.0, 1)).await.unwrap();
    assert_eq!(faults(&shrunk.schedule), [Fault::Sigkill]);
    let mut only_oom = Fake::new(needs(&[Fault::Oom]), 1.0, 1);
    let shrunk = shrink(&oom, &aim(None), &mut only_oom).await.unwrap();
    assert_eq!(faults(&shrunk.schedule), [Fault::Oom]);
}

// Else the search would slide to any failure that is easier to have.
#[tokio::test]
async fn another_failure_is_told_and_not_taken_for_the_same() {
    let mut fake = Fake::new(
        |schedule: &Schedule| match schedule.steps.len() {
            3 => broke(&[Invariant::I1, Invariant::I2]),
            2 => broke(&[Invariant::I4]),
            _ => Seen::Held,
        },
        1.0,
        1,
    );
    let shrunk = shrink(&schedule(&THREE), &aim(None), &mut fake).await.unwrap();
    assert_eq!(shrunk.schedule.steps.len(), 3);
    assert!(shrunk.otherwise.contains_key(&[Invariant::I4].into()), "{:?}", shrunk.otherwise);
}

#[tokio::test]
async fn what_is_looked_for_may_be_less_than_what_broke() {
    let bug = |schedule: &Schedule| match schedule.steps.len() {
        3 => broke(&[Invariant::I1, Invariant::I4]),
        1 => broke(&[Invariant::I4]),
        _ => Seen::Held,
    };
    let only = Aim { broken: [Invariant::I4].into(), ..aim(None) };
    let shrunk = shrink(&schedule(&THREE), &only, &mut Fake::new(bug, 1.0, 1)).await.unwrap();
    assert_eq!(shrunk.schedule.steps.len(), 1);
    let shrunk = shrink(&schedule(&THREE), &aim(None), &mut Fake::new(bug, 1.0, 1)).await.unwrap();
    assert_eq!(shrunk.schedule.steps.len(), 3);
}

#[tokio::test]
async fn a_budget_ends_the_search_with_the_smallest_so_far() {
    let mut fake = Fake::new(needs(&[Fault::Sigkill]), 1.0, 1);
    let shrunk = shrink(&schedule(&THREE), &aim(Some(9)), &mut fake).await.unwrap();
    assert_eq!(shrunk.ending, Ending::OutOfBudget);
    assert_eq!((shrunk.trials, fake.runs), (9, 9));
    assert_eq!(needs_one(&shrunk.schedule, Fault::Sigkill), broke(&[Invariant::I1, Invariant::I2]));
    let gone = Budget { trials: None, until: Some(Instant::now()) };
    let late = Aim { budget: gone, ..aim(None) };
    let mut fake = Fake::new(needs(&[Fault::Sigkill]), 1.0, 1);
    let error = shrink(&schedule(&THREE), &late, &mut fake).await.unwrap_err();
    assert_eq!((error, fake.runs), (SearchError::NeverFailed(Tally::default()), 0));
}

#[tokio::test]
async fn a_schedule_that_does_not_fail_is_refused() {
    let mut fake = Fake::new(|_: &Schedule| Seen::Held, 1.0, 1);
    let error = shrink(&schedule(&THREE), &aim(None), &mut fake).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the schedule failed 0 of 20 by what is looked for: nothing to shrink"
    );
    let mut fake = Fake::new(|_: &Schedule| Seen::Inconclusive, 1.0, 1);
    assert!(shrink(&schedule(&THREE), &aim(None), &mut fake).await.is_err());
    assert_eq!(fake.runs, 4);
}

// A run that says nothing is no run that passed: the candidate is not rejected by it, nor accepted.
#[tokio::test]
async fn a_candidate_that_stays_inconclusive_is_not_taken() {
    let few_rows = |schedule: &Schedule| match schedule.workload.rows {
        0..1_000 => Seen::Inconclusive,
        _ => broke(&[Invariant::I5]),
    };
    let mut fake = Fake::new(few_rows, 1.0, 1);
    let shrunk = shrink(&schedule(&[Fault::Sigkill]), &aim(None), &mut fake).await.unwrap();
    assert_eq!(shrunk.schedule.workload.rows, 1_000);
    assert!(fake.lines.borrow().iter().any(|line| line.starts_with("unclear")));
}

// The original failed within the budget: that is a result, with the invariants it broke.
#[tokio::test]
async fn a_budget_that_ends_while_the_rate_is_measured_keeps_what_failed() {
    let mut fake = Fake::new(needs(&[Fault::Sigkill]), 1.0, 1);
    let shrunk = shrink(&schedule(&THREE), &aim(Some(2)), &mut fake).await.unwrap();
    assert_eq!((shrunk.ending, shrunk.trials), (Ending::OutOfBudget, 2));
    assert_eq!(shrunk.schedule, schedule(&THREE));
    assert_eq!(shrunk.broken, [Invariant::I1, Invariant::I2].into());
    assert_eq!((shrunk.before.failed, shrunk.after.failed), (2, 2));
}

fn any_faults() -> impl Strategy<Value = Vec<Fault>> {
    proptest::collection::vec(proptest::sample::select(Fault::ALL.to_vec()), 1..6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    // Whatever the bug needs: the result has it, and nothing about it is larger than before.
    #[test]
    fn the_result_still_fails_and_is_never_larger(
        all in any_faults(), needed in any::<proptest::sample::Index>(), rows in 0u64..4_000,
        rate in 0.4f64..=1.0, trials in 6u32..400, seed: u64,
    ) {
        let original = schedule(&all);
        let the_one = *needed.get(&all);
        let bug = move |s: &Schedule| match s.workload.rows >= rows {
            true => needs_one(s, the_one),
            false => Seen::Held,
        };
        let mut fake = Fake::new(bug, rate, seed);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let outcome = runtime.block_on(shrink(&original, &aim(Some(trials)), &mut fake));
        prop_assume!(outcome.is_ok());
        let shrunk = outcome.unwrap();
        let small = &shrunk.schedule;
        prop_assert!(matches!(bug(small), Seen::Broke(_)));
        prop_assert!(shrunk.trials <= trials && shrunk.after.failed > 0);
        prop_assert!(small.steps.len() <= original.steps.len());
        let (now, then) = (&small.workload, &original.workload);
        prop_assert!(now.tables.len() <= then.tables.len() && now.rows <= then.rows);
        prop_assert!(now.differences <= then.differences && now.run_length <= then.run_length);
        prop_assert!(moves::is_possible(small));
        prop_assert_eq!(small.bug, original.bug);
    }
}
