//! Part of I3: a diff that is to run is taken up, and moves. Judged by the binlog, so that no poll can miss a
//! move. A move is a row more compared or another state: a tablet that writes and gets nowhere stands still.

use records::journal::Side;
use records::journal::facts::{DiffStatus, Fact, Retry};
use records::schedule::stall_ms;
use records::tellings::Telling;

use super::examination::Examination;
use super::history::{Change, Diff};
use super::view::View;
use super::windows::{Window, outside};

/// The longest honest pause: the lease of a dead incarnation runs out (5 s), a retry waits (2 s), and the
/// shard sync loop looks again (1 s).
/// A ready tablet has a controller for each diff that is to run within this time.
const PICK_UP_MS_MAX: u64 = 2_000;

pub(super) fn moves(exam: &mut Examination, view: &View<'_>, diffs: &[Diff<'_>]) {
    let mut excused = view.harm();
    excused.extend(view.down(Side::Target));
    for diff in diffs {
        let changes: Vec<Change<'_, Fact>> =
            view.history.facts.iter().filter(|change| belongs(change, diff)).copied().collect();
        stalls(exam, view, diff, &changes, &excused);
        picked_up(exam, view, diff, &changes, &excused);
    }
}

/// The longest of some times, without what is excused of them.
#[derive(Default)]
struct Worst {
    took_ms: u64,
    window: Window,
    seq: u64,
}

impl Worst {
    fn take(&mut self, (seq, from_ms): (u64, u64), until_ms: u64, excused: &[Window]) {
        let window = (from_ms, until_ms.max(from_ms));
        let took_ms = outside(window, excused);
        if took_ms > self.took_ms {
            *self = Worst { took_ms, window, seq };
        }
    }
}

/// One check for each diff: its longest time without a move while it was to run.
fn stalls(
    exam: &mut Examination,
    view: &View<'_>,
    diff: &Diff<'_>,
    changes: &[Change<'_, Fact>],
    excused: &[Window],
) {
    let mut since: Option<(u64, u64)> = None;
    let mut worst = Worst::default();
    for change in changes.iter().filter(|change| is_move(change)) {
        let at_ms = view.at_ms_of(change.change);
        if let Some(since) = since {
            worst.take(since, at_ms, excused);
        }
        since = match change.fact {
            Fact::Diff(diff) => {
                diff.after.as_ref().is_some_and(is_to_run).then_some((change.seq, at_ms))
            }
            _ => since.map(|_| (change.seq, at_ms)),
        };
    }
    if let Some(since) = since {
        worst.take(since, view.end_ms, excused);
    }
    let Worst { took_ms, window, seq } = worst;
    let at_most_ms = view.schedule().map_or_else(stall_ms, |it| it.deadlines.stall_ms);
    exam.check_time(view, window, took_ms <= at_most_ms, Some(seq), || {
        format!(
            "expected the diff {} to move within {at_most_ms} ms; it stood still for {took_ms} ms",
            diff.uuid
        )
    });
}

/// One check for each diff: the longest time in which it was to run and nobody had taken it up. A pending
/// row is taken up by the next change of it; a row that a dead incarnation left, by the first change that
/// carries another epoch.
fn picked_up(
    exam: &mut Examination,
    view: &View<'_>,
    diff: &Diff<'_>,
    changes: &[Change<'_, Fact>],
    excused: &[Window],
) {
    let mut worst = Worst::default();
    let mut pending: Option<(u64, u64)> = None;
    for change in changes {
        let Fact::Diff(diff) = change.fact else { continue };
        let at_ms = view.at_ms_of(change.change);
        if let Some(since) = pending.take() {
            worst.take(since, at_ms, excused);
        }
        let is_pending = diff.after.as_ref().is_some_and(|status| status.state == "pending");
        pending = is_pending.then_some((change.seq, at_ms));
    }
    if let Some(since) = pending {
        worst.take(since, view.end_ms, excused);
    }
    let left = if view.tells(Telling::Owners) { view.down(Side::Target) } else { Vec::new() };
    for (exit_ms, ready_ms) in left {
        let before = changes.iter().take_while(|change| view.at_ms_of(change.change) <= exit_ms);
        let of_diff = |change: &Change<'_, Fact>| matches!(change.fact, Fact::Diff(_));
        let Some(last) = before.filter(|change| of_diff(change)).last() else {
            continue;
        };
        let left_running = matches!(last.fact, Fact::Diff(diff) if diff.after.as_ref().is_some_and(
            |status| matches!(status.state.as_str(), "pending" | "started")
        ));
        if !left_running {
            continue;
        }
        let mut after = changes.iter().filter(|change| view.at_ms_of(change.change) > exit_ms);
        let taken =
            after.find(|change| is_deletion(change.fact) || owner(change.fact) != owner(last.fact));
        if taken.is_some_and(|change| is_deletion(change.fact)) {
            continue;
        }
        let taken_ms = taken.map_or(view.end_ms, |change| view.at_ms_of(change.change));
        worst.take((last.seq, ready_ms), taken_ms, excused);
    }
    let Worst { took_ms, window, seq } = worst;
    exam.check_time(view, window, took_ms <= PICK_UP_MS_MAX, Some(seq), || {
        format!(
            "expected the diff {} to have a controller within {PICK_UP_MS_MAX} ms; it had none for \
             {took_ms} ms",
            diff.uuid
        )
    });
}

/// The diff itself was deleted: nobody has to take it up.
fn is_deletion(fact: &Fact) -> bool {
    matches!(fact, Fact::Diff(diff) if diff.after.is_none())
}

/// The epoch of who owned it last.
fn owner(fact: &Fact) -> Option<u64> {
    match fact {
        Fact::Diff(diff) => diff.after.as_ref().or(diff.before.as_ref())?.owner,
        Fact::Table(table) => table.after.as_ref().or(table.before.as_ref())?.owner,
        Fact::Entry(_) | Fact::Workflow(_) => None,
    }
}

/// Its own changes, and those of its tables.
fn belongs(change: &Change<'_, Fact>, diff: &Diff<'_>) -> bool {
    match change.fact {
        Fact::Diff(changed) => changed.diff == diff.id && changed.uuid == diff.uuid,
        Fact::Table(table) => table.diff == diff.id,
        Fact::Entry(_) | Fact::Workflow(_) => false,
    }
}

/// It came or went, its state changed, or more rows are compared.
fn is_move(change: &Change<'_, Fact>) -> bool {
    match change.fact {
        Fact::Diff(diff) => match (&diff.before, &diff.after) {
            (Some(before), Some(after)) => before.state != after.state,
            _ => true,
        },
        Fact::Table(table) => match (&table.before, &table.after) {
            (Some(before), Some(after)) => before.state != after.state || after.rows > before.rows,
            _ => true,
        },
        Fact::Entry(_) | Fact::Workflow(_) => false,
    }
}

fn is_to_run(status: &DiffStatus) -> bool {
    match status.state.as_str() {
        "pending" | "started" => true,
        "error" => status.retry == Some(Retry::Tablet),
        _ => false,
    }
}
