//! The tablet's known bugs: what brings each out, where it can be seen at all, and by what it shows.

use records::schedule::{Bug, Fault, Moment, Phase};
use records::verdict::Invariant;

use system::{Aim, KnownBug, Window};

/// What is known of each bug.
#[must_use]
pub fn known_bug(bug: Bug) -> KnownBug {
    let struck =
        |fault, aim, breaks| KnownBug { fault, aim, window: None, workaround: None, breaks };
    let everywhere = |fault, breaks| struck(fault, Aim::Anywhere, breaks);
    let window = |statement, nth_min, moment, breaks| KnownBug {
        window: Some(Window { statement, nth_min, moment }),
        ..everywhere(Fault::Sigkill, breaks)
    };
    use Invariant::{I1, I2, I3, I4, I5, I6, I7, I8, I9, I10, I11};
    match bug {
        Bug::RegistryBeforeInit => KnownBug {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocabulary::VOCABULARY;
    use wire::{Normaliser, Reading};

    // A window that is spelled in another way than statements are read would never be met.
    #[test]
    fn windows_are_spelled_as_fingerprints_are() {
        let names = Normaliser::new([("_vt_s1_t12", "_vt")]).speaking(VOCABULARY);
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
        let with_window = Bug::ALL.into_iter().filter(|bug| known_bug(*bug).window.is_some());
        assert_eq!(with_window.collect::<Vec<_>>(), said.map(|(bug, _)| bug));
        for (bug, statement) in said {
            let window = known_bug(bug).window.unwrap();
            let fingerprint = Reading::of(statement.as_bytes(), &names).fingerprint;
            assert!(fingerprint.starts_with(window.statement), "{fingerprint}");
        }
    }
}
