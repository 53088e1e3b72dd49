//! What the tablet refused: a verb that the diff's state allows, of a tablet that was ready and that
//! nothing hurt, must be taken. What was refused while it started, stopped or was hurt is no finding.

use records::journal::{Event, Side, Try, VdiffAction};
use records::schedule::Fault;

use super::examination::Examination;
use super::view::{At, View};
use super::windows::Window;

/// A tablet that stops serving is seen unready so much later: the readiness watch's patience and a poll.
const SEEN_WITHIN_MS: u64 = 1_000;
/// Of the deadline from a restart to ready, a ready tablet may take this part until it takes a verb.
const PART_OF_READY: u64 = 3;

/// Stop and delete are taken at the first try.
pub(super) fn are_none(exam: &mut Examination, view: &View<'_>, action: &At<&VdiffAction>) {
    let what = action.what;
    let refused = what.tries.iter().filter(|tried| tried.refused);
    for tried in refused {
        if !allows(&what.action, tried) || !was_well(view, (tried.first_ms, tried.last_ms)) {
            continue;
        }
        exam.fail(Some(action.seq), format!(
            "expected the {} of the diff {}, which was {}, to be taken; the tablet was ready and refused it {} time(s): {} {}",
            what.action,
            what.uuid,
            tried.state.as_deref().unwrap_or("not there"),
            tried.count,
            tried.code,
            tried.text,
        ));
    }
}

/// Create and resume may come while the tablet starts; once it is ready, they are taken in time.
pub(super) fn end_in_time(exam: &mut Examination, view: &View<'_>, action: &At<&VdiffAction>) {
    let what = action.what;
    let Some(first) = what.tries.iter().find(|tried| tried.refused) else { return };
    let ready_ms = view.schedule().map_or(0, |schedule| schedule.deadlines.ready_ms);
    let limit_ms = ready_ms / PART_OF_READY;
    let Some(ready_since) = ready_since(view, action.at_ms) else { return };
    let from = ready_since.max(first.first_ms).max(hurt_until(view, action.at_ms));
    let took_ms = action.at_ms.saturating_sub(from);
    exam.check(took_ms <= limit_ms, Some(action.seq), || {
        let last = what.tries.last().unwrap_or(first);
        let end = if what.acknowledged { "it was taken only then" } else { "it never was" };
        format!(
            "expected a ready tablet to take the {} of the diff {} within {limit_ms} ms; {end}, after {took_ms} ms: {} {}",
            what.action, what.uuid, last.code, last.text,
        )
    });
}

/// Whether the diff's state lets the operator do it.
fn allows(action: &str, tried: &Try) -> bool {
    let state = tried.state.as_deref();
    match action {
        "stop" => matches!(state, Some("pending" | "started")),
        "delete" => state.is_some(),
        _ => false,
    }
}

/// Ready before, throughout and after, and hurt by nothing but the operator.
fn was_well(view: &View<'_>, (from, to): Window) -> bool {
    let since = ready_since(view, to);
    let stays = !view.records.iter().any(|record| {
        (from..=to + SEEN_WITHIN_MS).contains(&record.at_ms)
            && match &record.event {
                Event::Readiness { side: Side::Target, ready, .. } => !ready,
                Event::TabletExited(exit) => exit.side == Side::Target,
                _ => false,
            }
    });
    since.is_some_and(|since| since + SEEN_WITHIN_MS <= from)
        && stays
        && hurt_until(view, to) < from
}

/// Since when the target tablet had been ready at a time; none: it was not.
fn ready_since(view: &View<'_>, at_ms: u64) -> Option<u64> {
    let mut since = None;
    for record in view.records.iter().take_while(|record| record.at_ms <= at_ms) {
        match &record.event {
            Event::Readiness { side: Side::Target, ready, .. } => {
                since = ready.then(|| since.unwrap_or(record.at_ms));
            }
            Event::TabletStarted(started) if started.side == Side::Target => since = None,
            _ => {}
        }
    }
    since
}

/// Until when a fault that is not the operator's own hurt, of those that had begun by a time; 0: none.
fn hurt_until(view: &View<'_>, at_ms: u64) -> u64 {
    let mut until = 0;
    let mut open: Vec<usize> = Vec::new();
    let is_operators = |fault: &Fault| matches!(fault, Fault::Cancel | Fault::Delete);
    for record in view.records.iter().take_while(|record| record.at_ms <= at_ms) {
        match &record.event {
            Event::FaultInjected { step, fault, .. } if !is_operators(fault) => open.push(*step),
            Event::FaultHealed { step, fault } if !is_operators(fault) => {
                open.retain(|other| other != step);
                until = record.at_ms;
            }
            _ => {}
        }
    }
    if open.is_empty() { until } else { u64::MAX }
}
