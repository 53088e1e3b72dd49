//! Part of I3: a diff that is to run is taken up, and moves. Judged by the binlog, so that no poll can miss a
//! move. A move is a row more compared or another state: a tablet that writes and gets nowhere stands still.

use super::examination::Examination;
use super::history::{Change, Diff, number, text};
use super::view::View;
use super::windows::{Window, outside};
use reports::journal::Side;

/// The longest honest pause: the lease of a dead incarnation runs out (5 s), a retry waits (2 s), and the
/// shard sync loop looks again (1 s).
const STALL_MS_MAX: u64 = 8_000;
/// A ready tablet has a controller for each diff that is to run within this time.
const PICK_UP_MS_MAX: u64 = 2_000;

pub(super) fn moves(exam: &mut Examination, view: &View<'_>, diffs: &[Diff<'_>]) {
    let mut excused = view.harm();
    excused.extend(view.down(Side::Target));
    for diff in diffs {
        let changes: Vec<Change<'_>> =
            view.history.changes.iter().filter(|change| belongs(change, diff)).copied().collect();
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
    changes: &[Change<'_>],
    excused: &[Window],
) {
    let mut since: Option<(u64, u64)> = None;
    let mut worst = Worst::default();
    for change in changes.iter().filter(|change| is_move(change)) {
        let at_ms = view.at_ms_of(change);
        if let Some(since) = since {
            worst.take(since, at_ms, excused);
        }
        since = match change.change.table.as_str() {
            "vdiff" => is_to_run(change).then_some((change.seq, at_ms)),
            _ => since.map(|_| (change.seq, at_ms)),
        };
    }
    if let Some(since) = since {
        worst.take(since, view.end_ms, excused);
    }
    let Worst { took_ms, window, seq } = worst;
    exam.check_time(view, window, took_ms <= STALL_MS_MAX, Some(seq), || {
        format!(
            "expected the diff {} to move within {STALL_MS_MAX} ms; it stood still for {took_ms} ms",
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
    changes: &[Change<'_>],
    excused: &[Window],
) {
    let mut worst = Worst::default();
    let mut pending: Option<(u64, u64)> = None;
    for change in changes.iter().filter(|change| change.change.table == "vdiff") {
        let at_ms = view.at_ms_of(change);
        if let Some(since) = pending.take() {
            worst.take(since, at_ms, excused);
        }
        let is_pending = |row| text(row, "state") == "pending";
        pending =
            change.change.after.as_ref().is_some_and(is_pending).then_some((change.seq, at_ms));
    }
    if let Some(since) = pending {
        worst.take(since, view.end_ms, excused);
    }
    for (exit_ms, ready_ms) in view.down(Side::Target) {
        let before = changes.iter().take_while(|change| view.at_ms_of(change) <= exit_ms);
        let Some(last) = before.filter(|change| change.change.table == "vdiff").last() else {
            continue;
        };
        let left_running = last
            .change
            .after
            .as_ref()
            .is_some_and(|row| matches!(text(row, "state"), "pending" | "started"));
        if !left_running {
            continue;
        }
        let mut after = changes.iter().filter(|change| view.at_ms_of(change) > exit_ms);
        let taken = after.find(|change| is_deletion(change) || epoch(change) != epoch(last));
        if taken.is_some_and(is_deletion) {
            continue;
        }
        let taken_ms = taken.map_or(view.end_ms, |change| view.at_ms_of(change));
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
fn is_deletion(change: &Change<'_>) -> bool {
    change.change.table == "vdiff" && change.change.after.is_none()
}

fn epoch<'a>(change: &Change<'a>) -> &'a str {
    change.row().map(|row| text(row, "owner_epoch")).unwrap_or_default()
}

/// Its rows.
fn belongs(change: &Change<'_>, diff: &Diff<'_>) -> bool {
    let Some(row) = change.row() else { return false };
    match change.change.table.as_str() {
        "vdiff" => text(row, "id") == diff.id && text(row, "vdiff_uuid") == diff.uuid,
        "vdiff_table" => text(row, "vdiff_id") == diff.id,
        _ => false,
    }
}

/// The row came or went, its state changed, or more rows are compared.
fn is_move(change: &Change<'_>) -> bool {
    let (Some(before), Some(after)) = (&change.change.before, &change.change.after) else {
        return true;
    };
    let rows = |row| number(row, "rows_compared").unwrap_or(0);
    change.moved("state").is_some() || rows(after) > rows(before)
}

fn is_to_run(change: &Change<'_>) -> bool {
    let Some(after) = &change.change.after else { return false };
    match text(after, "state") {
        "pending" | "started" => true,
        "error" => text(after, "error_kind") == "ephemeral",
        _ => false,
    }
}
