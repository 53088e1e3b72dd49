//! What is known of each bug: what brings it out, where it can be seen at all, and by what it shows.

use records::schedule::{Bug, Fault, Moment, Phase, Schedule, Step, Trigger};
use records::verdict::Invariant;

use crate::crash_points::plan::Window;
use crate::plan::{self, PlanError, PlanOptions, TriggerKind};

/// Trials that hunt for a bug that shows wherever its fault strikes.
const TRIALS: u32 = 2;
/// Kills at random where a bug has a window, in the control and for a patch: they mostly miss it.
const TRIALS_AT_RANDOM: u32 = 6;

/// An early strike, and by how much the diff is slower then.
const EARLY: f64 = 0.15;
const SLOWER: u64 = 3;
/// Several strikes.
const OFTEN: [f64; 5] = [0.1, 0.25, 0.4, 0.55, 0.7];

/// What is known of one bug.
pub(super) struct Known {
    /// The fault that brings it out.
    pub(super) fault: Fault,
    /// How that fault must strike.
    aim: Aim,
    /// The only exchange in which it can be seen; none: it needs no crash point.
    pub(super) window: Option<Window>,
    /// The fault that is the operator's way around it.
    pub(super) workaround: Option<Fault>,
    /// The invariants that it breaks, all of them at once.
    pub(super) breaks: &'static [Invariant],
}

/// How a fault strikes at a bug that shows without a crash point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Aim {
    /// Anywhere in the diff.
    Anywhere,
    /// In the phase, which the harness holds.
    In(Phase),
    /// Early in a slow diff: what comes some seconds after the recovery comes before its end.
    Early,
    /// Again and again, in one life of the tablet.
    Often,
    /// Early, and then nobody asks the tablets anything.
    Unwatched,
}

impl Aim {
    fn at(self, schedule: &mut Schedule) {
        let Some(fault) = schedule.steps.first().map(|step| step.fault) else { return };
        let at = |fraction| Step::new(Trigger::Progress { fraction }, fault);
        match self {
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
}

/// The zoo's keeper knows every bug.
pub(super) fn known(bug: Bug) -> Known {
    let struck = |fault, aim, breaks| Known { fault, aim, window: None, workaround: None, breaks };
    let everywhere = |fault, breaks| struck(fault, Aim::Anywhere, breaks);
    let window = |statement, nth_min, moment, breaks| Known {
        window: Some(Window { statement, nth_min, moment }),
        ..everywhere(Fault::Sigkill, breaks)
    };
    use Invariant::{I1, I2, I3, I4, I5, I6, I7, I8, I9, I10, I11};
    match bug {
        Bug::RegistryBeforeInit => Known {
            workaround: Some(Fault::RowSurgery),
            // A crash loop, each exit of which is a panic.
            ..everywhere(Fault::Sigkill, &[I1, I2])
        },
        // The supervisor brings it back at once: an unscheduled exit, and no loop.
        Bug::WatchEndUnwrap => everywhere(Fault::EtcdRestart, &[I2]),
        // The counts are saved, the cursor not yet: rows are counted twice, and the next checkpoint
        // tells more rows than lie before its cursor.
        Bug::SplitCheckpoint => {
            window("update _vt.vdiff_table set report = ? where", 1, Moment::Executed, &[I4, I5])
        }
        // Stopped, and not yet known as stopped by us.
        Bug::LateRestartGuard => window(
            "update _vt.vreplication set state = 'Stopped' where",
            1,
            Moment::Executed,
            &[I6],
        ),
        // A table is to start: from the second on, one is completed and none in work.
        Bug::CompletedTableAgain => window(
            "update _vt.vdiff_table set state = 'started', phase = 'snapshot'",
            2,
            Moment::Before,
            &[I4],
        ),
        // The rows that were outstanding are missing on the source: the target's are told as extra.
        Bug::BrokenStreamIsEnd => everywhere(Fault::SourceKill, &[I4]),
        Bug::UnreadyAfterRecovery => struck(Fault::Sigkill, Aim::Early, &[I1]),
        // Stopped for a snapshot, and found so by the next life.
        Bug::WorkflowLeftStopped => window(
            "update _vt.vreplication set state = 'Stopped', message = ?",
            1,
            Moment::Executed,
            &[I6],
        ),
        // Every trial ends with a newer term.
        Bug::PanicAfterDemotion => everywhere(Fault::Sigkill, &[I2]),
        Bug::StopRefused => everywhere(Fault::Cancel, &[I10]),
        Bug::NoMemoryGuard => everywhere(Fault::MemorySqueeze, &[I9]),
        Bug::DescriptorLeak => struck(Fault::Cancel, Aim::Often, &[I7]),
        Bug::SitsAfterRestart => struck(Fault::Sigkill, Aim::Early, &[I3]),
        // Every trial ends with an orderly end of both tablets.
        Bug::SlowSigterm => everywhere(Fault::Sigkill, &[I2, I10]),
        Bug::ResumeWithoutController => everywhere(Fault::Cancel, &[I3]),
        // Rows are counted twice, and told twice.
        Bug::CursorForgotten => everywhere(Fault::Sigkill, &[I4, I5]),
        // The stop of the workflow breaks off under the lock; the next try waits for the lock in vain.
        Bug::LockNotReleased => struck(Fault::MysqlConnectionKill, Aim::In(Phase::Snapshot), &[I3]),
        Bug::FlagLostOnError => everywhere(Fault::MysqlConnectionKill, &[I3]),
        Bug::ReportDroppedOnResume => everywhere(Fault::Sigkill, &[I4]),
        Bug::OrphanedTablesOnDelete => everywhere(Fault::Delete, &[I3, I7]),
        // The operator has the answer; the tablet dies before it writes.
        Bug::AckBeforeWrite => {
            window("update _vt.vdiff set state = 'stopped'", 1, Moment::Before, &[I11])
        }
        Bug::LogStorm => everywhere(Fault::Sigkill, &[I8]),
        Bug::SnapshotLeftOpen => everywhere(Fault::Cancel, &[I7]),
        Bug::LivesWhenAsked => struck(Fault::Sigkill, Aim::Unwatched, &[I3]),
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
    schedules.iter_mut().for_each(|schedule| known.aim.at(schedule));
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
    use wire::{Normaliser, Reading};

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
            (
                Bug::WorkflowLeftStopped,
                "update `_vt_s1_t12`.`vreplication` set state = 'Stopped', message = 'for vdiff', \
                 owner_epoch = 30, pause_generation = 3 where workflow = 'move'",
            ),
            (
                Bug::AckBeforeWrite,
                "update `_vt_s1_t12`.`vdiff` set state = 'stopped', last_error = '' where id = 1",
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
                assert!(all.iter().any(|one| is_same_hunt(one, &schedule)), "{bug:?}");
            }
        }
        for (number, schedule) in all.iter().enumerate() {
            assert!(schedule.trial as usize == number && schedule.bug.is_none());
        }
    }
}
