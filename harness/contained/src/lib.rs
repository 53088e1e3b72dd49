//! A tablet's process in a container, over its incarnations, in one container and file system as under a
//! supervisor: started, hurt and looked at from outside. It knows no system: how a container is made is told.

mod faults;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::{Stream, StreamExt};
use system::{ErrorKind, LogLine, LogLines, Predecessor, Signal, Started, SystemError};

use engine::docker::{
    Container, ContainerSpec, ContainerState, DockerError, Engine, LogLine as EngineLine, RunScope,
};
use engine::process::{self, CgroupPaths, belongs_to};

/// How long one call of the engine waits for an exit, before the next one does.
const WAIT: Duration = Duration::from_secs(60);
/// Lines of a predecessor's log that are kept.
const LAST_LINES: usize = 40;

/// What can go wrong between the harness and a tablet's container.
#[derive(Debug, thiserror::Error)]
pub enum ContainedError {
    /// The engine failed.
    #[error("tablet {tablet}: {phase} failed")]
    Engine {
        /// Its alias.
        tablet: String,
        /// What was attempted.
        phase: &'static str,
        /// Why.
        #[source]
        source: DockerError,
    },
    /// It does not run.
    #[error("tablet {tablet} does not run")]
    NotRunning {
        /// Its alias.
        tablet: String,
    },
    /// Neither the kernel nor the engine tells how much memory is charged to its container.
    #[error("tablet {tablet}: nobody tells how much memory is charged to its container")]
    Unaccounted {
        /// Its alias.
        tablet: String,
    },
    /// The helper inside the container failed.
    #[error("tablet {tablet}: the memory helper ended with {exit_code:?}: {output}")]
    Helper {
        /// Its alias.
        tablet: String,
        /// Exit code.
        exit_code: Option<i64>,
        /// What it said.
        output: String,
    },
}

impl From<ContainedError> for SystemError {
    fn from(error: ContainedError) -> SystemError {
        let kind = match &error {
            ContainedError::NotRunning { .. } => ErrorKind::NotRunning,
            _ => ErrorKind::Failed,
        };
        SystemError::new(kind, error)
    }
}

/// A process in a container.
#[derive(Debug)]
pub struct Contained {
    engine: Engine,
    site: RunScope,
    /// Its alias.
    name: String,
    life: Mutex<Life>,
}

/// What changes from incarnation to incarnation.
#[derive(Debug, Default)]
struct Life {
    container: Option<Arc<Container>>,
    /// Containers that lost the alias to the present one.
    former: Vec<Arc<Container>>,
    incarnation: u32,
    host_pid: Option<i32>,
    cgroup: Option<CgroupPaths>,
    oom_baseline: u64,
    /// On the host's loopback, by the port inside.
    ports: BTreeMap<u16, u16>,
}

/// The running incarnation, as faults need it.
#[derive(Clone, Debug)]
struct Current {
    container: String,
    host_pid: Option<i32>,
    cgroup: Option<CgroupPaths>,
    oom_baseline: u64,
}

impl Contained {
    /// Of a tablet that was never started: its container comes with its first incarnation.
    #[must_use]
    pub fn new(engine: &Engine, site: &RunScope, name: &str) -> Contained {
        let (engine, site, name) = (engine.clone(), site.clone(), name.to_owned());
        Contained { engine, site, name, life: Mutex::default() }
    }

    /// Its engine.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The run that its containers belong to.
    #[must_use]
    pub fn site(&self) -> &RunScope {
        &self.site
    }

    /// So many containers lost the alias to the present one.
    #[must_use]
    pub fn predecessors(&self) -> usize {
        self.life().former.len()
    }

    /// The next incarnation in a container of its own, which is made for it.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn start_first(&self, spec: ContainerSpec) -> Result<Started, ContainedError> {
        let start = async {
            let container = self.engine.launch(&self.site, spec).await?;
            let id = container.id().to_owned();
            self.life().container = Some(Arc::new(container));
            self.engine.inspect(&id).await
        };
        let state = start.await.map_err(|source| self.failed("the start", source))?;
        Ok(self.began(&state))
    }

    /// The next incarnation in the present container, which has ended.
    ///
    /// # Errors
    /// When the engine fails, or there is no container.
    pub async fn start_again(&self) -> Result<Started, ContainedError> {
        let id = self.container_id().ok_or_else(|| self.not_running())?;
        let state = self.engine.start(&id).await;
        Ok(self.began(&state.map_err(|source| self.failed("the start", source))?))
    }

    fn began(&self, state: &ContainerState) -> Started {
        // A PID of another namespace or host may be a stranger here: only its cgroup tells.
        let host_pid = state.pid.filter(|pid| belongs_to(*pid, &state.id));
        let cgroup = host_pid.and_then(CgroupPaths::of_process);
        let mut life = self.life();
        life.incarnation += 1;
        life.host_pid = host_pid;
        life.oom_baseline = cgroup.as_ref().and_then(CgroupPaths::oom_kill_count).unwrap_or(0);
        life.cgroup = cgroup;
        life.ports = state.ports.iter().map(|(inside, outside)| (*inside, *outside)).collect();
        Started { incarnation: life.incarnation, container: state.id.clone(), host_pid }
    }

    /// Gives the present container away: the next incarnation starts in another one, while this one lives on.
    ///
    /// # Errors
    /// When there is none.
    pub fn give_way(&self) -> Result<Predecessor, ContainedError> {
        let mut life = self.life();
        let former = life.container.take().ok_or_else(|| self.not_running())?;
        let predecessor =
            Predecessor { container: former.id().to_owned(), incarnation: life.incarnation };
        life.former.push(former);
        Ok(predecessor)
    }

    /// Sends a signal to a predecessor.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn signal_predecessor(
        &self,
        predecessor: &Predecessor,
        signal: Signal,
    ) -> Result<(), ContainedError> {
        let sent = self.engine.kill(&predecessor.container, signal.as_str()).await;
        sent.map_err(|source| self.failed("sending a signal to its predecessor", source))
    }

    /// Waits until a predecessor has ended: its exit code and last lines; none when it still runs.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn predecessor_exit(
        &self,
        predecessor: &Predecessor,
        within: Duration,
    ) -> Result<Option<(i64, Vec<String>)>, ContainedError> {
        let code = match self.engine.wait_exit(&predecessor.container, within).await {
            Ok(code) => code,
            Err(DockerError::Deadline { .. }) => return Ok(None),
            Err(source) => return Err(self.failed("waiting for its predecessor's end", source)),
        };
        let lines = self.engine.last_log_lines(&predecessor.container, LAST_LINES).await;
        Ok(Some((code, lines)))
    }

    /// Waits until the running incarnation has ended; its exit code.
    ///
    /// # Errors
    /// When the engine fails, or it was never started.
    pub async fn wait_exit(&self) -> Result<i64, ContainedError> {
        loop {
            if let Some(code) = self.wait_exit_within(WAIT).await? {
                return Ok(code);
            }
        }
    }

    /// As [`Contained::wait_exit`], at most so long; none when it still runs then.
    ///
    /// # Errors
    /// As [`Contained::wait_exit`].
    pub async fn wait_exit_within(&self, within: Duration) -> Result<Option<i64>, ContainedError> {
        let id = self.container_id().ok_or_else(|| self.not_running())?;
        match self.engine.wait_exit(&id, within).await {
            Ok(code) => Ok(Some(code)),
            Err(DockerError::Deadline { .. }) => Ok(None),
            Err(source) => Err(self.failed("waiting for its end", source)),
        }
    }

    /// The container as the engine sees it; none before the first start.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn state(&self) -> Result<Option<ContainerState>, ContainedError> {
        let Some(id) = self.container_id() else { return Ok(None) };
        let state = self.engine.inspect(&id).await;
        state.map(Some).map_err(|source| self.failed("inspecting it", source))
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

    /// Where a port of its container is reached on the host's loopback; none before the first start. Ask again
    /// after each start: it may change.
    #[must_use]
    pub fn host_port(&self, inside: u16) -> Option<u16> {
        self.life().ports.get(&inside).copied()
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

    /// Bytes charged to its container; none while it is down or cannot be seen.
    #[must_use]
    pub fn charged_bytes(&self) -> Option<u64> {
        self.life().cgroup.as_ref()?.charged_bytes()
    }

    /// Open file descriptors by kind; the error says why they cannot be seen.
    ///
    /// # Errors
    /// In words.
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

    /// Its log from the beginning until its process ends, as the engine tells it.
    pub fn lines(&self) -> impl Stream<Item = Result<EngineLine, DockerError>> + Send + use<> {
        let id = self.container_id().unwrap_or_default();
        self.engine.logs(&id, true)
    }

    /// As [`Contained::lines`], for the boundary.
    #[must_use]
    pub fn log_lines(&self) -> LogLines {
        let lines = self.lines().map(|line| match line {
            Ok(line) => Ok(LogLine { stderr: line.stderr, at_us: line.at_us, text: line.text }),
            Err(error) => Err(SystemError::new(ErrorKind::Failed, error)),
        });
        lines.boxed()
    }

    /// Removes the container, and those of predecessors. Goes on after an error, and returns the first.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn remove(&self) -> Result<(), ContainedError> {
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

    fn current(&self) -> Result<Current, ContainedError> {
        let life = self.life();
        let container = life.container.as_ref().ok_or_else(|| self.not_running())?;
        Ok(Current {
            container: container.id().to_owned(),
            host_pid: life.host_pid,
            cgroup: life.cgroup.clone(),
            oom_baseline: life.oom_baseline,
        })
    }

    fn failed(&self, phase: &'static str, source: DockerError) -> ContainedError {
        ContainedError::Engine { tablet: self.name.clone(), phase, source }
    }

    fn not_running(&self) -> ContainedError {
        ContainedError::NotRunning { tablet: self.name.clone() }
    }

    fn life(&self) -> MutexGuard<'_, Life> {
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
