use crate::systems::SystemKind;
use records::schedule::{CrashPoint, Link, Moment, Phase};

use super::*;
use crate::plan::PlanOptions;

fn schedule(steps: Vec<Step>) -> Schedule {
    let mut schedule = plan::schedule(3, 0, &PlanOptions::default()).unwrap();
    schedule.steps = steps;
    schedule
}

fn step(trigger: Trigger, fault: Fault) -> Step {
    Step::new(trigger, fault)
}

fn nth(nth: u32) -> Trigger {
    let fingerprint = "begin".to_owned();
    let (link, moment) = (Link::Mysql, Moment::Executed);
    Trigger::CrashPoint { point: CrashPoint { link, fingerprint, phase: None, nth, moment } }
}

#[test]
fn a_trigger_becomes_earlier_and_rounder_and_comes_to_an_end() {
    for (trigger, wanted) in [
        (Trigger::Time { fraction: 0.4567 }, vec![Trigger::Progress { fraction: 0.46 }]),
        (
            Trigger::Progress { fraction: 0.4567 },
            [0.1, 0.23, 0.46].map(|fraction| Trigger::Progress { fraction }).to_vec(),
        ),
        (Trigger::Progress { fraction: 0.1 }, vec![]),
        (Trigger::Progress { fraction: 0.053 }, vec![Trigger::Progress { fraction: 0.05 }]),
        (
            Trigger::DuringRecovery { after_ms: 157 },
            [70, 150].map(|after_ms| Trigger::DuringRecovery { after_ms }).to_vec(),
        ),
        (nth(7), vec![nth(1), nth(3), nth(6)]),
        (nth(2), vec![nth(1)]),
        (nth(1), vec![]),
        (Trigger::Phase { phase: Phase::Reconcile }, vec![]),
    ] {
        assert_eq!(simpler(&trigger), wanted, "{trigger:?}");
        let mut now = trigger;
        let mut taken = 0;
        while let Some(last) = simpler(&now).pop() {
            now = last;
            taken += 1;
        }
        assert!(taken < 20, "no end: {now:?}");
    }
}

// A second fault in a recovery that nothing begins cannot be executed: no trial is spent on it.
#[test]
fn what_cannot_be_executed_is_no_candidate() {
    let recovery = step(Trigger::DuringRecovery { after_ms: 150 }, Fault::Sigkill);
    let kill = step(Trigger::Progress { fraction: 0.4 }, Fault::Sigkill);
    let both = schedule(vec![kill, recovery]);
    assert!(without(&both, 0, 1).is_none());
    assert_eq!(without(&both, 1, 2).unwrap().schedule.steps.len(), 1);
    let mut tight = schedule(Vec::new());
    tight.workload.run_length = 3_000;
    tight.workload.rows = 4_000;
    for aspect in Aspect::ALL {
        for candidate in aspect.candidates(&tight) {
            assert!(is_possible(&candidate.schedule), "{}", candidate.what);
        }
    }
}

// A smaller workload at the old speed would be over before the fault comes.
#[test]
fn a_smaller_workload_takes_as_long() {
    let whole = schedule(Vec::new());
    let alone = &Aspect::Tables.candidates(&whole)[0].schedule;
    assert_eq!(alone.workload.tables.len(), 1);
    let third = whole.pace.rows_per_second / 3;
    assert!(alone.pace.rows_per_second.abs_diff(third) <= 1);
    let mut fast = whole.clone();
    fast.pace.rows_per_second = 0;
    assert_eq!(Aspect::Tables.candidates(&fast)[0].schedule.pace.rows_per_second, 0);
}

#[test]
fn a_usual_schedule_has_no_more_usual_one() {
    let workload = plan::schedule(3, 0, &PlanOptions::default()).unwrap().workload;
    let usual = plan::usual(&workload.tables, workload.rows, SystemKind::Tablet);
    assert_eq!(Aspect::Usual.candidates(&usual), []);
}
