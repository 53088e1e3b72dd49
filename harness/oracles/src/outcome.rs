//! I3, resumes or fails cleanly: the outcome that the trial's faults allow. A diff that was deleted
//! (by the operator's action, or by hand) is gone and a new one completes; every other diff reaches
//! `completed` unaided; errors on the way carry a reason and are retried by the tablet itself; a diff
//! that is to run moves, and one at rest takes the operator's verbs.

use records::journal::Event;
use records::journal::facts::Retry;
use records::schedule::{DiffOutcome, Fault};
use records::tellings::Telling;
use records::verdict::{Cause, Invariant, Judgement};

use super::examination::Examination;
use super::history::Diff;
use super::oracle::Oracle;
use super::view::View;
use super::{progress, refusals, verbs};

/// See the module.
pub(super) const ORACLE: Oracle = Oracle { invariant: Invariant::I3, judge };

fn judge(view: &View<'_>) -> Judgement {
    let mut exam = Examination::new(Invariant::I3, view);
    steps_are_told(&mut exam, view);
    settles(&mut exam, view);
    unaided(&mut exam, view);
    verbs::are_no_dead_end(&mut exam, view);
    if exam.needs_history(view) {
        let diffs = view.history.diffs();
        progress::moves(&mut exam, view, &diffs);
        for diff in &diffs {
            errors_are_clean(&mut exam, view, diff);
            match (diff.deleted, diff.last) {
                (Some(_), _) => gone(&mut exam, view, diff, &diffs),
                (None, Some(_)) => completes(&mut exam, view, diff),
                (None, None) => {}
            }
        }
        if diffs.is_empty() && view.actions.iter().any(|action| action.what.acknowledged) {
            exam.missing(None, "the history holds no diff");
        }
    }
    exam.finish()
}

/// Every scheduled fault landed, with its effect, or missed; at least one of them landed, but in a trial that explores.
fn steps_are_told(exam: &mut Examination, view: &View<'_>) {
    let Some(schedule) = view.schedule() else { return };
    let missed = view.events(|event| match event {
        Event::FaultMissed { step, reason, .. } => Some((*step, reason)),
        _ => None,
    });
    let landed = view.landed();
    for (index, step) in schedule.steps.iter().enumerate() {
        let has_landed = landed.iter().any(|landing| landing.what.0 == index);
        let has_missed = missed.iter().any(|miss| miss.what.0 == index);
        let in_vain = view.without_effect().into_iter().find(|seq_step| seq_step.1 == index);
        if let Some((seq, _)) = in_vain.filter(|_| !has_landed) {
            let (fault, wanted) = (step.fault, step.fault.facts().evidence);
            let text = format!("step {index} ({fault}): its effect is not proven: {wanted}");
            exam.missing(Some(seq), text);
        } else if !has_landed && !has_missed {
            let text = format!("step {index} ({}) neither landed nor missed", step.fault);
            exam.missing(None, text);
        }
    }
    if landed.is_empty() && !schedule.steps.is_empty() && !schedule.explores {
        let why: Vec<&str> = missed.iter().map(|miss| miss.what.1.as_str()).collect();
        let text = format!("no fault landed: {}", why.join("; "));
        exam.missing_for(Cause::NotLanded, None, text);
    }
}

fn settles(exam: &mut Examination, view: &View<'_>) {
    let settled = view.settled();
    for end in &settled {
        let (uuid, state) = end.what;
        exam.check(state == "completed", Some(end.seq), || {
            format!("expected the diff {uuid} to come to rest completed; it is {state}")
        });
    }
    if settled.is_empty() {
        let passed = view.events(|event| match event {
            Event::DeadlinePassed { waiting_for, after_ms } => Some((waiting_for, *after_ms)),
            _ => None,
        });
        match passed.last() {
            // A firewall, a proxy or a network of the host may be in the way: nobody has hurt it yet.
            Some(_) if view.never_came_up() => {
                exam.missing(None, "the tablets never became ready, before anything was hurt");
            }
            Some(deadline) if view.was_left_hurt() => {
                exam.missing(
                    Some(deadline.seq),
                    "the harness failed before it had ended the fault",
                );
            }
            Some(deadline) => {
                let (waiting_for, after_ms) = deadline.what;
                exam.fail(Some(deadline.seq), format!(
                    "expected the diff to settle; waited for {waiting_for} for {after_ms} ms in vain"
                ));
            }
            None => exam.missing(None, "nothing tells that the diff came to rest"),
        }
    }
}

/// The operator resumes what the operator stopped, once for each stop, and nothing else; and what the
/// operator asks of a ready tablet is taken.
fn unaided(exam: &mut Examination, view: &View<'_>) {
    let mut stopped: Vec<&str> = Vec::new();
    for action in &view.actions {
        let uuid = action.what.uuid.as_str();
        let refused = !action.what.acknowledged && action.what.tries.iter().any(|it| it.refused);
        match action.what.action.as_str() {
            // A stop of a stopped diff is no further one; a refused stop is none.
            "stop" if !refused && !stopped.contains(&uuid) => stopped.push(uuid),
            "resume" if action.what.acknowledged => {
                exam.check(stopped.contains(&uuid), Some(action.seq), || {
                    format!("expected the diff {uuid} to go on unaided; it had to be resumed")
                });
                stopped.retain(|other| *other != uuid);
            }
            _ => {}
        }
        if matches!(action.what.action.as_str(), "create" | "resume") {
            refusals::end_in_time(exam, view, action);
        }
    }
}

/// An error on the way: with a reason, ephemeral, and left by the tablet itself.
fn errors_are_clean(exam: &mut Examination, view: &View<'_>, diff: &Diff<'_>) {
    for step in diff.moves.iter().filter(|step| step.to == "error") {
        let Some(status) = step.change.status() else { continue };
        let (error, seq) = (&status.error, Some(step.change.seq));
        exam.check(!error.is_empty(), seq, || {
            format!("expected a reason with the error of the diff {}; there is none", diff.uuid)
        });
        if view.tells(Telling::Retries) {
            exam.check(status.retry != Some(Retry::Operator), seq, || {
                format!("expected no lasting error of the diff {}; found: {error}", diff.uuid)
            });
        }
    }
}

fn completes(exam: &mut Examination, view: &View<'_>, diff: &Diff<'_>) {
    let Some(status) = diff.last else { return };
    let state = status.state.as_str();
    let last_seq = diff.moves.last().map(|step| step.change.seq);
    let why = status.error.as_str();
    let why = if why.is_empty() { String::new() } else { format!(": {why}") };
    let uuid = diff.uuid;
    exam.check(state == "completed", last_seq, || match state {
        "pending" | "started" => {
            format!("expected the diff {uuid} to end; nobody finished it, it is still {state}{why}")
        }
        _ => format!("expected the diff {uuid} to end completed; it is {state}{why}"),
    });
    if state == "completed" {
        let settled = view.settled();
        if !settled.is_empty() && !settled.iter().any(|end| end.what.0 == uuid) {
            exam.missing(None, format!("nothing tells that the diff {uuid} came to rest"));
        }
    }
}

/// A deleted diff: no later write under its uuid, its children swept, a new diff of the workflow
/// completes.
fn gone(exam: &mut Examination, view: &View<'_>, diff: &Diff<'_>, diffs: &[Diff<'_>]) {
    let Some(deleted) = diff.deleted else { return };
    let (uuid, seq) = (diff.uuid, Some(deleted.seq));
    exam.check(diff.last.is_none(), seq, || {
        format!("expected the deleted diff {uuid} to be gone; it is there again")
    });
    let wanted = view.actions.iter().any(|a| a.what.action == "delete" && a.what.uuid == uuid)
        || view.injected().iter().any(|fault| {
            fault.what.1 != Fault::Delete
                && fault.what.1.facts().outcome == DiffOutcome::GoneAndFollowed
        });
    exam.check(wanted, seq, || format!("expected the diff {uuid} to stay; nobody deleted it"));
    let orphans = orphans(view, diff.id);
    let by_verb = view.actions.iter().any(|a| a.what.action == "delete" && a.what.uuid == uuid);
    if by_verb || view.tells(Telling::Sweeping) {
        exam.check(orphans.is_empty(), seq, || {
            format!(
                "expected the tables of the deleted diff {uuid} to be swept; left: {}",
                orphans.join(", ")
            )
        });
    }
    let inserted_later = |other: &&Diff<'_>| other.inserted.is_some_and(|i| i.seq > deleted.seq);
    let followed = diffs
        .iter()
        .filter(inserted_later)
        .any(|other| other.last.is_some_and(|status| status.state == "completed"));
    exam.check(followed, seq, || {
        format!("expected a new diff to complete after the diff {uuid} was deleted; none did")
    });
}

/// Tables of a diff whose rows are still there at the end.
fn orphans<'a>(view: &View<'a>, id: &str) -> Vec<&'a str> {
    let mut tables: Vec<&str> = Vec::new();
    for change in view.history.of_tables().filter(|change| change.fact.diff == id) {
        let table = change.fact.table.as_str();
        tables.retain(|known| *known != table);
        if change.fact.after.is_some() {
            tables.push(table);
        }
    }
    tables
}
