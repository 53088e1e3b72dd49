//! I9, bounded: when the container's memory is squeezed slowly, the tablet stays under its limit,
//! is not killed, and either slows down and completes or rests in the ephemeral error
//! "memory pressure". Judged in trials with a squeeze; an `oom` that the schedule asks for is exempt.

use reports::journal::{Event, Evidence, Side, observers};
use reports::schedule::Fault;
use reports::verdict::{Invariant, Judgement};

use super::examination::Examination;
use super::history::text;
use super::view::{Life, View};

pub(super) fn judge(view: &View<'_>) -> Judgement {
    let Some(schedule) = view.schedule() else {
        return Examination::new(Invariant::I9, view).finish();
    };
    if !schedule.steps.iter().any(|step| is_squeeze(step.fault)) {
        return Examination::not_applicable(Invariant::I9);
    }
    let mut exam = Examination::new(Invariant::I9, view);
    if !view.landed().iter().any(|landing| is_squeeze(landing.what.1)) {
        exam.missing(None, "the memory squeeze did not land");
    }
    exam.needs_observer_of(view, observers::MEMORY, &[Side::Target]);
    exam.needs_observer(view, observers::PROCESS);
    survives(&mut exam, view);
    stays_under(&mut exam, view, schedule.pace.memory_limit_bytes);
    gives_way(&mut exam, view);
    answers(&mut exam, view);
    exam.finish()
}

/// A life that began after the squeeze was over is not its business: other faults may follow.
fn survives(exam: &mut Examination, view: &View<'_>) {
    let healed = view.events(|event| match event {
        Event::FaultHealed { fault: Fault::MemorySqueeze, .. } => Some(()),
        _ => None,
    });
    let over = healed.last().map_or(u64::MAX, |healed| healed.seq);
    let squeezed = |life: &&Life<'_>| life.side == Side::Target && life.start_seq < over;
    for life in view.lives.iter().filter(squeezed) {
        let died = life.exit.filter(|exit| match exit.what.scheduled_by {
            None => true,
            Some(step) => view.fault_of(step) == Some(Fault::MemorySqueeze),
        });
        exam.check(died.is_none(), died.map(|exit| exit.seq), || {
            let code = died.map_or(0, |exit| exit.what.exit_code);
            format!("expected the tablet to live through the squeeze; it ended with {code}")
        });
    }
}

/// Where memory ran short, the diff stepped back and said why.
fn gives_way(exam: &mut Examination, view: &View<'_>) {
    for record in view.records {
        let Event::FaultLanded(landed) = &record.event else { continue };
        let Evidence::State { after, .. } = &landed.evidence else { continue };
        if is_squeeze(landed.fault) && landed.had_its_effect() {
            exam.check(after.starts_with("error (memory pressure)"), Some(record.seq), || {
                format!("expected the diff to give way under the squeeze; found: {after}")
            });
        }
    }
}

fn is_squeeze(fault: Fault) -> bool {
    fault == Fault::MemorySqueeze
}

fn stays_under(exam: &mut Examination, view: &View<'_>, limit: u64) {
    let begin = view.injected().iter().find(|i| i.what.1 == Fault::MemorySqueeze).map(|i| i.at_ms);
    let mut samples = 0;
    for record in view.records.iter().filter(|record| Some(record.at_ms) >= begin) {
        let Event::Sample(sample) = &record.event else { continue };
        let Some(rss) = sample.rss_bytes else { continue };
        samples += 1;
        exam.check(rss <= limit, Some(record.seq), || {
            format!("expected at most {limit} bytes of resident memory; found {rss}")
        });
    }
    if samples == 0 {
        exam.missing(None, "the tablet's memory was not sampled during the squeeze");
    }
}

/// What the diff did: an error of memory pressure, or none at all.
fn answers(exam: &mut Examination, view: &View<'_>) {
    if !exam.needs_history(view) {
        return;
    }
    for diff in view.history.diffs() {
        for step in diff.moves.iter().filter(|step| step.to == "error") {
            let Some(row) = step.change.row() else { continue };
            let (error, kind) = (text(row, "last_error"), text(row, "error_kind"));
            let as_promised = error.starts_with("memory pressure") && kind == "ephemeral";
            exam.check(as_promised, Some(step.change.seq), || {
                format!(
                    "expected the ephemeral error \"memory pressure: …\"; found {kind} {error:?}"
                )
            });
        }
    }
}
