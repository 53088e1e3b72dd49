//! Part of I1: a tablet that is left alone goes on serving: it answers, is ready without a lapse, and
//! all places tell the same of its role.

use records::journal::{CallOutcome, Event, Side, observers};

use super::examination::Examination;
use super::view::{Incarnation, View, side_name};
use super::windows::{Window, outside};

/// A living process answers in this time, also on a busy machine.
const ANSWER_MS_MAX: u64 = 5_000;
/// A tablet that nobody hurts may seem not ready for so long in a whole trial: two looks in a row that came
/// to nothing, each of 700 ms of patience and 50 ms to the next.
const UNREADY_MS_MAX: u64 = 1_500;
/// The harm of a fault may be seen a little before its trigger was written down.
const SLACK_MS: u64 = 500;

pub(super) fn goes_on(exam: &mut Examination, view: &View<'_>) {
    answers(exam, view);
    roles(exam, view);
    steady(exam, view);
}

fn answers(exam: &mut Examination, view: &View<'_>) {
    let given = view.events(|event| match event {
        Event::Answers { side, answers } => Some((*side, answers)),
        _ => None,
    });
    for side in view.sides_that_live_on() {
        if !given.iter().any(|given| given.what.0 == side) && view.was_collected() {
            exam.missing(None, format!("the {} was not asked for answers", side_name(side)));
        }
    }
    for given in &given {
        let (side, answers) = given.what;
        for answer in answers {
            let silent = matches!(answer.outcome, CallOutcome::Silence(_));
            let held = !silent && answer.took_ms <= ANSWER_MS_MAX;
            let window = (given.at_ms.saturating_sub(answer.took_ms), given.at_ms);
            exam.check_time(view, window, held, Some(given.seq), || {
                format!(
                    "expected the {} to answer {} within {ANSWER_MS_MAX} ms; found {:?} after {} ms",
                    side_name(side),
                    answer.call,
                    answer.outcome,
                    answer.took_ms
                )
            });
        }
    }
}

fn roles(exam: &mut Examination, view: &View<'_>) {
    let told = view.events(|event| match event {
        Event::Roles(roles) => Some(roles),
        _ => None,
    });
    for side in view.sides_that_live_on() {
        if !told.iter().any(|roles| roles.what.side == side) && view.was_collected() {
            exam.missing(None, format!("the role of the {} was not looked up", side_name(side)));
        }
    }
    for roles in &told {
        let what = roles.what;
        exam.check(what.agree(), Some(roles.seq), || {
            format!(
                "expected one story of the role of the {} {}; found health stream {} (term {}, \
                 serving: {}), Tablet record {} (term {}), shard record {} (term {})",
                side_name(what.side),
                what.alias,
                what.health.kind,
                what.health.term_s,
                what.serving,
                what.tablet_record.kind,
                what.tablet_record.term_s,
                what.shard_primary,
                what.shard_term_s
            )
        });
    }
}

/// Left alone, a tablet is ready without a lapse, up to the end: what it is not, between its first
/// readiness and the term probe and outside the windows of harm, is bounded; and its last state is ready.
fn steady(exam: &mut Examination, view: &View<'_>) {
    let sides = [Side::Source, Side::Target].into_iter();
    for side in sides.filter(|side| view.lives.iter().any(|life| life.side == *side)) {
        if !exam.needs_observer_of(view, observers::READINESS, &[side]) {
            continue;
        }
        lapses(exam, view, side);
        if view.sides_that_live_on().contains(&side) {
            is_ready_at_last(exam, view, side);
        }
    }
    for record in view.records {
        if let Event::NotReadyAtEnd { side, reason } = &record.event
            && !view.never_came_up()
            && !view.was_left_hurt()
        {
            exam.fail(
                Some(record.seq),
                format!("expected the {} ready at the end; found {reason}", side_name(*side)),
            );
        }
    }
}

fn lapses(exam: &mut Examination, view: &View<'_>, side: Side) {
    let excused = excused(view, side);
    let lapses: Vec<(u64, Window)> = view
        .lives
        .iter()
        .filter(|life| life.side == side)
        .flat_map(|life| unready(view, life))
        .collect();
    let unready_ms: u64 = lapses.iter().map(|(_, lapse)| outside(*lapse, &excused)).sum();
    let counted = || lapses.iter().filter(|(_, lapse)| outside(*lapse, &excused) > 0);
    let seq = counted().next().map(|(seq, _)| *seq);
    let from = counted().map(|(_, lapse)| lapse.0).min().unwrap_or_default();
    let to = counted().map(|(_, lapse)| lapse.1).max().unwrap_or_default();
    exam.check_time(view, (from, to), unready_ms <= UNREADY_MS_MAX, seq, || {
        format!(
            "expected the {} to stay ready while nobody hurts it; it was not for {unready_ms} ms, \
             from {from} ms on",
            side_name(side)
        )
    });
}

fn is_ready_at_last(exam: &mut Examination, view: &View<'_>, side: Side) {
    let until_ms = watched_until_ms(view);
    let Some(life) = view.lives.iter().rfind(|life| life.side == side) else { return };
    let of_life = view.readiness_of(life);
    let Some(last) = of_life.iter().rfind(|seen| seen.at_ms <= until_ms) else {
        // A life that was never looked at: told where its return is judged.
        return;
    };
    if view.never_came_up() {
        // A firewall, a proxy or a network of the host may be in the way.
        exam.missing(Some(last.seq), "the tablets never became ready, before anything was hurt");
        return;
    }
    let in_harm = excused(view, side).iter().any(|(from, to)| (*from..*to).contains(&until_ms));
    if !last.what && in_harm {
        let who = side_name(side);
        exam.missing(Some(last.seq), format!("the trial ended before the {who} had to be ready"));
        return;
    }
    exam.check_time(view, (last.at_ms, until_ms), last.what, Some(last.seq), || {
        format!(
            "expected the {} ready at the end; it was not, for {} ms",
            side_name(side),
            until_ms.saturating_sub(last.at_ms)
        )
    });
}

/// The term probe ends the time in which a tablet must be ready.
fn watched_until_ms(view: &View<'_>) -> u64 {
    let probes = view.events(|event| match event {
        Event::TermProbe { after_ms, .. } => Some(*after_ms),
        _ => None,
    });
    let usurped = probes.iter().map(|probe| probe.at_ms.saturating_sub(probe.what)).min();
    usurped.unwrap_or(u64::MAX).min(view.polled_until_ms())
}

/// The windows of harm, each up to the side's return: the begin of the first readiness after it that
/// held, at most the deadline for it.
fn excused(view: &View<'_>, side: Side) -> Vec<Window> {
    let Some(schedule) = view.schedule() else { return Vec::new() };
    let (ready_ms, holds_ms) = (schedule.deadlines.ready_ms, schedule.deadlines.ready_holds_ms);
    let lives = || view.lives.iter().filter(move |life| life.side == side);
    let intervals: Vec<Window> =
        lives().flat_map(|life| view.ready_intervals(life, watched_until_ms(view))).collect();
    let back = |healed_ms: u64| {
        let held = intervals.iter().find(|(from, to)| {
            *to > healed_ms && to.saturating_sub((*from).max(healed_ms)) >= holds_ms
        });
        held.map_or(healed_ms + ready_ms, |(from, _)| {
            (*from).clamp(healed_ms, healed_ms + ready_ms)
        })
    };
    let harm = view.harm().into_iter();
    harm.map(|(from, to)| (from.saturating_sub(SLACK_MS), back(to))).collect()
}

/// After the first readiness of a life (of a restarted one: the first that held): from each loss of it to
/// its return, or the life's end.
fn unready(view: &View<'_>, life: &Incarnation<'_>) -> Vec<(u64, Window)> {
    let until_ms = watched_until_ms(view);
    let end_ms = life.exit.map_or(until_ms, |exit| exit.at_ms.min(until_ms));
    let holds_ms = match life.incarnation {
        0 | 1 => 0,
        _ => view.schedule().map_or(0, |schedule| schedule.deadlines.ready_holds_ms),
    };
    let intervals = view.ready_intervals(life, end_ms);
    let Some(first) = intervals.iter().find(|(from, to)| to - from >= holds_ms) else {
        return Vec::new();
    };
    let (mut since, mut found) = (None, Vec::new());
    for seen in view.readiness_of(life) {
        if seen.at_ms < first.0 || seen.at_ms > end_ms {
            continue;
        }
        if seen.what {
            found.extend(since.take().map(|(seq, from)| (seq, (from, seen.at_ms))));
        } else {
            since = since.or(Some((seen.seq, seen.at_ms)));
        }
    }
    found.extend(since.map(|(seq, from)| (seq, (from, end_ms.max(from)))));
    found
}
