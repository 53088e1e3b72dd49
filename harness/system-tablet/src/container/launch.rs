//! How an incarnation is started: the first with its container, each later one in it.

use std::sync::Arc;

use records::journal::Side;

use super::{ContainerTablet, MysqlUser};
use crate::Client;
use engine::docker::{
    ContainerSpec, ContainerState, DockerError, narrow_receiving, narrow_sending,
};
use engine::process::{CgroupPaths, belongs_to};
use system::Started;

const HTTP_PORT: u16 = 15100;
const MYSQL_PORT: u16 = 3306;
const CREDENTIALS: &str = "/etc/tablet/mysql.json";

impl ContainerTablet {
    /// testcontainers creates and starts in one: the credentials are copied in between.
    pub(super) async fn start_first(
        &self,
        credentials: String,
    ) -> Result<ContainerState, DockerError> {
        let former = self.life().former.len();
        let what = match former {
            0 => self.spec.what.clone(),
            nth => format!("{}-{}", self.spec.what, nth + 1),
        };
        let mut spec = self.container_spec(what);
        spec.files.push((CREDENTIALS.to_owned(), 0o600, credentials.into_bytes()));
        let container = self.engine.launch(&self.site, spec).await?;
        let id = container.id().to_owned();
        self.life().container = Some(Arc::new(container));
        self.engine.inspect(&id).await
    }

    pub(super) async fn start_again(
        &self,
        id: &str,
        credentials: &str,
    ) -> Result<ContainerState, DockerError> {
        self.engine.upload(id, CREDENTIALS, credentials.as_bytes()).await?;
        self.engine.start(id).await
    }

    pub(super) fn began(
        &self,
        incarnation: u32,
        user: MysqlUser,
        state: &ContainerState,
    ) -> Started {
        // A PID of another namespace or host may be a stranger here: only its cgroup tells.
        let host_pid = state.pid.filter(|pid| belongs_to(*pid, &state.id));
        let cgroup = host_pid.and_then(CgroupPaths::of_process);
        let port = |inside: u16| state.ports.get(&inside).copied().unwrap_or(9);
        let spec = &self.spec;
        let (grpc, http) = (port(self.grpc_port()), port(HTTP_PORT));
        let mut life = self.life();
        life.incarnation = incarnation;
        life.users.push(user.name.clone());
        life.users.dedup();
        life.last = Some(user.clone());
        life.host_pid = host_pid;
        life.oom_baseline = cgroup.as_ref().and_then(CgroupPaths::oom_kill_count).unwrap_or(0);
        life.cgroup = cgroup;
        life.grpc_host_port = grpc;
        life.client = Some(Client::new(&spec.alias, &spec.keyspace, &spec.shard, grpc, http));
        Started { incarnation, container: state.id.clone(), host_pid }
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
            option("hostname", wiring.hostname.as_ref().unwrap_or(&self.site.name(&what))),
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
