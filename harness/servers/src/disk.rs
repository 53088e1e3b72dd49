//! A disk of limited size for a MySQL server: a volume in memory, which the engine limits.
//!
//! Such a volume is empty again once nobody uses it. A second container that does nothing uses it too,
//! so that the data survives a restart of the server.

use engine::docker::{Container, ContainerSpec, Engine, PIECE, Run};
use engine::images::Images;

use super::ClusterError;

const SERVER: &str = "the small disk of mysql-target";
const HOLDER: &str = "disk-holder";
/// Does nothing until it is killed.
const IDLE: [&str; 3] = ["hog", "--mib", "1"];
/// A narrowed disk has so much room left: for the history of half a diff, and quickly filled.
const ROOM: usize = 32 << 20;
const NARROWS: &str = "chaos-narrows";
const KEEPS_ROOM: &str = "chaos-keeps-room";
const FILLER: &str = "chaos-filler";
/// What still has no room when the disk is full.
const LAST_STRAW: &str = "chaos-straw";

/// A volume, and the container that holds it.
#[derive(Debug)]
pub struct SmallDisk {
    volume: String,
    bytes: u64,
    /// Removed with its run.
    _holder: Container,
}

/// For an image that lacks it.
fn helper_file(helper: &[u8]) -> (String, u32, Vec<u8>) {
    (engine::images::HELPER.to_owned(), 0o755, helper.to_vec())
}

impl SmallDisk {
    /// Makes the volume.
    ///
    /// # Errors
    /// When the engine refuses.
    pub(super) async fn make(
        engine: &Engine,
        run: &Run,
        images: &Images,
        bytes: u64,
    ) -> Result<SmallDisk, ClusterError> {
        let failed = || ClusterError::engine(SERVER, "making it");
        let volume = run.name("disk");
        engine.create_small_volume(&volume, bytes, &run.labels()).await.map_err(failed())?;
        let holder = ContainerSpec {
            what: HOLDER.to_owned(),
            image: images.tablet.reference.clone(),
            entry_point: Some(engine::images::HELPER.to_owned()),
            files: images.helper.iter().map(|helper| helper_file(helper)).collect(),
            command: IDLE.map(str::to_owned).to_vec(),
            // Not filled from this image: MySQL's data shall fill it.
            mounts: vec![(volume.clone(), "/held".to_owned())],
            ..Default::default()
        };
        let holder = engine.launch(run.site(), holder).await.map_err(failed())?;
        Ok(SmallDisk { volume, bytes, _holder: holder })
    }

    /// The volume's name.
    pub(super) fn volume(&self) -> &str {
        &self.volume
    }

    /// Leaves little room on it, so that it can be filled at once later.
    pub(super) async fn narrow(
        &self,
        engine: &Engine,
        container: &str,
        place: &str,
    ) -> Result<(), ClusterError> {
        let failed = || ClusterError::engine(SERVER, "narrowing it");
        let keeps_room = format!("{place}/{KEEPS_ROOM}");
        engine.upload_zeros(container, &keeps_room, ROOM / PIECE).await.map_err(failed())?;
        self.fill_with(engine, container, &format!("{place}/{NARROWS}")).await;
        engine.upload(container, &keeps_room, b"").await.map_err(failed())
    }

    /// The engine may hang up when there is no room any more, before it has said so.
    async fn fill_with(&self, engine: &Engine, container: &str, file: &str) {
        let pieces = usize::try_from(self.bytes).unwrap_or(usize::MAX).div_ceil(PIECE);
        if let Err(error) = engine.upload_zeros(container, file, pieces).await {
            tracing::debug!(%error, "the disk is full");
        }
    }

    /// Fills it through a container in which it lies at `place`, and proves that it is full.
    pub(super) async fn fill(
        &self,
        engine: &Engine,
        container: &str,
        place: &str,
    ) -> Result<(), ClusterError> {
        self.fill_with(engine, container, &format!("{place}/{FILLER}")).await;
        let straw = engine.upload_zeros(container, &format!("{place}/{LAST_STRAW}"), 1).await;
        match straw {
            Err(error) if engine::errors::chain(&error).contains("no space left on device") => {
                Ok(())
            }
            Err(error) => Err(ClusterError::engine(SERVER, "filling it")(error)),
            Ok(()) => Err(ClusterError::Limitless { server: SERVER.to_owned(), bytes: self.bytes }),
        }
    }

    /// Takes away what filled it.
    pub(super) async fn free(
        &self,
        engine: &Engine,
        container: &str,
        place: &str,
    ) -> Result<(), ClusterError> {
        for file in [FILLER, LAST_STRAW, NARROWS, KEEPS_ROOM] {
            // The engine has no call that removes a file; an empty one takes no room.
            let freed = engine.upload(container, &format!("{place}/{file}"), b"").await;
            freed.map_err(ClusterError::engine(SERVER, "freeing it"))?;
        }
        Ok(())
    }
}
