//! The engine's calls on networks, volumes and images, and the search by label.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use nix::unistd::{SysconfVar, sysconf};
use testcontainers::bollard::{
    self,
    models::{
        ContainerCreateBody, HostConfig, NetworkConnectRequest, NetworkCreateRequest,
        NetworkDisconnectRequest, VolumeCreateRequest,
    },
    query_parameters::{
        CreateContainerOptions, CreateImageOptions, InspectNetworkOptions, ListContainersOptions,
        ListNetworksOptions, ListVolumesOptions, RemoveImageOptions, RemoveVolumeOptions,
        StartContainerOptions, StatsOptions,
    },
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::engine::{CALL, failed, within};
use super::{DockerError, Engine};

/// What kind of thing carries a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LabelledKind {
    /// A container.
    Container,
    /// A network.
    Network,
    /// A volume.
    Volume,
}

/// What the engine says of a container's memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryAccount {
    /// Bytes charged that the kernel could not get back at once; none where the engine has no account.
    pub charged_bytes: Option<u64>,
    /// The limit that is in force; none where the engine knows none.
    pub limit_bytes: Option<u64>,
}

/// A root file system, as a tar archive.
#[derive(Debug)]
pub enum RootFileSystem<'a> {
    /// In memory.
    Bytes(Vec<u8>),
    /// In a file.
    File(&'a Path),
}

/// Bytes read at once.
const CHUNK: u64 = 256 * 1024;

/// A thing of the engine that carries a label.
#[derive(Clone, Debug)]
pub struct Labelled {
    /// What it is.
    pub kind: LabelledKind,
    /// Its id (of a volume its name).
    pub id: String,
    /// Its name.
    pub name: String,
    /// All its labels.
    pub labels: HashMap<String, String>,
}

impl Engine {
    /// Every container, network and volume that carries the label: `key`, or `key=value`. In the
    /// order in which they can be removed.
    pub async fn labelled(&self, label: &str) -> Result<Vec<Labelled>, DockerError> {
        let filters = HashMap::from([("label".to_owned(), vec![label.to_owned()])]);
        let mut found = Vec::new();
        let options = ListContainersOptions {
            all: true,
            filters: Some(filters.clone()),
            ..Default::default()
        };
        let call = self.docker.list_containers(Some(options));
        for container in self.call("list containers", label, CALL, call).await? {
            let name = container.names.unwrap_or_default().into_iter().next().unwrap_or_default();
            found.push(Labelled {
                kind: LabelledKind::Container,
                id: container.id.unwrap_or_default(),
                name: name.trim_start_matches('/').to_owned(),
                labels: container.labels.unwrap_or_default(),
            });
        }
        let options = ListNetworksOptions { filters: Some(filters.clone()) };
        let call = self.docker.list_networks(Some(options));
        for network in self.call("list networks", label, CALL, call).await? {
            found.push(Labelled {
                kind: LabelledKind::Network,
                id: network.id.unwrap_or_default(),
                name: network.name.unwrap_or_default(),
                labels: network.labels.unwrap_or_default(),
            });
        }
        let options = ListVolumesOptions { filters: Some(filters) };
        let call = self.docker.list_volumes(Some(options));
        let volumes = self.call("list volumes", label, CALL, call).await?;
        for volume in volumes.volumes.unwrap_or_default() {
            found.push(Labelled {
                kind: LabelledKind::Volume,
                id: volume.name.clone(),
                name: volume.name,
                labels: volume.labels,
            });
        }
        Ok(found)
    }

    /// Removes a labelled thing; one that is gone is no error.
    pub async fn remove_labelled(&self, thing: &Labelled) -> Result<(), DockerError> {
        let removed = match thing.kind {
            LabelledKind::Container => self.remove(&thing.id).await,
            LabelledKind::Network => self.remove_network(&thing.id).await,
            LabelledKind::Volume => {
                let options = RemoveVolumeOptions { force: true };
                let call = self.docker.remove_volume(&thing.id, Some(options));
                self.call("remove volume", &thing.name, CALL, call).await
            }
        };
        match removed {
            Err(error) if error.is_not_found() => Ok(()),
            other => other,
        }
    }

    /// Creates a user network.
    pub async fn create_network(
        &self,
        name: &str,
        labels: &HashMap<String, String>,
    ) -> Result<String, DockerError> {
        let request = NetworkCreateRequest {
            name: name.to_owned(),
            driver: Some("bridge".to_owned()),
            labels: Some(labels.clone()),
            ..Default::default()
        };
        let call = self.docker.create_network(request);
        Ok(self.call("create network", name, CALL, call).await?.id)
    }

    /// Takes a running container off a network, from one moment to the next: its connections are not closed, and
    /// nothing of them passes any more.
    pub async fn unplug(&self, network: &str, id: &str) -> Result<(), DockerError> {
        let request = NetworkDisconnectRequest { container: id.to_owned(), force: Some(true) };
        let call = self.docker.disconnect_network(network, request);
        self.call("disconnect from network", id, CALL, call).await
    }

    /// Puts a container on a network again, under its name.
    pub async fn plug_in(&self, network: &str, id: &str) -> Result<(), DockerError> {
        let request = NetworkConnectRequest { container: id.to_owned(), ..Default::default() };
        let call = self.docker.connect_network(network, request);
        self.call("connect to network", id, CALL, call).await
    }

    /// The address of a network's gateway: where containers on it reach this host.
    pub async fn network_gateway(&self, name: &str) -> Result<IpAddr, DockerError> {
        let call = self.docker.inspect_network(name, None::<InspectNetworkOptions>);
        let network = self.call("inspect network", name, CALL, call).await?;
        let configs = network.ipam.and_then(|ipam| ipam.config).unwrap_or_default();
        let gateway = configs.into_iter().find_map(|config| config.gateway?.parse().ok());
        gateway.ok_or_else(|| DockerError::Answer {
            operation: "inspect network",
            object: name.to_owned(),
            lacks: "a gateway",
        })
    }

    /// Creates a volume in memory of a limited size. It is empty again once no container that uses it
    /// runs.
    pub async fn create_small_volume(
        &self,
        name: &str,
        bytes: u64,
        labels: &HashMap<String, String>,
    ) -> Result<(), DockerError> {
        // In blocks: Podman takes `size` for a quota of the disk, which this is not.
        let blocks = bytes.div_ceil(page_bytes()?);
        let limit = format!("nr_blocks={blocks}");
        let options = [("type", "tmpfs"), ("device", "tmpfs"), ("o", limit.as_str())]
            .map(|(key, value)| (key.to_owned(), value.to_owned()));
        let request = VolumeCreateRequest {
            name: Some(name.to_owned()),
            driver: Some("local".to_owned()),
            driver_opts: Some(HashMap::from(options)),
            labels: Some(labels.clone()),
            ..Default::default()
        };
        let call = self.docker.create_volume(request);
        self.call("create volume", name, CALL, call).await.map(|_| ())
    }

    /// The engine's account of a running container's memory.
    pub async fn memory_account(&self, id: &str) -> Result<MemoryAccount, DockerError> {
        let options = StatsOptions { stream: false, one_shot: true };
        let mut answers = std::pin::pin!(self.docker.stats(id, Some(options)));
        let call = async { answers.try_next().await };
        let answer = self.call("stats", id, CALL, call).await?;
        let memory = answer.and_then(|answer| answer.memory_stats).unwrap_or_default();
        Ok(account(memory.usage, memory.limit, memory.stats.unwrap_or_default()))
    }

    /// The ids of all networks.
    pub async fn network_ids(&self) -> Result<Vec<String>, DockerError> {
        let call = self.docker.list_networks(None::<ListNetworksOptions>);
        let networks = self.call("list networks", "all", CALL, call).await?;
        Ok(networks.into_iter().filter_map(|network| network.id).collect())
    }

    /// Removes a network; one that is gone is no error.
    pub async fn remove_network(&self, id: &str) -> Result<(), DockerError> {
        let call = self.docker.remove_network(id);
        match self.call("remove network", id, CALL, call).await {
            Err(error) if error.is_not_found() => Ok(()),
            other => other,
        }
    }

    /// Creates a container that is not started; for one-off work such as an image's first boot.
    pub(crate) async fn create_plain(
        &self,
        name: &str,
        image: &str,
        command: &[String],
        labels: &HashMap<String, String>,
    ) -> Result<String, DockerError> {
        let body = ContainerCreateBody {
            image: Some(image.to_owned()),
            cmd: Some(command.to_vec()),
            labels: Some(labels.clone()),
            host_config: Some(HostConfig {
                log_config: Some(super::launch::log_config()),
                ..Default::default()
            }),
            ..Default::default()
        };
        let options = CreateContainerOptions { name: Some(name.to_owned()), ..Default::default() };
        let call = self.docker.create_container(Some(options), body);
        Ok(self.call("create", name, CALL, call).await?.id)
    }

    /// Starts a container for the first time.
    pub(crate) async fn start_plain(&self, id: &str) -> Result<(), DockerError> {
        let call = self.docker.start_container(id, None::<StartContainerOptions>);
        self.call("start", id, CALL, call).await
    }

    /// The id of a local image; none when there is no such image.
    pub async fn image_id(&self, reference: &str) -> Result<Option<String>, DockerError> {
        Ok(self.image(reference).await?.map(|(id, _)| id))
    }

    /// Id and labels of a local image; none when there is no such image.
    pub async fn image(
        &self,
        reference: &str,
    ) -> Result<Option<(String, HashMap<String, String>)>, DockerError> {
        let call = self.docker.inspect_image(reference);
        match self.call("inspect image", reference, CALL, call).await {
            Ok(image) => {
                let labels = image.config.and_then(|config| config.labels).unwrap_or_default();
                Ok(image.id.map(|id| (id, labels)))
            }
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether the image's registry answers for it within `deadline`.
    pub async fn registry_has(
        &self,
        reference: &str,
        deadline: Duration,
    ) -> Result<(), DockerError> {
        let call = self.docker.inspect_registry_image(reference, None);
        self.call("ask registry", reference, deadline, call).await.map(|_| ())
    }

    /// Pulls an image.
    pub async fn pull(&self, reference: &str, deadline: Duration) -> Result<(), DockerError> {
        let options =
            CreateImageOptions { from_image: Some(reference.to_owned()), ..Default::default() };
        let layers = self.docker.create_image(Some(options), None, None);
        within("pull", reference, deadline, async {
            let mut layers = std::pin::pin!(layers);
            while let Some(layer) = layers.next().await {
                layer.map_err(|source| failed("pull", reference, source))?;
            }
            Ok(())
        })
        .await
    }

    /// Imports a root file system (a tar archive) as an image `repository:tag`; `changes` are
    /// Dockerfile instructions. Returns the image's id.
    pub async fn import(
        &self,
        repository: &str,
        tag: &str,
        root: RootFileSystem<'_>,
        changes: Vec<String>,
    ) -> Result<String, DockerError> {
        let reference = format!("{repository}:{tag}");
        let options = CreateImageOptions {
            from_src: Some("-".to_owned()),
            repo: Some(repository.to_owned()),
            tag: Some(tag.to_owned()),
            changes,
            ..Default::default()
        };
        let body = match root {
            RootFileSystem::Bytes(bytes) => bollard::body_full(Bytes::from(bytes)),
            RootFileSystem::File(path) => {
                let file = tokio::fs::File::open(path)
                    .await
                    .map_err(|source| host(format!("cannot open {}", path.display()), source))?;
                bollard::body_try_stream(futures::stream::try_unfold(file, next_chunk))
            }
        };
        let steps = self.docker.create_image(Some(options), Some(body), None);
        within("import", &reference, Duration::from_secs(180), async {
            let mut steps = std::pin::pin!(steps);
            while let Some(step) = steps.next().await {
                step.map_err(|source| failed("import", &reference, source))?;
            }
            Ok(())
        })
        .await?;
        self.image_id(&reference).await?.ok_or(DockerError::Answer {
            operation: "import",
            object: reference,
            lacks: "the image",
        })
    }

    /// Writes a container's whole file system into a tar file.
    pub async fn export(&self, id: &str, tar: &Path) -> Result<(), DockerError> {
        let what = || format!("cannot write {}", tar.display());
        let mut file = tokio::fs::File::create(tar).await.map_err(|source| host(what(), source))?;
        within("export", id, Duration::from_secs(180), async {
            let mut chunks = std::pin::pin!(self.docker.export_container(id));
            while let Some(chunk) =
                chunks.try_next().await.map_err(|source| failed("export", id, source))?
            {
                file.write_all(&chunk).await.map_err(|source| host(what(), source))?;
            }
            file.flush().await.map_err(|source| host(what(), source))
        })
        .await
    }

    /// Removes an image; one that is gone is no error.
    pub async fn remove_image(&self, reference: &str) -> Result<(), DockerError> {
        let options = RemoveImageOptions { force: false, noprune: false, ..Default::default() };
        let call = self.docker.remove_image(reference, Some(options), None);
        match self.call("remove image", reference, CALL * 4, call).await {
            Err(error) if error.is_not_found() => Ok(()),
            other => other.map(|_| ()),
        }
    }

    /// The local images of a repository, newest first, as `repository:tag`.
    pub async fn images_of(&self, repository: &str) -> Result<Vec<String>, DockerError> {
        let filters = HashMap::from([("reference".to_owned(), vec![format!("{repository}:*")])]);
        let options = bollard::query_parameters::ListImagesOptions {
            filters: Some(filters),
            ..Default::default()
        };
        let call = self.docker.list_images(Some(options));
        let mut images = self.call("list images", repository, CALL, call).await?;
        images.sort_by_key(|image| std::cmp::Reverse(image.created));
        Ok(images.into_iter().flat_map(|image| image.repo_tags).collect())
    }
}

/// The unit in which a tmpfs counts.
fn page_bytes() -> Result<u64, DockerError> {
    let failed = |source| host("the size of a page".to_owned(), source);
    let bytes = sysconf(SysconfVar::PAGE_SIZE).map_err(|error| failed(error.into()))?;
    let known = bytes.and_then(|bytes| u64::try_from(bytes).ok());
    known.ok_or_else(|| failed(std::io::ErrorKind::Unsupported.into()))
}

/// A zero is no account: a container that runs is charged for something.
fn account(usage: Option<u64>, limit: Option<u64>, stats: HashMap<String, u64>) -> MemoryAccount {
    let idle = stats.get("total_inactive_file").or_else(|| stats.get("inactive_file")).copied();
    MemoryAccount {
        charged_bytes: usage
            .filter(|bytes| *bytes > 0)
            .map(|bytes| bytes.saturating_sub(idle.unwrap_or(0))),
        limit_bytes: limit.filter(|bytes| *bytes > 0),
    }
}

/// The next chunk of a file, and the file.
async fn next_chunk(
    mut file: tokio::fs::File,
) -> Result<Option<(Bytes, tokio::fs::File)>, std::io::Error> {
    let mut chunk = Vec::with_capacity(CHUNK as usize);
    let read = (&mut file).take(CHUNK).read_to_end(&mut chunk).await?;
    Ok((read > 0).then(|| (Bytes::from(chunk), file)))
}

fn host(what: String, source: std::io::Error) -> DockerError {
    DockerError::Host { what, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Taken for nothing charged, "no account" lets a squeeze fill the memory until the kernel kills.
    #[test]
    fn an_engine_without_an_account_says_nothing_and_not_zero() {
        let of = |usage, limit, stats: &[(&str, u64)]| {
            let stats = stats.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
            let account = account(usage, limit, stats);
            (account.charged_bytes, account.limit_bytes)
        };
        let version_1 = [("total_inactive_file", 10), ("inactive_file", 3)];
        assert_eq!(of(Some(100), Some(200), &version_1), (Some(90), Some(200)));
        assert_eq!(of(Some(100), Some(200), &[("inactive_file", 20)]), (Some(80), Some(200)));
        assert_eq!(of(Some(0), Some(0), &[]), (None, None));
        assert_eq!(of(None, None, &[]), (None, None));
    }
}
