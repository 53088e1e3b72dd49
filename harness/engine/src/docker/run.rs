//! A run: its id, its network, its temporary directory, and the labels by which everything it made
//! is found and removed again.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::owner::Owner;
use super::{DockerError, Engine, Labelled, LabelledKind};

/// The label with the run's id.
pub const LABEL_RUN: &str = "vdiff-chaos.run";
/// The label with the owner's identity.
pub const LABEL_OWNER: &str = "vdiff-chaos.owner";
/// Names of containers and networks begin like this. A convenience for people: nothing is removed
/// for its name.
pub const NAME_PREFIX: &str = "vdiff-chaos-";
/// The file that names the owner of a run's temporary directory.
pub(crate) const OWNER_FILE: &str = "owner";

/// The last resort of a run that was dropped and not removed.
const DROP_DEADLINE: Duration = Duration::from_secs(60);
/// A removal looks for what is left for so long, with this pause.
const REMOVE_WITHIN: Duration = Duration::from_secs(45);
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// Where a run's containers live: what their names, labels and network are made of. Cheap to clone.
#[derive(Clone, Debug)]
pub struct RunScope {
    id: String,
    owner: String,
    network: String,
}

impl RunScope {
    /// The name of the run's network.
    #[must_use]
    pub fn network(&self) -> &str {
        &self.network
    }

    /// A name on the run's network, unique on the engine.
    #[must_use]
    pub fn name(&self, what: &str) -> String {
        format!("{NAME_PREFIX}{}-{what}", self.id)
    }

    /// The labels that everything of this run carries.
    #[must_use]
    pub fn labels(&self) -> HashMap<String, String> {
        HashMap::from([
            (LABEL_RUN.to_owned(), self.id.clone()),
            (LABEL_OWNER.to_owned(), self.owner.clone()),
        ])
    }
}

/// Everything one run creates hangs on this. Call [`Run::remove`] at its end; a run that is dropped
/// without it (a panic) removes its things in a thread of its own, and blocks for it.
#[derive(Debug)]
pub struct Run {
    site: RunScope,
    engine: Engine,
    directory: PathBuf,
    removed: AtomicBool,
}

impl Run {
    /// Begins a run: creates its network and its temporary directory.
    ///
    /// The id becomes part of names: lower-case letters, digits and dashes.
    pub async fn begin(engine: &Engine, id: &str) -> Result<Self, DockerError> {
        let host = |what: String| move |source| DockerError::Host { what, source };
        let owner = Owner::current().map_err(host("cannot read this process's identity".into()))?;
        let directory = temporary_root().join(id);
        let written = std::fs::create_dir_all(&directory)
            .and_then(|()| std::fs::write(directory.join(OWNER_FILE), owner.to_string()));
        written.map_err(host(format!("cannot write into {}", directory.display())))?;
        let site = RunScope {
            id: id.to_owned(),
            owner: owner.to_string(),
            network: format!("{NAME_PREFIX}{id}"),
        };
        let run = Self { site, engine: engine.clone(), directory, removed: AtomicBool::new(false) };
        if let Err(error) = engine.create_network(run.network(), &run.labels()).await {
            run.remove().await?;
            return Err(error);
        }
        Ok(run)
    }

    /// A fresh id: a time stamp is for people, the random part keeps two runs of one second apart.
    #[must_use]
    pub fn fresh_id() -> String {
        let random = hex::encode(rand::random::<[u8; 3]>());
        format!("{}-{random}", chrono::Local::now().format("%Y%m%d-%H%M%S"))
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.site.id
    }

    /// Its engine.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Where its containers live.
    #[must_use]
    pub fn site(&self) -> &RunScope {
        &self.site
    }

    /// The name of its network.
    #[must_use]
    pub fn network(&self) -> &str {
        self.site.network()
    }

    /// Its temporary directory, which goes with the run.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// See [`RunScope::name`].
    #[must_use]
    pub fn name(&self, what: &str) -> String {
        self.site.name(what)
    }

    /// See [`RunScope::labels`].
    #[must_use]
    pub fn labels(&self) -> HashMap<String, String> {
        self.site.labels()
    }

    /// Removes every container, network and volume that carries the run's label, and the temporary
    /// directory. Goes on after an error, and returns the first.
    pub async fn remove(&self) -> Result<(), DockerError> {
        self.removed.store(true, Ordering::SeqCst);
        let removed = remove_labelled(&self.engine, self.id()).await;
        let cleared = match std::fs::remove_dir_all(&self.directory) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                let what = format!("cannot remove {}", self.directory.display());
                Err(DockerError::Host { what, source })
            }
            _ => Ok(()),
        };
        removed.and(cleared)
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if self.removed.load(Ordering::SeqCst) {
            return;
        }
        let id = self.id().to_owned();
        let directory = self.directory.clone();
        let work = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let Ok(runtime) = runtime else { return };
            runtime.block_on(async {
                let all = async {
                    // The engine's connections belong to the runtime that may be gone: a new one.
                    remove_labelled(&Engine::connect().await?, &id).await
                };
                match tokio::time::timeout(DROP_DEADLINE, all).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => tracing::warn!(run = id, %error, "run not removed"),
                    Err(_) => tracing::warn!(run = id, "run not removed in time"),
                }
            });
            if let Err(error) = std::fs::remove_dir_all(&directory) {
                tracing::warn!(directory = %directory.display(), %error, "not removed");
            }
        });
        if work.join().is_err() {
            tracing::warn!(run = self.id(), "the run's removal panicked");
        }
    }
}

/// Where runs keep their temporary directories: one place a user, so that `clean` finds them.
pub(crate) fn temporary_root() -> PathBuf {
    std::env::temp_dir().join(format!("vdiff-chaos-{}", nix::unistd::geteuid()))
}

/// Removes what carries the label, and looks again a moment later: the engine finishes what it was
/// asked for even when the asker has gone away (an interrupted start), or has lost patience (a
/// removal on a busy disk). Only what is still there at the end is an error.
async fn remove_labelled(engine: &Engine, id: &str) -> Result<(), DockerError> {
    let label = format!("{LABEL_RUN}={id}");
    let began = Instant::now();
    loop {
        let things = engine.labelled(&label).await?;
        let removed = remove_all(engine, &things).await;
        tokio::time::sleep(LOOK_AGAIN).await;
        if things.is_empty() || engine.labelled(&label).await?.is_empty() {
            return Ok(());
        }
        if began.elapsed() >= REMOVE_WITHIN {
            let object = things.iter().map(|thing| thing.name.as_str()).collect::<Vec<_>>();
            return removed.and(Err(DockerError::Deadline {
                operation: "remove",
                object: object.join(", "),
                deadline: REMOVE_WITHIN,
            }));
        }
    }
}

/// Goes on after an error, and returns the first.
async fn remove_all(engine: &Engine, things: &[Labelled]) -> Result<(), DockerError> {
    let mut first = Ok(());
    // Containers at once, then what they used.
    for container in [true, false] {
        let all =
            things.iter().filter(|thing| (thing.kind == LabelledKind::Container) == container);
        let removed = all.map(|thing| engine.remove_labelled(thing));
        for one in futures::future::join_all(removed).await {
            first = first.and(one);
        }
    }
    first
}
