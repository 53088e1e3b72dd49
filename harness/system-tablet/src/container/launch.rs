//! How an incarnation is started: the first with its container, each later one in it.

use records::journal::Side;

use super::{ContainerTablet, MysqlUser};
use crate::{Client, TabletError};
use contained::ContainedError;
use engine::docker::{ContainerSpec, DockerError, narrow_receiving, narrow_sending};
use system::Started;

const HTTP_PORT: u16 = 15100;
const MYSQL_PORT: u16 = 3306;
/// The discard port, where nobody listens.
const NOBODY: u16 = 9;
const CREDENTIALS: &str = "/etc/tablet/mysql.json";

impl ContainerTablet {
    /// testcontainers creates and starts in one: the credentials are copied in between.
    pub(super) async fn start_first(&self, credentials: String) -> Result<Started, TabletError> {
        let what = match self.contained.predecessors() {
            0 => self.spec.what.clone(),
            nth => format!("{}-{}", self.spec.what, nth + 1),
        };
        let mut spec = self.container_spec(what);
        spec.files.push((CREDENTIALS.to_owned(), 0o600, credentials.into_bytes()));
        Ok(self.contained.start_first(spec).await?)
    }

    pub(super) async fn start_again(
        &self,
        id: &str,
        credentials: &str,
    ) -> Result<Started, TabletError> {
        let engine = self.contained.engine();
        let uploaded = engine.upload(id, CREDENTIALS, credentials.as_bytes()).await;
        uploaded.map_err(|source| self.failed("the upload of its credentials", source))?;
        Ok(self.contained.start_again().await?)
    }

    /// An incarnation of this user has begun.
    pub(super) fn began(&self, user: MysqlUser) {
        let port = |inside: u16| self.contained.host_port(inside).unwrap_or(NOBODY);
        let spec = &self.spec;
        let (grpc, http) = (port(self.grpc_port()), port(HTTP_PORT));
        let mut life = self.life();
        life.users.push(user.name.clone());
        life.users.dedup();
        life.last = Some(user);
        life.client = Some(Client::new(&spec.alias, &spec.keyspace, &spec.shard, grpc, http));
    }

    fn failed(&self, phase: &'static str, source: DockerError) -> TabletError {
        ContainedError::Engine { tablet: self.spec.alias.clone(), phase, source }.into()
    }

    fn container_spec(&self, what: String) -> ContainerSpec {
        let spec = &self.spec;
        let pace = &spec.pace;
        let wiring = &spec.wiring;
        let topo = wiring.topo.clone().unwrap_or_else(|| self.servers.etcd.network_address());
        let (mysql_host, mysql_port) = wiring
            .mysql
            .clone()
            .unwrap_or_else(|| (self.mysql().network_name().to_owned(), MYSQL_PORT));
        let option = |name: &str, value: &dyn std::fmt::Display| format!("--{name}={value}");
        let mut command = vec![
            option("alias", &spec.alias),
            option("keyspace", &spec.keyspace),
            option("shard", &spec.shard),
            option(
                "hostname",
                wiring.hostname.as_ref().unwrap_or(&self.contained.site().name(&what)),
            ),
            option("grpc-port", &self.grpc_port()),
            option("http-port", &HTTP_PORT),
            option("topo-address", &topo),
            option("topo-root", &spec.topo_root),
            option("mysql-host", &mysql_host),
            option("mysql-port", &mysql_port),
            option("mysql-credentials-file", &CREDENTIALS),
            option("db-name", &spec.db_name),
            option("sidecar-db", &spec.sidecar_db),
            option("vdiff-checkpoint-rows", &pace.checkpoint_rows),
            option("vdiff-checkpoint-interval-ms", &pace.checkpoint_interval_ms),
            option("vdiff-rows-per-second", &pace.rows_per_second),
            option("vdiff-packet-bytes", &pace.packet_bytes),
            option("vdiff-retry-min-ms", &spec.retry_min_ms),
            option("vdiff-retry-max-ms", &spec.retry_max_ms),
            option("lease-ttl-seconds", &spec.lease_ttl_seconds),
        ];
        // A paced diff holds its source back: what is on the way unread is a packet or two.
        if pace.rows_per_second > 0 && spec.side == Side::Target {
            command.push(option("vdiff-stream-window-bytes", &pace.packet_bytes));
        }
        command.extend(spec.options.iter().cloned());
        let bug = spec.bug.map(|bug| ("TABLET_SEEDED_BUGS".to_owned(), bug.name().to_owned()));
        ContainerSpec {
            what,
            image: self.image.reference.clone(),
            command,
            env: bug.into_iter().collect(),
            ports: vec![self.grpc_port(), HTTP_PORT],
            memory_bytes: Some(pace.memory_limit_bytes),
            // Larger than the limit: the limit must be reached first.
            shm_bytes: Some(pace.memory_limit_bytes.saturating_mul(2)),
            hosts: wiring.hosts.clone(),
            sysctls: vec![narrow_sending(), narrow_receiving()],
            ..Default::default()
        }
    }
}
