//! Starting containers, by testcontainers.

use std::collections::HashMap;
use std::time::Duration;

use testcontainers::bollard::models::{
    HostConfigLogConfig, Mount, MountType, MountVolumeOptions, PortBinding,
};
use testcontainers::core::{ContainerPort, Host};
use testcontainers::runners::AsyncRunner;
use testcontainers::{ContainerAsync, ContainerRequest, CopyTargetOptions, GenericImage, ImageExt};

use super::{DockerError, Engine, RunScope};

/// A container to be started.
#[derive(Clone, Debug, Default)]
pub struct ContainerSpec {
    /// What it is, as the last part of its name.
    pub what: String,
    /// `repository:tag`.
    pub image: String,
    /// Command and arguments.
    pub command: Vec<String>,
    /// Instead of the image's entry point.
    pub entry_point: Option<String>,
    /// Environment.
    pub env: Vec<(String, String)>,
    /// Ports to publish on the host's loopback.
    pub ports: Vec<u16>,
    /// Files to be there before the first start: path, mode, content.
    pub files: Vec<(String, u32, Vec<u8>)>,
    /// Memory limit, swap included; none is unlimited.
    pub memory_bytes: Option<u64>,
    /// Size of `/dev/shm`; none is the engine's default.
    pub shm_bytes: Option<u64>,
    /// Names that resolve to something else than a container: name, address (or `host-gateway`).
    pub hosts: Vec<(String, String)>,
    /// Directories that lie on a volume of their own, filled from the image.
    pub volumes: Vec<String>,
    /// Volumes that exist, by name, and where they lie.
    pub mounts: Vec<(String, String)>,
    /// Settings of its network's kernel, by name.
    pub sysctls: Vec<(String, String)>,
    /// Labels besides the run's.
    pub labels: Vec<(String, String)>,
}

/// What keeps a container's log: the one driver that Docker and Podman both have and whose log can be
/// read back. The engine's default may be one that tells nobody (`none`, `syslog`, `gelf`).
const LOG_DRIVER: &str = "json-file";
/// More than an observer keeps of a log, so that a log that is read is whole.
const LOG_SIZE: (&str, &str) = ("max-size", "64m");
/// So many files of that size: what rolls over is not lost at once.
const LOG_FILES: (&str, &str) = ("max-file", "2");

/// How every container's log is kept, whatever the engine's default.
pub(super) fn log_config() -> HostConfigLogConfig {
    let options = [LOG_SIZE, LOG_FILES].map(|(key, value)| (key.to_owned(), value.to_owned()));
    HostConfigLogConfig { typ: Some(LOG_DRIVER.to_owned()), config: Some(HashMap::from(options)) }
}

/// Small buffers of the kernel for what a container sends over TCP: what lies in them when a process
/// dies arrives all the same.
#[must_use]
pub fn narrow_sending() -> (String, String) {
    ("net.ipv4.tcp_wmem".to_owned(), SOCKET_BUFFER.to_owned())
}

/// As [`narrow_sending`], for what it has not read yet.
#[must_use]
pub fn narrow_receiving() -> (String, String) {
    ("net.ipv4.tcp_rmem".to_owned(), SOCKET_BUFFER.to_owned())
}

/// Least, first and greatest size. The kernel would take 4 to 32 MiB: whole tables.
const SOCKET_BUFFER: &str = "4096 16384 32768";

/// A started container. It is removed with its run, or by [`Container::remove`].
pub struct Container {
    inner: Option<ContainerAsync<GenericImage>>,
    engine: Engine,
    id: String,
    name: String,
}

impl Engine {
    /// Creates a container in a run's network, and starts it.
    pub async fn launch(
        &self,
        site: &RunScope,
        spec: ContainerSpec,
    ) -> Result<Container, DockerError> {
        let name = site.name(&spec.what);
        let request = request(site, &name, spec);
        let started = request
            .start()
            .await
            .map_err(|e| DockerError::Launch { name: name.clone(), source: Box::new(e) })?;
        let id = started.id().to_owned();
        Ok(Container { inner: Some(started), engine: self.clone(), id, name })
    }
}

impl Container {
    /// Full id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its name, which is also its name on the network.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Removes it, with its volumes.
    pub async fn remove(self) -> Result<(), DockerError> {
        // testcontainers' own removal has no deadline.
        self.engine.remove(&self.id).await
    }
}

impl std::fmt::Debug for Container {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Container").field("name", &self.name).field("id", &self.id).finish()
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // testcontainers' drop removes the container, blocks its thread for that, and so takes wake-ups
        // from whatever else runs on it. The handle is only let go: the run's label finds the container.
        std::mem::forget(self.inner.take());
    }
}

fn request(site: &RunScope, name: &str, spec: ContainerSpec) -> ContainerRequest<GenericImage> {
    let (repository, tag) = split_reference(&spec.image);
    let mut image = GenericImage::new(repository, tag);
    for port in &spec.ports {
        image = image.with_exposed_port(ContainerPort::Tcp(*port));
    }
    if let Some(entry_point) = &spec.entry_point {
        image = image.with_entrypoint(entry_point);
    }
    let mut request = ContainerRequest::from(image)
        .with_container_name(name)
        .with_network(site.network())
        .with_labels(site.labels())
        .with_labels(spec.labels.clone())
        .with_startup_timeout(Duration::from_secs(30));
    if !spec.command.is_empty() {
        request = request.with_cmd(spec.command.clone());
    }
    for (key, value) in &spec.env {
        request = request.with_env_var(key, value);
    }
    for (host, address) in &spec.hosts {
        let address = match address.parse() {
            Ok(address) => Host::Addr(address),
            Err(_) => Host::HostGateway,
        };
        request = request.with_host(host, address);
    }
    for (path, mode, content) in &spec.files {
        let target = CopyTargetOptions::new(path).with_mode(*mode);
        request = request.with_copy_to(target, content.clone());
    }
    let labels = site.labels();
    request.with_host_config_modifier(move |config| {
        // testcontainers publishes on every interface; a chaos run is nobody else's business.
        config.publish_all_ports = Some(false);
        let loopback = || PortBinding { host_ip: Some("127.0.0.1".into()), host_port: None };
        let bindings =
            spec.ports.iter().map(|port| (format!("{port}/tcp"), Some(vec![loopback()])));
        config.port_bindings = Some(bindings.collect::<HashMap<_, _>>());
        if let Some(bytes) = spec.memory_bytes {
            let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
            config.memory = Some(bytes);
            config.memory_swap = Some(bytes);
        }
        config.shm_size = spec.shm_bytes.and_then(|bytes| i64::try_from(bytes).ok());
        config.oom_score_adj = Some(0);
        config.log_config = Some(log_config());
        if !spec.sysctls.is_empty() {
            config.sysctls = Some(spec.sysctls.iter().cloned().collect());
        }
        let mounts = spec.volumes.iter().map(|target| Mount {
            target: Some(target.clone()),
            typ: Some(MountType::VOLUME),
            volume_options: Some(MountVolumeOptions {
                labels: Some(labels.clone()),
                ..Default::default()
            }),
            ..Default::default()
        });
        let named = spec.mounts.iter().map(|(name, target)| Mount {
            source: Some(name.clone()),
            target: Some(target.clone()),
            typ: Some(MountType::VOLUME),
            ..Default::default()
        });
        config.mounts = Some(mounts.chain(named).collect());
    })
}

/// `repository:tag` in two; a digest stays with the repository's part as Docker expects it.
fn split_reference(reference: &str) -> (String, String) {
    match reference.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository.to_owned(), tag.to_owned()),
        _ => (reference.to_owned(), "latest".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// testcontainers joins both parts with a colon again: the joined text must be the reference.
    #[test]
    fn a_reference_survives_the_split() {
        for (reference, joined) in [
            ("mysql:8.4", "mysql:8.4"),
            ("mysql", "mysql:latest"),
            ("localhost:5000/mysql", "localhost:5000/mysql:latest"),
            ("localhost:5000/mysql:8.4", "localhost:5000/mysql:8.4"),
            ("mysql@sha256:abc", "mysql@sha256:abc"),
        ] {
            let (repository, tag) = split_reference(reference);
            assert_eq!(format!("{repository}:{tag}"), joined);
        }
    }
}
