//! I6, as far as the workflow's row goes: it runs again, without a message or a stop position,
//! within 90 s of the diff's end; and what an operator stopped or froze stays as the operator left it.

use reports::journal::Event;
use reports::verdict::{Invariant, Judgement};

use super::examination::Examination;
use super::history::{Change, Row, text};
use super::verbs;
use super::view::View;

const RESTORED_MS_MAX: u64 = 90_000;
/// What VDiff writes into the row of a workflow that it stops.
const FOR_VDIFF: &str = "for vdiff";
const FROZEN: &str = "FROZEN";

pub(super) fn judge(view: &View<'_>) -> Judgement {
    let mut exam = Examination::new(Invariant::I6, view);
    if exam.needs_history(view) {
        for change in view.history.of("vreplication") {
            respects_the_operator(&mut exam, change);
        }
    }
    for verbs in verbs::tried(view) {
        let (workflow, uuid) = (&verbs.what.workflow, &verbs.what.uuid);
        let as_before = workflow == "Running" || stopped_by_operator(view).is_some();
        exam.check(as_before, Some(verbs.seq), || {
            format!("expected the workflow to run after the delete of {uuid}; it is {workflow}")
        });
    }
    let rows = view.events(|event| match event {
        Event::WorkflowRow { workflow, state, message, stop_pos, after_ms } => {
            Some((workflow, state, message, stop_pos, *after_ms))
        }
        _ => None,
    });
    // It may have been read more than once while it was awaited: the last one counts.
    let Some(row) = rows.last() else {
        exam.missing(None, "the workflow's row was not read at the end");
        return exam.finish();
    };
    let (workflow, state, message, stop_pos, after_ms) = row.what;
    let seq = Some(row.seq);
    if let Some(left) = stopped_by_operator(view) {
        let as_left = state == text(left, "state") && message == text(left, "message");
        exam.check(as_left, seq, || {
            let (was, why) = (text(left, "state"), text(left, "message"));
            format!(
                "expected the workflow {workflow} {was} ({why:?}), as an operator left it; \
                 it is {state:?} ({message:?})"
            )
        });
        return exam.finish();
    }
    exam.check(state == "Running", seq, || {
        format!("expected the workflow {workflow} to be Running; it is {state:?}")
    });
    exam.check(message.is_empty(), seq, || {
        format!("expected no message at the workflow {workflow}; found {message:?}")
    });
    exam.check(stop_pos.is_empty(), seq, || {
        format!("expected no stop position at the workflow {workflow}; found {stop_pos:?}")
    });
    exam.check(after_ms <= RESTORED_MS_MAX, seq, || {
        format!("expected the workflow {workflow} restored within {RESTORED_MS_MAX} ms; it took {after_ms} ms")
    });
    exam.finish()
}

/// The workflow's row as an operator left it, when that was stopped or frozen. No operator of a trial
/// starts a workflow again.
fn stopped_by_operator<'a>(view: &View<'a>) -> Option<&'a Row> {
    view.history
        .of("vreplication")
        .filter_map(|change| change.change.after.as_ref())
        .filter(|row| is_the_operators(row))
        .last()
}

fn is_the_operators(row: &Row) -> bool {
    rests_by_operator(text(row, "state"), text(row, "message"))
}

/// Whether a workflow's row tells that an operator stopped or froze it. The harness's operator says why;
/// stopped without a word is nobody's wish: what a tablet leaves that dies half way.
pub(crate) fn rests_by_operator(state: &str, message: &str) -> bool {
    message == FROZEN || (state == "Stopped" && !message.is_empty() && message != FOR_VDIFF)
}

/// Who stopped a workflow starts it: VDiff only what carries its own message, and it stops only what
/// runs and is not frozen.
fn respects_the_operator(exam: &mut Examination, change: Change<'_>) {
    let (Some(before), Some(after)) = (&change.change.before, &change.change.after) else { return };
    let (state, message) = (text(before, "state"), text(before, "message"));
    let (now, why) = (text(after, "state"), text(after, "message"));
    let started = state != "Running" && now == "Running";
    let taken_over = why == FOR_VDIFF && message != FOR_VDIFF;
    let respected = match (started, taken_over) {
        (true, _) => message == FOR_VDIFF,
        (false, true) => !is_the_operators(before),
        (false, false) => message != FROZEN || why == FROZEN,
    };
    exam.check(respected, Some(change.seq), || {
        format!(
            "expected the workflow to stay {state} ({message:?}), as an operator left it; \
             it became {now} ({why:?})"
        )
    });
}
