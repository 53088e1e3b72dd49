//! The program's exit codes.

use std::process::ExitCode;

use records::verdict::Verdict;

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

impl Exit {
    /// The one that tells more, where a command has come to several ends: wrong usage, then a finding,
    /// then a failure of the harness, then what is inconclusive.
    #[must_use]
    pub fn worst(self, other: Exit) -> Exit {
        if other.weight() > self.weight() { other } else { self }
    }

    fn weight(self) -> u8 {
        match self {
            Exit::Pass => 0,
            Exit::Inconclusive => 1,
            Exit::Harness => 2,
            Exit::Finding => 3,
            Exit::Usage => 4,
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    // A harness that fails in the seventh hour must not hide what was found in the first.
    #[test]
    fn a_finding_outweighs_the_harness_and_that_what_is_unclear() {
        let order = [Exit::Pass, Exit::Inconclusive, Exit::Harness, Exit::Finding, Exit::Usage];
        for (place, worse) in order.into_iter().enumerate() {
            for better in order.into_iter().take(place + 1) {
                assert_eq!((worse.worst(better), better.worst(worse)), (worse, worse));
            }
        }
    }
}
