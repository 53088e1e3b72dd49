//! I2, no panic: no panic, caught or not, and no exit but those the schedule caused, each with the
//! code that its fault causes.

use reports::journal::{Event, TabletExited, observers};
use reports::verdict::{Invariant, Judgement};

use super::examination::Examination;
use super::view::{At, View, side_name};

/// Exit codes from here on are those of signals that nobody can refuse.
const SIGNALLED: i64 = 128;
/// From SIGTERM, or from the moment in which a superseded tablet is thawed, to the exit.
pub(super) const TERMINATION_MS_MAX: u64 = 10_000;

pub(super) fn judge(view: &View<'_>) -> Judgement {
    let mut exam = Examination::new(Invariant::I2, view);
    exam.needs_observer(view, observers::LOGS);
    exam.needs_observer(view, observers::PROCESS);
    panics(&mut exam, view);
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
            None => exam.check(true, None, String::new),
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

fn exit_is_scheduled(exam: &mut Examination, view: &View<'_>, exit: At<&TabletExited>) {
    let seq = Some(exit.seq);
    let who = format!("the {}'s incarnation {}", side_name(exit.what.side), exit.what.incarnation);
    let code = exit.what.exit_code;
    let Some(step) = exit.what.scheduled_by else {
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
            Some(took_ms) => exam.check(took_ms <= TERMINATION_MS_MAX, seq, || {
                format!("expected {who} to end in order within {TERMINATION_MS_MAX} ms; it took {took_ms} ms")
            }),
            None => exam.missing(seq, format!("how long {who} took to end was not measured")),
        }
    }
}
