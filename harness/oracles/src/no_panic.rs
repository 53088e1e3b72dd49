//! I2, no panic: no panic, caught or not, and no exit but those the schedule caused, each with the
//! code that its fault causes. At the trial's end both tablets get SIGTERM and end with 0; the logs are
//! read to their ends.

use records::journal::{Event, Side, TabletExited, observers};
use records::verdict::{Invariant, Judgement};

use super::examination::Examination;
use super::oracle::Oracle;
use super::view::{At, Incarnation, View, side_name};

/// Exit codes from here on are those of signals that nobody can refuse.
const SIGNALLED: i64 = 128;
/// From SIGTERM, or from the moment in which a superseded tablet is thawed, to the exit.
pub(super) const TERMINATION_MS_MAX: u64 = 10_000;

/// See the module.
pub(super) const ORACLE: Oracle = Oracle { invariant: Invariant::I2, judge };

fn judge(view: &View<'_>) -> Judgement {
    let mut exam = Examination::new(Invariant::I2, view);
    exam.needs_observer(view, observers::LOGS);
    exam.needs_observer(view, observers::PROCESS);
    panics(&mut exam, view);
    logs_are_whole(&mut exam, view);
    ends_in_order(&mut exam, view);
    if view.lives.is_empty() {
        exam.missing(None, "no tablet was started");
    }
    for (i, life) in view.lives.iter().enumerate() {
        match life.exit {
            Some(exit) => exit_is_scheduled(&mut exam, view, exit),
            // Only the last process of a tablet may live on.
            None if view.lives[i + 1..].iter().any(|later| later.side == life.side) => {
                let name = side_name(life.side);
                exam.missing(
                    Some(life.start_seq),
                    format!(
                        "the end of the {name}'s incarnation {} was not seen",
                        life.incarnation
                    ),
                );
            }
            None => {}
        }
    }
    exam.finish()
}

fn panics(exam: &mut Examination, view: &View<'_>) {
    for record in view.records {
        if let Event::Panicked { side, incarnation, caught, message } = &record.event {
            let how = if *caught { "panicked (and caught it)" } else { "panicked" };
            exam.fail(
                Some(record.seq),
                format!(
                    "expected no panic; the {}'s incarnation {incarnation} {how}: {message}",
                    side_name(*side)
                ),
            );
        }
    }
}

/// The silence of a log proves something where it was read from the tablet's registration to the end of
/// its process.
fn logs_are_whole(exam: &mut Examination, view: &View<'_>) {
    let reads = view.events(|event| match event {
        Event::LogRead { side, incarnation, start_seen, to_end, .. } => {
            Some((*side, *incarnation, *start_seen, *to_end))
        }
        _ => None,
    });
    for life in &view.lives {
        let whose =
            format!("the log of the {}'s incarnation {}", side_name(life.side), life.incarnation);
        let of_life = |read: &&At<(_, _, bool, bool)>| {
            (read.what.0, read.what.1) == (life.side, life.incarnation)
        };
        let Some(read) = reads.iter().rfind(of_life) else {
            exam.missing(Some(life.start_seq), format!("{whose} was not read"));
            continue;
        };
        let (_, _, start_seen, to_end) = read.what;
        // One that was killed before it could register has said nothing.
        let was_ready = view.readiness_of(life).iter().any(|seen| seen.what);
        if was_ready && !start_seen {
            exam.missing(Some(read.seq), format!("{whose} lacks its first lines"));
        }
        if !to_end {
            exam.missing(Some(read.seq), format!("{whose} was not read to its end"));
        }
    }
}

/// When the trial is over, both tablets get SIGTERM and end in order.
fn ends_in_order(exam: &mut Examination, view: &View<'_>) {
    for shutdown in shutdowns(view) {
        let Shutdown { life, asked_seq, took_ms, asked_ms } = shutdown;
        let who = side_name(life.side);
        let until_ms = life.shutdown.or(life.exit).map_or(view.end_ms, |exit| exit.at_ms);
        let held = took_ms.is_some_and(|took_ms| took_ms <= TERMINATION_MS_MAX);
        exam.check_time(view, (asked_ms, until_ms), held, Some(asked_seq), || {
            let found = match (took_ms, life.exit) {
                (Some(took_ms), _) => format!("it took {took_ms} ms"),
                (None, Some(exit)) => format!("it ended with {}", exit.what.exit_code),
                (None, None) => format!("it still ran after {} ms", until_ms - asked_ms),
            };
            format!(
                "expected the {who} to end with 0 within {TERMINATION_MS_MAX} ms of SIGTERM at the \
                 trial's end; {found}"
            )
        });
    }
    for side in view.sides_that_live_on() {
        let asked = shutdowns(view).iter().any(|shutdown| shutdown.life.side == side);
        if !asked && view.was_collected() {
            exam.missing(None, format!("the {} was not asked to end", side_name(side)));
        }
    }
}

/// A tablet that was asked to end when the trial was over.
pub(super) struct Shutdown<'a> {
    pub(super) life: &'a Incarnation<'a>,
    pub(super) asked_seq: u64,
    pub(super) asked_ms: u64,
    /// To its end in order; none: it did not come.
    pub(super) took_ms: Option<u64>,
}

pub(super) fn shutdowns<'a>(view: &'a View<'_>) -> Vec<Shutdown<'a>> {
    let asked = view.events(|event| match event {
        Event::ShutdownAsked { side, incarnation } => Some((*side, *incarnation)),
        _ => None,
    });
    let of = |asked: At<(Side, u32)>| {
        let life = view.lives.iter().find(|life| (life.side, life.incarnation) == asked.what)?;
        let took_ms = life.shutdown.map(|exit| {
            exit.what.took_ms.unwrap_or_else(|| exit.at_ms.saturating_sub(asked.at_ms))
        });
        Some(Shutdown { life, asked_seq: asked.seq, asked_ms: asked.at_ms, took_ms })
    };
    asked.into_iter().filter_map(of).collect()
}

fn exit_is_scheduled(exam: &mut Examination, view: &View<'_>, exit: At<&TabletExited>) {
    let seq = Some(exit.seq);
    let who = format!("the {}'s incarnation {}", side_name(exit.what.side), exit.what.incarnation);
    let code = exit.what.exit_code;
    let Some(step) = exit.what.scheduled_by else {
        if view.lost_its_servers(exit.what, exit.at_ms) {
            return;
        }
        exam.fail(seq, format!("expected no unscheduled exit; {who} ended by itself with {code}"));
        return;
    };
    let Some(fault) = view.fault_of(step) else {
        exam.missing(seq, format!("the exit of {who} names step {step}, which is not scheduled"));
        return;
    };
    let expected = match fault.facts().ends {
        Some((side, expected)) if side == exit.what.side => expected,
        Some(_) | None => {
            return exam
                .fail(seq, format!("expected {who} to survive {fault}; it ended with {code}"));
        }
    };
    exam.check(code == expected, seq, || {
        format!("expected {who} to end with {expected} under {fault}; it ended with {code}")
    });
    if expected < SIGNALLED {
        match exit.what.took_ms {
            Some(took_ms) => {
                let window = (exit.at_ms.saturating_sub(took_ms), exit.at_ms);
                exam.check_time(view, window, took_ms <= TERMINATION_MS_MAX, seq, || {
                    format!("expected {who} to end in order within {TERMINATION_MS_MAX} ms; it took {took_ms} ms")
                });
            }
            None => exam.missing(seq, format!("how long {who} took to end was not measured")),
        }
    }
}
