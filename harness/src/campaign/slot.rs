//! Slots: servers with loaded data, on which trials run.
//!
//! There are two: one that all trials share (each with its own sidecar database and topology root),
//! and one for trials that hurt a server, which run alone. Each is made when it is first needed.

use std::sync::Arc;
use std::time::Duration;

use reports::journal::Event;
use reports::schedule::{Hurts, Schedule, Workload};
use tokio::sync::Mutex;

use crate::cluster::{ClusterError, Servers};
use crate::docker::{DockerError, Engine, Run};
use crate::images::Images;
use crate::naive::{self, NaiveError};
use crate::trial::{ActError, Environment, SOURCE_DB, Stage, TARGET_DB, Waited};
use crate::workload::{self, Dataset, LoadError, WorkloadError};

/// A guess for the calibrating diff itself; nothing depends on it.
const CALIBRATION_GUESS_MS: u64 = 3_500;

/// Servers that were hurt answer again in this time, or others take their place.
const WELL_WITHIN: Duration = Duration::from_secs(5);
/// A small disk: MySQL's data directory (170 MiB when it has booted), with room for the history of a
/// few diffs…
const DISK_BYTES: u64 = 384 << 20;
/// …and for so much of each row.
const DISK_BYTES_PER_ROW: u64 = 2_048;

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
        calibrated_ms: u64,
    ) -> Environment {
        Environment {
            engine: engine.clone(),
            run: Arc::clone(&self.run),
            images: Arc::clone(images),
            servers: Arc::clone(&self.servers),
            dataset: Arc::clone(&self.dataset),
            calibrated_ms,
        }
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
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    shared: Option<Slot>,
    exclusive: Option<Slot>,
    /// Length of a clean diff, of the schedule's workload and pace.
    calibrated: Option<(Schedule, u64)>,
    made: u32,
}

impl Slots {
    /// None yet; `id` begins the ids of all runs that are begun for them.
    #[must_use]
    pub fn new(engine: Engine, images: Images, id: String) -> Slots {
        let images = Arc::new(images);
        Slots { engine, images, id, state: Mutex::new(State::default()) }
    }

    /// The environment for a trial; servers start, data is loaded and a clean diff is measured the
    /// first time. Callers wait for each other.
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
                self.slot(&mut state, schedule, false, say).await?;
                let shared = state.shared.as_ref();
                let environment = shared
                    .map(|slot| slot.environment(&self.engine, &self.images, CALIBRATION_GUESS_MS));
                let Some(environment) = environment else {
                    let error = ActError::new("the shared slot is gone");
                    return Err(SlotError::Calibration(error));
                };
                state.made += 1;
                let length =
                    calibrate(&environment, schedule, &format!("c{:03}", state.made)).await?;
                say(&format!("diff     {:.1} s, undisturbed", length as f64 / 1_000.0));
                state.calibrated = Some((schedule.clone(), length));
                length
            }
        };
        self.slot(&mut state, schedule, exclusive, say).await?;
        let slot = if exclusive { &state.exclusive } else { &state.shared };
        let environment =
            slot.as_ref().map(|slot| slot.environment(&self.engine, &self.images, calibrated_ms));
        environment.ok_or_else(|| SlotError::Calibration(ActError::new("the slot is gone")))
    }

    /// Makes sure that there is a slot with this workload.
    async fn slot(
        &self,
        state: &mut State,
        schedule: &Schedule,
        exclusive: bool,
        say: &(dyn Fn(&str) + Send + Sync),
    ) -> Result<(), SlotError> {
        let place = if exclusive { &mut state.exclusive } else { &mut state.shared };
        let small_disk = exclusive && needs_small_disk(schedule);
        let fits = place
            .as_ref()
            .filter(|slot| slot.workload == schedule.workload && !slot.small_disk && !small_disk);
        if let Some(slot) = fits
            && (!exclusive || slot.servers.are_well(WELL_WITHIN).await)
        {
            return Ok(());
        }
        if let Some(other) = place.take() {
            other.remove().await.map_err(SlotError::Engine)?;
        }
        state.made += 1;
        let kind = if exclusive { "x" } else { "s" };
        let id = format!("{}-{kind}{}", self.id, state.made);
        let begun = std::time::Instant::now();
        let workload = &schedule.workload;
        let slot = Slot::start_on(&self.engine, &self.images, &id, workload, small_disk).await?;
        let what =
            if exclusive { "servers of their own for trials that hurt them" } else { "servers" };
        say(&format!(
            "cluster  {what}: up and loaded in {:.1} s ({} rows to compare)",
            begun.elapsed().as_secs_f64(),
            slot.dataset.rows_total()
        ));
        let place = if exclusive { &mut state.exclusive } else { &mut state.shared };
        *place = Some(slot);
        Ok(())
    }

    /// Removes both slots; goes on after an error and returns the first.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn remove(&self) -> Result<(), DockerError> {
        let mut state = self.state.lock().await;
        let (shared, exclusive) = (state.shared.take(), state.exclusive.take());
        let remove = |slot: Option<Slot>| async move {
            match slot {
                Some(slot) => slot.remove().await,
                None => Ok(()),
            }
        };
        let (one, two) = tokio::join!(remove(shared), remove(exclusive));
        one.and(two)
    }
}

impl State {
    fn calibration(&self, schedule: &Schedule) -> Option<u64> {
        let (known, length) = self.calibrated.as_ref()?;
        let same = known.workload == schedule.workload && known.pace == schedule.pace;
        same.then_some(*length)
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
