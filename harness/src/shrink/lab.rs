//! The laboratory of the real thing: trials on servers that stay up while the workload does, each with
//! its journal in the run's directory, as in a campaign.

use std::collections::BTreeSet;
use std::path::PathBuf;

use records::TrialRecord;
use records::layout::{LayoutError, RunDirectory};
use records::schedule::{Schedule, ScheduleError};
use records::verdict::Verdict;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::search::{Laboratory, Seen};
use crate::campaign::{SlotError, Slots, is_exclusive};
use crate::stage::Environment;
use crate::trial::run_trial;
use engine::errors::chain;

/// A trial could not be run or kept.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// The servers or the data failed.
    #[error("the cluster could not be prepared")]
    Slot(#[source] SlotError),
    /// A task of the harness ended badly.
    #[error("a trial ended badly")]
    Worker(#[source] tokio::task::JoinError),
    /// A directory could not be made.
    #[error("cannot write {}", path.display())]
    Write {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A schedule could not be written.
    #[error("a schedule cannot be written")]
    Schedule(#[source] ScheduleError),
    /// A verdict could not be written.
    #[error("a verdict cannot be written")]
    Layout(#[source] LayoutError),
    /// The user stopped it.
    #[error("stopped by the user; what was reached so far lies in the run's directory")]
    Stopped,
}

/// Runs trials for the search.
pub(super) struct Lab<'a> {
    pub(super) slots: Slots,
    pub(super) directory: RunDirectory,
    /// Where the smallest schedule so far is kept.
    pub(super) smallest: PathBuf,
    pub(super) jobs: u32,
    pub(super) stop: &'a CancellationToken,
    pub(super) say: &'a (dyn Fn(&str) + Send + Sync),
    /// Trials that ended, by number.
    pub(super) trials: Vec<TrialRecord>,
}

impl Lab<'_> {
    /// The environment; none when no clean diff comes to its end with this workload and pace.
    async fn environment(&self, schedule: &Schedule) -> Result<Option<Environment>, LabError> {
        let prepared = self.slots.environment(schedule, is_exclusive(schedule), self.say);
        match self.stop.run_until_cancelled(prepared).await {
            None => Err(LabError::Stopped),
            Some(Ok(environment)) => Ok(Some(environment)),
            Some(Err(error @ SlotError::Calibration(_))) => {
                (self.say)(&format!("clean    {}", chain(&error)));
                Ok(None)
            }
            Some(Err(error)) => Err(LabError::Slot(error)),
        }
    }

    async fn run_abreast(
        &mut self,
        schedule: &Schedule,
        times: u32,
    ) -> Result<Vec<Seen>, LabError> {
        let Some(environment) = self.environment(schedule).await? else {
            return Ok(vec![Seen::Inconclusive; times as usize]);
        };
        let first = u32::try_from(self.trials.len()).unwrap_or(u32::MAX);
        let mut running = JoinSet::new();
        for trial in first..first.saturating_add(times) {
            let mut numbered = schedule.clone();
            numbered.trial = trial;
            self.spawn(&mut running, &environment, numbered)?;
        }
        let mut ended = Vec::new();
        while let Some(trial) = running.join_next().await {
            ended.push(trial.map_err(LabError::Worker)?);
        }
        ended.sort_by_key(TrialRecord::number);
        for trial in &ended {
            self.directory.write_verdict(trial).map_err(LabError::Layout)?;
        }
        let seen = ended.iter().map(seen).collect();
        self.trials.extend(ended);
        if self.stop.is_cancelled() { Err(LabError::Stopped) } else { Ok(seen) }
    }

    fn spawn(
        &self,
        running: &mut JoinSet<TrialRecord>,
        environment: &Environment,
        schedule: Schedule,
    ) -> Result<(), LabError> {
        let dir = self.directory.trial(schedule.trial);
        std::fs::create_dir_all(&dir)
            .map_err(|source| LabError::Write { path: dir.clone(), source })?;
        let path = self.directory.schedule(schedule.trial);
        records::schedule::save(&schedule, &path).map_err(LabError::Schedule)?;
        let (environment, stop) = (environment.clone(), self.stop.clone());
        running.spawn(async move {
            let name = format!("t{:04}", schedule.trial);
            run_trial(&environment, &schedule, &name, &dir, &stop).await
        });
        Ok(())
    }
}

impl Laboratory for Lab<'_> {
    type Error = LabError;

    fn at_a_time(&self) -> u32 {
        self.jobs
    }

    async fn run(&mut self, schedule: &Schedule, times: u32) -> Result<Vec<Seen>, LabError> {
        // Trials that hurt servers run one by one, each on servers that are well.
        let (turns, abreast) = if is_exclusive(schedule) { (times, 1) } else { (1, times) };
        let mut seen = Vec::new();
        for _ in 0..turns {
            seen.extend(self.run_abreast(schedule, abreast).await?);
        }
        Ok(seen)
    }

    fn keep(&mut self, smallest: &Schedule, told: &str) -> Result<(), LabError> {
        (self.say)(told);
        records::schedule::save(smallest, &self.smallest).map_err(LabError::Schedule)
    }

    fn tell(&mut self, line: &str) {
        (self.say)(line);
    }
}

/// What a trial came to, as the search sees it.
fn seen(trial: &TrialRecord) -> Seen {
    let failed = trial.judgements.iter().filter(|judgement| judgement.is_fail());
    let broken: BTreeSet<_> = failed.map(|judgement| judgement.invariant).collect();
    match trial.verdict() {
        Verdict::Fail => Seen::Broke(broken),
        Verdict::Pass => Seen::Held,
        Verdict::Inconclusive => Seen::Inconclusive,
    }
}
