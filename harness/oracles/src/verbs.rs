//! Part of I3: a diff at rest is no dead end. Each of the operator's verbs is answered, does what it
//! says, and delete works always.

use records::journal::{Answer, CallOutcome, Event, Verbs};

use super::examination::Examination;
use super::view::{At, View};

pub(super) fn are_no_dead_end(exam: &mut Examination, view: &View<'_>) {
    let tried = tried(view);
    if tried.is_empty() && view.serves_to_the_end() && !view.settled().is_empty() {
        exam.missing(None, "the operator's verbs were not tried on the diff at rest");
    }
    let patience_ms = view.schedule().map_or(u64::MAX, |schedule| schedule.deadlines.cancel_ms);
    for verbs in tried {
        answered(exam, &verbs, patience_ms);
        did_what_they_say(exam, &verbs);
    }
}

/// The trials of the verbs that the journal holds.
pub(super) fn tried<'a>(view: &View<'a>) -> Vec<At<&'a Verbs>> {
    view.events(|event| match event {
        Event::Verbs(verbs) => Some(verbs.as_ref()),
        _ => None,
    })
}

fn answered(exam: &mut Examination, verbs: &At<&Verbs>, patience_ms: u64) {
    let (uuid, state) = (&verbs.what.uuid, &verbs.what.state);
    for answer in verbs.what.before.iter().chain(&verbs.what.after) {
        let Answer { call, took_ms, outcome } = answer;
        let silent = matches!(outcome, CallOutcome::Silence(_));
        exam.check(!silent && *took_ms <= patience_ms, Some(verbs.seq), || {
            format!(
                "expected an answer to {call} of the {state} diff {uuid} within {patience_ms} ms; \
                 found {outcome:?} after {took_ms} ms"
            )
        });
    }
}

fn did_what_they_say(exam: &mut Examination, verbs: &At<&Verbs>) {
    let (what, seq) = (verbs.what, Some(verbs.seq));
    let (uuid, state) = (&what.uuid, what.state.as_str());
    let shown = |state: &Option<String>| state.clone().unwrap_or_else(|| "no row".to_owned());
    for call in ["show", "resume", "delete"] {
        let outcome = outcome(&what.before, call);
        exam.check(outcome == Some(&CallOutcome::Done), seq, || {
            format!("expected the {state} diff {uuid} to take {call}; found {outcome:?}")
        });
    }
    let after_stop = what.after_stop.as_deref();
    exam.check(
        after_stop == Some(state) || after_stop == Some("stopped") && state == "error",
        seq,
        || {
            let found = shown(&what.after_stop);
            format!("expected a stop to leave the diff {uuid} {state}; it is {found}")
        },
    );
    // A short diff may have come to its end again.
    let runs = matches!(what.after_resume.as_deref(), Some("pending" | "started" | "completed"));
    exam.check(runs, seq, || {
        let found = shown(&what.after_resume);
        format!("expected the diff {uuid} to run after its resume from {state}; it is {found}")
    });
    exam.check(!what.still_there, seq, || {
        format!("expected the diff {uuid} to be gone after its delete; its row is there")
    });
    for call in ["show", "resume"] {
        let outcome = outcome(&what.after, call);
        exam.check(outcome != Some(&CallOutcome::Done), seq, || {
            format!("expected {call} of the deleted diff {uuid} to be refused; it was done")
        });
    }
}

fn outcome<'a>(answers: &'a [Answer], call: &str) -> Option<&'a CallOutcome> {
    answers.iter().find(|answer| answer.call == call).map(|answer| &answer.outcome)
}
