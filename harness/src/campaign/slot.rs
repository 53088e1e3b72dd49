//! Slots: servers with loaded data, on which trials run.
//!
//! Trials of one workload share one (each with its own sidecar database and topology root); trials that
//! hurt a server run alone, on another. Each is made when it is first needed. Servers belong to those who
//! use them: they go when their last user has gone, and others need the room.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use records::Host;
use records::journal::Event;
use records::schedule::{Capability, Hurts, Schedule, Workload};
use tokio::sync::Mutex;

use crate::prepare::Prepared;
use crate::stage::{ActError, Environment, Stage, Waited};
use crate::survey::Survey;
use ::servers::ClusterError;
use engine::docker::DockerError;
use engine::images::Image;
use workload::naive::NaiveError;
use workload::{LoadError, WorkloadError};

mod servers;

pub use servers::{ServerSlot, ServerSlots};

/// A guess for the calibrating diff itself; nothing depends on it.
const CALIBRATION_GUESS_MS: u64 = 3_500;

/// Shared servers of so many workloads stay up. More are only made where all are in use.
const ROOM: usize = 2;
/// Clean diffs whose length is remembered.
const CALIBRATIONS_MAX: usize = 16;

/// A slot could not be made.
#[derive(Debug, thiserror::Error)]
pub enum SlotError {
    /// The engine failed.
    #[error("the run's network could not be made")]
    Engine(#[source] DockerError),
    /// A server did not come up.
    #[error("the servers did not come up")]
    Cluster(#[source] ClusterError),
    /// The workload is impossible.
    #[error("the workload is impossible")]
    Workload(#[source] WorkloadError),
    /// The data was not loaded.
    #[error("the data was not loaded")]
    Load(#[source] LoadError),
    /// The truth could not be checked.
    #[error("the planted truth could not be checked")]
    Naive(#[source] NaiveError),
    /// The loaded data is not what was planted.
    #[error(
        "the loaded data differs from what was planted in table `{table}`: this is a bug of vdiff-chaos"
    )]
    Truth {
        /// The first table that differs.
        table: String,
    },
    /// The clean diff failed.
    #[error("the clean diff that measures a diff's length did not work")]
    Calibration(#[source] ActError),
    /// A task of the harness ended badly.
    #[error("a worker of the campaign ended badly")]
    Worker(#[source] tokio::task::JoinError),
}

/// Where slots come from: servers of some kind, with a system on them.
#[async_trait]
pub trait SlotSource: Send + Sync {
    /// What runs there, by name: the ids of its images.
    fn images(&self) -> BTreeMap<String, String>;

    /// What this source, or the system, cannot do on any host, and why.
    fn lacks(&self) -> Vec<(Capability, String)> {
        Vec::new()
    }

    /// How long the engine itself takes from a kill to a running container, milliseconds; none: no engine is
    /// in it.
    async fn floor_cycle_ms(&self, _id: &str) -> Result<Option<u64>, DockerError> {
        Ok(None)
    }

    /// Starts servers and loads the workload; with a small disk for the target's MySQL that can be filled, if
    /// asked for. Nothing is left of what did not start.
    async fn start(
        &self,
        id: &str,
        workload: &Workload,
        small_disk: bool,
    ) -> Result<Box<dyn Slot>, SlotError>;
}

/// A system on servers with one workload loaded.
#[async_trait]
pub trait Slot: Send + Sync {
    /// What trials see of it; `tablet`: with this image of the tablet instead of the usual one.
    fn environment(
        &self,
        survey: &Arc<Survey>,
        calibrated_ms: u64,
        tablet: Option<&Image>,
    ) -> Environment;

    /// Rows that an exact diff of it processes.
    fn rows_total(&self) -> u64;

    /// Whether somebody has an environment of it: a trial that runs.
    fn is_used(&self) -> bool;

    /// Whether its servers answer, all of them.
    async fn is_well(&self) -> bool;

    /// Removes everything of it.
    async fn remove(&self) -> Result<(), DockerError>;
}

/// What a run stands on, once it is prepared.
#[derive(Clone)]
pub struct Ground {
    /// Where its slots come from.
    pub source: Arc<dyn SlotSource>,
    /// What can be done here.
    pub survey: Survey,
    /// The machine, for the report.
    pub host: Host,
}

impl Ground {
    /// Of slots on a surveyed host; what the source cannot do, the host cannot either.
    #[must_use]
    pub fn new(source: Arc<dyn SlotSource>, survey: Survey, host: Host) -> Ground {
        let survey = source
            .lacks()
            .into_iter()
            .fold(survey, |survey, (capability, why)| survey.lacking(capability, why));
        Ground { source, survey, host }
    }
}

impl From<Prepared> for Ground {
    fn from(prepared: Prepared) -> Ground {
        let Prepared { engine, images, survey, host, system } = prepared;
        Ground::new(Arc::new(ServerSlots::new(engine, images, system)), survey, host)
    }
}

/// A slot, and what it was made for.
struct Made {
    slot: Box<dyn Slot>,
    workload: Workload,
    small_disk: bool,
}

fn needs_small_disk(schedule: &Schedule) -> bool {
    schedule.steps.iter().any(|step| step.fault.facts().hurts == Hurts::Disk)
}

/// The slots of a campaign or of a feature run.
pub struct Slots {
    source: Arc<dyn SlotSource>,
    id: String,
    survey: Arc<Survey>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// One a workload, the one that was asked for last at the end.
    shared: Vec<Made>,
    exclusive: Option<Made>,
    /// Lengths of clean diffs, by the schedule's workload and pace.
    calibrated: Vec<(Schedule, u64)>,
    made: u32,
}

impl Slots {
    /// None yet; `id` begins the ids of all runs that are begun for them.
    #[must_use]
    pub fn new(ground: Ground, id: String) -> Slots {
        let Ground { source, survey, host: _ } = ground;
        Slots { source, id, survey: Arc::new(survey), state: Mutex::new(State::default()) }
    }

    /// The environment for a trial; servers start, data is loaded and a clean diff is measured the
    /// first time. Callers wait for each other. Its servers stay as long as the environment does.
    ///
    /// # Errors
    /// When servers, data or the clean diff fail.
    pub async fn environment(
        &self,
        schedule: &Schedule,
        exclusive: bool,
        say: &(dyn Fn(&str) + Send + Sync),
    ) -> Result<Environment, SlotError> {
        self.environment_with(schedule, exclusive, None, say).await
    }

    /// As [`Slots::environment`], with another image of the tablet.
    ///
    /// # Errors
    /// As [`Slots::environment`].
    pub async fn environment_with(
        &self,
        schedule: &Schedule,
        exclusive: bool,
        tablet: Option<&Image>,
        say: &(dyn Fn(&str) + Send + Sync),
    ) -> Result<Environment, SlotError> {
        let mut state = self.state.lock().await;
        let calibrated_ms = match state.calibration(schedule) {
            Some(known) => known,
            None => {
                let made = self.shared(&mut state, schedule, say).await?;
                let environment = self.environment_of(made, CALIBRATION_GUESS_MS, None);
                state.made += 1;
                let length =
                    calibrate(&environment, schedule, &format!("c{:03}", state.made)).await?;
                say(&format!("diff     {:.1} s, undisturbed", length as f64 / 1_000.0));
                state.remember(schedule, length);
                length
            }
        };
        let made = match exclusive {
            true => self.exclusive(&mut state, schedule, say).await?,
            false => self.shared(&mut state, schedule, say).await?,
        };
        Ok(self.environment_of(made, calibrated_ms, tablet))
    }

    fn environment_of(&self, of: &Made, calibrated_ms: u64, tablet: Option<&Image>) -> Environment {
        of.slot.environment(&self.survey, calibrated_ms, tablet)
    }

    /// The servers that all trials of this workload share.
    async fn shared<'a>(
        &self,
        state: &'a mut State,
        schedule: &Schedule,
        say: &(dyn Fn(&str) + Send + Sync),
    ) -> Result<&'a Made, SlotError> {
        let known = state.shared.iter().position(|made| made.workload == schedule.workload);
        let made = match known {
            Some(place) => state.shared.remove(place),
            None => {
                let used =
                    |state: &State| superfluous(state.shared.iter().map(|m| m.slot.is_used()));
                while let Some(place) = used(state) {
                    // It stays in its place until it is gone: who is stopped meanwhile tries again.
                    state.shared[place].slot.remove().await.map_err(SlotError::Engine)?;
                    state.shared.remove(place);
                }
                self.start(state, schedule, "s", false, say).await?
            }
        };
        // The one that was asked for last stands at the end.
        Ok(state.shared.push_mut(made))
    }

    /// Servers for one trial, which hurts them.
    async fn exclusive<'a>(
        &self,
        state: &'a mut State,
        schedule: &Schedule,
        say: &(dyn Fn(&str) + Send + Sync),
    ) -> Result<&'a Made, SlotError> {
        let small_disk = needs_small_disk(schedule);
        if let Some(made) = &state.exclusive {
            let fits = made.workload == schedule.workload && !made.small_disk && !small_disk;
            if !(fits && made.slot.is_well().await) {
                // It stays in its place until it is gone, as above.
                made.slot.remove().await.map_err(SlotError::Engine)?;
                state.exclusive = None;
            }
        }
        let made = match state.exclusive.take() {
            Some(made) => made,
            None => self.start(state, schedule, "x", small_disk, say).await?,
        };
        Ok(state.exclusive.insert(made))
    }

    async fn start(
        &self,
        state: &mut State,
        schedule: &Schedule,
        kind: &str,
        small_disk: bool,
        say: &(dyn Fn(&str) + Send + Sync),
    ) -> Result<Made, SlotError> {
        state.made += 1;
        let id = format!("{}-{kind}{}", self.id, state.made);
        let begun = std::time::Instant::now();
        let workload = schedule.workload.clone();
        let slot = self.source.start(&id, &workload, small_disk).await?;
        let what = match kind {
            "x" => "servers of their own for trials that hurt them",
            _ => "servers",
        };
        say(&format!(
            "cluster  {what}: up and loaded in {:.1} s ({} rows to compare)",
            begun.elapsed().as_secs_f64(),
            slot.rows_total()
        ));
        Ok(Made { slot, workload, small_disk })
    }

    /// Removes all slots; goes on after an error and returns the first.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn remove(&self) -> Result<(), DockerError> {
        let mut state = self.state.lock().await;
        let slots: Vec<Made> = state.shared.drain(..).collect();
        let slots = slots.into_iter().chain(state.exclusive.take());
        let removed = slots.map(|slot| async move { slot.slot.remove().await });
        futures::future::join_all(removed).await.into_iter().collect()
    }
}

/// The place of servers that nobody uses, where there is no room for more.
fn superfluous(used: impl ExactSizeIterator<Item = bool>) -> Option<usize> {
    if used.len() < ROOM {
        return None;
    }
    let mut used = used;
    used.position(|used| !used)
}

impl State {
    fn calibration(&self, schedule: &Schedule) -> Option<u64> {
        let same = |(known, _): &&(Schedule, u64)| {
            known.workload == schedule.workload && known.pace == schedule.pace
        };
        self.calibrated.iter().find(same).map(|(_, length)| *length)
    }

    fn remember(&mut self, schedule: &Schedule, length: u64) {
        if self.calibrated.len() >= CALIBRATIONS_MAX {
            self.calibrated.remove(0);
        }
        self.calibrated.push((schedule.clone(), length));
    }
}

/// Measures a clean diff: from the answer to create until it has settled.
async fn calibrate(
    environment: &Environment,
    schedule: &Schedule,
    name: &str,
) -> Result<u64, SlotError> {
    let mut clean = schedule.clone();
    clean.steps.clear();
    clean.bug = None;
    let dir = environment.directory.join(name);
    let stage =
        Stage::open(environment, &clean, name, &dir).await.map_err(SlotError::Calibration)?;
    let measured = tokio::time::timeout(Duration::from_millis(clean.deadlines.trial_ms), async {
        stage.launch().await?;
        stage.start_workflow().await?;
        stage.create_vdiff(&clean.vdiff_uuid).await?;
        match stage.wait_settled(stage.settle_within()).await? {
            Waited::Yes { after_ms } => Ok(after_ms),
            Waited::No { reason } => Err(ActError::new(reason)),
        }
    })
    .await
    .unwrap_or_else(|_| Err(ActError::new("it did not end within a trial's deadline")));
    let state = stage.journal().inspect(|records| {
        records.iter().rev().find_map(|record| match &record.event {
            Event::Settled { state, .. } => Some(state.clone()),
            _ => None,
        })
    });
    let log = stage.target().last_log_lines();
    stage.close().await;
    let length = measured.map_err(|error| {
        let text = format!("{}; the tablet's last lines:\n{}", error.chain(), log.join("\n"));
        SlotError::Calibration(ActError::new(text))
    })?;
    match state.as_deref() {
        Some("completed") => Ok(length.max(1)),
        other => {
            let text =
                format!("it ended {}, last lines:\n{}", other.unwrap_or("?"), log.join("\n"));
            Err(SlotError::Calibration(ActError::new(text)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Two scenarios at a time, each with its own tables: neither takes the other's MySQL away.
    #[test]
    fn servers_in_use_are_never_removed_and_idle_ones_only_for_room() {
        assert_eq!(superfluous([false].into_iter()), None, "there is room");
        assert_eq!(superfluous([true, true].into_iter()), None, "all are in use: one more is made");
        assert_eq!(superfluous([true, false].into_iter()), Some(1));
        assert_eq!(superfluous([false, false].into_iter()), Some(0), "the one used longest ago");
    }

    // A shrink that goes to and fro between two workloads, or two features, measure each once.
    #[test]
    fn a_clean_diff_is_measured_once_for_each_workload_and_pace() {
        let mut state = State::default();
        let one = crate::plan::schedule(7, 0, &crate::plan::PlanOptions::default()).unwrap();
        let mut other = one.clone();
        other.workload.rows += 1;
        state.remember(&one, 10);
        assert_eq!(state.calibration(&other), None);
        state.remember(&other, 20);
        assert_eq!((state.calibration(&one), state.calibration(&other)), (Some(10), Some(20)));
        other.pace.rows_per_second += 1;
        assert_eq!(state.calibration(&other), None);
    }
}
