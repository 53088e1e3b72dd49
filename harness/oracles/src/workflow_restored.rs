//! I6, as far as the workflow's row goes: it runs again, without a message or a stop position, within
//! the deadline for readiness after the diff's end; and what an operator stopped or froze stays as the
//! operator left it. Only an act of the operator in the journal excuses a workflow at rest: a message in
//! its row may be the tablet's own.

use records::journal::facts::{WorkflowChanged, WorkflowHold};
use records::journal::{Event, OperatorAct};
use records::verdict::{Invariant, Judgement};

use super::examination::Examination;
use super::history::Change;
use super::oracle::Oracle;
use super::verbs;
use super::view::{At, View};

/// The workflow's row as it was last read at the end.
struct LastRow<'a> {
    workflow: &'a str,
    state: &'a str,
    message: &'a str,
    stop_pos: &'a str,
    hold: Option<WorkflowHold>,
}

/// See the module.
pub(super) const ORACLE: Oracle = Oracle { invariant: Invariant::I6, judge };

fn judge(view: &View<'_>) -> Judgement {
    let mut exam = Examination::new(Invariant::I6, view);
    let acts = view.events(|event| match event {
        Event::OperatorAct { act } => Some(*act),
        _ => None,
    });
    if exam.needs_history(view) {
        for change in view.history.of_workflows() {
            respects_the_operator(&mut exam, change, !acts.is_empty());
        }
    }
    for verbs in verbs::tried(view) {
        let (workflow, uuid) = (&verbs.what.workflow, &verbs.what.uuid);
        exam.check(workflow == "Running" || !acts.is_empty(), Some(verbs.seq), || {
            format!("expected the workflow to run after the delete of {uuid}; it is {workflow}")
        });
    }
    let rows = view.events(|event| match event {
        Event::WorkflowRow { workflow, state, message, stop_pos, hold, .. } => {
            Some(LastRow { workflow, state, message, stop_pos, hold: *hold })
        }
        _ => None,
    });
    // It may have been read more than once while it was awaited: the last one counts.
    match (rows.last(), acts.last()) {
        (None, _) => exam.missing(None, "the workflow's row was not read at the end"),
        (Some(row), Some(act)) => is_as_left(&mut exam, row, act.what),
        (Some(row), None) => runs_again(&mut exam, view, row),
    }
    exam.finish()
}

fn is_as_left(exam: &mut Examination, row: &At<LastRow<'_>>, act: OperatorAct) {
    let LastRow { workflow, state, message, hold, .. } = row.what;
    let (as_left, how) = match act {
        OperatorAct::StopWorkflow => {
            (state == "Stopped" && hold != Some(WorkflowHold::Diff), "Stopped")
        }
        OperatorAct::FreezeWorkflow => (hold == Some(WorkflowHold::Frozen), "frozen"),
    };
    exam.check(as_left, Some(row.seq), || {
        format!(
            "expected the workflow {workflow} {how}, as an operator left it; \
             it is {state:?} ({message:?})"
        )
    });
}

fn runs_again(exam: &mut Examination, view: &View<'_>, row: &At<LastRow<'_>>) {
    let (LastRow { workflow, state, message, stop_pos, .. }, seq) = (&row.what, Some(row.seq));
    exam.check(*state == "Running", seq, || {
        format!("expected the workflow {workflow} to be Running; it is {state:?} ({message:?})")
    });
    exam.check(message.is_empty(), seq, || {
        format!("expected no message at the workflow {workflow}; found {message:?}")
    });
    exam.check(stop_pos.is_empty(), seq, || {
        format!("expected no stop position at the workflow {workflow}; found {stop_pos:?}")
    });
    let (Some(end), Some(schedule)) = (view.settled().last().copied(), view.schedule()) else {
        return;
    };
    let (within_ms, took_ms) = (schedule.deadlines.ready_ms, row.at_ms.saturating_sub(end.at_ms));
    exam.check_time(view, (end.at_ms, row.at_ms), took_ms <= within_ms, seq, || {
        format!(
            "expected the workflow {workflow} restored within {within_ms} ms of the diff's end; \
             it took {took_ms} ms"
        )
    });
}

/// Who stopped a workflow starts it: VDiff only what it holds itself, and it holds only what runs and is
/// not frozen.
fn respects_the_operator(
    exam: &mut Examination,
    change: Change<'_, WorkflowChanged>,
    operator_acted: bool,
) {
    let (Some(before), Some(after)) = (&change.fact.before, &change.fact.after) else { return };
    let was = |hold| before.hold == Some(hold);
    let is = |hold| after.hold == Some(hold);
    let is_the_operators =
        operator_acted && (before.state == "Stopped" || was(WorkflowHold::Frozen));
    let started = before.state != "Running" && after.state == "Running";
    let taken_over = is(WorkflowHold::Diff) && !was(WorkflowHold::Diff);
    let respected = match (started, taken_over) {
        (true, _) => was(WorkflowHold::Diff),
        (false, true) => !is_the_operators,
        (false, false) => !was(WorkflowHold::Frozen) || is(WorkflowHold::Frozen),
    };
    exam.check(respected, Some(change.seq), || {
        format!(
            "expected the workflow to stay {} ({:?}), as an operator left it; it became {} ({:?})",
            before.state, before.message, after.state, after.message
        )
    });
}
