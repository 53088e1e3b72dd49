//! What all scenarios of a feature run share: images, servers with loaded data, the run's directory.
//! Made when the first scenario needs it, removed explicitly at the end: nothing here relies on `Drop`.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use engine::docker::{Engine, Run};
use engine::images::{self, Image, ImageOptions};
use harness::campaign::Slots;
use harness::prepare::Prepared;
use harness::stage::Environment;
use harness::systems::{SystemKind, SystemOptions};
use records::TrialRecord;
use records::schedule::Schedule;
use tokio::sync::{Mutex as AsyncMutex, OnceCell, OwnedMutexGuard};
use tokio_util::sync::CancellationToken;

use crate::Options;
use crate::record::Record;

/// Shared by all scenarios.
pub(crate) struct Suite {
    directory: PathBuf,
    record: Record,
    slots: OnceCell<Slots>,
    system: SystemOptions,
    /// The tablet with the known bugs compiled in, for the scenarios that name one.
    seeded: OnceCell<Image>,
    clean_tablet: bool,
    own_servers: Arc<AsyncMutex<()>>,
    trials: Mutex<Trials>,
}

#[derive(Default)]
struct Trials {
    begun: u32,
    done: Vec<TrialRecord>,
}

impl Suite {
    /// The suite of a feature run.
    #[must_use]
    pub(crate) fn new(options: &Options, record: Record) -> Self {
        Self {
            directory: options.directory.clone(),
            record,
            slots: OnceCell::new(),
            system: options.system.clone(),
            seeded: OnceCell::new(),
            clean_tablet: options.clean_tablet,
            own_servers: Arc::default(),
            trials: Mutex::default(),
        }
    }

    /// Which system stands under test.
    #[must_use]
    pub(crate) fn system(&self) -> SystemKind {
        self.system.kind()
    }

    /// The record of the run.
    #[must_use]
    pub(crate) fn record(&self) -> &Record {
        &self.record
    }

    /// The number of the next trial.
    #[must_use]
    pub(crate) fn next_trial(&self) -> u32 {
        let mut trials = self.trials.lock().unwrap_or_else(PoisonError::into_inner);
        trials.begun += 1;
        trials.begun - 1
    }

    /// The directory of a trial.
    #[must_use]
    pub(crate) fn trial_directory(&self, trial: u32) -> PathBuf {
        records::layout::RunDirectory::new(&self.directory).trial(trial)
    }

    /// Keeps a judged trial for the report.
    pub(crate) fn keep(&self, trial: TrialRecord) {
        self.trials.lock().unwrap_or_else(PoisonError::into_inner).done.push(trial);
    }

    /// The judged trials, in the order of their numbers.
    #[must_use]
    pub(crate) fn trials(&self) -> Vec<TrialRecord> {
        let mut done = self.trials.lock().unwrap_or_else(PoisonError::into_inner).done.clone();
        done.sort_by_key(|trial| trial.schedule.trial);
        done
    }

    /// The turn of a scenario that hurts servers: one at a time has servers of its own.
    pub(crate) async fn turn_with_own_servers(&self) -> OwnedMutexGuard<()> {
        Arc::clone(&self.own_servers).lock_owned().await
    }

    /// Whether known bugs that scenarios name stay off.
    #[must_use]
    pub(crate) fn keeps_bugs_off(&self) -> bool {
        self.clean_tablet
    }

    /// Servers with the schedule's workload; `own`: not shared with other scenarios; `seeded`: for a
    /// tablet that has the known bugs, on or off.
    ///
    /// # Errors
    /// When Docker, an image, a server or the data fails.
    pub(crate) async fn environment(
        &self,
        schedule: &Schedule,
        own: bool,
        seeded: bool,
    ) -> anyhow::Result<Environment> {
        let slots = self.slots.get_or_try_init(|| self.prepare()).await?;
        let tablet = match seeded {
            true => Some(self.seeded.get_or_try_init(|| self.seeded_image()).await?),
            false => None,
        };
        let prepared = slots.environment_with(schedule, own, tablet, &say).await;
        prepared.context("preparing the servers")
    }

    async fn seeded_image(&self) -> anyhow::Result<Image> {
        let options = ImageOptions { seeded_bugs: true, ..self.system.images.clone() };
        let engine = Engine::connect().await.context("the container engine")?;
        let image = images::ensure_tablet(&engine, &options, &say).await;
        image.context("no image of the tablet with the known bugs")
    }

    /// Removes everything that the suite started.
    ///
    /// # Errors
    /// When the engine fails.
    pub(crate) async fn remove(&self) -> anyhow::Result<()> {
        match self.slots.get() {
            Some(slots) => slots.remove().await.context("removing the servers"),
            None => Ok(()),
        }
    }

    async fn prepare(&self) -> anyhow::Result<Slots> {
        // Whoever stops a feature run drops it.
        let ground = Prepared::make(&self.system, &CancellationToken::new(), &say).await;
        let ground = ground.context("nothing can be started")?;
        Ok(Slots::new(ground.into(), Run::fresh_id()))
    }
}

fn say(line: &str) {
    eprintln!("{line}");
}
