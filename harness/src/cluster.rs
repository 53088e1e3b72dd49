//! The servers that trials share: etcd, and the MySQL of each side. They start side by side; the
//! roots' pools go through loopback ports, the tablets use names on the run's network.

mod etcd;
mod mysql;

use std::time::Duration;

use crate::docker::{DockerError, Engine, Run};
use crate::images::Images;

pub use etcd::{Etcd, KeyValue, Lease};
pub use mysql::MysqlServer;

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
        Self::start_named(engine, run, images, "").await
    }

    /// As [`Servers::start`], with a prefix for the names: a trial that hurts servers has its own.
    pub async fn start_named(
        engine: &Engine,
        run: &Run,
        images: &Images,
        prefix: &str,
    ) -> Result<Self, ClusterError> {
        let [etcd, source, target] =
            ["etcd", "mysql-source", "mysql-target"].map(|what| format!("{prefix}{what}"));
        let (etcd, source, target) = tokio::try_join!(
            Etcd::launch(engine, run, &images.etcd, &etcd, BOOT),
            MysqlServer::launch(engine, run, &images.mysql, &source, BOOT),
            MysqlServer::launch(engine, run, &images.mysql, &target, BOOT),
        )?;
        Ok(Self { etcd, source, target })
    }

    /// Removes all three. Goes on after an error, and returns the first.
    pub async fn remove(self) -> Result<(), ClusterError> {
        let (etcd, source, target) =
            tokio::join!(self.etcd.remove(), self.source.remove(), self.target.remove());
        etcd.and(source).and(target)
    }
}
