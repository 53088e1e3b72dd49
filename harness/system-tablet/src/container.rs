//! Our tablet in a container: its MySQL users and its wire protocols, over many incarnations.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use records::journal::Side;
use serde_json::json;

use super::{Client, TabletError, TabletSpec};
use contained::Contained;
use engine::docker::{Engine, RunScope};
use engine::images::Image;
use servers::{MysqlServer, Servers};
use system::{Predecessor, Started};

mod launch;
mod users;

pub(super) const GRPC_PORT: u16 = 15999;
/// A living tablet says something in this time.
const SILENCE: Duration = Duration::from_millis(700);

/// A tablet in a container.
#[derive(Debug)]
pub struct ContainerTablet {
    contained: Contained,
    servers: Arc<Servers>,
    image: Image,
    spec: TabletSpec,
    life: Mutex<Life>,
}

/// What changes from incarnation to incarnation.
#[derive(Debug, Default)]
struct Life {
    users: Vec<String>,
    client: Option<Client>,
    /// The user of the running or last incarnation.
    last: Option<MysqlUser>,
    /// The user of the next one.
    prepared: Option<MysqlUser>,
}

#[derive(Clone, Debug)]
struct MysqlUser {
    name: String,
    password: String,
}

impl ContainerTablet {
    /// A tablet that was never started: its container comes with its first incarnation.
    #[must_use]
    pub fn new(
        engine: &Engine,
        site: &RunScope,
        servers: Arc<Servers>,
        image: &Image,
        spec: TabletSpec,
    ) -> Self {
        let contained = Contained::new(engine, site, &spec.alias);
        Self { contained, servers, image: image.clone(), spec, life: Mutex::default() }
    }

    /// What it was made from.
    #[must_use]
    pub fn spec(&self) -> &TabletSpec {
        &self.spec
    }

    /// Its process in its container.
    #[must_use]
    pub fn contained(&self) -> &Contained {
        &self.contained
    }

    /// The servers that it uses.
    #[must_use]
    pub fn servers(&self) -> &Arc<Servers> {
        &self.servers
    }

    /// Its MySQL.
    #[must_use]
    pub fn mysql(&self) -> &MysqlServer {
        match self.spec.side {
            Side::Source => &self.servers.source,
            Side::Target => &self.servers.target,
        }
    }

    /// Its name on the run's network.
    #[must_use]
    pub fn network_name(&self) -> String {
        self.contained.site().name(&self.spec.what)
    }

    /// Starts the next incarnation, under a MySQL user of its own.
    pub async fn start_incarnation(&self) -> Result<Started, TabletError> {
        let user = self.user_of(self.contained.incarnation() + 1).await?;
        let credentials = json!({"user": user.name, "password": user.password}).to_string();
        let started = match self.contained.container_id() {
            None => self.start_first(credentials).await?,
            Some(id) => self.start_again(&id, &credentials).await?,
        };
        self.began(user);
        self.prepare_user(started.incarnation + 1).await;
        Ok(started)
    }

    /// Starts the next incarnation in a container of its own, while the present one lives on.
    pub async fn replace(&self) -> Result<(Started, Predecessor), TabletError> {
        let predecessor = self.contained.give_way()?;
        Ok((self.start_incarnation().await?, predecessor))
    }

    /// The MySQL users of all incarnations, in order.
    #[must_use]
    pub fn user_names(&self) -> Vec<String> {
        self.life().users.clone()
    }

    /// Its wire protocols. Ask again after each start: the ports may change.
    #[must_use]
    pub fn client(&self) -> Client {
        // Before the first start there is nobody: port 9 (discard) refuses.
        let nobody = || Client::new(&self.spec.alias, &self.spec.keyspace, &self.spec.shard, 9, 9);
        self.life().client.clone().unwrap_or_else(nobody)
    }

    /// The port of its gRPC services inside its container.
    fn grpc_port(&self) -> u16 {
        self.spec.wiring.grpc_port.unwrap_or(GRPC_PORT)
    }

    /// The port of its gRPC services on the host's loopback; none before the first start. Ask again after each
    /// start.
    #[must_use]
    pub fn grpc_host_port(&self) -> Option<u16> {
        self.contained.host_port(self.grpc_port())
    }

    /// Whether its process is stopped (SIGSTOP): by the kernel's word, or, where its process is not
    /// seen from here, by its silence.
    pub async fn is_frozen(&self) -> Result<bool, TabletError> {
        if let Some(stopped) = self.contained.is_stopped()? {
            return Ok(stopped);
        }
        Ok(tokio::time::timeout(SILENCE, self.client().readyz()).await.is_err())
    }

    fn life(&self) -> MutexGuard<'_, Life> {
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
