//! What is known of each bug: what brings it out, where it can be seen at all, and by what it shows.

use reports::schedule::{Bug, Fault, Moment, Schedule};
use reports::verdict::Invariant;

use crate::crash_points::plan::Window;
use crate::plan::{self, PlanError, PlanOptions, TriggerKind};

/// Trials that hunt for a bug that shows wherever its fault strikes.
const TRIALS: u32 = 2;
/// Kills at random where a bug has a window, in the control and for a patch: they mostly miss it.
const TRIALS_AT_RANDOM: u32 = 6;

/// What is known of one bug.
pub(super) struct Known {
    /// The fault that brings it out.
    pub(super) fault: Fault,
    /// Where that fault must strike; none: anywhere in the diff.
    pub(super) window: Option<Window>,
    /// The fault that is the operator's way around it.
    pub(super) workaround: Option<Fault>,
    /// The invariants that it breaks, all of them at once.
    pub(super) breaks: &'static [Invariant],
}

/// The zoo's keeper knows every bug.
pub(super) fn known(bug: Bug) -> Known {
    let everywhere = |fault, breaks| Known { fault, window: None, workaround: None, breaks };
    let window = |statement, nth_min, moment, breaks| Known {
        window: Some(Window { statement, nth_min, moment }),
        ..everywhere(Fault::Sigkill, breaks)
    };
    match bug {
        Bug::RegistryBeforeInit => Known {
            workaround: Some(Fault::RowSurgery),
            // A crash loop, each exit of which is a panic.
            ..everywhere(Fault::Sigkill, &[Invariant::I1, Invariant::I2])
        },
        // The supervisor brings it back at once: an unscheduled exit, and no loop.
        Bug::WatchEndUnwrap => everywhere(Fault::EtcdRestart, &[Invariant::I2]),
        // The counts are saved, the cursor not yet: rows are counted twice, and the next checkpoint
        // tells more rows than lie before its cursor.
        Bug::SplitCheckpoint => window(
            "update _vt.vdiff_table set report = ? where",
            1,
            Moment::Executed,
            &[Invariant::I4, Invariant::I5],
        ),
        // Stopped, and not yet known as stopped by us.
        Bug::LateRestartGuard => window(
            "update _vt.vreplication set state = 'Stopped' where",
            1,
            Moment::Executed,
            &[Invariant::I6],
        ),
        // A table is to start: from the second on, one is completed and none in work.
        Bug::CompletedTableAgain => window(
            "update _vt.vdiff_table set state = 'started', phase = 'snapshot'",
            2,
            Moment::Before,
            &[Invariant::I4],
        ),
        // The rows that were outstanding are missing on the source: the target's are told as extra.
        Bug::BrokenStreamIsEnd => everywhere(Fault::SourceKill, &[Invariant::I4]),
    }
}

/// The trials that must find a bug, and after them the one that works around it.
pub(super) fn schedules(
    bug: Bug,
    switched_on: bool,
    seed: u64,
) -> Result<Vec<Schedule>, PlanError> {
    let known = known(bug);
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
            let steps = |other: &Schedule| other.steps == schedule.steps;
            if !all.iter().any(steps) {
                all.push(schedule);
            }
        }
    }
    for (number, schedule) in (0..).zip(&mut all) {
        schedule.trial = number;
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::{Normaliser, Reading};

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

    // A window that is spelled in another way than statements are read would never be met.
    #[test]
    fn windows_are_spelled_as_fingerprints_are() {
        let names = Normaliser::new([("_vt_s1_t12", "_vt")]);
        let said = [
            (
                Bug::SplitCheckpoint,
                "update `_vt_s1_t12`.`vdiff_table` set report = '{\"a\": 1}' where vdiff_id = 1",
            ),
            (
                Bug::LateRestartGuard,
                "update `_vt_s1_t12`.`vreplication` set state = 'Stopped' where workflow = 'move'",
            ),
            (
                Bug::CompletedTableAgain,
                "update `_vt_s1_t12`.`vdiff_table` set state = 'started', phase = 'snapshot' \
                 where vdiff_id = 1",
            ),
        ];
        let with_window = Bug::ALL.into_iter().filter(|bug| known(*bug).window.is_some());
        assert_eq!(with_window.collect::<Vec<_>>(), said.map(|(bug, _)| bug));
        for (bug, statement) in said {
            let window = known(bug).window.unwrap();
            let fingerprint = Reading::of(statement.as_bytes(), &names).fingerprint;
            assert!(fingerprint.starts_with(window.statement), "{fingerprint}");
        }
    }

    // A patch is hunted by what finds any of the bugs, or it would look healthier than they do.
    #[test]
    fn a_patch_is_hunted_by_every_trial_of_the_zoo() {
        let all = all_schedules(1).unwrap();
        for bug in Bug::ALL {
            for schedule in schedules(bug, false, 1).unwrap() {
                assert!(all.iter().any(|one| one.steps == schedule.steps), "{bug:?}");
            }
        }
        for (number, schedule) in all.iter().enumerate() {
            assert!(schedule.trial as usize == number && schedule.bug.is_none());
        }
    }
}
