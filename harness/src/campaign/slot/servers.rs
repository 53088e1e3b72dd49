//! Slots on real servers: MySQL and etcd in containers of one network, with a workload loaded.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use records::schedule::{Capability, Workload};

use super::{Slot, SlotError, SlotSource};
use crate::campaign::floor;
use crate::stage::Environment;
use crate::survey::Survey;
use crate::systems::Deployable;
use engine::docker::{DockerError, Engine, Run};
use engine::images::{Image, Images};
use servers::Servers;
use system::{SOURCE_DB, System, TARGET_DB};
use system_tablet::TabletSystem;
use system_vitess::VitessSystem;
use workload::Dataset;
use workload::naive;

/// Servers that were hurt answer again in this time, or others take their place.
const WELL_WITHIN: Duration = Duration::from_secs(5);
/// A small disk: MySQL's data directory (170 MiB when it has booted), with room for the history of a
/// few diffs…
const DISK_BYTES: u64 = 384 << 20;
/// …and for so much of each row.
const DISK_BYTES_PER_ROW: u64 = 2_048;
/// Connections close in this time, or with their server.
const DISCONNECT: Duration = Duration::from_secs(1);

/// Where slots on real servers come from.
#[derive(Clone, Debug)]
pub struct ServerSlots {
    engine: Engine,
    images: Arc<Images>,
    system: Deployable,
}

impl ServerSlots {
    /// On this engine, of these images, for this system.
    #[must_use]
    pub fn new(engine: Engine, images: Images, system: Deployable) -> ServerSlots {
        ServerSlots { engine, images: Arc::new(images), system }
    }
}

#[async_trait]
impl SlotSource for ServerSlots {
    fn images(&self) -> BTreeMap<String, String> {
        ids(&self.images, &self.system)
    }

    fn lacks(&self) -> Vec<(Capability, String)> {
        self.system.lacks()
    }

    async fn floor_cycle_ms(&self, id: &str) -> Result<Option<u64>, DockerError> {
        floor::measure(&self.engine, &self.images, id).await.map(Some)
    }

    async fn start(
        &self,
        id: &str,
        workload: &Workload,
        small_disk: bool,
    ) -> Result<Box<dyn Slot>, SlotError> {
        let disk_bytes = small_disk.then(|| disk_bytes(workload));
        let slot =
            ServerSlot::start_on(&self.engine, &self.images, id, workload, disk_bytes).await?;
        Ok(Box::new(ServerSlot { system: self.system.clone(), ..slot }))
    }
}

/// Servers of one network with one workload loaded.
pub struct ServerSlot {
    engine: Engine,
    images: Arc<Images>,
    run: Arc<Run>,
    servers: Arc<Servers>,
    dataset: Arc<Dataset>,
    system: Deployable,
}

impl ServerSlot {
    /// Starts servers and loads the workload, for this project's tablet.
    ///
    /// # Errors
    /// When a server does not come up, or the data is not what was planted. Nothing is left then.
    pub async fn start(
        engine: &Engine,
        images: &Arc<Images>,
        id: &str,
        workload: &Workload,
    ) -> Result<ServerSlot, SlotError> {
        ServerSlot::start_on(engine, images, id, workload, None).await
    }

    /// As [`ServerSlot::start`]; with a disk of so many bytes for the target's MySQL.
    async fn start_on(
        engine: &Engine,
        images: &Arc<Images>,
        id: &str,
        workload: &Workload,
        disk_bytes: Option<u64>,
    ) -> Result<ServerSlot, SlotError> {
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
            Ok(servers) => Ok(ServerSlot {
                engine: engine.clone(),
                images: Arc::clone(images),
                run: Arc::new(run),
                servers: Arc::new(servers),
                dataset: Arc::new(dataset),
                system: Deployable::Tablet,
            }),
            Err(error) => {
                if let Err(left) = run.remove().await {
                    tracing::warn!(error = %left, "a slot that did not start was not removed");
                }
                Err(error)
            }
        }
    }
}

#[async_trait]
impl Slot for ServerSlot {
    fn environment(
        &self,
        survey: &Arc<Survey>,
        calibrated_ms: u64,
        tablet: Option<&Image>,
    ) -> Environment {
        let mut images = Arc::clone(&self.images);
        if let Some(tablet) = tablet {
            Arc::make_mut(&mut images).tablet = tablet.clone();
        }
        let (run, servers) = (Arc::clone(&self.run), Arc::clone(&self.servers));
        let engine = self.engine.clone();
        let system: Arc<dyn System> = match &self.system {
            Deployable::Tablet => Arc::new(TabletSystem::new(engine, run, images, servers)),
            Deployable::Vitess(vitess) => {
                let ids = ids(&images, &self.system);
                Arc::new(VitessSystem::new(engine, run, Arc::clone(vitess), servers, ids))
            }
        };
        Environment {
            system,
            run: self.run.id().to_string(),
            directory: self.run.directory().to_owned(),
            dataset: Arc::clone(&self.dataset),
            calibrated_ms,
            survey: Arc::clone(survey),
        }
    }

    fn rows_total(&self) -> u64 {
        self.dataset.rows_total()
    }

    fn is_used(&self) -> bool {
        Arc::strong_count(&self.servers) > 1
    }

    async fn is_well(&self) -> bool {
        self.servers.are_well(WELL_WITHIN).await
    }

    async fn remove(&self) -> Result<(), DockerError> {
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

/// The images' ids, by the names that reports give them.
fn ids(images: &Images, system: &Deployable) -> BTreeMap<String, String> {
    let mut ids = images.ids();
    if let Some(tablet) = ids.remove("tablet") {
        ids.insert(system.image_name(), tablet);
    }
    ids
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
