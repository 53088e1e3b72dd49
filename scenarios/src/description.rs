//! What a scenario says of its trial before it begins.

use harness::plan::{self, PlanOptions, SCENARIO_SEED};
use harness::systems::SystemKind;
use records::schedule::{Schedule, Step};

/// The trial as it was told; what was not said is as usual.
#[derive(Clone, Debug, Default)]
pub(crate) struct TrialDescription {
    /// Tables, rows, bug.
    pub(crate) plan: PlanOptions,
    /// Single planted differences.
    pub(crate) differences: Option<u32>,
    /// Length of the planted runs of differences.
    pub(crate) run_length: Option<u64>,
    /// Seed of the data.
    pub(crate) data_seed: Option<u64>,
    /// Rows compared per second; 0 is unlimited.
    pub(crate) rows_per_second: Option<u64>,
    /// Rows and milliseconds between checkpoints.
    pub(crate) checkpoints: Option<(u64, u64)>,
    /// Bytes of a packet of rows.
    pub(crate) packet_bytes: Option<u64>,
    /// The target tablet's memory.
    pub(crate) memory_bytes: Option<u64>,
    /// The target tablet's links pass the wire proxy.
    pub(crate) proxied: bool,
    /// Nobody asks the tablets while the diff is waited for.
    pub(crate) unwatched: bool,
    /// The tablet has the known bugs compiled in, on or off.
    pub(crate) seeded: bool,
    /// Faults at crash points, which are armed before the tablet starts.
    pub(crate) points: Vec<Step>,
}

impl TrialDescription {
    /// As usual for this system.
    pub(crate) fn of(system: SystemKind) -> TrialDescription {
        TrialDescription {
            plan: PlanOptions { system, ..PlanOptions::default() },
            ..TrialDescription::default()
        }
    }

    /// The schedule of the trial of this number.
    ///
    /// # Errors
    /// When it cannot be executed.
    pub(crate) fn schedule(&self, trial: u32) -> anyhow::Result<Schedule> {
        let mut schedule = plan::blank(SCENARIO_SEED, trial, &self.plan);
        schedule.steps.clone_from(&self.points);
        schedule.proxied = self.proxied;
        schedule.unwatched = self.unwatched;
        let Schedule { workload, pace, .. } = &mut schedule;
        set(&mut workload.differences, self.differences);
        set(&mut workload.run_length, self.run_length);
        set(&mut workload.seed, self.data_seed);
        set(&mut pace.rows_per_second, self.rows_per_second);
        set(&mut pace.packet_bytes, self.packet_bytes);
        if self.plan.system == SystemKind::Vitess {
            // It saves its progress when it does, and needs the memory that it needs.
            plan::check(&schedule)?;
            return Ok(schedule);
        }
        set(&mut pace.checkpoint_rows, self.checkpoints.map(|(rows, _)| rows));
        set(&mut pace.checkpoint_interval_ms, self.checkpoints.map(|(_, ms)| ms));
        set(&mut pace.memory_limit_bytes, self.memory_bytes);
        plan::check(&schedule)?;
        Ok(schedule)
    }
}

fn set<T>(place: &mut T, said: Option<T>) {
    if let Some(said) = said {
        *place = said;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Else no scenario that `shrink` writes could be run.
    #[test]
    fn few_rows_are_enough_for_what_is_said_to_be_planted() -> anyhow::Result<()> {
        let plan =
            PlanOptions { tables: vec!["corder".to_owned()], rows: 10, ..Default::default() };
        let mut said = TrialDescription {
            plan,
            differences: Some(0),
            run_length: Some(0),
            ..TrialDescription::default()
        };
        assert_eq!(said.schedule(3)?.workload.rows, 10);
        said.differences = None;
        assert!(said.schedule(3).is_err_and(|error| error.to_string().contains("too few")));
        Ok(())
    }
}
