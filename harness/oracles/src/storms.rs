//! Part of I8: a log tells a story, it does not repeat itself for ever.

use std::collections::BTreeMap;

use records::journal::Event;
use records::tellings::Telling;

use super::examination::Examination;
use super::view::{View, side_name};

/// Lines of a tablet's log within one second. A restart that resumes a diff of many tables says some
/// forty, and a usual one twelve; a loop says a hundred and more.
const LINES_A_SECOND_MAX: u64 = 80;
/// Entries in the log of one diff within one second. A table takes five, and the smallest takes
/// more than 100 ms; a loop that only waits for its commit writes some hundred.
const ENTRIES_A_SECOND_MAX: usize = 60;
const SECOND_US: u64 = 1_000_000;

pub(super) fn do_not_rage(exam: &mut Examination, view: &View<'_>) {
    let volumes = view.events(|event| match event {
        Event::LogVolume { side, lines, busiest_second } => Some((*side, *lines, *busiest_second)),
        _ => None,
    });
    if volumes.is_empty() && view.was_collected() {
        exam.missing(None, "the lines of the tablets' logs were not counted");
    }
    for volume in volumes.iter().filter(|_| view.tells(Telling::LogVolume)) {
        let (side, lines, busiest) = volume.what;
        exam.check(busiest <= LINES_A_SECOND_MAX, Some(volume.seq), || {
            format!(
                "expected at most {LINES_A_SECOND_MAX} lines a second in the log of the {}; \
                 found {busiest} (of {lines})",
                side_name(side)
            )
        });
    }
    if !view.tells(Telling::Story) {
        return;
    }
    let mut entries: BTreeMap<&str, Vec<(u64, u64)>> = BTreeMap::new();
    for entry in view.history.log() {
        let times = entries.entry(&entry.fact.diff).or_default();
        times.push((entry.change.commit_us, entry.seq));
    }
    for (id, times) in entries {
        let most = busiest(&times);
        exam.check(most.0 <= ENTRIES_A_SECOND_MAX, Some(most.1), || {
            format!(
                "expected at most {ENTRIES_A_SECOND_MAX} entries in the log of the diff {id} within \
                 a second; found {}",
                most.0
            )
        });
    }
}

/// The most entries within any second, and where they begin.
fn busiest(times: &[(u64, u64)]) -> (usize, u64) {
    let (mut most, mut first) = ((0, 0), 0);
    for last in 0..times.len() {
        while times[last].0.saturating_sub(times[first].0) >= SECOND_US {
            first += 1;
        }
        if last + 1 - first > most.0 {
            most = (last + 1 - first, times[first].1);
        }
    }
    most
}
