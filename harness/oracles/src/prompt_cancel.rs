//! I10, prompt cancel: stop, delete, demotion and SIGTERM take effect within seconds at any point and leave a
//! resumable state; SIGTERM never leaves a diff `stopped`.

use records::journal::{Event, Evidence, FaultLanded, Record, VdiffAction};
use records::schedule::Fault;
use records::verdict::{Invariant, Judgement};

use super::comes_back::DEMOTION_MS_MAX;
use super::examination::Examination;
use super::no_panic::{Shutdown, TERMINATION_MS_MAX, shutdowns};
use super::oracle::Oracle;
use super::refusals;
use super::view::{At, View, side_name};

/// See the module.
pub(super) const ORACLE: Oracle = Oracle { invariant: Invariant::I10, judge };

fn judge(view: &View<'_>) -> Judgement {
    let mut exam = Examination::new(Invariant::I10, view);
    let cancels: Vec<_> = view
        .actions
        .iter()
        .filter(|a| matches!(a.what.action.as_str(), "stop" | "delete"))
        .collect();
    let terminated = view
        .schedule()
        .is_some_and(|schedule| schedule.steps.iter().any(|step| step.fault == Fault::Sigterm));
    let demoted = demotions(view);
    let shutdowns = shutdowns(view);
    let nothing = cancels.is_empty() && demoted.is_empty() && shutdowns.is_empty();
    if nothing && !terminated && view.head.is_some() {
        return Examination::not_applicable(Invariant::I10);
    }
    let deadline_ms = view.schedule().map_or(0, |schedule| schedule.deadlines.cancel_ms);
    for action in &cancels {
        takes_effect(&mut exam, view, action, deadline_ms);
        refusals::are_none(&mut exam, view, action);
        if action.what.action == "stop" && action.what.acknowledged {
            is_resumable(&mut exam, view, action);
        }
    }
    terminations(&mut exam, view);
    for Shutdown { life, asked_seq, asked_ms, took_ms } in &shutdowns {
        let until_ms = life.shutdown.or(life.exit).map_or(view.end_ms, |exit| exit.at_ms);
        let held = took_ms.is_some_and(|took_ms| took_ms <= TERMINATION_MS_MAX);
        exam.check_time(view, (*asked_ms, until_ms), held, Some(*asked_seq), || {
            let who = side_name(life.side);
            let found = took_ms.map_or("it did not".to_owned(), |ms| format!("it took {ms} ms"));
            format!(
                "expected the {who} to end within {TERMINATION_MS_MAX} ms of SIGTERM at the trial's \
                 end; {found}"
            )
        });
    }
    for (injected_ms, record, landed) in demoted {
        is_demoted(&mut exam, view, injected_ms, record, landed);
    }
    exam.finish()
}

/// The demotions that landed, with the time of their injection.
fn demotions<'a>(view: &View<'a>) -> Vec<(u64, &'a Record, &'a FaultLanded)> {
    let injected = view.injected();
    let landed = view.records.iter().filter_map(|record| match &record.event {
        Event::FaultLanded(landed) if landed.fault == Fault::Demote => {
            let last = injected
                .iter()
                .rfind(|it| it.what == (landed.step, landed.fault) && it.seq < record.seq);
            Some((last.map_or(record.at_ms, |it| it.at_ms), record, landed))
        }
        _ => None,
    });
    landed.collect()
}

/// A newer term of another tablet makes this one step back.
fn is_demoted(
    exam: &mut Examination,
    view: &View<'_>,
    injected_ms: u64,
    record: &Record,
    landed: &FaultLanded,
) {
    let seq = Some(record.seq);
    let Evidence::State { after, .. } = &landed.evidence else {
        return exam.missing(seq, "what became of the demoted tablet is not told");
    };
    let took_ms = record.at_ms.saturating_sub(injected_ms);
    let window = (record.at_ms.saturating_sub(took_ms), record.at_ms);
    exam.check_time(view, window, after == "REPLICA" && took_ms <= DEMOTION_MS_MAX, seq, || {
        format!(
            "expected a newer term to demote the tablet within {DEMOTION_MS_MAX} ms; \
             it is {after:?} after {took_ms} ms"
        )
    });
}

fn takes_effect(
    exam: &mut Examination,
    view: &View<'_>,
    action: &At<&VdiffAction>,
    deadline_ms: u64,
) {
    let (what, seq) = (action.what, Some(action.seq));
    let name = format!("{} of the diff {}", what.action, what.uuid);
    if !what.acknowledged {
        let window = (action.at_ms.saturating_sub(what.took_ms), action.at_ms);
        exam.check_time(view, window, what.took_ms <= deadline_ms, seq, || {
            format!(
                "expected an answer to the {name} within {deadline_ms} ms; none came in {} ms",
                what.took_ms
            )
        });
        return;
    }
    let expired = view.events(|event| match event {
        Event::DeadlinePassed { after_ms, .. } => Some(*after_ms),
        _ => None,
    });
    match what.effect_ms {
        Some(effect_ms) => {
            let window = (action.at_ms.saturating_sub(effect_ms), action.at_ms);
            exam.check_time(view, window, effect_ms <= deadline_ms, seq, || {
                format!(
                    "expected the {name} to take effect within {deadline_ms} ms; it took {effect_ms} ms"
                )
            });
        }
        None if expired.iter().any(|deadline| deadline.at_ms >= action.at_ms) => {
            exam.fail(
                seq,
                format!("expected the {name} to take effect within {deadline_ms} ms; it had none"),
            );
        }
        None => exam.missing(seq, format!("when the {name} took effect was not observed")),
    }
}

fn is_resumable(exam: &mut Examination, view: &View<'_>, stop: &At<&VdiffAction>) {
    let resumes: Vec<_> = view
        .actions
        .iter()
        .filter(|a| a.seq > stop.seq && a.what.action == "resume" && a.what.uuid == stop.what.uuid)
        .collect();
    let Some(first) = resumes.first() else { return };
    exam.check(resumes.iter().any(|resume| resume.what.acknowledged), Some(first.seq), || {
        let why = first.what.error.as_deref().unwrap_or("no answer");
        format!("expected the stopped diff {} to be resumable; found: {why}", stop.what.uuid)
    });
}

fn terminations(exam: &mut Examination, view: &View<'_>) {
    let is_sigterm =
        |step: Option<usize>| step.and_then(|step| view.fault_of(step)) == Some(Fault::Sigterm);
    for exit in view.lives.iter().filter_map(|life| life.exit) {
        if !is_sigterm(exit.what.scheduled_by) {
            continue;
        }
        match exit.what.took_ms {
            Some(took_ms) => {
                let window = (exit.at_ms.saturating_sub(took_ms), exit.at_ms);
                let held = took_ms <= TERMINATION_MS_MAX;
                exam.check_time(view, window, held, Some(exit.seq), || {
                    format!("expected the end within {TERMINATION_MS_MAX} ms of SIGTERM; it took {took_ms} ms")
                });
            }
            None => {
                exam.missing(Some(exit.seq), "the time from SIGTERM to the end was not measured")
            }
        }
    }
    for record in view.records {
        let Event::FaultLanded(landed) = &record.event else { continue };
        let Some(diff) = landed.interrupted.as_ref() else { continue };
        let stop_asked = view.actions.iter().any(|a| a.what.action == "stop");
        if landed.fault == Fault::Sigterm && !stop_asked {
            exam.check(diff.state != "stopped", Some(record.seq), || {
                "expected the diff to stay pending or started over SIGTERM; it is stopped"
                    .to_owned()
            });
        }
    }
}
