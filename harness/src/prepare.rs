//! What every command that executes trials prepares first: an engine that answers, nothing left of dead
//! runs, the images, and a survey of the host.

use records::Host;
use tokio_util::sync::CancellationToken;

use crate::survey::Survey;
use engine::clean;
use engine::docker::{DockerError, Engine, EngineFacts};
use engine::images::{self, ImageError, ImageOptions, Images};

/// An engine, and what is to be started on it.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// The engine.
    pub engine: Engine,
    /// The images.
    pub images: Images,
    /// The machine.
    pub host: Host,
    /// What it can do.
    pub survey: Survey,
}

/// It could not be prepared.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// No engine answers.
    #[error("the container engine")]
    Engine(#[source] DockerError),
    /// An image is missing.
    #[error("an image is missing")]
    Images(#[source] ImageError),
    /// The user stopped it.
    #[error("stopped before the first trial")]
    Stopped,
}

impl Prepared {
    /// Asks the engine, sweeps, and builds what is missing, with lines for the user.
    ///
    /// # Errors
    /// When no engine answers, or an image cannot be had. What cannot be swept is only said.
    pub async fn make(
        options: &ImageOptions,
        stop: &CancellationToken,
        say: &(dyn Fn(&str) + Send + Sync),
    ) -> Result<Prepared, PrepareError> {
        let engine = Engine::connect().await.map_err(PrepareError::Engine)?;
        let host = describe(&engine).await;
        say(&format!("host     {host}"));
        sweep(&engine, say).await;
        let tell = |line: &str| say(&format!("images   {line}"));
        let ensured = stop.run_until_cancelled(images::ensure(&engine, options, &tell)).await;
        let images = ensured.ok_or(PrepareError::Stopped)?.map_err(PrepareError::Images)?;
        let survey = Survey::of(&engine, &images.mysql, &images.etcd, stop).await;
        let survey = survey.unwrap_or_else(|error| {
            say(&format!("note     this host was not surveyed: {}", engine::errors::chain(&error)));
            Survey::default()
        });
        if stop.is_cancelled() {
            return Err(PrepareError::Stopped);
        }
        let (witnesses, not_possible) = (survey.witnesses, survey.not_possible());
        for left_out in &not_possible {
            say(&format!("note     {left_out}"));
        }
        let host = Host { witnesses, not_possible, ..host };
        Ok(Prepared { engine, images, host, survey })
    }
}

/// Removes what dead owners left; a failure is said and does not stop a run.
async fn sweep(engine: &Engine, say: &(dyn Fn(&str) + Send + Sync)) {
    match clean::sweep(engine).await {
        Ok(report) if report.removed.is_empty() => {}
        Ok(report) => say(&format!("swept    {} things of dead runs", report.removed.len())),
        Err(error) => say(&format!("swept    not everything: {}", engine::errors::chain(&error))),
    }
}

/// What engine and machine say of themselves; what they do not say stays empty.
async fn describe(engine: &Engine) -> Host {
    let facts = engine.facts().await.unwrap_or_else(|error| {
        tracing::warn!(%error, "the engine does not say what it is");
        EngineFacts::default()
    });
    let memory_bytes = sysinfo::System::new().map_or(0, |mut system| {
        system.refresh_memory();
        system.total_memory()
    });
    Host {
        engine: facts.name_and_version(),
        cgroup: format!("cgroup v{}", facts.cgroup_version),
        cores: std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64),
        memory_bytes,
        ..Host::default()
    }
}
