//! The trials that hunt for each known bug, by what is known of it.

use records::schedule::{Bug, Fault, Schedule, Step, Trigger};

use crate::plan::{self, PlanError, PlanOptions, TriggerKind};
use system::Aim;
use system_tablet::known_bug;

/// Trials that hunt for a bug that shows wherever its fault strikes.
const TRIALS: u32 = 2;
/// Kills at random where a bug has a window, in the control and for a patch: they mostly miss it.
const TRIALS_AT_RANDOM: u32 = 6;

/// An early strike, and by how much the diff is slower then.
const EARLY: f64 = 0.15;
const SLOWER: u64 = 3;
/// Several strikes.
const OFTEN: [f64; 5] = [0.1, 0.25, 0.4, 0.55, 0.7];

/// Aims a planned trial at the bug.
fn aim(aim: Aim, schedule: &mut Schedule) {
    let Some(fault) = schedule.steps.first().map(|step| step.fault) else { return };
    let at = |fraction| Step::new(Trigger::Progress { fraction }, fault);
    match aim {
        Aim::Anywhere => {}
        Aim::In(phase) => schedule.steps = vec![Step::new(Trigger::Phase { phase }, fault)],
        Aim::Early => {
            schedule.steps = vec![at(EARLY)];
            let pace = &mut schedule.pace.rows_per_second;
            *pace = (*pace / SLOWER).max(1);
        }
        Aim::Unwatched => {
            schedule.steps = vec![at(EARLY)];
            schedule.unwatched = true;
        }
        Aim::Often => schedule.steps = OFTEN.map(at).to_vec(),
    }
}

/// The trials that must find a bug, and after them the one that works around it.
pub(super) fn schedules(
    bug: Bug,
    switched_on: bool,
    seed: u64,
) -> Result<Vec<Schedule>, PlanError> {
    let known = known_bug(bug);
    let (trials, trigger) = match known.window {
        None => (TRIALS, TriggerKind::Progress),
        // Progress is seen right after a checkpoint: a kill by it would miss the same windows always.
        Some(_) => (TRIALS_AT_RANDOM, TriggerKind::Time),
    };
    let plan = |fault: Fault| PlanOptions {
        trials,
        faults: vec![fault],
        triggers: vec![trigger],
        bug: switched_on.then_some(bug),
        ..PlanOptions::default()
    };
    let mut schedules = plan::campaign(seed, &plan(known.fault))?;
    schedules.iter_mut().for_each(|schedule| aim(known.aim, schedule));
    schedules.iter().try_for_each(plan::check)?;
    if let Some(way_out) = known.workaround {
        schedules.push(plan::schedule(seed, trials, &plan(way_out))?);
    }
    Ok(schedules)
}

/// All trials of the zoo, each once, with no bug on.
pub(super) fn all_schedules(seed: u64) -> Result<Vec<Schedule>, PlanError> {
    let mut all: Vec<Schedule> = Vec::new();
    for bug in Bug::ALL {
        for schedule in schedules(bug, false, seed)? {
            if !all.iter().any(|other| is_same_hunt(other, &schedule)) {
                all.push(schedule);
            }
        }
    }
    for (number, schedule) in (0..).zip(&mut all) {
        schedule.trial = number;
    }
    Ok(all)
}

/// Whether one finds what the other finds.
fn is_same_hunt(one: &Schedule, other: &Schedule) -> bool {
    (&one.steps, &one.pace, one.unwatched) == (&other.steps, &other.pace, other.unwatched)
}

#[cfg(test)]
mod tests {
    use super::*;

    // Replay needs a trial's file alone, and files of one run must not overwrite each other.
    #[test]
    fn the_control_differs_from_the_hunt_in_the_bug_only() {
        for bug in Bug::ALL {
            let hunt = schedules(bug, true, 1).unwrap();
            let numbers: Vec<u32> = hunt.iter().map(|schedule| schedule.trial).collect();
            assert_eq!(numbers, (0..hunt.len() as u32).collect::<Vec<_>>());
            let mut control = schedules(bug, false, 1).unwrap();
            assert!(control.iter().all(|schedule| schedule.bug.is_none()));
            control.iter_mut().for_each(|schedule| schedule.bug = Some(bug));
            assert_eq!(control, hunt);
        }
    }

    // A patch is hunted by what finds any of the bugs, or it would look healthier than they do.
    #[test]
    fn a_patch_is_hunted_by_every_trial_of_the_zoo() {
        let all = all_schedules(1).unwrap();
        for bug in Bug::ALL {
            for schedule in schedules(bug, false, 1).unwrap() {
                assert!(all.iter().any(|one| is_same_hunt(one, &schedule)), "{bug:?}");
            }
        }
        for (number, schedule) in all.iter().enumerate() {
            assert!(schedule.trial as usize == number && schedule.bug.is_none());
        }
    }
}
