//! A run made by hand, with its summary.

use records::TrialRecord;

pub(crate) use records::sample::{coverage, info, schedule};

use crate::summary::Summary;

pub(crate) fn run() -> (Summary, Vec<TrialRecord>) {
    let (info, trials) = records::sample::run();
    (Summary::build(&info, &trials).cover(Some(&coverage())), trials)
}
