//! What is known of the bugs that can be switched on in a system, to measure that the harness finds them.

use records::schedule::{CrashPoint, Fault, Link, Moment, Phase};
use records::verdict::Invariant;
use serde::Serialize;

/// What is known of one bug.
#[derive(Clone, Copy, Debug)]
pub struct KnownBug {
    /// The fault that brings it out.
    pub fault: Fault,
    /// How that fault must strike.
    pub aim: Aim,
    /// The only exchange in which it can be seen; none: it needs no crash point.
    pub window: Option<Window>,
    /// The fault that is the operator's way around it.
    pub workaround: Option<Fault>,
    /// The invariants that it breaks, all of them at once.
    pub breaks: &'static [Invariant],
}

/// How a fault strikes at a bug that shows without a crash point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aim {
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

/// A place in the target tablet's conversation with MySQL: for a hunt that looks there only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Window {
    /// How the statement's fingerprint begins, and no other statement's.
    pub statement: &'static str,
    /// The first of these statements in a diff that lies in the window, from 1.
    pub nth_min: u32,
    /// The moment of that statement.
    pub moment: Moment,
}

impl Window {
    /// Whether a point lies in it.
    #[must_use]
    pub fn has(&self, point: &CrashPoint) -> bool {
        point.link == Link::Mysql
            && point.moment == self.moment
            && point.nth >= self.nth_min
            && point.fingerprint.starts_with(self.statement)
    }
}
