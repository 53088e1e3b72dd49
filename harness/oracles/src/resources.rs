//! Part of I7: what a living tablet holds after its diffs is what it held at rest before them.

use records::journal::{CountedWhen, Event, ResourceCount};

use super::examination::Examination;
use super::view::{At, View, side_name};

/// Sockets more than at rest. A pool keeps the connections that worked at once, and the harness asks some
/// things at once: up to five more were seen.
const SOCKETS_MORE_MAX: u64 = 8;
/// Tasks more than at rest: each connection that is served has one, and each call in flight; up to seven
/// more were seen, in 1,500 trials.
const TASKS_MORE_MAX: u64 = 8;
const SOCKET: &str = "socket";

/// Whether a tablet holds at most so much more than at rest as its pools may keep. Of files, pipes and the
/// like it holds what it held: one that is leaked is one too many.
pub fn growth_is_bounded(rest: &ResourceCount, now: &ResourceCount) -> bool {
    let more_tasks = now.tasks.zip(rest.tasks).map_or(0, |(now, rest)| now.saturating_sub(rest));
    leaked(rest, now).is_empty() && more_tasks <= TASKS_MORE_MAX
}

/// The kinds of descriptors of which there are too many: kind, at rest, now.
fn leaked(rest: &ResourceCount, now: &ResourceCount) -> Vec<(String, u64, u64)> {
    let (Some(rest), Some(now)) = (&rest.descriptors, &now.descriptors) else { return Vec::new() };
    let kinds = now.iter().map(|(kind, is)| (kind, rest.get(kind).copied().unwrap_or(0), *is));
    let too_many = kinds.filter(|(kind, was, is)| {
        let more_max = if *kind == SOCKET { SOCKETS_MORE_MAX } else { 0 };
        *is > was + more_max
    });
    too_many.map(|(kind, was, is)| (kind.clone(), was, is)).collect()
}

pub(super) fn does_not_grow(exam: &mut Examination, view: &View<'_>) {
    let looks = view.events(|event| match event {
        Event::ResourcesCounted(held) => Some(held),
        _ => None,
    });
    let of = |side, moment| {
        looks.iter().rfind(|look| look.what.side == side && look.what.moment == moment)
    };
    for side in view.sides_that_live_on() {
        if !view.was_collected() {
            continue;
        }
        match (of(side, CountedWhen::AtRest), of(side, CountedWhen::AtEnd)) {
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

fn compare(exam: &mut Examination, rest: &ResourceCount, end: &At<&ResourceCount>) {
    let (now, seq) = (end.what, Some(end.seq));
    let who = side_name(now.side);
    // Descriptors cannot be seen from every host: then the journal says so, and nothing is claimed.
    if rest.descriptors.is_some() && now.descriptors.is_some() {
        let leaked = leaked(rest, now);
        exam.check(leaked.is_empty(), seq, || {
            let kinds: Vec<String> =
                leaked.iter().map(|(kind, was, is)| format!("{is} of {kind} (at rest {was})")).collect();
            format!(
                "expected the {who} to hold at most {SOCKETS_MORE_MAX} sockets and no other descriptor \
                 more than at rest; found {}",
                kinds.join(", ")
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
