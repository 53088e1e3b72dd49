//! The servers that trials share: etcd, and the MySQL of each side. They start side by side; the
//! roots' pools go through loopback ports, the tablets use names on the run's network.

mod disk;
mod etcd;
pub mod history;
mod mysql;
mod residue;

use std::time::Duration;

use engine::docker::{DockerError, Engine, Run};
use engine::images::Images;

pub use disk::SmallDisk;
pub use etcd::{Etcd, KeyValue, Lease};
pub use mysql::MysqlServer;
pub use residue::residue_of;

/// A server is not there as it should be.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// The engine failed.
    #[error("{server}: {phase} failed")]
    Engine {
        /// Which server.
        server: String,
        /// In which phase of its life.
        phase: &'static str,
        /// Why.
        #[source]
        source: DockerError,
    },
    /// MySQL answered with an error, or not at all.
    #[error("{server}: {phase} failed")]
    Mysql {
        /// Which server.
        server: String,
        /// What was asked.
        phase: &'static str,
        /// Why.
        #[source]
        source: Box<mysql_async::Error>,
    },
    /// etcd answered with an error.
    #[error("etcd: {phase} failed")]
    Etcd {
        /// What was asked.
        phase: &'static str,
        /// Why.
        #[source]
        source: Box<tonic::Status>,
    },
    /// Its disk is as large as the engine's: nobody may fill it.
    #[error("{server} has no small disk of its own; a trial with disk-full needs one")]
    LargeDisk {
        /// Which server.
        server: String,
    },
    /// A small disk took more than it should have room for.
    #[error(
        "{server}: its disk is not limited to {bytes} bytes; does this engine limit tmpfs volumes?"
    )]
    Limitless {
        /// Which server.
        server: String,
        /// Its size.
        bytes: u64,
    },
    /// A server was not ready in time.
    #[error("{server} was not ready within {deadline:?}; last: {last}; its log ends with:\n{log}")]
    NotReady {
        /// Which server.
        server: String,
        /// The limit.
        deadline: Duration,
        /// The last reason.
        last: String,
        /// Its last lines.
        log: String,
    },
}

impl ClusterError {
    fn engine(server: &str, phase: &'static str) -> impl FnOnce(DockerError) -> Self {
        let server = server.to_owned();
        move |source| Self::Engine { server, phase, source }
    }
}

/// How long a server may take to boot.
const BOOT: Duration = Duration::from_secs(60);

/// The servers of a cluster.
#[derive(Debug)]
pub struct Servers {
    /// The topology server.
    pub etcd: Etcd,
    /// MySQL of the source keyspace.
    pub source: MysqlServer,
    /// MySQL of the target keyspace.
    pub target: MysqlServer,
}

impl Servers {
    /// Starts all three and waits until they answer.
    pub async fn start(engine: &Engine, run: &Run, images: &Images) -> Result<Self, ClusterError> {
        Self::start_on(engine, run, images, None).await
    }

    /// As [`Servers::start`]; the target's MySQL lies on a disk of so many bytes.
    pub async fn start_on(
        engine: &Engine,
        run: &Run,
        images: &Images,
        disk_bytes: Option<u64>,
    ) -> Result<Self, ClusterError> {
        let target = async {
            let disk = match disk_bytes {
                Some(bytes) => Some(SmallDisk::make(engine, run, images, bytes).await?),
                None => None,
            };
            MysqlServer::launch(engine, run, &images.mysql, "mysql-target", disk).await
        };
        let (etcd, source, target) = tokio::try_join!(
            Etcd::launch(engine, run, &images.etcd, "etcd", BOOT),
            MysqlServer::launch(engine, run, &images.mysql, "mysql-source", None),
            target,
        )?;
        Ok(Self { etcd, source, target })
    }

    /// Whether all three answer within the deadline, and take writes: a trial that was cut short may
    /// have left them hurt.
    pub async fn are_well(&self, within: Duration) -> bool {
        let (etcd, source, target) = tokio::join!(
            self.etcd.wait_ready(within),
            self.source.wait_writable(within),
            self.target.wait_writable(within)
        );
        etcd.is_ok() && source.is_ok() && target.is_ok()
    }

    /// Removes all three. Goes on after an error, and returns the first.
    pub async fn remove(self) -> Result<(), ClusterError> {
        let (etcd, source, target) =
            tokio::join!(self.etcd.remove(), self.source.remove(), self.target.remove());
        etcd.and(source).and(target)
    }
}
