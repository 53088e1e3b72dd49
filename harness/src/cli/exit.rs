//! The program's exit codes.

use std::process::ExitCode;

use reports::verdict::Verdict;

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0: all passed.
    Pass,
    /// 1: a finding.
    Finding,
    /// 2: inconclusive, interrupted, or the floor of landed faults was not reached.
    Inconclusive,
    /// 3: the harness failed.
    Harness,
    /// 64: the command line or an input file is wrong.
    Usage,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(match exit {
            Exit::Pass => 0,
            Exit::Finding => 1,
            Exit::Inconclusive => 2,
            Exit::Harness => 3,
            Exit::Usage => 64,
        })
    }
}

impl From<Verdict> for Exit {
    fn from(verdict: Verdict) -> Exit {
        match verdict {
            Verdict::Pass => Exit::Pass,
            Verdict::Fail => Exit::Finding,
            Verdict::Inconclusive => Exit::Inconclusive,
        }
    }
}
