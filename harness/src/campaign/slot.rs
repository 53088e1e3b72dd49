//! Slots: servers with loaded data, on which trials run.
//!
//! Trials of one workload share one (each with its own sidecar database and topology root); trials that
//! hurt a server run alone, on another. Each is made when it is first needed. Servers belong to those who
//! use them: they go when their last user has gone, and others need the room.

use std::sync::Arc;
use std::time::Duration;

use records::journal::Event;
use records::schedule::{Hurts, Schedule, Workload};
use tokio::sync::Mutex;

use crate::prepare::Prepared;
use crate::stage::{ActError, Environment, SOURCE_DB, Stage, TARGET_DB, Waited};
use crate::survey::Survey;
use engine::docker::{DockerError, Engine, Run};
use engine::images::Images;
use servers::{ClusterError, Servers};
use workload::naive::{self, NaiveError};
use workload::{self, Dataset, LoadError, WorkloadError};

/// A guess for the calibrating diff itself; nothing depends on it.
const CALIBRATION_GUESS_MS: u64 = 3_500;

/// Servers that were hurt answer again in this time, or others take their place.
const WELL_WITHIN: Duration = Duration::from_secs(5);
/// A small disk: MySQL's data directory (170 MiB when it has booted), with room for the history of a
/// few diffs…
const DISK_BYTES: u64 = 384 << 20;
/// …and for so much of each row.
const DISK_BYTES_PER_ROW: u64 = 2_048;

/// Shared servers of so many workloads stay up. More are only made where all are in use.
const ROOM: usize = 2;
/// Clean diffs whose length is remembered.
const CALIBRATIONS_MAX: usize = 16;

/// Connections close in this time, or with their server.
const DISCONNECT: Duration = Duration::from_secs(1);

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

/// Servers of one network with one workload loaded.
pub struct Slot {
    run: Arc<Run>,
    servers: Arc<Servers>,
    dataset: Arc<Dataset>,
    workload: Workload,
    small_disk: bool,
}

impl Slot {
    /// Starts servers and loads the workload.
    ///
    /// # Errors
    /// When a server does not come up, or the data is not what was planted. Nothing is left then.
    pub async fn start(
        engine: &Engine,
        images: &Images,
        id: &str,
        workload: &Workload,
    ) -> Result<Slot, SlotError> {
        Slot::start_on(engine, images, id, workload, false).await
    }

    /// As [`Slot::start`]; with a disk for the target's MySQL that can be filled, if asked for.
    async fn start_on(
        engine: &Engine,
        images: &Images,
        id: &str,
        workload: &Workload,
        small_disk: bool,
    ) -> Result<Slot, SlotError> {
        let disk_bytes = small_disk.then(|| disk_bytes(workload));
        let dataset = Dataset::new(workload).map_err(SlotError::Workload)?;
        let run = Run::begin(engine, id).await.map_err(SlotError::Engine)?;
        let filled = async {
            let servers = Servers::start_on(engine, &run, images, disk_bytes).await;
            let servers = servers.map_err(SlotError::Cluster)?;
            fill(&servers, &dataset).await?;
            servers.target.narrow_disk().await.map_err(SlotError::Cluster)?;
            Ok(servers)
        };
        match filled.await {
            Ok(servers) => Ok(Slot {
                run: Arc::new(run),
                servers: Arc::new(servers),
                dataset: Arc::new(dataset),
                workload: workload.clone(),
                small_disk,
            }),
            Err(error) => {
                if let Err(left) = run.remove().await {
                    tracing::warn!(error = %left, "a slot that did not start was not removed");
                }
                Err(error)
            }
        }
    }

    /// What trials see of it.
    #[must_use]
    pub fn environment(
        &self,
        engine: &Engine,
        images: &Arc<Images>,
        survey: &Arc<Survey>,
        calibrated_ms: u64,
    ) -> Environment {
        Environment {
            engine: engine.clone(),
            run: Arc::clone(&self.run),
            images: Arc::clone(images),
            servers: Arc::clone(&self.servers),
            dataset: Arc::clone(&self.dataset),
            calibrated_ms,
            survey: Arc::clone(survey),
        }
    }

    /// Whether somebody has an environment of it: a trial that runs.
    fn is_used(&self) -> bool {
        Arc::strong_count(&self.servers) > 1
    }

    /// Removes everything of it.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn remove(&self) -> Result<(), DockerError> {
        for server in [&self.servers.source, &self.servers.target] {
            // Or the driver would complain of the servers' death.
            let disconnected = tokio::time::timeout(DISCONNECT, server.pool().disconnect()).await;
            if !matches!(disconnected, Ok(Ok(()))) {
                tracing::debug!("connections of a slot did not close in order");
            }
        }
        self.run.remove().await
    }
}

fn needs_small_disk(schedule: &Schedule) -> bool {
    schedule.steps.iter().any(|step| step.fault.facts().hurts == Hurts::Disk)
}

fn disk_bytes(workload: &Workload) -> u64 {
    let rows = workload.rows.saturating_mul(workload.tables.len() as u64);
    DISK_BYTES + rows.saturating_mul(DISK_BYTES_PER_ROW)
}

async fn fill(servers: &Servers, dataset: &Dataset) -> Result<(), SlotError> {
    let (source, target) = (servers.source.pool(), servers.target.pool());
    workload::load(dataset, &source, SOURCE_DB, &target, TARGET_DB)
        .await
        .map_err(SlotError::Load)?;
    let found = naive::compare(&source, SOURCE_DB, &target, TARGET_DB, &dataset.tables())
        .await
        .map_err(SlotError::Naive)?;
    let truth = dataset.truth();
    let differing =
        truth.tables.iter().find(|(name, table)| found.tables.get(*name) != Some(table));
    match differing {
        None => Ok(()),
        Some((table, _)) => Err(SlotError::Truth { table: table.clone() }),
    }
}

/// The slots of a campaign or of a feature run.
pub struct Slots {
    engine: Engine,
    images: Arc<Images>,
    id: String,
    survey: Arc<Survey>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// One a workload, the one that was asked for last at the end.
    shared: Vec<Slot>,
    exclusive: Option<Slot>,
    /// Lengths of clean diffs, by the schedule's workload and pace.
    calibrated: Vec<(Schedule, u64)>,
    made: u32,
}

impl Slots {
    /// None yet; `id` begins the ids of all runs that are begun for them.
    #[must_use]
    pub fn new(prepared: Prepared, id: String) -> Slots {
        let Prepared { engine, images, survey, host: _ } = prepared;
        let (images, survey) = (Arc::new(images), Arc::new(survey));
        Slots { engine, images, id, survey, state: Mutex::new(State::default()) }
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
        let mut state = self.state.lock().await;
        let calibrated_ms = match state.calibration(schedule) {
            Some(known) => known,
            None => {
                let environment =
                    self.shared(&mut state, schedule, CALIBRATION_GUESS_MS, say).await?;
                state.made += 1;
                let length =
                    calibrate(&environment, schedule, &format!("c{:03}", state.made)).await?;
                say(&format!("diff     {:.1} s, undisturbed", length as f64 / 1_000.0));
                state.remember(schedule, length);
                length
            }
        };
        match exclusive {
            true => self.exclusive(&mut state, schedule, calibrated_ms, say).await,
            false => self.shared(&mut state, schedule, calibrated_ms, say).await,
        }
    }

    fn environment_of(&self, slot: &Slot, calibrated_ms: u64) -> Environment {
        slot.environment(&self.engine, &self.images, &self.survey, calibrated_ms)
    }

    /// The servers that all trials of this workload share.
    async fn shared(
        &self,
        state: &mut State,
        schedule: &Schedule,
        calibrated_ms: u64,
        say: &(dyn Fn(&str) + Send + Sync),
    ) -> Result<Environment, SlotError> {
        let known = state.shared.iter().position(|slot| slot.workload == schedule.workload);
        let slot = match known {
            Some(place) => state.shared.remove(place),
            None => {
                while let Some(place) = superfluous(state.shared.iter().map(Slot::is_used)) {
                    // It stays in its place until it is gone: who is stopped meanwhile tries again.
                    state.shared[place].remove().await.map_err(SlotError::Engine)?;
                    state.shared.remove(place);
                }
                self.start(state, schedule, "s", false, say).await?
            }
        };
        let environment = self.environment_of(&slot, calibrated_ms);
        state.shared.push(slot);
        Ok(environment)
    }

    /// Servers for one trial, which hurts them.
    async fn exclusive(
        &self,
        state: &mut State,
        schedule: &Schedule,
        calibrated_ms: u64,
        say: &(dyn Fn(&str) + Send + Sync),
    ) -> Result<Environment, SlotError> {
        let small_disk = needs_small_disk(schedule);
        let fits = state
            .exclusive
            .as_ref()
            .filter(|slot| slot.workload == schedule.workload && !slot.small_disk && !small_disk);
        if let Some(slot) = fits
            && slot.servers.are_well(WELL_WITHIN).await
        {
            return Ok(self.environment_of(slot, calibrated_ms));
        }
        if let Some(other) = state.exclusive.take() {
            other.remove().await.map_err(SlotError::Engine)?;
        }
        let slot = self.start(state, schedule, "x", small_disk, say).await?;
        let environment = self.environment_of(&slot, calibrated_ms);
        state.exclusive = Some(slot);
        Ok(environment)
    }

    async fn start(
        &self,
        state: &mut State,
        schedule: &Schedule,
        kind: &str,
        small_disk: bool,
        say: &(dyn Fn(&str) + Send + Sync),
    ) -> Result<Slot, SlotError> {
        state.made += 1;
        let id = format!("{}-{kind}{}", self.id, state.made);
        let begun = std::time::Instant::now();
        let workload = &schedule.workload;
        let slot = Slot::start_on(&self.engine, &self.images, &id, workload, small_disk).await?;
        let what = match kind {
            "x" => "servers of their own for trials that hurt them",
            _ => "servers",
        };
        say(&format!(
            "cluster  {what}: up and loaded in {:.1} s ({} rows to compare)",
            begun.elapsed().as_secs_f64(),
            slot.dataset.rows_total()
        ));
        Ok(slot)
    }

    /// Removes all slots; goes on after an error and returns the first.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn remove(&self) -> Result<(), DockerError> {
        let mut state = self.state.lock().await;
        let slots: Vec<Slot> = state.shared.drain(..).collect();
        let slots = slots.into_iter().chain(state.exclusive.take());
        let removed = slots.map(|slot| async move { slot.remove().await });
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
    let dir = environment.run.directory().join(name);
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
