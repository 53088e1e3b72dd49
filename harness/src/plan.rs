//! Plans campaigns: from a seed to schedules, purely.
//!
//! Trial *i* depends on (seed, *i*) and the options only: not on the number of trials, the machine or
//! the clock; the same seed writes the same schedules byte for byte. Everything random comes from a
//! fork of the seed with a name of its own, so that one more draw in one place moves nothing else.
//!
//! Trials are dealt from a menu (a fault and how it is triggered), shuffled anew for each round of it: a short
//! campaign of any seed already covers many faults and phases, a long one all of them evenly.

mod menu;
mod rules;

use menu::MenuPart;
use rand::seq::SliceRandom;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha12Rng;
use records::schedule::{
    Bug, Deadlines, FORMAT, Fault, Length, Pace, Schedule, Step, Trigger, Workload,
};
use sha2::{Digest, Sha256};

use crate::systems::SystemKind;
use workload::{Dataset, WorkloadError};

pub use menu::{TriggerKind, parse_bug, parse_fault, parse_trigger, trigger_text};

/// Length of a paced diff that plans aim at, in milliseconds.
const DIFF_MS: u64 = 3_500;
/// Checkpoint after so many rows.
const CHECKPOINT_ROWS: u64 = 500;
/// Checkpoint after so many milliseconds.
const CHECKPOINT_INTERVAL_MS: u64 = 100;
/// The target tablet's memory.
const MEMORY_LIMIT_BYTES: u64 = 64 << 20;
/// Small packets: a checkpoint may be late by one.
const PACKET_BYTES: u64 = 8 << 10;
/// Single planted differences.
const DIFFERENCES: u32 = 37;
/// One trial in so many is unwatched.
const UNWATCHED_EVERY: u32 = 8;

/// Rows of each table, where nobody says how many: on Vitess enough for saved progress in the middle of a table.
#[must_use]
pub fn rows_of(system: SystemKind) -> u64 {
    match system {
        SystemKind::Tablet => PlanOptions::default().rows,
        SystemKind::Vitess => 25_000,
    }
}

/// The seed of every scenario: the same rows, so that all scenarios share the loaded data.
pub const SCENARIO_SEED: u64 = 17_637;

/// What to plan.
#[derive(Clone, Debug, PartialEq)]
pub struct PlanOptions {
    /// How many trials.
    pub trials: u32,
    /// Draw from these faults only; empty: from all.
    pub faults: Vec<Fault>,
    /// Draw from these triggers only; empty: from all.
    pub triggers: Vec<TriggerKind>,
    /// Faults that are not possible on this host: never drawn.
    pub without: Vec<Fault>,
    /// Tables of the workload.
    pub tables: Vec<String>,
    /// Rows of each table.
    pub rows: u64,
    /// A bug of the zoo, switched on in every trial.
    pub bug: Option<Bug>,
    /// For which system: its pace and its deadlines.
    pub system: SystemKind,
}

impl Default for PlanOptions {
    fn default() -> PlanOptions {
        PlanOptions {
            trials: 12,
            faults: Vec::new(),
            triggers: Vec::new(),
            without: Vec::new(),
            tables: ["corder", "customer", "product"].map(str::to_owned).to_vec(),
            rows: 4_000,
            bug: None,
            system: SystemKind::Tablet,
        }
    }
}

impl PlanOptions {
    /// The options as one line: campaigns with the same line, seed and program have the same schedules.
    #[must_use]
    pub fn in_words(&self, duration: Option<std::time::Duration>) -> String {
        let list = |names: Vec<&str>| match names.is_empty() {
            true => "all".to_owned(),
            false => names.join(","),
        };
        let length = match duration {
            Some(duration) => format!("trials for {} s", duration.as_secs()),
            None => format!("{} trials", self.trials),
        };
        let faults = list(self.faults.iter().map(|fault| fault.name()).collect());
        let triggers = list(self.triggers.iter().map(|kind| kind.name()).collect());
        let tables = self.tables.join(",");
        let bug = self.bug.map_or("no bug", Bug::name);
        let without = match self.without.is_empty() {
            true => String::new(),
            false => {
                let names: Vec<&str> = self.without.iter().map(|fault| fault.name()).collect();
                format!(" without {}", names.join(","))
            }
        };
        let system = match self.system {
            SystemKind::Tablet => "",
            SystemKind::Vitess => ", on Vitess",
        };
        format!(
            "{length}, faults {faults}{without}, triggers {triggers}, {} rows in {tables}, {bug}{system}",
            self.rows
        )
    }
}

/// A plan that cannot be made, or a schedule that cannot be executed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PlanError {
    /// Nothing to draw from.
    #[error(
        "no fault of {faults} can be injected by a trigger of {triggers}; \
         `vdiff-chaos faults` lists what goes together"
    )]
    NothingToDraw {
        /// The faults asked for.
        faults: String,
        /// The triggers asked for.
        triggers: String,
    },
    /// A step that makes no sense.
    #[error("step {step}: {fault} cannot be injected {trigger}: {why}")]
    Impossible {
        /// Index of the step.
        step: usize,
        /// Name of the fault.
        fault: &'static str,
        /// The trigger in words.
        trigger: String,
        /// Why not.
        why: &'static str,
    },
    /// A number out of its range.
    #[error("{what} is {value}, which must be {bounds}")]
    OutOfRange {
        /// What.
        what: String,
        /// Its value.
        value: String,
        /// Its range.
        bounds: &'static str,
    },
    /// The workload cannot be made.
    #[error(transparent)]
    Workload(WorkloadError),
    /// The schedule was written by a newer build.
    #[error(
        "the schedule has format {found}; this build reads up to {FORMAT}: use a newer vdiff-chaos"
    )]
    NewerFormat {
        /// Its format.
        found: u32,
    },
}

/// Plans a whole campaign.
///
/// # Errors
/// When the options leave nothing to draw from, or ask for an empty workload.
pub fn campaign(seed: u64, options: &PlanOptions) -> Result<Vec<Schedule>, PlanError> {
    (0..options.trials).map(|trial| schedule(seed, trial, options)).collect()
}

/// Plans one trial of a campaign.
///
/// # Errors
/// As [`campaign`].
pub fn schedule(seed: u64, trial: u32, options: &PlanOptions) -> Result<Schedule, PlanError> {
    let offered = menu::offered(&options.faults, &options.triggers, &options.without);
    if offered.is_empty() {
        return Err(PlanError::NothingToDraw {
            faults: names(&options.faults, |fault| fault.name()),
            triggers: names(&options.triggers, |trigger| trigger.name()),
        });
    }
    let offered_len = u32::try_from(offered.len()).unwrap_or(u32::MAX);
    let (round, place) = (trial / offered_len, trial % offered_len);
    let (mut order, mut more): (Vec<usize>, Vec<usize>) =
        (0..offered.len()).partition(|entry| offered[*entry].part != MenuPart::More);
    order.shuffle(&mut fork(seed, "order", round));
    order.sort_by_key(|entry| offered[*entry].part); // stable: both parts stay shuffled
    more.shuffle(&mut fork(seed, "more", round));
    order.append(&mut more);
    let entry = &offered[order[place as usize]];
    let mut schedule = blank(seed, trial, options);
    schedule.steps = entry.steps(round, &options.triggers, &mut fork(seed, "steps", trial));
    schedule.unwatched = trial % UNWATCHED_EVERY == UNWATCHED_EVERY - 1;
    check(&schedule)?;
    Ok(schedule)
}

/// A trial without faults.
#[must_use]
pub fn blank(seed: u64, trial: u32, options: &PlanOptions) -> Schedule {
    Schedule {
        format: FORMAT,
        seed,
        trial,
        vdiff_uuid: uuid(seed, "vdiff", trial),
        workload: workload(seed, options),
        pace: pace(options),
        steps: Vec::new(),
        proxied: false,
        explores: false,
        unwatched: false,
        system: options.system.name().map(str::to_owned),
        bug: options.bug,
        deadlines: match options.system {
            SystemKind::Tablet => deadlines(),
            SystemKind::Vitess => system_vitess::deadlines(),
        },
    }
}

/// The schedule of a scenario that says nothing but its tables and rows; without faults. Few rows may
/// be too few for the usual differences.
#[must_use]
pub fn usual(tables: &[String], rows: u64, system: SystemKind) -> Schedule {
    let options = PlanOptions { tables: tables.to_vec(), rows, system, ..PlanOptions::default() };
    blank(SCENARIO_SEED, 0, &options)
}

/// The schedule again, for an aim that was gone: triggers come earlier, the UUID is a new one.
/// `attempt` counts from 1.
#[must_use]
pub fn redraw(schedule: &Schedule, attempt: u32) -> Schedule {
    let mut redrawn = schedule.clone();
    let purpose = format!("redraw {attempt}");
    redrawn.vdiff_uuid = uuid(schedule.seed, &purpose, schedule.trial);
    let mut rng = fork(schedule.seed, &purpose, schedule.trial);
    let earlier: f64 = rng.random_range(0.55..0.85);
    for step in &mut redrawn.steps {
        match &mut step.trigger {
            Trigger::Time { fraction } | Trigger::Progress { fraction } => {
                *fraction = round_3((*fraction * earlier).max(0.1));
            }
            Trigger::DuringRecovery { after_ms } | Trigger::DuringFault { after_ms } => {
                *after_ms = (*after_ms as f64 * earlier) as u64;
            }
            Trigger::Phase { .. } | Trigger::CrashPoint { .. } => {}
        }
    }
    redrawn
}

/// The UUID of the VDiff that follows a deleted one: a pure function of the schedule.
#[must_use]
pub fn following_uuid(schedule: &Schedule, nth: u32) -> String {
    uuid(0, &format!("{} following", schedule.vdiff_uuid), nth)
}

/// Whether a schedule (perhaps written by hand) can be executed at all.
///
/// # Errors
/// With the first thing that makes no sense.
pub fn check(schedule: &Schedule) -> Result<(), PlanError> {
    if schedule.format > FORMAT {
        return Err(PlanError::NewerFormat { found: schedule.format });
    }
    let range = |what: &str, value: u64, low: u64, high: u64, bounds: &'static str| {
        if (low..=high).contains(&value) {
            return Ok(());
        }
        Err(PlanError::OutOfRange { what: what.to_owned(), value: value.to_string(), bounds })
    };
    range("workload.rows", schedule.workload.rows, 10, 50_000_000, "10 to 50,000,000")?;
    range("workload.tables", schedule.workload.tables.len() as u64, 1, 64, "1 to 64 names")?;
    range("steps", schedule.steps.len() as u64, 0, 16, "at most 16")?;
    range(
        "pace.memory_limit_bytes",
        schedule.pace.memory_limit_bytes,
        16 << 20,
        1 << 40,
        "at least 16 MiB",
    )?;
    range("deadlines.trial_ms", schedule.deadlines.trial_ms, 1_000, 3_600_000, "1 s to 1 h")?;
    for (index, step) in schedule.steps.iter().enumerate() {
        check_step(index, step, &schedule.steps[..index])?;
    }
    Dataset::new(&schedule.workload).map(drop).map_err(PlanError::Workload)
}

fn check_step(index: usize, step: &Step, before: &[Step]) -> Result<(), PlanError> {
    let impossible = |why: &'static str| PlanError::Impossible {
        step: index,
        fault: step.fault.name(),
        trigger: menu::trigger_text(&step.trigger),
        why,
    };
    match &step.trigger {
        Trigger::Time { fraction } | Trigger::Progress { fraction } => {
            if !(fraction.is_finite() && (0.0..=1.0).contains(fraction)) {
                return Err(PlanError::OutOfRange {
                    what: format!("steps[{index}].trigger.fraction"),
                    value: fraction.to_string(),
                    bounds: "0 to 1",
                });
            }
        }
        Trigger::DuringRecovery { after_ms } => {
            at_most_a_minute(format!("steps[{index}].trigger.after_ms"), *after_ms)?;
            if !before.last().is_some_and(|before| before.fault.ends_target()) {
                return Err(impossible(
                    "the step before it does not restart the target tablet, so nothing recovers",
                ));
            }
        }
        Trigger::CrashPoint { point } => {
            if point.nth == 0 {
                return Err(PlanError::OutOfRange {
                    what: format!("steps[{index}].trigger.point.nth"),
                    value: point.nth.to_string(),
                    bounds: "at least 1",
                });
            }
            let armed_at_start =
                before.last().is_none_or(|step| step.is_at_point() && step.fault.ends_target());
            if !armed_at_start {
                return Err(impossible(
                    "crash points come first, and each but the first follows one that restarts the \
                     tablet: they are armed at its start",
                ));
            }
        }
        Trigger::DuringFault { after_ms } => {
            at_most_a_minute(format!("steps[{index}].trigger.after_ms"), *after_ms)?;
            rules::overlaps(&at_work(before), step.fault).map_err(impossible)?;
        }
        Trigger::Phase { .. } => {}
    }
    if let Some(lasts_ms) = step.lasts_ms {
        at_most_a_minute(format!("steps[{index}].lasts_ms"), lasts_ms)?;
        if step.fault.facts().length == Length::ItsOwn {
            return Err(impossible(
                "only freeze, partition and latency have a length of their own; leave out lasts_ms",
            ));
        }
    }
    if step.link.is_some() && !step.fault.facts().on_link() {
        return Err(impossible("it does not act on a link; leave out link"));
    }
    step.fault.works_with(&step.trigger).map_err(impossible)
}

fn at_most_a_minute(what: String, value: u64) -> Result<(), PlanError> {
    if value <= 60_000 {
        return Ok(());
    }
    Err(PlanError::OutOfRange { what, value: value.to_string(), bounds: "at most 60000" })
}

/// The faults that are at work when the next one comes on top: the last one that came by itself, and
/// all on top of it.
fn at_work(before: &[Step]) -> Vec<Fault> {
    let first = before.iter().rposition(|step| !step.is_on_top()).unwrap_or(0);
    before[first..].iter().map(|step| step.fault).collect()
}

/// A generator for one purpose of one trial; independent of all others.
pub(crate) fn fork(seed: u64, purpose: &str, number: u32) -> ChaCha12Rng {
    let mut hash = Sha256::new();
    hash.update(b"vdiff-chaos/1");
    hash.update(seed.to_le_bytes());
    hash.update(number.to_le_bytes());
    hash.update(purpose.as_bytes());
    ChaCha12Rng::from_seed(hash.finalize().into())
}

fn uuid(seed: u64, purpose: &str, trial: u32) -> String {
    let mut bytes = [0_u8; 16];
    fork(seed, purpose, trial).fill_bytes(&mut bytes);
    uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
}

fn workload(seed: u64, options: &PlanOptions) -> Workload {
    Workload {
        seed: fork(seed, "workload", 0).next_u64() >> 11,
        tables: options.tables.clone(),
        rows: options.rows,
        differences: DIFFERENCES,
        run_length: CHECKPOINT_ROWS * 5 / 2,
        keys_alike: options.system == SystemKind::Vitess,
    }
}

fn pace(options: &PlanOptions) -> Pace {
    let rows_all = options.rows.saturating_mul(options.tables.len() as u64);
    // 0 would be no limit.
    let rows_per_second = (rows_all.saturating_mul(1_000) / DIFF_MS).max(1);
    if options.system == SystemKind::Vitess {
        return system_vitess::pace(rows_per_second);
    }
    Pace {
        rows_per_second,
        checkpoint_rows: CHECKPOINT_ROWS,
        checkpoint_interval_ms: CHECKPOINT_INTERVAL_MS,
        memory_limit_bytes: MEMORY_LIMIT_BYTES,
        packet_bytes: PACKET_BYTES,
    }
}

fn deadlines() -> Deadlines {
    Deadlines {
        ready_ms: 15_000,
        ready_holds_ms: 2_000,
        settle_ms: 60_000,
        cancel_ms: 10_000,
        trial_ms: 150_000,
        stall_ms: records::schedule::stall_ms(),
    }
}

fn names<T>(all: &[T], name: impl Fn(&T) -> &'static str) -> String {
    if all.is_empty() {
        return "all".to_owned();
    }
    all.iter().map(name).collect::<Vec<_>>().join(", ")
}

fn round_3(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}

#[cfg(test)]
mod tests;
