//! I1, comes back: after each restart, and after each fault that it lived through, the tablet is ready
//! within the deadline and stays so; it never crash-loops; a newer term still demotes it at the end, which
//! finds a shard sync task that died in silence. Left alone, it goes on serving.

use records::journal::{CRASH_LOOP_EXITS, CRASH_LOOP_WINDOW_MS, Event, Evidence, Side, observers};
use records::schedule::Fault;
use records::tellings::Telling;
use records::verdict::{Invariant, Judgement};

use super::examination::Examination;
use super::oracle::Oracle;
use super::serves;
use super::view::{Incarnation, View, side_name};

/// A newer term demotes within this time.
pub(super) const DEMOTION_MS_MAX: u64 = 5_000;
/// An observer may see the effect of a fault a little before its injection was written down.
const SLACK_MS: u64 = 500;

/// See the module.
pub(super) const ORACLE: Oracle = Oracle { invariant: Invariant::I1, judge };

fn judge(view: &View<'_>) -> Judgement {
    let mut exam = Examination::new(Invariant::I1, view);
    crash_loops(&mut exam, view);
    term_probe(&mut exam, view);
    serves::goes_on(&mut exam, view);
    leases(&mut exam, view);
    let returns = returns(view);
    if !returns.is_empty() {
        let watched = exam.needs_observer(view, observers::READINESS);
        for back in &returns {
            comes_back(&mut exam, view, back, watched);
        }
    }
    exam.finish()
}

/// A moment from which a tablet has its deadline to become ready.
struct Return<'a> {
    life: &'a Incarnation<'a>,
    since_ms: u64,
    after: String,
}

fn returns<'a>(view: &'a View<'a>) -> Vec<Return<'a>> {
    let restarts = view.lives.iter().filter(|life| life.incarnation > 1).map(|life| Return {
        life,
        since_ms: origin_ms(view, life, life.start_ms),
        after: format!("its restart as incarnation {}", life.incarnation),
    });
    let healed = view.healed();
    let alive = healed.iter().flat_map(|heal| {
        sides_disturbed(heal.what.1).iter().filter_map(|side| {
            let lives_then = |life: &&Incarnation<'_>| {
                life.side == *side
                    && life.start_ms <= heal.at_ms
                    && life.exit.is_none_or(|exit| exit.at_ms > heal.at_ms)
            };
            let life = view.lives.iter().find(lives_then)?;
            let since_ms = origin_ms(view, life, heal.at_ms);
            Some(Return { life, since_ms, after: format!("the end of {}", heal.what.1) })
        })
    });
    restarts.chain(alive).collect()
}

/// The tablets that live through a fault, and whose readiness may not.
fn sides_disturbed(fault: Fault) -> &'static [Side] {
    let facts = fault.facts();
    match (facts.ends, facts.keeps_unready) {
        (Some(_), _) => &[],
        (None, []) if facts.disturbs_readiness => &[Side::Target],
        (None, sides) => sides,
    }
}

/// A tablet whose MySQL or etcd is away, or that is frozen, cannot be ready: its time counts from the
/// end of all that.
fn origin_ms(view: &View<'_>, life: &Incarnation<'_>, from_ms: u64) -> u64 {
    let deadline_ms = view.schedule().map_or(0, |schedule| schedule.deadlines.ready_ms);
    let injected = view.injected();
    let mut origin = from_ms;
    for heal in view.healed() {
        let (step, fault) = heal.what;
        let takes_servers_away = fault.facts().keeps_unready.contains(&life.side);
        let begins_in_time = injected
            .iter()
            .any(|injection| injection.what.0 == step && injection.at_ms <= origin + deadline_ms);
        let within_life = life.exit.is_none_or(|exit| heal.at_ms < exit.at_ms);
        if takes_servers_away && begins_in_time && within_life {
            origin = origin.max(heal.at_ms);
        }
    }
    origin
}

fn comes_back(exam: &mut Examination, view: &View<'_>, back: &Return<'_>, watched: bool) {
    let Some(deadlines) = view.schedule().map(|schedule| &schedule.deadlines) else { return };
    let (ready_ms, holds_ms) = (deadlines.ready_ms, deadlines.ready_holds_ms);
    let who = format!("{} ready within {ready_ms} ms of {}", side_name(back.life.side), back.after);
    let seq = Some(back.life.start_seq);
    let due_ms = back.since_ms + ready_ms;
    let window = (back.since_ms, due_ms.min(view.end_ms));
    let life_end_ms = back.life.exit.map_or(view.end_ms, |exit| exit.at_ms);
    let intervals: Vec<(u64, u64)> = view
        .ready_intervals(back.life, life_end_ms)
        .into_iter()
        .filter(|(_, to)| *to > back.since_ms)
        .map(|(from, to)| (from.max(back.since_ms), to))
        .collect();
    let in_time: Vec<(u64, u64)> =
        intervals.iter().copied().filter(|(from, _)| *from <= due_ms).collect();
    let held = |&(from, to): &(u64, u64)| to - from >= holds_ms || disturbed(view, from, to);
    let scheduled_end = back.life.exit.is_some_and(|exit| exit.what.scheduled_by.is_some());

    if in_time.iter().any(held) {
        exam.check(true, None, String::new);
    } else if back.life.exit.is_some_and(|exit| view.lost_its_servers(exit.what, exit.at_ms)) {
        // The next incarnation is to come back.
    } else if let Some(exit) = back.life.exit.filter(|exit| exit.what.scheduled_by.is_none()) {
        let code = exit.what.exit_code;
        exam.fail(Some(exit.seq), format!("expected the {who}; it ended by itself with {code}"));
    } else if scheduled_end && life_end_ms <= due_ms {
        // The schedule took it down again before its time was over: nothing can be said.
    } else if !watched {
        // Told already, as missing evidence.
    } else if let Some((from, to)) = in_time.last() {
        let stayed_ms = to - from;
        if *to >= view.end_ms {
            exam.missing(seq, format!("the {who} was watched for {stayed_ms} ms, of {holds_ms}"));
        } else {
            exam.check_time(view, (*from, to + holds_ms), false, seq, || {
                format!(
                    "expected the {who} to stay so for {holds_ms} ms; it stayed ready for {stayed_ms} ms"
                )
            });
        }
    } else if !has_readiness(view, back.life) {
        exam.missing(seq, format!("expected the {who}; readiness was not observed"));
    } else if view.end_ms < due_ms && intervals.is_empty() {
        exam.missing(seq, format!("expected the {who}; the trial ended before that"));
    } else {
        let found = intervals.first().map_or_else(
            || "it never was".to_owned(),
            |(from, _)| format!("it was after {} ms", from - back.since_ms),
        );
        let reasons = last_reasons(view, back.life);
        exam.check_time(view, window, false, seq, || {
            format!("expected the {who}; {found}{reasons}")
        });
    }
}

fn has_readiness(view: &View<'_>, life: &Incarnation<'_>) -> bool {
    view.records.iter().any(|record| {
        matches!(&record.event, Event::Readiness { side, incarnation, .. }
            if *side == life.side && *incarnation == life.incarnation)
    })
}

fn last_reasons(view: &View<'_>, life: &Incarnation<'_>) -> String {
    let not_ready = view.records.iter().rev().find_map(|record| match &record.event {
        Event::Readiness { side, incarnation, ready: false, reasons }
            if *side == life.side && *incarnation == life.incarnation =>
        {
            Some(reasons.join(", "))
        }
        _ => None,
    });
    not_ready.filter(|text| !text.is_empty()).map(|text| format!(" ({text})")).unwrap_or_default()
}

/// Whether the schedule itself, or the probe, ended a ready time.
fn disturbed(view: &View<'_>, from_ms: u64, to_ms: u64) -> bool {
    let disturbs = |fault: Fault| fault.facts().disturbs_readiness;
    let healed = view.healed();
    let lasts = |fault: Fault| disturbs(fault) && fault.facts().lasts;
    let under_fault = view.injected().iter().filter(|it| lasts(it.what.1)).any(|it| {
        let heal = healed.iter().find(|heal| heal.seq > it.seq && heal.what == it.what);
        heal.is_some_and(|heal| (it.at_ms..=heal.at_ms + SLACK_MS).contains(&to_ms))
    });
    if under_fault {
        return true;
    }
    view.records.iter().any(|record| {
        let at_ms = match &record.event {
            Event::FaultInjected { fault, .. } if disturbs(*fault) => record.at_ms,
            Event::TriggerFired { step, .. } if view.fault_of(*step).is_some_and(disturbs) => {
                record.at_ms
            }
            Event::TabletExited(exited) if exited.scheduled_by.is_some() => record.at_ms,
            Event::TermProbe { after_ms, .. } => record.at_ms.saturating_sub(*after_ms),
            _ => return false,
        };
        (from_ms..=to_ms + SLACK_MS).contains(&at_ms)
    })
}

/// A tablet whose lease has ended registers under a new one.
fn leases(exam: &mut Examination, view: &View<'_>) {
    for record in view.records {
        let Event::FaultLanded(landed) = &record.event else { continue };
        if landed.fault != Fault::LeaseExpiry {
            continue;
        }
        match &landed.evidence {
            Evidence::State { before, after } => {
                exam.check(after != "none", Some(record.seq), || {
                    format!(
                        "expected the tablet to register again after its {before} had ended; it did not"
                    )
                });
            }
            _ => exam.missing(Some(record.seq), "what became of the tablet's lease is not told"),
        }
    }
}

fn crash_loops(exam: &mut Examination, view: &View<'_>) {
    for side in [Side::Source, Side::Target] {
        let exits: Vec<_> = view
            .lives
            .iter()
            .filter(|life| life.side == side)
            .filter_map(|life| life.exit)
            .filter(|exit| exit.what.scheduled_by.is_none())
            .collect();
        let looped = exits
            .windows(CRASH_LOOP_EXITS)
            .find(|w| w[CRASH_LOOP_EXITS - 1].at_ms - w[0].at_ms <= CRASH_LOOP_WINDOW_MS);
        if let Some(window) = looped {
            let codes: Vec<String> =
                exits.iter().map(|exit| exit.what.exit_code.to_string()).collect();
            exam.fail(
                Some(window[0].seq),
                format!(
                    "expected no crash loop; the {} ended by itself {} times (exit {})",
                    side_name(side),
                    exits.len(),
                    codes.join(", ")
                ),
            );
        }
    }
}

fn term_probe(exam: &mut Examination, view: &View<'_>) {
    let probes = view.events(|event| match event {
        Event::TermProbe { demoted, after_ms } => Some((*demoted, *after_ms)),
        _ => None,
    });
    for probe in &probes {
        let (demoted, after_ms) = probe.what;
        let window = (probe.at_ms.saturating_sub(after_ms), probe.at_ms);
        exam.check_time(
            view,
            window,
            demoted && after_ms <= DEMOTION_MS_MAX,
            Some(probe.seq),
            || {
                let found = if demoted { "was demoted" } else { "still served as primary" };
                format!(
                    "expected a newer term to demote the tablet within {DEMOTION_MS_MAX} ms; \
                 it {found} after {after_ms} ms"
                )
            },
        );
    }
    let untold = !view.tells(Telling::Demotion);
    if probes.is_empty() && !view.settled().is_empty() && !untold {
        exam.missing(None, "the diff settled, but no newer term was tried on the tablet");
    }
}
