//! Landed faults and recoveries, as journals tell them.

use records::journal::{Event, Evidence, FaultLanded, Record};
use records::run::TrialRecord;
use records::schedule::{CrashPoint, Fault, Phase, Trigger};

use super::{is_target, phase_of};

/// A landed fault, with where it hit.
#[derive(Clone, Debug, PartialEq)]
pub struct Landing {
    /// Index of the schedule's step.
    pub step: usize,
    /// When, in milliseconds since the trial began.
    pub at_ms: u64,
    /// The fault.
    pub fault: Fault,
    /// Its own evidence, in words.
    pub evidence: String,
    /// How much of the diff was done, 0 to 1, where known.
    pub fraction: Option<f64>,
    /// The diff's phase, where known.
    pub phase: Option<Phase>,
    /// The crash point at which it was aimed, if it was at one.
    pub point: Option<CrashPoint>,
}

impl Landing {
    /// `sigkill at 41 % of the diff, in streaming: the process ended with 137`.
    #[must_use]
    pub fn in_words(&self) -> String {
        let fault_and_place = format!("{} {}", self.fault, self.place());
        format!("{}: {}", fault_and_place.trim_end(), self.evidence)
    }

    /// `at 41 % of the diff, in streaming`, or the crash point.
    #[must_use]
    pub fn place(&self) -> String {
        let point = self.point.as_ref().map(|point| format!("at {point}"));
        let fraction = self.fraction.map(|done| format!("at {:.0} % of the diff", done * 100.0));
        let phase = self.phase.map(|phase| format!("in {phase}"));
        let places = match point {
            // It names its phase itself.
            Some(point) => vec![Some(point), fraction],
            None => vec![fraction, phase],
        };
        places.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}

/// The landed faults of a trial, in order.
#[must_use]
pub fn landings(trial: &TrialRecord) -> Vec<Landing> {
    let mut injected_ms: Vec<(usize, u64)> = Vec::new();
    let mut sampled = None;
    let mut landings = Vec::new();
    for record in &trial.records {
        match &record.event {
            Event::Sample(sample) if sample.rows_total > 0 && sample.rows_compared > 0 => {
                sampled = Some(sample.rows_compared as f64 / sample.rows_total as f64);
            }
            Event::FaultInjected { step, .. } => injected_ms.push((*step, record.at_ms)),
            Event::FaultLanded(landed) if landed.had_its_effect() => {
                let interrupted = landed.interrupted.as_ref();
                let injected = injected_ms.iter().rev().find(|(step, _)| *step == landed.step);
                landings.push(Landing {
                    step: landed.step,
                    at_ms: injected.map_or(record.at_ms, |(_, at_ms)| *at_ms),
                    fault: landed.fault,
                    evidence: landed_in_words(landed),
                    fraction: interrupted.map(|diff| diff.fraction()).or(sampled),
                    phase: phase_of(landed, &trial.schedule),
                    point: point_of(trial, landed.step),
                });
            }
            _ => {}
        }
    }
    landings
}

fn point_of(trial: &TrialRecord, step: usize) -> Option<CrashPoint> {
    match &trial.schedule.steps.get(step)?.trigger {
        Trigger::CrashPoint { point } => Some(point.clone()),
        _ => None,
    }
}

/// Times from a restart of the target tablet to its first readiness.
#[must_use]
pub fn recoveries_ms(records: &[Record]) -> Vec<u64> {
    let mut restarted: Option<(u32, u64)> = None;
    let mut times = Vec::new();
    for record in records {
        match &record.event {
            Event::TabletStarted(started) if is_target(started.side) && started.incarnation > 1 => {
                restarted = Some((started.incarnation, record.at_ms));
            }
            Event::Readiness { side, incarnation, ready: true, .. } if is_target(*side) => {
                if let Some((_, since)) = restarted.take_if(|(started, _)| started == incarnation) {
                    times.push(record.at_ms.saturating_sub(since));
                }
            }
            _ => {}
        }
    }
    times
}

/// What proves a fault, and what it hit, as a person reads it.
#[must_use]
pub(crate) fn landed_in_words(landed: &FaultLanded) -> String {
    let mut words = evidence_in_words(&landed.evidence);
    for hit in &landed.hits {
        words.push_str("; hit ");
        words.push_str(&hit.what);
    }
    if let Some(way) = &landed.in_flight {
        let (rows, table) = (way.rows(), &way.table);
        words.push_str(&format!("; {rows} rows of {table} on their way"));
    }
    words
}

/// Evidence as a person reads it.
fn evidence_in_words(evidence: &Evidence) -> String {
    match evidence {
        Evidence::Exit { exit_code } => format!("the process ended with {exit_code}"),
        Evidence::OomCounter { baseline, count, exit_code } => format!(
            "the kernel's oom_kill counter rose from {baseline} to {count}, exit {exit_code}"
        ),
        Evidence::KernelLog { line } => format!("the kernel's log says: {line}"),
        Evidence::EngineEvent { exit_code } => {
            format!("the engine told of an oom event and the death, exit {exit_code}")
        }
        Evidence::State { before, after } => format!("the diff was {before}, then {after}"),
        Evidence::Observed { what } => what.clone(),
    }
}
