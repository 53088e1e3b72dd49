//! The stage of a trial: two tablets of its own on shared servers, a journal, observers.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use records::journal::{Event, FORMAT, Record, Side, TrialStarted};
use records::schedule::{CrashPoint, Link, Schedule, Step};
use records::tellings::Telling;
use records::verdict::Judgement;
use tokio::sync::watch;

use super::{ActError, During, Environment};
use crate::journal::Journal;
use crate::observer::{Observers, Ready, SamplerOptions, Supervised};
use servers::Servers;
use system::{
    Deployment, LinkControls, Operator, Progress, Sidecar, Topology, TrialSpec, WORKFLOW,
};
use wire::{Armed, LinkConditions, Switchboard};

/// One trial's tablets, journal and observers. Close it with [`Stage::close`], always.
pub struct Stage {
    environment: Environment,
    schedule: Schedule,
    name: String,
    deployment: Arc<dyn Deployment>,
    journal: Journal,
    source: Arc<Supervised>,
    target: Arc<Supervised>,
    pub(super) watchers: tokio::sync::Mutex<Observers>,
    pub(super) pollers: tokio::sync::Mutex<Observers>,
    ready_source: watch::Receiver<Ready>,
    ready_target: watch::Receiver<Ready>,
    sampled: watch::Receiver<Progress>,
    newest: watch::Sender<Option<String>>,
    facts: Mutex<Facts>,
    switchboard: Switchboard,
    armed: Mutex<Option<Armed>>,
}

/// What the acts so far have made.
#[derive(Debug, Default)]
struct Facts {
    uuids: Vec<String>,
    executed: Vec<Step>,
    diff_started: Option<Instant>,
    history_ended: bool,
}

impl Stage {
    /// Prepares the trial's tablets (not started), its journal in `dir`, and its observers.
    /// `name` is unique within the run.
    ///
    /// # Errors
    /// When the journal cannot be created, or the system cannot be deployed.
    pub async fn open(
        environment: &Environment,
        schedule: &Schedule,
        name: &str,
        dir: &Path,
    ) -> Result<Stage, ActError> {
        if let Some(refused) = environment.survey.refuses(schedule) {
            return Err(ActError::new(refused.to_string()));
        }
        std::fs::create_dir_all(dir).during(format!("creating {}", dir.display()))?;
        let journal = Journal::create(&dir.join("journal.jsonl")).during("opening the journal")?;
        journal.record(Event::TrialStarted(Box::new(head(environment, schedule))));
        let switchboard = Switchboard::default();
        let trial = TrialSpec {
            name: name.to_owned(),
            schedule: schedule.clone(),
            dataset: Arc::clone(&environment.dataset),
            switchboard: switchboard.clone(),
        };
        let deployment = environment.system.deploy(trial).await.during("deploying the system")?;
        for remark in deployment.remarks() {
            journal.note(remark);
        }
        if let Err(error) = read_clock(deployment.sidecar(), &journal).await {
            for left in deployment.remove().await {
                journal.note(left);
            }
            return Err(error);
        }
        let supervise = |side: Side| {
            let log: PathBuf = dir.join(format!("tablet-{}.log", side.name()));
            let dialect = environment.system.dialect();
            Supervised::new(side, deployment.tablet(side), dialect, journal.clone(), log)
        };
        let (source, target) = (supervise(Side::Source), supervise(Side::Target));
        let newest = watch::Sender::new(None);
        let mut watchers = Observers::new(journal.clone());
        watchers.supervise(&source);
        watchers.supervise(&target);
        let mut pollers = Observers::new(journal.clone());
        let ready_source = pollers.readiness(&source);
        let ready_target = pollers.readiness(&target);
        let sampled = pollers.sample(
            &target,
            SamplerOptions {
                deployment: Arc::clone(&deployment),
                rows_total: environment.dataset.rows_total(),
                uuid: newest.subscribe(),
            },
        );
        Ok(Stage {
            environment: environment.clone(),
            schedule: schedule.clone(),
            name: name.to_owned(),
            deployment,
            journal,
            source,
            target,
            watchers: tokio::sync::Mutex::new(watchers),
            pollers: tokio::sync::Mutex::new(pollers),
            ready_source,
            ready_target,
            sampled,
            newest,
            facts: Mutex::new(Facts::default()),
            switchboard,
            armed: Mutex::default(),
        })
    }

    /// Ends all observers and removes what was deployed; what cannot be removed is said in the journal, and
    /// falls to the run's own removal.
    pub async fn close(&self) {
        self.pollers.lock().await.stop().await;
        self.watchers.lock().await.stop().await;
        for left in self.deployment.remove().await {
            self.journal.note(left);
        }
    }

    /// The trial's journal.
    #[must_use]
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// The schedule it was opened with.
    #[must_use]
    pub fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// What the slot shares.
    #[must_use]
    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    /// Its name within the run.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The operator's verbs.
    #[must_use]
    pub fn operator(&self) -> &dyn Operator {
        self.deployment.operator()
    }

    /// The diffs, as they lie on disk.
    #[must_use]
    pub fn sidecar(&self) -> &dyn Sidecar {
        self.deployment.sidecar()
    }

    /// The topology.
    #[must_use]
    pub fn topology(&self) -> &dyn Topology {
        self.deployment.topology()
    }

    /// Whether the system does not tell or promise something.
    #[must_use]
    pub fn untold(&self, telling: Telling) -> bool {
        self.environment.system.dialect().untold().contains(&telling)
    }

    /// What is deployed.
    #[must_use]
    pub fn deployment(&self) -> &dyn Deployment {
        self.deployment.as_ref()
    }

    /// The MySQL and etcd under the system.
    ///
    /// # Errors
    /// When it has none.
    pub fn servers(&self) -> Result<&Servers, ActError> {
        let servers = self.environment.system.servers();
        servers.map(Arc::as_ref).ok_or_else(|| ActError::new("the system has no servers to hurt"))
    }

    /// The target tablet: the one that runs the VDiff.
    #[must_use]
    pub fn target(&self) -> &Arc<Supervised> {
        &self.target
    }

    /// The source tablet.
    #[must_use]
    pub fn source(&self) -> &Arc<Supervised> {
        &self.source
    }

    /// A tablet by its side.
    #[must_use]
    pub fn tablet(&self, side: Side) -> &Arc<Supervised> {
        match side {
            Side::Source => &self.source,
            Side::Target => &self.target,
        }
    }

    /// Where the target tablet's conversation passes.
    #[must_use]
    pub fn switchboard(&self) -> &Switchboard {
        &self.switchboard
    }

    /// The conditions on a link of the target tablet.
    ///
    /// # Errors
    /// When its links do not pass the proxy.
    pub fn conditions(&self, link: Link) -> Result<&LinkConditions, ActError> {
        self.controls()?.conditions(link).ok_or_else(not_proxied)
    }

    /// The port of a link's proxy, on this host.
    ///
    /// # Errors
    /// When the links do not pass the proxy.
    pub fn proxy_port(&self, link: Link) -> Result<u16, ActError> {
        self.controls()?.port(link).ok_or_else(not_proxied)
    }

    fn controls(&self) -> Result<&LinkControls, ActError> {
        self.deployment.links().ok_or_else(not_proxied)
    }

    /// Arms a crash point; the tablet must be down, so that its exchanges are counted from its start.
    pub fn arm(&self, point: CrashPoint) {
        *self.armed.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(self.switchboard.arm(point));
    }

    /// The armed crash point, once.
    pub(crate) fn take_armed(&self) -> Option<Armed> {
        self.armed.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Rows an exact diff processes.
    #[must_use]
    pub fn rows_total(&self) -> u64 {
        self.environment.dataset.rows_total()
    }

    /// The latest readiness of a tablet.
    #[must_use]
    pub fn readiness_of(&self, side: Side) -> watch::Receiver<Ready> {
        match side {
            Side::Source => self.ready_source.clone(),
            Side::Target => self.ready_target.clone(),
        }
    }

    /// The latest sample of the newest VDiff (at most some tens of milliseconds old while MySQL
    /// answers).
    #[must_use]
    pub fn sampled(&self) -> Progress {
        self.sampled.borrow().clone()
    }

    /// The newest VDiff.
    ///
    /// # Errors
    /// When none was created.
    pub fn uuid(&self) -> Result<String, ActError> {
        self.newest.borrow().clone().ok_or_else(|| ActError::new("no VDiff was created yet"))
    }

    /// All VDiffs of the trial, oldest first.
    #[must_use]
    pub fn uuids(&self) -> Vec<String> {
        self.facts().uuids.clone()
    }

    /// When the newest VDiff was created.
    #[must_use]
    pub fn diff_started(&self) -> Option<Instant> {
        self.facts().diff_started
    }

    /// Ends the trial's history here, unless it has ended before: what the harness does to its own
    /// ends afterwards is no part of it.
    pub(super) async fn end_history(&self) -> Result<(), ActError> {
        if self.facts().history_ended {
            return Ok(());
        }
        read_clock(self.sidecar(), &self.journal).await?;
        self.sidecar().end_history().await.during("ending the trial's history")?;
        self.facts().history_ended = true;
        Ok(())
    }

    /// Everything recorded so far.
    #[must_use]
    pub fn records(&self) -> Vec<Record> {
        self.journal.records()
    }

    /// Adds a step that the schedule did not have (a scenario tells them one by one), and tells the
    /// journal; returns its index.
    pub fn add_step(&self, step: Step) -> usize {
        let mut facts = self.facts();
        let index = self.schedule.steps.len() + facts.executed.len();
        facts.executed.push(step.clone());
        self.journal.record(Event::StepAdded { step: index, added: step });
        index
    }

    /// The schedule with the steps added on the way.
    #[must_use]
    pub fn executed_schedule(&self) -> Schedule {
        let mut schedule = self.schedule.clone();
        schedule.steps.extend(self.facts().executed.iter().cloned());
        schedule
    }

    /// What the oracles say of everything recorded so far.
    #[must_use]
    pub fn judge(&self) -> Vec<Judgement> {
        oracles::judge(&self.records())
    }

    pub(super) fn created(&self, uuid: &str) {
        let mut facts = self.facts();
        facts.uuids.push(uuid.to_owned());
        facts.diff_started = Some(Instant::now());
        self.newest.send_replace(Some(uuid.to_owned()));
    }

    fn facts(&self) -> MutexGuard<'_, Facts> {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The schedule's deadline from a restart to ready.
    #[must_use]
    pub fn ready_within(&self) -> Duration {
        Duration::from_millis(self.schedule.deadlines.ready_ms)
    }

    /// The schedule's deadline from the last heal to rest.
    #[must_use]
    pub fn settle_within(&self) -> Duration {
        Duration::from_millis(self.schedule.deadlines.settle_ms)
    }

    /// The schedule's deadline for an operator's action to take effect.
    #[must_use]
    pub fn cancel_within(&self) -> Duration {
        Duration::from_millis(self.schedule.deadlines.cancel_ms)
    }
}

/// The history is told by a clock of its own, all else by the journal's.
async fn read_clock(sidecar: &dyn Sidecar, journal: &Journal) -> Result<(), ActError> {
    let asked = Instant::now();
    let now_us = sidecar.now_us().await.during("reading the history's clock")?;
    journal.record(Event::ServerClock { now_us, took_ms: records::millis(asked.elapsed()) });
    Ok(())
}

fn not_proxied() -> ActError {
    ActError::new("the target tablet's links do not pass the wire proxy")
}

fn head(environment: &Environment, schedule: &Schedule) -> TrialStarted {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    TrialStarted {
        format: FORMAT,
        run: environment.run.clone(),
        wall_ms: records::millis(wall),
        schedule: schedule.clone(),
        images: environment.system.images(),
        calibrated_ms: environment.calibrated_ms,
        truth: environment.dataset.truth(),
        workflow: WORKFLOW.to_owned(),
        witnesses: environment.survey.witnesses,
        system: Some(environment.system.name().to_owned()),
        untold: environment.system.dialect().untold(),
    }
}
