//! Part of I7: what a living tablet holds after its diffs is what it held at rest before them.

use reports::journal::{Event, Held, Moment};

use super::examination::Examination;
use super::view::{At, View, side_name};

/// Descriptors more than at rest. A pool keeps the connections that worked at once, and the harness
/// asks some things at once: up to four more were seen. What leaks with each stream, checkpoint or
/// retry comes to dozens in one trial.
const DESCRIPTORS_MORE_MAX: u64 = 12;
/// Tasks more than at rest: each connection that is served has one, and each call in flight.
const TASKS_MORE_MAX: u64 = 12;

/// Whether a tablet holds at most so much more than at rest as its pools may keep.
pub(crate) fn growth_is_bounded(rest: &Held, now: &Held) -> bool {
    within(rest.descriptor_count(), now.descriptor_count(), DESCRIPTORS_MORE_MAX)
        && within(rest.tasks, now.tasks, TASKS_MORE_MAX)
}

fn within(rest: Option<u64>, now: Option<u64>, more_max: u64) -> bool {
    match (rest, now) {
        (Some(rest), Some(now)) => now <= rest + more_max,
        _ => true,
    }
}

pub(super) fn does_not_grow(exam: &mut Examination, view: &View<'_>) {
    let looks = view.events(|event| match event {
        Event::Held(held) => Some(held),
        _ => None,
    });
    let of = |side, moment| {
        looks.iter().rfind(|look| look.what.side == side && look.what.moment == moment)
    };
    for side in view.sides_that_live_on() {
        if !view.was_collected() {
            continue;
        }
        match (of(side, Moment::AtRest), of(side, Moment::AtEnd)) {
            (Some(rest), Some(end)) => compare(exam, rest.what, end),
            (None, _) => exam
                .missing(None, format!("nobody counted what the {} held at rest", side_name(side))),
            (_, None) => exam.missing(
                None,
                format!("nobody counted what the {} held at the end", side_name(side)),
            ),
        }
    }
}

fn compare(exam: &mut Examination, rest: &Held, end: &At<&Held>) {
    let (now, seq) = (end.what, Some(end.seq));
    let who = side_name(now.side);
    // Descriptors cannot be seen from every host: then the journal says so, and nothing is claimed.
    if let (Some(was), Some(is)) = (rest.descriptor_count(), now.descriptor_count()) {
        exam.check(is <= was + DESCRIPTORS_MORE_MAX, seq, || {
            format!(
                "expected at most {DESCRIPTORS_MORE_MAX} file descriptors of the {who} more than the \
                 {was} at rest; found {is}: {:?}",
                now.descriptors
            )
        });
    }
    match (rest.tasks, now.tasks) {
        (Some(was), Some(is)) => exam.check(is <= was + TASKS_MORE_MAX, seq, || {
            format!(
                "expected at most {TASKS_MORE_MAX} tasks of the {who} more than the {was} at rest; \
                 found {is}"
            )
        }),
        _ => {
            let why = [&rest.not_looked_at[..], &now.not_looked_at[..]].concat().join("; ");
            exam.missing(seq, format!("the tasks of the {who} were not counted: {why}"));
        }
    }
}
