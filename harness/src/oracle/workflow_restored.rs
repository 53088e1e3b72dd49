//! I6, as far as the workflow's row goes: it runs again, without a message or a stop position,
//! within 90 s of the diff's end.

use reports::journal::Event;
use reports::verdict::{Invariant, Judgement};

use super::examination::Examination;
use super::view::View;

const RESTORED_MS_MAX: u64 = 90_000;

pub(super) fn judge(view: &View<'_>) -> Judgement {
    let mut exam = Examination::new(Invariant::I6, view);
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
