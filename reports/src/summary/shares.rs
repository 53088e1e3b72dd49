//! Where a trial's time goes, by the times of its journal's events.

use serde::{Deserialize, Serialize};

use records::journal::{Event, Record};
use records::run::TrialRecord;

use super::is_target;

/// Where the time of trials goes, as fractions that sum to 1. Each moment of a trial is in exactly one
/// part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TimeShares {
    /// Until the VDiff is created: containers are made and started, tablets become ready.
    pub set_up: f64,
    /// From there, or from the return of the fault before, until a trigger fires.
    pub run_to_point: f64,
    /// From the trigger until the tablet is started again, or the fault that left it alive is healed.
    pub kill: f64,
    /// From the start of the tablet until it is ready.
    pub restart: f64,
    /// From the return of the last fault until the diff has come to rest.
    pub diff_to_end: f64,
    /// From there to the trial's end: evidence is collected, tablets are removed.
    pub collect: f64,
}

impl TimeShares {
    /// Of these trials; none when no time passed in them.
    #[must_use]
    pub fn of(trials: &[TrialRecord]) -> Option<Self> {
        let mut spent = Spent::default();
        for trial in trials {
            spent.trial(trial);
        }
        let [set_up, run_to_point, kill, restart, diff_to_end, collect] = spent.shares()?;
        Some(Self { set_up, run_to_point, kill, restart, diff_to_end, collect })
    }

    /// Each part with its name in words, in order.
    #[must_use]
    pub fn parts(&self) -> [(&'static str, f64); 6] {
        [
            ("set-up", self.set_up),
            ("run to the point", self.run_to_point),
            ("kill", self.kill),
            ("restart", self.restart),
            ("diff to its end", self.diff_to_end),
            ("collect and close", self.collect),
        ]
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum TrialPart {
    SetUp,
    RunToPoint,
    Kill,
    Restart,
    DiffToEnd,
    Collect,
}

/// Milliseconds by part.
#[derive(Default)]
struct Spent([u64; 6]);

impl Spent {
    /// In ten-thousandths, so that they survive a file unchanged; the greatest takes what rounding leaves.
    fn shares(&self) -> Option<[f64; 6]> {
        let total: u64 = self.0.iter().sum();
        if total == 0 {
            return None;
        }
        let mut parts = self.0.map(|ms| (ms as f64 * 1e4 / total as f64) as u64);
        let left = 10_000 - parts.iter().sum::<u64>();
        let greatest = (0..parts.len()).max_by_key(|part| parts[*part]).unwrap_or(0);
        parts[greatest] += left;
        Some(parts.map(|part| part as f64 / 1e4))
    }

    fn trial(&mut self, trial: &TrialRecord) {
        let mut now = Now {
            part: TrialPart::SetUp,
            created: false,
            steps_open: trial.schedule.steps.len(),
            steps: trial.schedule.steps.len(),
            incarnation: 0,
        };
        let mut since_ms = 0;
        for record in &trial.records {
            // Records are in order of time; one that is not takes no time.
            self.0[now.part as usize] += record.at_ms.saturating_sub(since_ms);
            since_ms = since_ms.max(record.at_ms);
            now.apply(record);
        }
    }
}

/// Where in the trial the journal's reader is.
struct Now {
    part: TrialPart,
    created: bool,
    steps: usize,
    /// Steps whose trigger is still awaited.
    steps_open: usize,
    incarnation: u32,
}

impl Now {
    fn apply(&mut self, record: &Record) {
        match &record.event {
            Event::VdiffAction(action) if action.action == "create" && action.acknowledged => {
                self.created = true;
                if matches!(self.part, TrialPart::SetUp | TrialPart::Collect) {
                    self.part = self.waiting();
                }
            }
            Event::TriggerFired { step, .. } | Event::FaultInjected { step, .. } => {
                self.took(*step);
                self.part = TrialPart::Kill;
            }
            Event::FaultMissed { step, .. } => {
                self.took(*step);
                self.part = self.waiting();
            }
            Event::FaultHealed { .. } if self.part == TrialPart::Kill => self.part = self.waiting(),
            Event::TabletExited(exit) if is_target(exit.side) && exit.is_unasked() => {
                self.part = TrialPart::Kill;
            }
            Event::TabletStarted(started) if is_target(started.side) => {
                self.incarnation = started.incarnation;
                if started.incarnation > 1 {
                    self.part = TrialPart::Restart;
                }
            }
            Event::Readiness { side, incarnation, ready: true, .. }
                if is_target(*side)
                    && *incarnation == self.incarnation
                    && self.part == TrialPart::Restart =>
            {
                self.part = self.waiting();
            }
            Event::Settled { .. }
            | Event::FinalReport(_)
            | Event::WorkflowRow { .. }
            | Event::Residue(_)
            | Event::HistoryRead { .. } => self.part = TrialPart::Collect,
            _ => {}
        }
    }

    fn took(&mut self, step: usize) {
        self.steps_open = self.steps_open.min(self.steps.saturating_sub(step + 1));
    }

    /// What the trial waits for when nothing is broken.
    fn waiting(&self) -> TrialPart {
        match (self.created, self.steps_open) {
            (false, _) => TrialPart::SetUp,
            (true, 0) => TrialPart::DiffToEnd,
            (true, _) => TrialPart::RunToPoint,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;
    use records::schedule::Fault;

    #[test]
    fn every_moment_of_a_trial_is_in_exactly_one_part() {
        let (_, trials) = sample::run();
        let shares = TimeShares::of(&trials).unwrap();
        let sum: f64 = shares.parts().iter().map(|(_, share)| share).sum();
        assert!((sum - 1.0).abs() < 1e-9, "{sum}");
        assert!(shares.parts().iter().all(|(_, share)| *share > 0.0), "{shares:?}");
        assert_eq!(TimeShares::of(&[]), None);
    }

    /// The parts of a known trial: created at 890 ms, killed at 2,580, started again at 3,080, ready at
    /// 3,690, at rest at 6,100, over at 6,700.
    #[test]
    fn parts_begin_and_end_where_the_journal_says() {
        let (_, mut trials) = sample::run();
        trials.truncate(1);
        assert_eq!(trials[0].schedule.steps[0].fault, Fault::Sigkill);
        let mut spent = Spent::default();
        spent.trial(&trials[0]);
        assert_eq!(spent.0.iter().sum::<u64>(), trials[0].duration_ms());
        assert_eq!(spent.0, [890, 1_690, 500, 610, 2_410, 600]);
    }

    /// A fault that leaves the tablet alive ends with its heal, and the diff goes on.
    #[test]
    fn a_fault_without_a_restart_is_over_when_it_is_healed() {
        let (_, mut trials) = sample::run();
        let mut cancelled = trials.remove(2);
        assert_eq!(cancelled.schedule.steps[0].fault, Fault::Cancel);
        let landed =
            cancelled.records.iter().position(|r| matches!(r.event, Event::FaultLanded(_)));
        let at = landed.unwrap() + 1;
        let at_ms = cancelled.records[at - 1].at_ms + 40;
        let event = Event::FaultHealed { step: 0, fault: Fault::Cancel };
        cancelled.records.insert(at, Record { seq: 0, at_ms, event });
        let mut spent = Spent::default();
        spent.trial(&cancelled);
        assert_eq!(spent.0[TrialPart::Kill as usize], 100);
        assert_eq!(spent.0[TrialPart::Restart as usize], 0);
        assert!(spent.0[TrialPart::DiffToEnd as usize] > 3_000);
    }
}
