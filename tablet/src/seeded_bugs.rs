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
}

impl SeededBug {
    /// Every known bug.
    pub const ALL: [SeededBug; 6] = [
        SeededBug::RegistryBeforeInit,
        SeededBug::WatchEndUnwrap,
        SeededBug::SplitCheckpoint,
        SeededBug::LateRestartGuard,
        SeededBug::CompletedTableAgain,
        SeededBug::BrokenStreamIsEnd,
    ];

    /// The name by which the environment switches it on.
    pub fn name(self) -> &'static str {
        match self {
            SeededBug::RegistryBeforeInit => "registry-before-init",
            SeededBug::WatchEndUnwrap => "watch-end-unwrap",
            SeededBug::SplitCheckpoint => "split-checkpoint",
            SeededBug::LateRestartGuard => "late-restart-guard",
            SeededBug::CompletedTableAgain => "completed-table-again",
            SeededBug::BrokenStreamIsEnd => "broken-stream-is-end",
        }
    }
}

/// The bugs that are switched on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SeededBugs {
    registry_before_init: bool,
    watch_end_unwrap: bool,
    split_checkpoint: bool,
    late_restart_guard: bool,
    completed_table_again: bool,
    broken_stream_is_end: bool,
}

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
        cfg!(feature = "seeded-bugs")
            && match bug {
                SeededBug::RegistryBeforeInit => self.registry_before_init,
                SeededBug::WatchEndUnwrap => self.watch_end_unwrap,
                SeededBug::SplitCheckpoint => self.split_checkpoint,
                SeededBug::LateRestartGuard => self.late_restart_guard,
                SeededBug::CompletedTableAgain => self.completed_table_again,
                SeededBug::BrokenStreamIsEnd => self.broken_stream_is_end,
            }
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
            match SeededBug::ALL.into_iter().find(|bug| bug.name() == name) {
                Some(SeededBug::RegistryBeforeInit) => bugs.registry_before_init = true,
                Some(SeededBug::WatchEndUnwrap) => bugs.watch_end_unwrap = true,
                Some(SeededBug::SplitCheckpoint) => bugs.split_checkpoint = true,
                Some(SeededBug::LateRestartGuard) => bugs.late_restart_guard = true,
                Some(SeededBug::CompletedTableAgain) => bugs.completed_table_again = true,
                Some(SeededBug::BrokenStreamIsEnd) => bugs.broken_stream_is_end = true,
                None => {
                    let known = SeededBug::ALL.map(SeededBug::name).join(", ");
                    return Err(SeededBugsError::Unknown(name.to_owned(), known));
                }
            }
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
