//! What every command that executes trials prepares first: an engine that answers, nothing left of dead
//! runs, the images, and a survey of the host.

use std::sync::Arc;

use records::Host;
use tokio_util::sync::CancellationToken;

use crate::survey::Survey;
use crate::systems::{Deployable, SystemOptions};
use engine::clean;
use engine::docker::{DockerError, Engine, EngineFacts};
use engine::images::{self, ImageError, Images, Say};
use system_vitess::VitessError;

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
    /// What is deployed for trials.
    pub system: Deployable,
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
    /// There is no Vitess to start.
    #[error("there is no Vitess that could be started")]
    Vitess(#[source] VitessError),
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
        options: &SystemOptions,
        stop: &CancellationToken,
        say: &(dyn Fn(&str) + Send + Sync),
    ) -> Result<Prepared, PrepareError> {
        let engine = Engine::connect().await.map_err(PrepareError::Engine)?;
        let host = describe(&engine).await;
        say(&format!("host     {host}"));
        sweep(&engine, say).await;
        let tell = |line: &str| say(&format!("images   {line}"));
        // On the heap: in a debug build the stack would not hold it.
        let ensured = Box::pin(ensure(&engine, options, &tell));
        let ensured = stop.run_until_cancelled(ensured).await;
        let (images, system) = ensured.ok_or(PrepareError::Stopped)??;
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
        Ok(Prepared { engine, images, host, survey, system })
    }
}

/// Images, and the system that is made of them.
async fn ensure(
    engine: &Engine,
    options: &SystemOptions,
    tell: Say<'_>,
) -> Result<(Images, Deployable), PrepareError> {
    let Some(vitess) = &options.vitess else {
        let images = images::ensure(engine, &options.images, tell).await;
        return Ok((images.map_err(PrepareError::Images)?, Deployable::Tablet));
    };
    let servers = images::ensure_servers(engine, &options.images, tell).await;
    let (mysql, etcd) = servers.map_err(PrepareError::Images)?;
    let vitess = system_vitess::ensure(engine, vitess, &mysql, tell).await;
    let vitess = vitess.map_err(PrepareError::Vitess)?;
    let helper = vitess.helper.as_ref().ok().map(Arc::clone);
    let images = Images { mysql, etcd, tablet: vitess.image.clone(), helper };
    Ok((images, Deployable::Vitess(Arc::new(vitess))))
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
