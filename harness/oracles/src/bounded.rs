//! I9, bounded: in every trial the tablet's own memory stays below the mark from which it would slow itself
//! down. When the container's memory is squeezed slowly, it is not killed, and the diff steps back with
//! the ephemeral error "memory pressure". An `oom` that the schedule asks for is exempt.

use records::journal::facts::Retry;
use records::journal::{Event, Evidence, Sample, Side, observers};
use records::schedule::Fault;
use records::tellings::Telling;
use records::verdict::{Invariant, Judgement};

use super::examination::Examination;
use super::oracle::Oracle;
use super::view::{Incarnation, View};

/// From this share of its limit on the tablet slows a diff down, in percent (its default). What it needs
/// for itself must stay below.
const SLOW_PERCENT: u64 = 75;

/// See the module.
pub(super) const ORACLE: Oracle = Oracle { invariant: Invariant::I9, judge };

fn judge(view: &View<'_>) -> Judgement {
    let mut exam = Examination::new(Invariant::I9, view);
    let Some(schedule) = view.schedule() else { return exam.finish() };
    exam.needs_observer_of(view, observers::MEMORY, &[Side::Target]);
    exam.needs_observer(view, observers::PROCESS);
    if view.tells(Telling::Resources) {
        stays_under(&mut exam, view, schedule.pace.memory_limit_bytes);
    }
    if schedule.steps.iter().any(|step| is_squeeze(step.fault)) {
        if !view.landed().iter().any(|landing| is_squeeze(landing.what.1)) {
            exam.missing(None, "the memory squeeze did not land");
        }
        survives(&mut exam, view);
        gives_way(&mut exam, view);
        answers(&mut exam, view);
    }
    exam.finish()
}

/// A life that began after the squeeze was over is not its business: other faults may follow.
fn survives(exam: &mut Examination, view: &View<'_>) {
    let healed = view.events(|event| match event {
        Event::FaultHealed { fault: Fault::MemorySqueeze, .. } => Some(()),
        _ => None,
    });
    let over = healed.last().map_or(u64::MAX, |healed| healed.seq);
    let squeezed = |life: &&Incarnation<'_>| life.side == Side::Target && life.start_seq < over;
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

/// One check: the most that was resident.
fn stays_under(exam: &mut Examination, view: &View<'_>, limit: u64) {
    let mark = limit / 100 * SLOW_PERCENT;
    let resident = view.events(|event| match event {
        Event::Sample(Sample { rss_bytes, .. }) => *rss_bytes,
        _ => None,
    });
    match resident.iter().max_by_key(|sample| sample.what) {
        Some(most) => exam.check(most.what < mark, Some(most.seq), || {
            format!(
                "expected less than {mark} bytes of resident memory ({SLOW_PERCENT} % of the limit); \
                 found {}",
                most.what
            )
        }),
        None => exam.missing(None, "the tablet's memory was not sampled"),
    }
}

/// What the diff did: an error of memory pressure, or none at all.
fn answers(exam: &mut Examination, view: &View<'_>) {
    if !view.tells(Telling::Retries) || !exam.needs_history(view) {
        return;
    }
    for diff in view.history.diffs() {
        for step in diff.moves.iter().filter(|step| step.to == "error") {
            let Some(status) = step.change.status() else { continue };
            let as_promised = status.memory_was_short && status.retry == Some(Retry::Tablet);
            exam.check(as_promised, Some(step.change.seq), || {
                let kind = match status.retry {
                    Some(Retry::Tablet) => "ephemeral",
                    Some(Retry::Operator) => "lasting",
                    None => "unknown",
                };
                format!(
                    "expected an ephemeral error that says that memory is short; found {kind} {:?}",
                    status.error
                )
            });
        }
    }
}
