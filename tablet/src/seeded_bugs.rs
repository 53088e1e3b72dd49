//! Known bugs that the harness must be able to find again: parsed from `TABLET_SEEDED_BUGS`.
//!
//! A bug exists only in a binary built with the feature `seeded-bugs`. In a normal binary the set
//! is always empty, and a name given to it is refused rather than ignored: a run that believes it
//! tests a bug must not test a healthy tablet.

use std::fmt;
use std::str::FromStr;

/// The environment variable that names the bugs, separated by commas.
pub const VARIABLE: &str = "TABLET_SEEDED_BUGS";

/// One known bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeededBug {
    /// The VDiff engine's registry is used on the open path before it is initialised when a
    /// `started` diff is resumed.
    RegistryBeforeInit,
    /// The shard sync loop unwraps the event of a watch that has ended.
    WatchEndUnwrap,
    /// The counts of a checkpoint are saved a statement before its cursor.
    SplitCheckpoint,
    /// A workflow is stopped a statement before it is recorded that it was us.
    LateRestartGuard,
    /// A diff that died between two tables compares the completed one again.
    CompletedTableAgain,
    /// A source stream that broke off is taken for one that came to its end.
    BrokenStreamIsEnd,
    /// A tablet that has resumed a diff is unready again three seconds later, for good.
    UnreadyAfterRecovery,
    /// A workflow that a crash has left stopped stays so, with the tablet's own error as its
    /// message.
    WorkflowLeftStopped,
    /// A task of a former primary sends on a closed channel, 100 ms after the demotion.
    PanicAfterDemotion,
    /// A diff in its middle cannot be stopped: the tablet refuses at once.
    StopRefused,
    /// The memory guard does not look at the memory.
    NoMemoryGuard,
    /// The connection to the source is kept for ever when a diff goes on from a checkpoint.
    DescriptorLeak,
    /// A diff that was started before the restart waits ten seconds before it goes on.
    SitsAfterRestart,
    /// An orderly end takes twenty seconds.
    SlowSigterm,
    /// A resume is recorded, and nobody works on the diff.
    ResumeWithoutController,
    /// A diff that goes on reads both tables from their beginning, onto its counts.
    CursorForgotten,
    /// The lock of a workflow is kept when its snapshot was given up.
    LockNotReleased,
    /// An error that passes by itself is recorded as a lasting one.
    FlagLostOnError,
    /// A diff that goes on forgets the differences that it had found.
    ReportDroppedOnResume,
    /// A delete leaves the rows of the diff's tables.
    OrphanedTablesOnDelete,
    /// A stop is acknowledged before it is written.
    AckBeforeWrite,
    /// A tablet that has resumed a diff logs a hundred lines a second.
    LogStorm,
    /// The snapshot of a diff that is stopped stays open.
    SnapshotLeftOpen,
    /// A diff goes on after a checkpoint only when somebody asks the tablet something.
    LivesWhenAsked,
}

impl SeededBug {
    /// Every known bug.
    pub const ALL: [SeededBug; 24] = [
        SeededBug::RegistryBeforeInit,
        SeededBug::WatchEndUnwrap,
        SeededBug::SplitCheckpoint,
        SeededBug::LateRestartGuard,
        SeededBug::CompletedTableAgain,
        SeededBug::BrokenStreamIsEnd,
        SeededBug::UnreadyAfterRecovery,
        SeededBug::WorkflowLeftStopped,
        SeededBug::PanicAfterDemotion,
        SeededBug::StopRefused,
        SeededBug::NoMemoryGuard,
        SeededBug::DescriptorLeak,
        SeededBug::SitsAfterRestart,
        SeededBug::SlowSigterm,
        SeededBug::ResumeWithoutController,
        SeededBug::CursorForgotten,
        SeededBug::LockNotReleased,
        SeededBug::FlagLostOnError,
        SeededBug::ReportDroppedOnResume,
        SeededBug::OrphanedTablesOnDelete,
        SeededBug::AckBeforeWrite,
        SeededBug::LogStorm,
        SeededBug::SnapshotLeftOpen,
        SeededBug::LivesWhenAsked,
    ];

    fn bit(self) -> u64 {
        1 << self as u64
    }

    /// The name by which the environment switches it on.
    pub fn name(self) -> &'static str {
        match self {
            SeededBug::RegistryBeforeInit => "registry-before-init",
            SeededBug::WatchEndUnwrap => "watch-end-unwrap",
            SeededBug::SplitCheckpoint => "split-checkpoint",
            SeededBug::LateRestartGuard => "late-restart-guard",
            SeededBug::CompletedTableAgain => "completed-table-again",
            SeededBug::BrokenStreamIsEnd => "broken-stream-is-end",
            SeededBug::UnreadyAfterRecovery => "unready-after-recovery",
            SeededBug::WorkflowLeftStopped => "workflow-left-stopped",
            SeededBug::PanicAfterDemotion => "panic-after-demotion",
            SeededBug::StopRefused => "stop-refused",
            SeededBug::NoMemoryGuard => "no-memory-guard",
            SeededBug::DescriptorLeak => "descriptor-leak",
            SeededBug::SitsAfterRestart => "sits-after-restart",
            SeededBug::SlowSigterm => "slow-sigterm",
            SeededBug::ResumeWithoutController => "resume-without-controller",
            SeededBug::CursorForgotten => "cursor-forgotten",
            SeededBug::LockNotReleased => "lock-not-released",
            SeededBug::FlagLostOnError => "flag-lost-on-error",
            SeededBug::ReportDroppedOnResume => "report-dropped-on-resume",
            SeededBug::OrphanedTablesOnDelete => "orphaned-tables-on-delete",
            SeededBug::AckBeforeWrite => "ack-before-write",
            SeededBug::LogStorm => "log-storm",
            SeededBug::SnapshotLeftOpen => "snapshot-left-open",
            SeededBug::LivesWhenAsked => "lives-when-asked",
        }
    }
}

/// The bugs that are switched on, a bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SeededBugs(u64);

/// Why a list of bugs was refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SeededBugsError {
    /// The binary was built without them.
    #[error(
        "{VARIABLE} is set to '{0}', but this tablet was built without the feature 'seeded-bugs'"
    )]
    NotBuiltIn(String),
    /// There is no such bug.
    #[error("{VARIABLE} names the unknown bug '{0}'; known are: {1}")]
    Unknown(String, String),
}

impl SeededBugs {
    /// No bug: what a normal tablet has.
    pub fn none() -> SeededBugs {
        SeededBugs::default()
    }

    /// Whether `bug` is switched on. Always false in a binary without the feature.
    pub fn has(self, bug: SeededBug) -> bool {
        cfg!(feature = "seeded-bugs") && self.0 & bug.bit() != 0
    }

    /// Parses a comma-separated list and refuses it where the binary has no bugs.
    ///
    /// # Errors
    /// An unknown name, or any name at all in a binary without the feature.
    pub fn parse_for_this_build(list: &str) -> Result<SeededBugs, SeededBugsError> {
        let bugs: SeededBugs = list.parse()?;
        if bugs != SeededBugs::none() && !cfg!(feature = "seeded-bugs") {
            return Err(SeededBugsError::NotBuiltIn(list.trim().to_owned()));
        }
        Ok(bugs)
    }
}

impl FromStr for SeededBugs {
    type Err = SeededBugsError;

    fn from_str(list: &str) -> Result<SeededBugs, SeededBugsError> {
        let mut bugs = SeededBugs::none();
        for name in list.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            let Some(bug) = SeededBug::ALL.into_iter().find(|bug| bug.name() == name) else {
                let known = SeededBug::ALL.map(SeededBug::name).join(", ");
                return Err(SeededBugsError::Unknown(name.to_owned(), known));
            };
            bugs.0 |= bug.bit();
        }
        Ok(bugs)
    }
}

impl fmt::Display for SeededBug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_list_is_no_bug() {
        assert_eq!(" , ".parse(), Ok(SeededBugs::none()));
    }

    /// A bug that switches on another one would be hunted by what the other breaks.
    #[test]
    fn each_name_switches_on_its_own_bug_and_no_other() {
        for bug in SeededBug::ALL {
            let bugs: SeededBugs = bug.name().parse().unwrap();
            let on = SeededBug::ALL.into_iter().filter(|other| bugs.0 & other.bit() != 0);
            assert_eq!(on.collect::<Vec<_>>(), [bug]);
        }
    }

    #[test]
    fn an_unknown_bug_is_refused_with_the_known_ones() {
        let error = "watch-end".parse::<SeededBugs>().unwrap_err().to_string();
        assert!(error.contains("'watch-end'") && error.contains("watch-end-unwrap"), "{error}");
    }

    /// Otherwise a harness that forgot the feature would measure a healthy tablet as a sick one.
    #[test]
    fn a_binary_refuses_a_bug_that_it_does_not_have() {
        let parsed = SeededBugs::parse_for_this_build("watch-end-unwrap");
        assert_eq!(parsed.is_ok(), cfg!(feature = "seeded-bugs"));
    }
}
