use crate::systems::SystemKind;
use std::collections::BTreeSet;

use proptest::prelude::*;

use records::schedule::Phase;

use super::*;

fn plan(seed: u64, trials: u32) -> Vec<Schedule> {
    campaign(seed, &PlanOptions { trials, ..PlanOptions::default() }).unwrap()
}

// Else nobody looks for a tablet that gets on only when it is asked.
#[test]
fn one_trial_in_eight_is_unwatched() {
    let unwatched: Vec<u32> =
        plan(7, 20).iter().filter(|trial| trial.unwatched).map(|trial| trial.trial).collect();
    assert_eq!(unwatched, [7, 15]);
}

proptest! {
    // A trial that depended on anything but (seed, i) could not be found again.
    #[test]
    fn a_trial_depends_on_seed_and_number_only(seed: u64, trials in 1_u32..40) {
        let whole = plan(seed, 40);
        let part = plan(seed, trials);
        prop_assert_eq!(
            serde_json::to_string(&whole[..part.len()]).unwrap(),
            serde_json::to_string(&part).unwrap()
        );
        prop_assert_ne!(&plan(seed.wrapping_add(1), 40), &whole);
    }

    // What the planner deals must be executable, and aimed at the middle of the diff.
    #[test]
    fn schedules_are_valid_and_mostly_aim_at_the_middle(seed: u64) {
        let schedules = plan(seed, 60);
        let mut middle = 0_usize;
        let mut all = 0_usize;
        let mut uuids = BTreeSet::new();
        for schedule in &schedules {
            prop_assert_eq!(check(schedule), Ok(()));
            prop_assert!(uuids.insert(schedule.vdiff_uuid.clone()));
            for step in &schedule.steps {
                all += 1;
                middle += usize::from(match &step.trigger {
                    Trigger::Time { fraction } | Trigger::Progress { fraction } =>
                        (0.05..=0.90).contains(fraction),
                    Trigger::Phase { phase } => *phase != Phase::Completing,
                    Trigger::DuringRecovery { .. } | Trigger::DuringFault { .. } | Trigger::CrashPoint { .. } => true,
                });
            }
        }
        prop_assert!(middle * 100 >= all * 85, "{middle} of {all}");
    }

    // A short run must not be a narrow one, whatever its seed.
    #[test]
    fn the_first_twelve_trials_cover_many_kinds(seed: u64) {
        let schedules = plan(seed, 12);
        let steps: Vec<&Step> = schedules.iter().flat_map(|schedule| &schedule.steps).collect();
        let kinds: BTreeSet<Fault> = steps.iter().map(|step| step.fault).collect();
        let mut phases: BTreeSet<Phase> = steps.iter().filter_map(|step| match &step.trigger {
            Trigger::Phase { phase } => Some(*phase),
            Trigger::Time { .. } | Trigger::Progress { .. } => Some(Phase::Streaming),
            Trigger::DuringRecovery { .. } | Trigger::DuringFault { .. } | Trigger::CrashPoint { .. } => None,
        }).collect();
        phases.insert(Phase::Streaming);
        prop_assert!(kinds.len() >= 8, "{kinds:?}");
        prop_assert!(steps.len() >= 12);
        prop_assert!(phases.len() == 4, "{phases:?}");
    }

    #[test]
    fn a_schedule_survives_its_file(seed: u64, trial in 0_u32..1000) {
        let written = schedule(seed, trial, &PlanOptions::default()).unwrap();
        let json = serde_json::to_string_pretty(&written).unwrap();
        prop_assert_eq!(serde_json::from_str::<Schedule>(&json).unwrap(), written);
    }

    // A redrawn schedule is another diff with an earlier aim, and still valid.
    #[test]
    fn a_redrawn_schedule_aims_earlier(seed: u64, trial in 0_u32..200, attempt in 1_u32..3) {
        let first = schedule(seed, trial, &PlanOptions::default()).unwrap();
        let second = redraw(&first, attempt);
        prop_assert_eq!(check(&second), Ok(()));
        prop_assert_ne!(&first.vdiff_uuid, &second.vdiff_uuid);
        prop_assert_eq!(&second, &redraw(&first, attempt));
    }
}

#[test]
fn each_fault_can_be_asked_for_alone() {
    for fault in Fault::ALL {
        let options = PlanOptions { trials: 8, faults: vec![fault], ..PlanOptions::default() };
        let schedules = campaign(3, &options).unwrap();
        let steps = schedules.iter().flat_map(|schedule| &schedule.steps);
        assert!(steps.clone().count() >= 8);
        assert!(steps.clone().all(|step| step.fault == fault), "{fault:?}");
    }
}

#[test]
fn what_cannot_go_together_is_refused_with_a_reason() {
    let options = PlanOptions {
        faults: vec![Fault::MemorySqueeze],
        triggers: vec![TriggerKind::Phase],
        ..PlanOptions::default()
    };
    let text = campaign(1, &options).unwrap_err().to_string();
    assert!(text.contains("memory-squeeze") && text.contains("phase"), "{text}");

    let mut schedule = schedule(1, 0, &PlanOptions::default()).unwrap();
    let completing = Trigger::Phase { phase: Phase::Completing };
    let recovery = Trigger::DuringRecovery { after_ms: 10 };
    let on_top = Trigger::DuringFault { after_ms: 10 };
    let half = Trigger::Progress { fraction: 0.5 };
    let table = [
        vec![Step::new(completing, Fault::Cancel)],
        vec![Step::new(recovery, Fault::Sigkill)],
        vec![Step::new(Trigger::Progress { fraction: 1.5 }, Fault::Sigkill)],
        vec![Step::new(Trigger::Time { fraction: f64::NAN }, Fault::Sigkill)],
        vec![Step::new(half.clone(), Fault::Sigkill), Step::new(on_top.clone(), Fault::EtcdKill)],
        vec![Step::new(half.clone(), Fault::Freeze), Step::new(on_top.clone(), Fault::Sigterm)],
        vec![Step::new(half.clone(), Fault::EtcdKill), Step::new(on_top.clone(), Fault::EtcdKill)],
        vec![Step::new(half.clone(), Fault::LockTable), Step::new(on_top.clone(), Fault::Cancel)],
        vec![Step { lasts_ms: Some(1_000), ..Step::new(half.clone(), Fault::Sigkill) }],
        vec![Step { lasts_ms: Some(60_001), ..Step::new(half.clone(), Fault::Freeze) }],
    ];
    for steps in table {
        schedule.steps = steps;
        assert!(check(&schedule).is_err(), "{:?}", schedule.steps);
    }
    schedule.format = FORMAT + 1;
    assert_eq!(check(&schedule), Err(PlanError::NewerFormat { found: FORMAT + 1 }));
}

// A diff that is over at once cannot be hit in its middle.
#[test]
fn the_usual_diff_takes_seconds_however_small() {
    for rows in [10, 700, 4_000] {
        let pace = usual(&["corder".to_owned()], rows, SystemKind::Tablet).pace.rows_per_second;
        let takes_ms = rows * 1_000 / pace;
        assert!((DIFF_MS..2 * DIFF_MS).contains(&takes_ms), "{rows} rows take {takes_ms} ms");
    }
}

// Otherwise it is refused only once servers are up.
#[test]
fn a_workload_that_cannot_hold_its_differences_is_no_plan() {
    let plan = |tables: &[&str], rows| {
        let tables = tables.iter().copied().map(str::to_owned).collect();
        schedule(1, 0, &PlanOptions { tables, rows, ..PlanOptions::default() })
    };
    let few = plan(&["corder"], 2_000).unwrap_err();
    assert!(matches!(few, PlanError::Workload(WorkloadError::TooFewRows { rows: 2_000, .. })));
    let unknown = plan(&["order"], 4_000).unwrap_err();
    assert!(matches!(unknown, PlanError::Workload(WorkloadError::UnknownTable { .. })));
    assert!(plan(&["corder"], 4_000).is_ok());
}

#[test]
fn unknown_names_list_the_known_ones() {
    assert!(parse_fault("sigkil").unwrap_err().contains("sigkill, sigterm"));
    assert!(parse_bug("x").unwrap_err().contains("watch-end-unwrap"));
}

const FIRST_TWELVE_OF_SEED_7: &str = "sigkill delete oom oom cancel sigkill sigkill sigterm \
     memory-squeeze host-crash etcd-restart sigkill";

// Seeds are written down in reports and issues: a menu that grows must not change what they deal.
#[test]
fn the_first_sixteen_trials_of_a_seed_are_those_of_the_menu_before_it_grew() {
    let dealt: Vec<&str> =
        plan(7, 16).iter().map(|schedule| schedule.steps[0].fault.name()).collect();
    assert_eq!(dealt[..12].join(" "), FIRST_TWELVE_OF_SEED_7);
    let later = plan(7, 41);
    let faults: BTreeSet<Fault> =
        later.iter().flat_map(|schedule| &schedule.steps).map(|step| step.fault).collect();
    assert_eq!(faults.len(), Fault::ALL.len(), "a round of the menu holds every fault");
}

// One that froze for a length that nobody wrote down could not be replayed.
#[test]
fn a_freeze_is_drawn_shorter_and_longer_than_the_lease() {
    let options = PlanOptions { trials: 40, faults: vec![Fault::Freeze], ..PlanOptions::default() };
    let lengths: Vec<u64> = campaign(3, &options)
        .unwrap()
        .iter()
        .flat_map(|schedule| &schedule.steps)
        .map(|step| step.lasts_ms.unwrap())
        .collect();
    assert!(lengths.iter().any(|ms| *ms < 4_000) && lengths.iter().any(|ms| *ms > 6_000));
}

#[test]
fn faults_on_top_of_each_other_can_be_asked_for_alone() {
    let options =
        PlanOptions { trials: 20, triggers: vec![TriggerKind::Overlap], ..PlanOptions::default() };
    for schedule in campaign(3, &options).unwrap() {
        let on_top = |step: &&Step| matches!(step.trigger, Trigger::DuringFault { .. });
        assert!(schedule.steps.iter().any(|step| on_top(&step)), "{:?}", schedule.steps);
        assert!(schedule.steps.len() <= 3);
    }
}
