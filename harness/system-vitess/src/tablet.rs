//! A `vttablet` in its container, as the boundary asks for it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use contained::Contained;
use engine::docker::{ContainerSpec, Engine, RunScope, narrow_receiving, narrow_sending};
use engine::images::HELPER;
use engine::process::CgroupPaths;
use records::journal::Side;
use records::schedule::Pace;
use serde_json::Value;
use servers::{ClusterError, Servers};
use system::{
    ErrorKind, LogLines, Means, OomEvidence, Predecessor, Readiness, SHARD, SOURCE_DB, Signal,
    Started, SystemError, TARGET_DB, Tablet,
};
use tablet_wire::topodata::Shard;

use super::cell::keyspace_of;
use super::image::{PROGRAMS, Vitess};
use super::names::{self, Names};

const HTTP_PORT: u16 = 15100;
const GRPC_PORT: u16 = 15999;
const MYSQL_PORT: u16 = 3306;
/// A look at its pages must not hold up whoever looks again and again.
const PAGE_WITHIN: Duration = Duration::from_secs(1);
const QUESTIONS: [&str; 3] = ["healthz", "status", "debug-vars"];

/// How a tablet is reached, and reaches others, where that is not the usual way.
#[derive(Clone, Debug, Default)]
pub(super) struct Wiring {
    /// Names that resolve to another address inside the container.
    pub(super) hosts: Vec<(String, String)>,
    /// The name by which others reach it, instead of its container's.
    pub(super) hostname: Option<String>,
    /// The port of its gRPC services.
    pub(super) grpc_port: Option<u16>,
    /// Where it finds its MySQL.
    pub(super) mysql: Option<(String, u16)>,
    /// Where it finds the global topology, as `http://host:port`.
    pub(super) topo: Option<String>,
}

/// A tablet in a container.
#[derive(Debug)]
pub(super) struct VitessTablet {
    contained: Contained,
    servers: Arc<Servers>,
    vitess: Arc<Vitess>,
    names: Names,
    side: Side,
    alias: String,
    wiring: Wiring,
    memory_limit_bytes: u64,
    packet_bytes: u64,
    http: reqwest::Client,
}

impl VitessTablet {
    pub(super) fn new(
        engine: &Engine,
        site: &RunScope,
        servers: &Arc<Servers>,
        vitess: &Arc<Vitess>,
        names: &Names,
        (side, wiring, pace): (Side, Wiring, &Pace),
    ) -> VitessTablet {
        let alias = names::alias(side);
        VitessTablet {
            contained: Contained::new(engine, site, &alias),
            servers: Arc::clone(servers),
            vitess: Arc::clone(vitess),
            names: names.clone(),
            side,
            alias,
            wiring,
            memory_limit_bytes: pace.memory_limit_bytes,
            packet_bytes: pace.packet_bytes,
            http: reqwest::Client::new(),
        }
    }

    /// Its process in its container.
    pub(super) fn contained(&self) -> &Contained {
        &self.contained
    }

    pub(super) fn side(&self) -> Side {
        self.side
    }

    fn grpc_port(&self) -> u16 {
        self.wiring.grpc_port.unwrap_or(GRPC_PORT)
    }

    /// The port of its gRPC services on the host's loopback; none before the first start.
    pub(super) fn grpc_host_port(&self) -> Option<u16> {
        self.contained.host_port(self.grpc_port())
    }

    fn container_spec(&self) -> ContainerSpec {
        let (vitess, names, wiring) = (&self.vitess, &self.names, &self.wiring);
        let release = &vitess.release;
        let what = names.container(self.side.name());
        let etcd = || self.servers.etcd.network_address();
        let (database, mysql) = match self.side {
            Side::Source => (SOURCE_DB, &self.servers.source),
            Side::Target => (TARGET_DB, &self.servers.target),
        };
        let direct = || (mysql.network_name().to_owned(), MYSQL_PORT);
        let (mysql_host, mysql_port) = wiring.mysql.clone().unwrap_or_else(direct);
        let hostname = wiring.hostname.clone().unwrap_or_else(|| self.contained.site().name(&what));
        let option = |name: &str, value: &dyn std::fmt::Display| release.option(name, value);
        let mut command = vec![
            option("topo-implementation", &"etcd2"),
            option("topo-global-server-address", &wiring.topo.clone().unwrap_or_else(etcd)),
            option("topo-global-root", &names.global_root()),
            option("tablet-path", &self.alias),
            option("tablet-hostname", &hostname),
            option("init-keyspace", &keyspace_of(self.side)),
            option("init-shard", &SHARD),
            option("init-tablet-type", &"replica"),
            option("init-db-name-override", &database),
            option("db-host", &mysql_host),
            option("db-port", &mysql_port),
            option("db-charset", &"utf8mb4"),
            option("port", &HTTP_PORT),
            option("grpc-port", &self.grpc_port()),
            option("vstream-packet-size", &self.packet_bytes),
            option("vstream-dynamic-packet-size", &false),
            option("service-map", &"grpc-queryservice,grpc-tabletmanager,grpc-updatestream"),
        ];
        let user = names.user(self.side);
        for role in ["allprivs", "app", "dba", "filtered", "repl", "appdebug"] {
            command.push(option(&format!("db-{role}-user"), &user));
        }
        if release.logs_to_files() {
            command.push("--logtostderr".to_owned());
        }
        command.extend(vitess.tablet_flags.iter().cloned());
        let helper = vitess.helper.as_ref().ok();
        // As people set it: the collector works harder before the kernel has to.
        let soft_limit = self.memory_limit_bytes / 10 * 9;
        ContainerSpec {
            what,
            image: vitess.image.reference.clone(),
            entry_point: Some(format!("/{PROGRAMS}/vttablet")),
            command,
            env: vec![
                ("GOMEMLIMIT".to_owned(), soft_limit.to_string()),
                ("VTDATAROOT".to_owned(), "/tmp".to_owned()),
            ],
            ports: vec![self.grpc_port(), HTTP_PORT],
            files: helper
                .map(|bytes| (HELPER.to_owned(), 0o755, bytes.to_vec()))
                .into_iter()
                .collect(),
            memory_bytes: Some(self.memory_limit_bytes),
            // Larger than the limit: the limit must be reached first.
            shm_bytes: Some(self.memory_limit_bytes.saturating_mul(2)),
            hosts: wiring.hosts.clone(),
            sysctls: vec![narrow_sending(), narrow_receiving()],
            ..ContainerSpec::default()
        }
    }

    /// Its shard's record; none: there is none.
    pub(super) async fn shard_record(&self) -> Result<Option<Shard>, ClusterError> {
        let root = &self.names.topo_root;
        self.servers.etcd.shard(root, keyspace_of(self.side), SHARD).await
    }

    /// A page of its HTTP port.
    pub(super) async fn page(&self, path: &str) -> Result<String, SystemError> {
        let not_running = || SystemError::new(ErrorKind::NotRunning, "it was never started");
        let port = self.contained.host_port(HTTP_PORT).ok_or_else(not_running)?;
        let get = self.http.get(format!("http://127.0.0.1:{port}{path}")).timeout(PAGE_WITHIN);
        let failed = |error: reqwest::Error| {
            let why = format!("GET {path}: {}", engine::errors::innermost(&error));
            SystemError::new(ErrorKind::Failed, why)
        };
        let answer = get.send().await.and_then(reqwest::Response::error_for_status);
        answer.map_err(failed)?.text().await.map_err(failed)
    }

    pub(super) async fn vars(&self) -> Result<Value, SystemError> {
        let page = self.page("/debug/vars").await?;
        serde_json::from_str(&page).map_err(|error| SystemError::new(ErrorKind::Failed, error))
    }
}

#[async_trait]
impl Tablet for VitessTablet {
    fn alias(&self) -> &str {
        &self.alias
    }

    async fn start_incarnation(&self) -> Result<Started, SystemError> {
        Ok(match self.contained.container_id() {
            None => self.contained.start_first(self.container_spec()).await?,
            Some(_) => self.contained.start_again().await?,
        })
    }

    async fn wait_exit(&self) -> Result<i64, SystemError> {
        Ok(self.contained.wait_exit().await?)
    }

    async fn kill(&self, signal: Signal) -> Result<Means, SystemError> {
        Ok(self.contained.kill(signal).await?)
    }

    async fn readiness(&self) -> Readiness {
        let reasons = self.not_ready_for().await;
        Readiness { ready: reasons.is_empty(), reasons }
    }

    fn questions(&self) -> &'static [&'static str] {
        &QUESTIONS
    }

    async fn ask(&self, question: &str) -> Result<(), SystemError> {
        let path = match question {
            "healthz" => "/healthz",
            "status" => "/debug/status_details",
            "debug-vars" => "/debug/vars",
            other => return Err(SystemError::unsupported(&format!("be asked for `{other}`"))),
        };
        self.page(path).await.map(drop)
    }

    async fn role(&self) -> Option<String> {
        Some(self.vars().await.ok()?["TabletType"].as_str()?.to_ascii_uppercase())
    }

    /// One for all incarnations: it stands in the command line, which is the container's.
    fn mysql_users(&self) -> Vec<String> {
        vec![self.names.user(self.side)]
    }

    fn log_source(&self) -> Option<String> {
        self.contained.container_id()
    }

    fn log_lines(&self) -> LogLines {
        self.contained.log_lines()
    }

    fn rss_bytes(&self) -> Option<u64> {
        self.contained.rss_bytes()
    }

    fn peak_rss_bytes(&self) -> Option<u64> {
        self.contained.peak_rss_bytes()
    }

    fn charged_bytes(&self) -> Option<u64> {
        self.contained.charged_bytes()
    }

    fn pressure_file(&self) -> Option<PathBuf> {
        self.contained.cgroup().as_ref().and_then(CgroupPaths::pressure_file)
    }

    fn descriptors(&self) -> Result<BTreeMap<String, u64>, String> {
        self.contained.descriptors()
    }

    /// Its profiler would tell of goroutines; people run it without.
    async fn tasks(&self) -> Result<Option<u64>, String> {
        Ok(None)
    }

    async fn is_frozen(&self) -> Result<bool, SystemError> {
        match self.contained.is_stopped()? {
            Some(stopped) => Ok(stopped),
            None => Ok(self.page("/healthz").await.is_err()),
        }
    }

    async fn signal_predecessor(
        &self,
        predecessor: &Predecessor,
        signal: Signal,
    ) -> Result<(), SystemError> {
        Ok(self.contained.signal_predecessor(predecessor, signal).await?)
    }

    async fn oom(&self) -> Result<OomEvidence, SystemError> {
        Ok(self.contained.oom().await?)
    }

    async fn squeeze(&self, bytes: u64) -> Result<(), SystemError> {
        Ok(self.contained.squeeze(bytes).await?)
    }

    async fn release_squeeze(&self) -> Result<(), SystemError> {
        Ok(self.contained.release_squeeze().await?)
    }

    async fn limit_cpu(&self, quota: Option<Duration>) -> Result<(), SystemError> {
        Ok(self.contained.limit_cpu(quota).await?)
    }

    fn throttled_count(&self) -> Result<Option<u64>, SystemError> {
        Ok(self.contained.throttled_count()?)
    }
}
