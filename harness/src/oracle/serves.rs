//! Part of I1: a tablet that is left alone goes on serving: it answers, is ready without a lapse, and
//! all places tell the same of its role.

use reports::journal::{Event, Outcome, Side, observers};

use super::examination::Examination;
use super::view::{Life, View, side_name};
use super::windows::Window;

/// A living process answers in this time, also on a busy machine.
const ANSWER_MS_MAX: u64 = 5_000;
/// A ready tablet that nobody hurts may seem not ready for so long: an election in etcd, a slow second
/// of the machine.
const LAPSE_MS_MAX: u64 = 5_000;

pub(super) fn goes_on(exam: &mut Examination, view: &View<'_>) {
    answers(exam, view);
    roles(exam, view);
    lapses(exam, view);
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
            let silent = matches!(answer.outcome, Outcome::Silence(_));
            exam.check(!silent && answer.took_ms <= ANSWER_MS_MAX, Some(given.seq), || {
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

/// Times in which a tablet that had been ready was not, without a fault at work or just healed.
fn lapses(exam: &mut Examination, view: &View<'_>) {
    let Some(schedule) = view.schedule() else { return };
    let ready_ms = schedule.deadlines.ready_ms;
    let mut excused: Vec<Window> = view
        .harm()
        .into_iter()
        .map(|(from, to)| (from.saturating_sub(1_000), to + ready_ms))
        .collect();
    excused.extend(
        view.events(|event| match event {
            Event::TermProbe { after_ms, .. } => Some(*after_ms),
            _ => None,
        })
        .iter()
        .map(|probe| (probe.at_ms.saturating_sub(probe.what), view.end_ms)),
    );
    for side in [Side::Source, Side::Target] {
        let lapses: Vec<(u64, Window)> = view
            .lives
            .iter()
            .filter(|life| life.side == side)
            .flat_map(|life| unready(view, life))
            .filter(|(_, (from, to))| to - from > LAPSE_MS_MAX)
            .filter(|(_, lapse)| !excused.iter().any(|window| overlap(*window, *lapse)))
            .collect();
        let watched = view.observer_problems(observers::READINESS, &[side]).is_empty();
        // A gap is told as missing evidence by whoever rests on it alone.
        if watched {
            exam.check(lapses.is_empty(), lapses.first().map(|(seq, _)| *seq), || {
                let (_, (from, to)) = lapses[0];
                format!(
                    "expected the {} to stay ready while nobody hurts it; it was not for {} ms",
                    side_name(side),
                    to - from
                )
            });
        }
    }
}

fn overlap(a: Window, b: Window) -> bool {
    a.0 <= b.1 && b.0 <= a.1
}

/// After the first readiness of a life: from each loss of it to its return, or the life's end.
fn unready(view: &View<'_>, life: &Life<'_>) -> Vec<(u64, Window)> {
    let end_ms = life.exit.map_or(view.polled_until_ms(), |exit| exit.at_ms);
    let (mut seen, mut since, mut found) = (false, None, Vec::new());
    for record in view.records {
        let Event::Readiness { side, incarnation, ready, .. } = &record.event else { continue };
        if *side != life.side || *incarnation != life.incarnation {
            continue;
        }
        if *ready {
            seen = true;
            found.extend(since.take().map(|(seq, from)| (seq, (from, record.at_ms))));
        } else if seen {
            since = since.or(Some((record.seq, record.at_ms)));
        }
    }
    found.extend(since.map(|(seq, from)| (seq, (from, end_ms.max(from)))));
    found
}
