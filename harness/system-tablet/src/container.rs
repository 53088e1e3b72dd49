//! Our tablet in a container: its life over many incarnations, in one container and file system, as
//! under a supervisor.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::Stream;
use records::journal::Side;
use serde_json::json;

use super::{Client, TabletError, TabletSpec};
use engine::docker::{Container, ContainerState, DockerError, Engine, LogLine, RunScope};
use engine::images::Image;
use engine::process::{self, CgroupPaths, belongs_to};
use servers::{MysqlServer, Servers};
use system::{Predecessor, Signal, Started};

mod launch;
mod users;

pub(super) const GRPC_PORT: u16 = 15999;
/// How long one call of the engine waits for an exit, before the next one does.
const WAIT: Duration = Duration::from_secs(60);
/// Lines of a predecessor's log that are kept.
const LAST_LINES: usize = 40;

/// A tablet in a container.
#[derive(Debug)]
pub struct ContainerTablet {
    pub(super) engine: Engine,
    site: RunScope,
    servers: Arc<Servers>,
    image: Image,
    spec: TabletSpec,
    life: Mutex<Incarnation>,
}

/// What changes from incarnation to incarnation.
#[derive(Debug, Default)]
struct Incarnation {
    container: Option<Arc<Container>>,
    /// Containers that lost the alias to the present one.
    former: Vec<Arc<Container>>,
    incarnation: u32,
    users: Vec<String>,
    host_pid: Option<i32>,
    cgroup: Option<CgroupPaths>,
    oom_baseline: u64,
    client: Option<Client>,
    grpc_host_port: u16,
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

/// The running incarnation, as faults need it.
#[derive(Clone, Debug)]
pub(super) struct Current {
    pub(super) container: String,
    pub(super) host_pid: Option<i32>,
    pub(super) cgroup: Option<CgroupPaths>,
    pub(super) oom_baseline: u64,
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
        let life = Mutex::default();
        Self {
            engine: engine.clone(),
            site: site.clone(),
            servers,
            image: image.clone(),
            spec,
            life,
        }
    }

    /// What it was made from.
    #[must_use]
    pub fn spec(&self) -> &TabletSpec {
        &self.spec
    }

    pub(super) fn site(&self) -> &RunScope {
        &self.site
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
        self.site.name(&self.spec.what)
    }

    /// Starts the next incarnation, under a MySQL user of its own.
    pub async fn start_incarnation(&self) -> Result<Started, TabletError> {
        let (incarnation, container) = {
            let life = self.life();
            (life.incarnation + 1, life.container.clone())
        };
        let user = self.user_of(incarnation).await?;
        let credentials = json!({"user": user.name, "password": user.password}).to_string();
        let state = match &container {
            None => self.start_first(credentials).await,
            Some(container) => self.start_again(container.id(), &credentials).await,
        };
        let state = state.map_err(|source| self.failed("the start", source))?;
        let started = self.began(incarnation, user, &state);
        self.prepare_user(incarnation + 1).await;
        Ok(started)
    }

    /// Starts the next incarnation in a container of its own, while the present one lives on.
    pub async fn replace(&self) -> Result<(Started, Predecessor), TabletError> {
        let (incarnation, former) = {
            let mut life = self.life();
            let former = life.container.take().ok_or_else(|| self.not_running())?;
            life.former.push(Arc::clone(&former));
            (life.incarnation, former)
        };
        let predecessor = Predecessor { container: former.id().to_owned(), incarnation };
        Ok((self.start_incarnation().await?, predecessor))
    }

    /// Sends a signal to a predecessor.
    pub async fn signal_predecessor(
        &self,
        predecessor: &Predecessor,
        signal: Signal,
    ) -> Result<(), TabletError> {
        let sent = self.engine.kill(&predecessor.container, signal.as_str()).await;
        sent.map_err(|source| self.failed("sending a signal to its predecessor", source))
    }

    /// Waits until a predecessor has ended: its exit code and last lines; none when it still runs.
    pub async fn predecessor_exit(
        &self,
        predecessor: &Predecessor,
        within: Duration,
    ) -> Result<Option<(i64, Vec<String>)>, TabletError> {
        let code = match self.engine.wait_exit(&predecessor.container, within).await {
            Ok(code) => code,
            Err(DockerError::Deadline { .. }) => return Ok(None),
            Err(source) => return Err(self.failed("waiting for its predecessor's end", source)),
        };
        let lines = self.engine.last_log_lines(&predecessor.container, LAST_LINES).await;
        Ok(Some((code, lines)))
    }

    /// Waits until the running incarnation has ended; its exit code.
    pub async fn wait_exit(&self) -> Result<i64, TabletError> {
        let id = self.container_id().ok_or_else(|| self.not_running())?;
        loop {
            match self.engine.wait_exit(&id, WAIT).await {
                Err(DockerError::Deadline { .. }) => {}
                other => return other.map_err(|source| self.failed("waiting for its end", source)),
            }
        }
    }

    /// As [`ContainerTablet::wait_exit`], at most so long; none when it still runs then.
    pub async fn wait_exit_within(&self, deadline: Duration) -> Result<Option<i64>, TabletError> {
        let id = self.container_id().ok_or_else(|| self.not_running())?;
        match self.engine.wait_exit(&id, deadline).await {
            Ok(code) => Ok(Some(code)),
            Err(DockerError::Deadline { .. }) => Ok(None),
            Err(source) => Err(self.failed("waiting for its end", source)),
        }
    }

    /// The container as the engine sees it; none before the first start.
    pub async fn state(&self) -> Result<Option<ContainerState>, TabletError> {
        match self.container_id() {
            None => Ok(None),
            Some(id) => {
                let state = self.engine.inspect(&id).await;
                state.map(Some).map_err(|source| self.failed("inspecting it", source))
            }
        }
    }

    /// The container's id; none before the first start.
    #[must_use]
    pub fn container_id(&self) -> Option<String> {
        self.life().container.as_ref().map(|container| container.id().to_owned())
    }

    /// The running incarnation's number, or the last one's; 0 before the first.
    #[must_use]
    pub fn incarnation(&self) -> u32 {
        self.life().incarnation
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

    /// The port of its gRPC services on the host's loopback. Ask again after each start.
    #[must_use]
    pub fn grpc_host_port(&self) -> u16 {
        self.life().grpc_host_port
    }

    /// The running incarnation's memory cgroup, where it can be seen.
    #[must_use]
    pub fn cgroup(&self) -> Option<CgroupPaths> {
        self.life().cgroup.clone()
    }

    /// Resident set of its process, bytes; none while it is down or cannot be seen.
    #[must_use]
    pub fn rss_bytes(&self) -> Option<u64> {
        self.of_process(process::rss_bytes)
    }

    /// The peak of its resident set since its start, bytes; none where the process cannot be seen.
    #[must_use]
    pub fn peak_rss_bytes(&self) -> Option<u64> {
        self.of_process(process::peak_rss_bytes)
    }

    /// Open file descriptors by kind; the error says why they cannot be seen.
    pub fn descriptors(&self) -> Result<BTreeMap<String, u64>, String> {
        let current = self.current().map_err(|error| error.to_string())?;
        let pid = current
            .host_pid
            .ok_or("the process cannot be seen: its PID is of another namespace or host")?;
        let found =
            process::descriptors_of(pid).map_err(|error| format!("/proc/{pid}/fd: {error}"))?;
        // The PID may have become a stranger's meanwhile.
        if !belongs_to(pid, &current.container) {
            return Err("the process ended meanwhile".to_owned());
        }
        Ok(found)
    }

    /// What the kernel says of its process. The PID may become a stranger's meanwhile: asked after it.
    fn of_process(&self, asked: impl Fn(i32) -> Option<u64>) -> Option<u64> {
        let current = self.current().ok()?;
        let pid = current.host_pid?;
        let told = asked(pid)?;
        belongs_to(pid, &current.container).then_some(told)
    }

    /// Bytes charged to its container; none while it is down or cannot be seen.
    #[must_use]
    pub fn charged_bytes(&self) -> Option<u64> {
        self.life().cgroup.as_ref()?.charged_bytes()
    }

    /// Its log from the beginning until its process ends.
    pub fn log_lines(&self) -> impl Stream<Item = Result<LogLine, DockerError>> + Send + use<> {
        let id = self.container_id().unwrap_or_default();
        self.engine.logs(&id, true)
    }

    /// Removes the container, and those of predecessors. Goes on after an error, and returns the
    /// first.
    pub async fn remove(&self) -> Result<(), TabletError> {
        let containers: Vec<String> = {
            let life = self.life();
            let all = life.former.iter().chain(&life.container);
            all.map(|container| container.id().to_owned()).collect()
        };
        let mut first = Ok(());
        for id in containers {
            let removed = self.engine.remove(&id).await;
            first = first.and(removed.map_err(|source| self.failed("the removal", source)));
        }
        first
    }

    pub(super) fn current(&self) -> Result<Current, TabletError> {
        let life = self.life();
        let container = life.container.as_ref().ok_or_else(|| self.not_running())?;
        Ok(Current {
            container: container.id().to_owned(),
            host_pid: life.host_pid,
            cgroup: life.cgroup.clone(),
            oom_baseline: life.oom_baseline,
        })
    }

    pub(super) fn failed(&self, phase: &'static str, source: DockerError) -> TabletError {
        TabletError::Engine { tablet: self.spec.alias.clone(), phase, source }
    }

    pub(super) fn not_running(&self) -> TabletError {
        TabletError::NotRunning { tablet: self.spec.alias.clone() }
    }

    fn life(&self) -> MutexGuard<'_, Incarnation> {
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
