//! What a schedule can be made smaller by, purely. Nothing here is ever larger than what it came from.

use records::schedule::{Fault, Pace, Schedule, Step, Trigger, Workload};

use crate::plan;
use crate::systems::SystemKind;

/// Kills that need more than a signal.
const KILLS: [Fault; 2] = [Fault::Oom, Fault::HostCrash];
/// The earliest place that is aimed at: some rows must be compared by then.
const EARLIEST: f64 = 0.1;
/// The fewest rows of a table.
const ROWS_MIN: u64 = 10;

/// A smaller schedule, and what was done.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// In words: `without sigkill at 40.0 % of the rows`.
    pub what: String,
    /// The schedule.
    pub schedule: Schedule,
}

/// What a schedule is made smaller in, in the order in which it is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aspect {
    /// A kill by a signal instead of one by other means.
    Kills,
    /// Triggers: earlier, rounder.
    Triggers,
    /// Fewer tables.
    Tables,
    /// Fewer rows.
    Rows,
    /// Fewer single differences.
    Differences,
    /// Shorter runs of differences.
    Runs,
    /// The usual pace, the usual data, no proxy.
    Usual,
}

impl Aspect {
    /// Every aspect, in order.
    pub const ALL: [Self; 7] = [
        Self::Kills,
        Self::Triggers,
        Self::Tables,
        Self::Rows,
        Self::Differences,
        Self::Runs,
        Self::Usual,
    ];

    /// The candidates for a schedule, the boldest first; only those that can be executed.
    #[must_use]
    pub fn candidates(self, schedule: &Schedule) -> Vec<Candidate> {
        let mut all = match self {
            Self::Kills => kills(schedule),
            Self::Triggers => triggers(schedule),
            Self::Tables => tables(schedule),
            Self::Rows => rows(schedule),
            Self::Differences => differences(schedule),
            Self::Runs => runs(schedule),
            Self::Usual => usual(schedule),
        };
        all.retain(|candidate| candidate.schedule != *schedule && is_possible(&candidate.schedule));
        all
    }
}

/// Whether a schedule can be executed, as far as can be told without executing it.
#[must_use]
pub fn is_possible(schedule: &Schedule) -> bool {
    plan::check(schedule).is_ok()
}

/// The schedule without some of its steps; none when it could not be executed.
#[must_use]
pub fn without(schedule: &Schedule, from: usize, to: usize) -> Option<Candidate> {
    let removed: Vec<String> = schedule.steps[from..to].iter().map(step_text).collect();
    let mut smaller = schedule.clone();
    smaller.steps.drain(from..to);
    let what = format!("without {}", removed.join(", "));
    is_possible(&smaller).then_some(Candidate { what, schedule: smaller })
}

/// A step in words.
#[must_use]
pub fn step_text(step: &Step) -> String {
    format!("{} {}", step.fault.name(), plan::trigger_text(&step.trigger))
}

fn change(schedule: &Schedule, what: String, change: impl FnOnce(&mut Schedule)) -> Candidate {
    let mut changed = schedule.clone();
    change(&mut changed);
    Candidate { what, schedule: changed }
}

fn kills(schedule: &Schedule) -> Vec<Candidate> {
    let steps = schedule.steps.iter().enumerate();
    steps
        .filter(|(_, step)| KILLS.contains(&step.fault))
        .map(|(index, step)| {
            change(schedule, format!("sigkill instead of {}", step.fault), |changed| {
                changed.steps[index].fault = Fault::Sigkill;
            })
        })
        .collect()
}

fn triggers(schedule: &Schedule) -> Vec<Candidate> {
    let mut all = Vec::new();
    for (index, step) in schedule.steps.iter().enumerate() {
        if step.lasts_ms.is_some() {
            let what = format!("{} of the usual length", step.fault);
            all.push(change(schedule, what, |changed| changed.steps[index].lasts_ms = None));
        }
        for trigger in simpler(&step.trigger) {
            let what = format!("{} {}", step.fault, plan::trigger_text(&trigger));
            all.push(change(schedule, what, |changed| changed.steps[index].trigger = trigger));
        }
    }
    all
}

/// Simpler triggers, the simplest first. A simpler one of a simpler one comes in time to an end.
fn simpler(trigger: &Trigger) -> Vec<Trigger> {
    match trigger {
        // A progress says where, whatever the speed.
        Trigger::Time { fraction } => vec![Trigger::Progress { fraction: percent(*fraction) }],
        Trigger::Progress { fraction } => {
            let earlier = [EARLIEST, percent(*fraction / 2.0)];
            let mut all: Vec<f64> =
                earlier.into_iter().filter(|at| (EARLIEST..*fraction).contains(at)).collect();
            let rounder = percent(*fraction);
            if rounder != *fraction && rounder > 0.0 {
                all.push(rounder);
            }
            all.dedup();
            all.into_iter().map(|fraction| Trigger::Progress { fraction }).collect()
        }
        Trigger::DuringRecovery { after_ms } => {
            sooner(*after_ms).map(|after_ms| Trigger::DuringRecovery { after_ms }).collect()
        }
        // It says on top of what it comes: nothing is simpler.
        Trigger::DuringFault { after_ms } => {
            sooner(*after_ms).map(|after_ms| Trigger::DuringFault { after_ms }).collect()
        }
        Trigger::CrashPoint { point } => {
            let mut nths = vec![1, point.nth / 2, point.nth.saturating_sub(1)];
            nths.retain(|nth| (1..point.nth).contains(nth));
            nths.dedup();
            nths.into_iter()
                .map(|nth| {
                    let mut point = point.clone();
                    point.nth = nth;
                    Trigger::CrashPoint { point }
                })
                .collect()
        }
        Trigger::Phase { .. } => Vec::new(),
    }
}

/// Fewer milliseconds, rounder.
fn sooner(ms: u64) -> impl Iterator<Item = u64> {
    let tens = |ms: u64| ms / 10 * 10;
    [tens(ms / 2), tens(ms)].into_iter().filter(move |fewer| *fewer < ms && *fewer > 0)
}

/// Rounded to whole percents.
fn percent(fraction: f64) -> f64 {
    (fraction * 100.0).round() / 100.0
}

fn tables(schedule: &Schedule) -> Vec<Candidate> {
    let names = &schedule.workload.tables;
    let alone = names.iter().map(|name| (format!("table {name} alone"), vec![name.clone()]));
    let fewer = (0..names.len()).map(|index| {
        let mut left = names.clone();
        let name = left.remove(index);
        (format!("without table {name}"), left)
    });
    let all: Vec<(String, Vec<String>)> = match names.len() {
        0 | 1 => Vec::new(),
        2 => alone.collect(),
        _ => alone.take(1).chain(fewer).collect(),
    };
    all.into_iter().map(|(what, left)| resized(schedule, what, |w| w.tables = left)).collect()
}

fn rows(schedule: &Schedule) -> Vec<Candidate> {
    let rows = schedule.workload.rows;
    let mut fewer: Vec<u64> = [16, 4, 2].map(|divisor| rows / divisor).to_vec();
    fewer.push(ROWS_MIN);
    fewer.retain(|fewer| (ROWS_MIN..rows).contains(fewer));
    fewer.sort_unstable();
    fewer.dedup();
    // The last stretch is not worth its trials: the least is tried alone, when halving ends.
    if rows > 4 * ROWS_MIN {
        fewer.retain(|fewer| *fewer > ROWS_MIN);
    }
    fewer
        .into_iter()
        .map(|fewer| resized(schedule, format!("{fewer} rows a table"), |w| w.rows = fewer))
        .collect()
}

fn differences(schedule: &Schedule) -> Vec<Candidate> {
    let now = schedule.workload.differences;
    let mut fewer = vec![0, now / 4, now / 2];
    fewer.dedup();
    fewer.retain(|fewer| *fewer < now);
    fewer
        .into_iter()
        .map(|fewer| {
            resized(schedule, format!("{fewer} single differences"), |w| w.differences = fewer)
        })
        .collect()
}

fn runs(schedule: &Schedule) -> Vec<Candidate> {
    let now = schedule.workload.run_length;
    let mut shorter = vec![0, now / 4, now / 2];
    shorter.dedup();
    shorter.retain(|shorter| *shorter < now);
    shorter
        .into_iter()
        .map(|shorter| {
            resized(schedule, format!("runs of {shorter} differences"), |w| w.run_length = shorter)
        })
        .collect()
}

/// Changes the workload, and the speed with it: the diff lasts as long as before, so that the triggers
/// still find its middle.
fn resized(schedule: &Schedule, what: String, resize: impl FnOnce(&mut Workload)) -> Candidate {
    change(schedule, what, |changed| {
        let before = volume(&changed.workload);
        resize(&mut changed.workload);
        let after = volume(&changed.workload);
        let speed = &mut changed.pace.rows_per_second;
        if *speed > 0 {
            let scaled = u128::from(*speed) * u128::from(after) / u128::from(before.max(1));
            *speed = u64::try_from(scaled).unwrap_or(u64::MAX).clamp(1, *speed);
        }
    })
}

fn volume(workload: &Workload) -> u64 {
    workload.rows.saturating_mul(workload.tables.len() as u64)
}

/// What needs no word in a scenario.
fn usual(schedule: &Schedule) -> Vec<Candidate> {
    let Workload { tables, rows, .. } = &schedule.workload;
    let usual = plan::usual(tables, *rows, SystemKind::of(schedule));
    let mut all = vec![
        change(schedule, "the usual pace and data".to_owned(), |changed| {
            changed.pace = usual.pace.clone();
            changed.workload.seed = usual.workload.seed;
            changed.proxied = false;
            changed.unwatched = false;
        }),
        change(schedule, "the usual pace".to_owned(), |changed| changed.pace = usual.pace.clone()),
        change(schedule, "the usual data".to_owned(), |changed| {
            changed.workload.seed = usual.workload.seed;
        }),
        change(schedule, "without the proxy".to_owned(), |changed| changed.proxied = false),
        change(schedule, "watched all along".to_owned(), |changed| changed.unwatched = false),
    ];
    all.extend(coarser(schedule, &usual.pace));
    all
}

/// One setting of the pace after the other as usual, where that makes fewer packets and checkpoints.
fn coarser(schedule: &Schedule, usual: &Pace) -> Vec<Candidate> {
    let mut all = Vec::new();
    let pace = &schedule.pace;
    if pace.checkpoint_rows < usual.checkpoint_rows
        || pace.checkpoint_interval_ms < usual.checkpoint_interval_ms
    {
        all.push(change(schedule, "checkpoints as often as usual".to_owned(), |changed| {
            changed.pace.checkpoint_rows = pace.checkpoint_rows.max(usual.checkpoint_rows);
            changed.pace.checkpoint_interval_ms =
                pace.checkpoint_interval_ms.max(usual.checkpoint_interval_ms);
        }));
    }
    if pace.packet_bytes < usual.packet_bytes {
        all.push(change(schedule, "packets as large as usual".to_owned(), |changed| {
            changed.pace.packet_bytes = usual.packet_bytes;
        }));
    }
    all
}

#[cfg(test)]
mod tests;
