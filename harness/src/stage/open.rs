//! The stage of a trial: two tablets of its own on shared servers, a journal, observers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use records::journal::{Event, FORMAT, Record, Side, TrialStarted};
use records::schedule::{CrashPoint, Link, Schedule, Step};
use records::verdict::Judgement;
use tokio::sync::watch;

use records::journal::facts::Dialect;
use system_tablet::TabletDialect;

use super::links::{LinkControls, Links};
use super::tablets::{self, Names};
use super::{ActError, During, Environment};
use crate::journal::Journal;
use crate::observer::{Observers, Progress, Ready, SamplerOptions, Supervised};
use wire::{Armed, LinkConditions, Switchboard};

/// The source keyspace.
pub const SOURCE_KEYSPACE: &str = "commerce";
/// Its database.
pub const SOURCE_DB: &str = "vt_commerce";
/// The target keyspace.
pub const TARGET_KEYSPACE: &str = "customer";
/// Its database.
pub const TARGET_DB: &str = "vt_customer";
/// The one shard of both.
pub const SHARD: &str = "0";
/// The workflow under diff.
pub const WORKFLOW: &str = "move";

/// One trial's tablets, journal and observers. Close it with [`Stage::close`], always.
pub struct Stage {
    environment: Environment,
    schedule: Schedule,
    name: String,
    sidecar_db: String,
    topo_root: String,
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
    links: tokio::sync::Mutex<Option<Links>>,
    wires: Option<LinkControls>,
    armed: Mutex<Option<Armed>>,
}

/// What the acts so far have made.
#[derive(Debug, Default)]
struct Facts {
    uuids: Vec<String>,
    executed: Vec<Step>,
    diff_started: Option<Instant>,
    gtid_begin: String,
    gtid_end: Option<String>,
}

impl Stage {
    /// Prepares the trial's tablets (not started), its journal in `dir`, and its observers.
    /// `name` is unique within the run: it names containers, sidecar database and topology root.
    ///
    /// # Errors
    /// When the journal cannot be created, or MySQL does not say its position.
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
        let sidecar_db = format!("_vt_{}", identifier(name));
        let topo_root = format!("/{}", identifier(name));
        journal.record(Event::TrialStarted(Box::new(head(environment, schedule))));
        // So that the trial's history is read from its own binlog on.
        if let Err(error) = environment.servers.target.enter(&sidecar_db).await {
            journal.note(engine::errors::chain(&error));
        }
        let gtid_begin = environment
            .servers
            .target
            .gtid_executed()
            .await
            .during("reading the target's position")?;
        read_clock(environment, &journal).await?;
        let switchboard = Switchboard::default();
        let names = Names { stage: name, sidecar_db: &sidecar_db, topo_root: &topo_root };
        let links = match schedule.is_proxied() {
            true => Some(Links::start(environment, &names, &switchboard, &schedule.pace).await?),
            false => None,
        };
        let [source, target] = [Side::Source, Side::Target].map(|side| {
            let wiring = links.as_ref().map(|links| links.wiring(side)).unwrap_or_default();
            tablets::tablet(environment, schedule, &names, side, wiring)
        });
        let supervise = |side: Side, tablet| {
            let log: PathBuf = dir.join(format!("tablet-{}.log", side.name()));
            Supervised::new(side, Arc::new(tablet), journal.clone(), log)
        };
        let source = supervise(Side::Source, source);
        let target = supervise(Side::Target, target);
        if let Some(links) = &links {
            links.lead_to(source.tablet());
        }
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
                servers: Arc::clone(&environment.servers),
                sidecar_db: sidecar_db.clone(),
                rows_total: environment.dataset.rows_total(),
                uuid: newest.subscribe(),
            },
        );
        Ok(Stage {
            environment: environment.clone(),
            schedule: schedule.clone(),
            name: name.to_owned(),
            sidecar_db,
            topo_root,
            journal,
            source,
            target,
            watchers: tokio::sync::Mutex::new(watchers),
            pollers: tokio::sync::Mutex::new(pollers),
            ready_source,
            ready_target,
            sampled,
            newest,
            facts: Mutex::new(Facts { gtid_begin, ..Facts::default() }),
            switchboard,
            wires: links.as_ref().map(Links::wires),
            links: tokio::sync::Mutex::new(links),
            armed: Mutex::default(),
        })
    }

    /// Ends all observers and removes both tablets, the sidecar databases, the topology and the binlogs
    /// that were the trial's alone; what cannot be removed is said in the journal, and falls to the run's
    /// own removal.
    pub async fn close(&self) {
        self.pollers.lock().await.stop().await;
        self.watchers.lock().await.stop().await;
        tokio::join!(
            tablets::remove(self.source.tablet(), &self.journal),
            tablets::remove(self.target.tablet(), &self.journal)
        );
        if let Some(links) = self.links.lock().await.take()
            && let Err(error) = links.stop().await
        {
            self.journal.note(error.chain());
        }
        // On the heap: a trial's future is large enough.
        Box::pin(self.tidy()).await;
    }

    /// Takes away what the trial leaves on servers that others share.
    async fn tidy(&self) {
        let servers = &self.environment.servers;
        let (source, target, etcd) = tokio::join!(
            servers.source.leave(&self.sidecar_db, &self.sidecar_db),
            servers.target.leave(&self.sidecar_db, &self.sidecar_db),
            servers.etcd.delete_prefix(&self.topo_root),
        );
        for left in [source, target, etcd.map(drop)].into_iter().filter_map(Result::err) {
            self.journal.note(format!("left on its server: {}", engine::errors::chain(&left)));
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

    /// Its sidecar database, on both servers.
    #[must_use]
    pub fn sidecar_db(&self) -> &str {
        &self.sidecar_db
    }

    /// Its root in the topology.
    #[must_use]
    pub fn topo_root(&self) -> &str {
        &self.topo_root
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
        self.wires().map(|wires| wires.conditions(link))
    }

    /// The port of a link's proxy, on this host.
    ///
    /// # Errors
    /// When the links do not pass the proxy.
    pub fn proxy_port(&self, link: Link) -> Result<u16, ActError> {
        self.wires().map(|wires| wires.port(link))
    }

    fn wires(&self) -> Result<&LinkControls, ActError> {
        let none = || ActError::new("the target tablet's links do not pass the wire proxy");
        self.wires.as_ref().ok_or_else(none)
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

    /// The target's position when the trial began.
    #[must_use]
    pub fn gtid_begin(&self) -> String {
        self.facts().gtid_begin.clone()
    }

    /// The position at which the trial's history ends; none: it has not ended.
    pub(super) fn gtid_end(&self) -> Option<String> {
        self.facts().gtid_end.clone()
    }

    /// Ends the trial's history here, unless it has ended before: what the harness does to its own
    /// ends afterwards is no part of it.
    pub(super) async fn end_history(&self) -> Result<(), ActError> {
        if self.gtid_end().is_none() {
            read_clock(&self.environment, &self.journal).await?;
            let end = self.environment.servers.target.gtid_executed().await;
            self.facts().gtid_end = Some(end.during("reading the target's position")?);
        }
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

/// The history is told by MySQL's clock, all else by the journal's.
async fn read_clock(environment: &Environment, journal: &Journal) -> Result<(), ActError> {
    let asked = Instant::now();
    let now_us = environment.servers.target.now_us().await.during("reading MySQL's clock")?;
    journal.record(Event::ServerClock { now_us, took_ms: records::millis(asked.elapsed()) });
    Ok(())
}

fn head(environment: &Environment, schedule: &Schedule) -> TrialStarted {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    TrialStarted {
        format: FORMAT,
        run: environment.run.id().to_string(),
        wall_ms: records::millis(wall),
        schedule: schedule.clone(),
        images: image_ids(&environment.images),
        calibrated_ms: environment.calibrated_ms,
        truth: environment.dataset.truth(),
        workflow: WORKFLOW.to_owned(),
        witnesses: environment.survey.witnesses,
        untold: TabletDialect.untold(),
    }
}

/// The images' ids by name.
#[must_use]
pub(crate) fn image_ids(images: &engine::images::Images) -> BTreeMap<String, String> {
    [("mysql", &images.mysql), ("etcd", &images.etcd), ("tablet", &images.tablet)]
        .into_iter()
        .map(|(name, image)| (name.to_owned(), image.id.clone()))
        .collect()
}

/// Letters, digits and underscores; what SQL and etcd take without quoting.
fn identifier(name: &str) -> String {
    name.chars()
        .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' })
        .collect()
}
