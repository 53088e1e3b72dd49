//! Part of I3: a diff that is to run moves. Judged by the binlog, so that no poll can miss a move.

use super::examination::Examination;
use super::history::{Change, Diff, text};
use super::view::View;
use super::windows::{Window, outside};
use reports::journal::Side;

/// The longest honest pause: until the lease of a dead incarnation has run out (5 s), and a retry's
/// longest pause (2 s); twice that is a stall.
const STALL_MS_MAX: u64 = 14_000;

pub(super) fn moves(exam: &mut Examination, view: &View<'_>, diffs: &[Diff<'_>]) {
    let mut excused = view.harm();
    excused.extend(view.down(Side::Target));
    for diff in diffs {
        stalls(exam, view, diff, &excused);
    }
}

/// One check for each diff: its longest time without a commit while it was to run.
fn stalls(exam: &mut Examination, view: &View<'_>, diff: &Diff<'_>, excused: &[Window]) {
    let mut running: Option<(u64, u64)> = None;
    let mut worst = (0, 0);
    let mut pause = |since: Option<(u64, u64)>, until_ms: u64| {
        let Some((seq, from_ms)) = since else { return };
        let stalled_ms = outside((from_ms, until_ms.max(from_ms)), excused);
        if stalled_ms > worst.0 {
            worst = (stalled_ms, seq);
        }
    };
    for change in view.history.changes.iter().filter(|change| belongs(change, diff)) {
        let at_ms = view.at_ms_of(change);
        pause(running, at_ms);
        running = match change.change.table.as_str() {
            "vdiff" => is_to_run(change).then_some((change.seq, at_ms)),
            _ => running.map(|_| (change.seq, at_ms)),
        };
    }
    pause(running, view.end_ms);
    let (stalled_ms, seq) = worst;
    exam.check(stalled_ms <= STALL_MS_MAX, Some(seq), || {
        format!(
            "expected the diff {} to move within {STALL_MS_MAX} ms; it stood still for {stalled_ms} ms",
            diff.uuid
        )
    });
}

/// Its rows, and the workflow that it pauses.
fn belongs(change: &Change<'_>, diff: &Diff<'_>) -> bool {
    let Some(row) = change.row() else { return false };
    match change.change.table.as_str() {
        "vdiff" => text(row, "id") == diff.id && text(row, "vdiff_uuid") == diff.uuid,
        "vdiff_table" | "vdiff_log" => text(row, "vdiff_id") == diff.id,
        "vreplication" => true,
        _ => false,
    }
}

fn is_to_run(change: &Change<'_>) -> bool {
    let Some(after) = &change.change.after else { return false };
    match text(after, "state") {
        "pending" | "started" => true,
        "error" => text(after, "error_kind") == "ephemeral",
        _ => false,
    }
}
