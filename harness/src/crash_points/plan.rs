//! The schedules of a crash-point run, purely: what is recorded, and what is struck.

use records::schedule::{
    Bug, CrashPoint, Deadlines, Fault, Pace, Schedule, Step, Trigger, Workload,
};

use crate::plan::{self, PlanError, PlanOptions};
use crate::systems::SystemKind;

/// Rows of each of the three tables: 2,100 in all.
pub const ROWS: u64 = 700;
/// A checkpoint after so many rows.
const CHECKPOINT_ROWS: u64 = 100;
/// Never by time: the conversation shall be the same each time.
const CHECKPOINT_INTERVAL_MS: u64 = 60_000;
/// Where nobody acts.
const ROWS_PER_SECOND: u64 = 5_000;
/// Slow enough that an operator who saw a table in its first half acts before its end: the statements
/// of the act stand in the same phase each time.
const ROWS_PER_SECOND_ACTED_ON: u64 = 2_000;
/// How far the first table is when the operator of a script acts.
const ACTS_AT: f64 = 0.4;
/// Each script is recorded so often: what one recording lacks is no promise.
pub const RECORDINGS: u32 = 3;

/// What a clean run does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Script {
    /// Its name.
    pub name: &'static str,
    /// What is done to the diff on its way.
    act: Option<Fault>,
}

impl Script {
    /// Whether the diff goes its way, and nobody does anything to it.
    #[must_use]
    pub fn is_plain(self) -> bool {
        self.act.is_none()
    }
}

/// The scripts, the plainest first.
pub const SCRIPTS: [Script; 4] = [
    Script { name: "complete", act: None },
    Script { name: "stop and resume", act: Some(Fault::Cancel) },
    Script { name: "delete and create anew", act: Some(Fault::Delete) },
    Script { name: "end in order", act: Some(Fault::Sigterm) },
];

/// What every schedule of a run has in common.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The seed.
    pub seed: u64,
    /// Tables.
    pub tables: Vec<String>,
    /// Rows of each table.
    pub rows: u64,
    /// A known bug, switched on in every trial.
    pub bug: Option<Bug>,
    /// Whose.
    pub system: SystemKind,
}

impl Frame {
    /// The default workload.
    #[must_use]
    pub fn small(seed: u64, bug: Option<Bug>) -> Frame {
        let tables = ["corder", "customer", "product"].map(str::to_owned).to_vec();
        Frame { seed, tables, rows: ROWS, bug, system: SystemKind::Tablet }
    }
}

impl Frame {
    /// A clean run of a script, through the proxy.
    ///
    /// # Errors
    /// When the workload is impossible.
    pub fn recording(&self, trial: u32, script: Script) -> Result<Schedule, PlanError> {
        let mut schedule = self.schedule(trial, script)?;
        schedule.proxied = true;
        Ok(schedule)
    }

    /// A run of a script that is struck at the points, one after the other; `explores`: the last of
    /// them need not come.
    ///
    /// # Errors
    /// When the workload is impossible, or a fault cannot strike at a point.
    pub fn strike(
        &self,
        trial: u32,
        script: Script,
        strikes: &[(CrashPoint, Fault)],
        explores: bool,
    ) -> Result<Schedule, PlanError> {
        let mut schedule = self.schedule(trial, script)?;
        let points = strikes
            .iter()
            .map(|(point, fault)| Step::new(Trigger::CrashPoint { point: point.clone() }, *fault));
        schedule.steps.splice(0..0, points);
        schedule.explores = explores;
        plan::check(&schedule)?;
        Ok(schedule)
    }

    fn schedule(&self, trial: u32, script: Script) -> Result<Schedule, PlanError> {
        let options = PlanOptions {
            tables: self.tables.clone(),
            rows: self.rows,
            bug: self.bug,
            system: self.system,
            ..PlanOptions::default()
        };
        let mut schedule = plan::blank(self.seed, trial, &options);
        schedule.workload = Workload { run_length: CHECKPOINT_ROWS * 5 / 2, ..schedule.workload };
        if self.system == SystemKind::Tablet {
            self.narrow(&mut schedule, script);
        }
        let fraction = ACTS_AT / self.tables.len() as f64;
        let trigger = Trigger::Progress { fraction };
        schedule.steps = script.act.map(|fault| Step::new(trigger, fault)).into_iter().collect();
        plan::check(&schedule)?;
        Ok(schedule)
    }

    /// A pace at which every kind of exchange is seen on few rows, and the deadlines that go with it.
    fn narrow(&self, schedule: &mut Schedule, script: Script) {
        schedule.pace = Pace {
            rows_per_second: match script.is_plain() {
                true => ROWS_PER_SECOND,
                false => ROWS_PER_SECOND_ACTED_ON,
            },
            checkpoint_rows: CHECKPOINT_ROWS,
            checkpoint_interval_ms: CHECKPOINT_INTERVAL_MS,
            ..schedule.pace.clone()
        };
        schedule.deadlines = Deadlines {
            ready_holds_ms: 500,
            settle_ms: 30_000,
            trial_ms: 90_000,
            ..schedule.deadlines.clone()
        };
    }
}
