//! The engine's handle and its calls on one container.

use std::collections::HashMap;
use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use testcontainers::bollard::{
    self, Docker,
    models::ContainerUpdateBody,
    query_parameters::{
        InspectContainerOptions, KillContainerOptions, RemoveContainerOptions,
        RestartContainerOptions, StartContainerOptions, StopContainerOptions,
        UploadToContainerOptions, WaitContainerOptions,
    },
};

use super::{DockerError, Tar};

/// The deadline of an ordinary call.
pub(super) const CALL: Duration = Duration::from_secs(15);
/// The deadline of filling a disk.
const FILL: Duration = Duration::from_secs(30);
/// A disk is filled in pieces of so many bytes.
pub const PIECE: usize = 256 * 1024;
static ZEROS: [u8; PIECE] = [0; PIECE];
/// Over which a processor quota is counted: the kernel's usual period.
const CPU_PERIOD: Duration = Duration::from_millis(100);

/// A connection to the container engine. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Engine {
    pub(super) docker: Docker,
}

/// What the engine says of itself.
#[derive(Clone, Debug, Default)]
pub struct EngineFacts {
    /// `Docker`, or what it calls itself (`Podman Engine`).
    pub name: String,
    /// Its version.
    pub version: String,
    /// The version of its API.
    pub api: String,
    /// `x86_64`, `aarch64`, as Rust names it.
    pub arch: String,
    /// `1` or `2`.
    pub cgroup_version: String,
    /// Runs without root.
    pub rootless: bool,
    /// Whether limits on swap work.
    pub swap_limit: bool,
    /// Its storage driver.
    pub storage_driver: String,
    /// Where it keeps its data, on its own host.
    pub data_dir: String,
    /// Its warnings.
    pub warnings: Vec<String>,
}

/// A container, as the engine saw it.
#[derive(Clone, Debug, Default)]
pub struct ContainerState {
    /// Full id.
    pub id: String,
    /// Name without the leading slash.
    pub name: String,
    /// Its process runs.
    pub running: bool,
    /// PID in the engine's PID namespace; none when not running.
    pub pid: Option<i32>,
    /// Exit code of the last process; 128 + signal for a signal.
    pub exit_code: i64,
    /// The engine's own flag, which proves nothing by itself.
    pub oom_killed: bool,
    /// RFC 3339, by the engine's clock.
    pub started_at: String,
    /// RFC 3339, by the engine's clock.
    pub finished_at: String,
    /// `container port/tcp` → loopback port of the host.
    pub ports: HashMap<u16, u16>,
    /// Its address on its first network.
    pub address: Option<String>,
    /// Its labels.
    pub labels: HashMap<String, String>,
    /// What keeps its log.
    pub log_driver: String,
}

impl EngineFacts {
    /// `Docker 20.10.24`.
    #[must_use]
    pub fn name_and_version(&self) -> String {
        let name = if self.name.is_empty() { "Docker" } else { &self.name };
        format!("{name} {}", self.version)
    }
}

impl Engine {
    /// Connects as testcontainers does (`DOCKER_HOST`, the default socket, …) and asks for a sign of life.
    pub async fn connect() -> Result<Self, DockerError> {
        let docker = testcontainers::core::client::docker_client_instance()
            .await
            .map_err(|e| DockerError::Unreachable(Box::new(e)))?;
        let engine = Self { docker };
        match engine.call("ping", "the engine", CALL, engine.docker.ping()).await {
            Ok(_) => Ok(engine),
            Err(error) => Err(DockerError::Unreachable(Box::new(error))),
        }
    }

    /// What the engine says of itself.
    pub async fn facts(&self) -> Result<EngineFacts, DockerError> {
        let version = self.call("version", "the engine", CALL, self.docker.version()).await?;
        let info = self.call("info", "the engine", CALL, self.docker.info()).await?;
        let arch = match info.architecture.as_deref() {
            Some("amd64") => "x86_64".to_owned(),
            Some("arm64") => "aarch64".to_owned(),
            Some(other) => other.to_owned(),
            None => String::new(),
        };
        let security = info.security_options.unwrap_or_default();
        let components = version.components.unwrap_or_default();
        let podman = components.iter().any(|component| component.name.contains("Podman"));
        let name = if podman { "Podman Engine" } else { "Docker" };
        Ok(EngineFacts {
            name: name.to_owned(),
            version: version.version.unwrap_or_default(),
            api: version.api_version.unwrap_or_default(),
            arch,
            cgroup_version: info.cgroup_version.map(|v| v.to_string()).unwrap_or_default(),
            rootless: security.iter().any(|option| option.contains("rootless")),
            swap_limit: info.swap_limit.unwrap_or(false),
            storage_driver: info.driver.unwrap_or_default(),
            data_dir: info.docker_root_dir.unwrap_or_default(),
            warnings: info.warnings.unwrap_or_default(),
        })
    }

    /// The container as it is now.
    pub async fn inspect(&self, id: &str) -> Result<ContainerState, DockerError> {
        let call = self.docker.inspect_container(id, None::<InspectContainerOptions>);
        let answer = self.call("inspect", id, CALL, call).await?;
        let state = answer.state.unwrap_or_default();
        let network = answer.network_settings.unwrap_or_default();
        let ports = network
            .ports
            .unwrap_or_default()
            .into_iter()
            .filter_map(|(container, bindings)| {
                let container = container.strip_suffix("/tcp")?.parse().ok()?;
                let host = bindings?.into_iter().find_map(|b| b.host_port?.parse().ok())?;
                Some((container, host))
            })
            .collect();
        let address = network
            .networks
            .unwrap_or_default()
            .into_values()
            .find_map(|endpoint| endpoint.ip_address.filter(|ip| !ip.is_empty()));
        let log = answer.host_config.and_then(|config| config.log_config);
        Ok(ContainerState {
            id: answer.id.unwrap_or_default(),
            name: answer.name.unwrap_or_default().trim_start_matches('/').to_owned(),
            running: state.running.unwrap_or(false),
            pid: state.pid.filter(|pid| *pid > 0).and_then(|pid| i32::try_from(pid).ok()),
            exit_code: state.exit_code.unwrap_or(0),
            oom_killed: state.oom_killed.unwrap_or(false),
            started_at: state.started_at.map(|t| t.to_string()).unwrap_or_default(),
            finished_at: state.finished_at.map(|t| t.to_string()).unwrap_or_default(),
            ports,
            address,
            labels: answer.config.and_then(|c| c.labels).unwrap_or_default(),
            log_driver: log.and_then(|log| log.typ).unwrap_or_default(),
        })
    }

    /// Sends a signal (`SIGKILL`, …) to the container's first process.
    pub async fn kill(&self, id: &str, signal: &str) -> Result<(), DockerError> {
        let options = KillContainerOptions { signal: signal.to_owned() };
        self.call("kill", id, CALL, self.docker.kill_container(id, Some(options))).await
    }

    /// Starts a stopped container, and returns once the engine says that it runs (or that it ran and
    /// ended at once).
    ///
    /// Right after a death the engine may still hold the old state, and answer that the container
    /// runs already: the start is repeated until the start time has changed.
    pub async fn start(&self, id: &str) -> Result<ContainerState, DockerError> {
        let before = self.inspect(id).await?;
        let repeat = async {
            let mut pause = tokio::time::interval(Duration::from_millis(10));
            loop {
                pause.tick().await;
                let call = self.docker.start_container(id, None::<StartContainerOptions>);
                self.call("start", id, CALL, call).await?;
                let now = self.inspect(id).await?;
                if now.started_at != before.started_at {
                    return Ok(now);
                }
            }
        };
        within("start", id, CALL, repeat).await
    }

    /// Stops in order: SIGTERM, then SIGKILL after `grace_s` seconds.
    pub async fn stop(&self, id: &str, grace_s: i32) -> Result<(), DockerError> {
        let deadline = CALL + Duration::from_secs(grace_s.unsigned_abs().into());
        let options = StopContainerOptions { t: Some(grace_s), ..Default::default() };
        self.call("stop", id, deadline, self.docker.stop_container(id, Some(options))).await
    }

    /// Kills, and starts again; returns the new state.
    pub async fn restart(&self, id: &str) -> Result<ContainerState, DockerError> {
        let options = RestartContainerOptions { t: Some(0), ..Default::default() };
        self.call("restart", id, CALL, self.docker.restart_container(id, Some(options))).await?;
        self.inspect(id).await
    }

    /// Removes a container, running or not, with its anonymous volumes. One that is gone is no error.
    pub async fn remove(&self, id: &str) -> Result<(), DockerError> {
        let options = RemoveContainerOptions { force: true, v: true, link: false };
        let removed = self
            .call("remove", id, CALL * 2, self.docker.remove_container(id, Some(options)))
            .await;
        match removed {
            // 409: somebody else's removal of it is under way.
            Err(error) if error.is_not_found() || error.status() == Some(409) => Ok(()),
            other => other,
        }
    }

    /// Writes one file (mode 0600, owner root) into the container, running or not. The directory
    /// must exist.
    pub async fn upload(&self, id: &str, path: &str, bytes: &[u8]) -> Result<(), DockerError> {
        let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
        let mut tar = Tar::default();
        tar.file(name, 0o600, bytes);
        let options = UploadToContainerOptions {
            path: if directory.is_empty() { "/".to_owned() } else { directory.to_owned() },
            ..Default::default()
        };
        let body = bollard::body_full(Bytes::from(tar.finish()));
        self.call("upload", id, CALL, self.docker.upload_to_container(id, Some(options), body))
            .await
    }

    /// Writes a file of so many pieces of `PIECE` zeros into the container. A piece that finds no
    /// room fails the call, and those before it stay.
    pub async fn upload_zeros(
        &self,
        id: &str,
        path: &str,
        pieces: usize,
    ) -> Result<(), DockerError> {
        let (directory, name) = path.rsplit_once('/').unwrap_or(("/", path));
        let options = UploadToContainerOptions { path: directory.to_owned(), ..Default::default() };
        let header = Bytes::from(Tar::header_of(name, pieces * PIECE));
        let zeros = std::iter::repeat_n(Bytes::from_static(&ZEROS), pieces);
        let archive = std::iter::once(header).chain(zeros).map(Ok);
        let body = bollard::body_try_stream(futures::stream::iter(archive));
        let call = self.docker.upload_to_container(id, Some(options), body);
        self.call("upload", id, FILL, call).await
    }

    /// Sets the memory limit, swap included, to `bytes`.
    pub async fn update_memory(&self, id: &str, bytes: u64) -> Result<(), DockerError> {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        let body = ContainerUpdateBody {
            memory: Some(bytes),
            memory_swap: Some(bytes),
            ..Default::default()
        };
        self.call("update memory", id, CALL, self.docker.update_container(id, body)).await
    }

    /// Sets the processor time that the container may use in each tenth of a second; none: no bound.
    pub async fn update_cpu(&self, id: &str, quota: Option<Duration>) -> Result<(), DockerError> {
        let micros = |time: Duration| i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
        let body = ContainerUpdateBody {
            cpu_period: Some(micros(CPU_PERIOD)),
            cpu_quota: Some(quota.map_or(-1, micros)),
            ..Default::default()
        };
        self.call("update processor quota", id, CALL, self.docker.update_container(id, body)).await
    }

    /// Waits until the container's process has ended; returns its exit code.
    pub async fn wait_exit(&self, id: &str, deadline: Duration) -> Result<i64, DockerError> {
        let wait = async {
            let options = WaitContainerOptions { condition: "not-running".to_owned() };
            let mut answers = std::pin::pin!(self.docker.wait_container(id, Some(options)));
            match answers.next().await {
                Some(Ok(answer)) => Ok(answer.status_code),
                Some(Err(bollard::errors::Error::DockerContainerWaitError { code, .. })) => {
                    Ok(code)
                }
                Some(Err(source)) => Err(failed("wait", id, source)),
                None => Ok(self.inspect(id).await?.exit_code),
            }
        };
        within("wait", id, deadline, wait).await
    }

    /// The loopback port behind which the container's port is published; it may change at each start.
    pub async fn host_port(&self, id: &str, container_port: u16) -> Result<u16, DockerError> {
        self.inspect(id).await?.ports.get(&container_port).copied().ok_or_else(|| {
            DockerError::Answer {
                operation: "inspect",
                object: id.to_owned(),
                lacks: "the published port",
            }
        })
    }

    /// One call with a deadline and a named error.
    pub(super) async fn call<T>(
        &self,
        operation: &'static str,
        object: &str,
        deadline: Duration,
        call: impl Future<Output = Result<T, bollard::errors::Error>>,
    ) -> Result<T, DockerError> {
        within(operation, object, deadline, async {
            call.await.map_err(|source| failed(operation, object, source))
        })
        .await
    }
}

/// The named error of a failed call.
pub(super) fn failed(
    operation: &'static str,
    object: &str,
    source: bollard::errors::Error,
) -> DockerError {
    DockerError::Call { operation, object: object.to_owned(), source: Box::new(source) }
}

/// A deadline around several calls.
pub(super) async fn within<T>(
    operation: &'static str,
    object: &str,
    deadline: Duration,
    work: impl Future<Output = Result<T, DockerError>>,
) -> Result<T, DockerError> {
    tokio::time::timeout(deadline, work).await.unwrap_or_else(|_| {
        Err(DockerError::Deadline { operation, object: object.to_owned(), deadline })
    })
}
