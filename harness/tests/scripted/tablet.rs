//! A scripted tablet: a process that is a task, a log that is a list, and a diff that is a counter.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures::StreamExt;
use records::journal::Side;
use records::journal::facts::{Said, WorkflowHold};
use records::schedule::{Link, Moment, Phase};
use system::{
    ErrorKind, LogLine, LogLines, Means, OomEvidence, Readiness, Signal, Started, SystemError,
    Tablet,
};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use wire::{Class, ObservedRequest, Passage, Switchboard};

use crate::world::{World, now_us};
use crate::{Lie, SOURCE_ALIAS, TARGET_ALIAS};

/// From a start to ready.
const STARTS_IN: Duration = Duration::from_millis(30);
/// Between two checkpoints.
const STEP: Duration = Duration::from_millis(20);
/// Compared between two checkpoints.
const ROWS: u64 = 30;
/// From SIGTERM to the end.
const ENDS_IN: Duration = Duration::from_millis(10);
/// From a newer term to the demotion.
const DEMOTED_IN: Duration = Duration::from_millis(20);

/// What both tablets of a trial share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) world: Mutex<World>,
    /// Rows of each table.
    pub(crate) rows: BTreeMap<String, u64>,
    pub(crate) lie: Option<Lie>,
    pub(crate) switchboard: Switchboard,
    /// Whom the shard record of the target names, and since when.
    pub(crate) primary: Mutex<(String, Instant)>,
}

impl Shared {
    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn primary(&self) -> (String, Instant) {
        self.primary.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_primary(&self, alias: &str) {
        let mut primary = self.primary.lock().unwrap_or_else(PoisonError::into_inner);
        *primary = (alias.to_owned(), Instant::now());
    }

    pub(crate) fn lies(&self, lie: Lie) -> bool {
        self.lie == Some(lie)
    }
}

/// A tablet over all its incarnations.
#[derive(Debug)]
pub(crate) struct ScriptedTablet {
    side: Side,
    shared: Arc<Shared>,
    incarnation: AtomicU32,
    /// The incarnation that ended last, and its exit code.
    ended: watch::Sender<(u32, i64)>,
    process: Mutex<Option<(Instant, JoinHandle<()>)>>,
    frozen: Arc<AtomicBool>,
    log: watch::Sender<Vec<LogLine>>,
}

impl ScriptedTablet {
    pub(crate) fn new(side: Side, shared: &Arc<Shared>) -> Arc<ScriptedTablet> {
        Arc::new(ScriptedTablet {
            side,
            shared: Arc::clone(shared),
            incarnation: AtomicU32::new(0),
            ended: watch::Sender::new((0, 0)),
            process: Mutex::default(),
            frozen: Arc::default(),
            log: watch::Sender::new(Vec::new()),
        })
    }

    fn process(&self) -> MutexGuard<'_, Option<(Instant, JoinHandle<()>)>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_running(&self) -> bool {
        self.process().is_some()
    }

    fn say(&self, text: &str) {
        let line = LogLine { stderr: true, at_us: Some(now_us()), text: text.to_owned() };
        self.log.send_modify(|lines| lines.push(line));
    }

    /// The process is gone, whatever it was at.
    pub(crate) fn end(&self, exit_code: i64) {
        if let Some((_, work)) = self.process().take() {
            work.abort();
            self.frozen.store(false, Ordering::Relaxed);
            self.ended.send_replace((self.incarnation.load(Ordering::Relaxed), exit_code));
        }
    }

    /// Whether a newer term of another tablet has demoted it.
    fn is_demoted(&self) -> bool {
        let (primary, since) = self.shared.primary();
        self.side == Side::Target && primary != self.alias() && since.elapsed() > DEMOTED_IN
    }

    fn since(&self) -> Option<Instant> {
        self.process().as_ref().map(|(since, _)| *since)
    }
}

#[async_trait]
impl Tablet for ScriptedTablet {
    fn alias(&self) -> &str {
        match self.side {
            Side::Source => SOURCE_ALIAS,
            Side::Target => TARGET_ALIAS,
        }
    }

    async fn start_incarnation(&self) -> Result<Started, SystemError> {
        let incarnation = self.incarnation.fetch_add(1, Ordering::Relaxed) + 1;
        let (container, host_pid) = (format!("scripted-{}", self.side.name()), None);
        let crashes =
            self.side == Side::Target && self.shared.lies(Lie::NeverComesBack) && incarnation > 1;
        let engine = Engine {
            shared: Arc::clone(&self.shared),
            frozen: Arc::clone(&self.frozen),
            epoch: u64::from(incarnation),
        };
        let work = match self.side {
            Side::Target if !crashes => tokio::spawn(engine.run()),
            _ => tokio::spawn(async {}),
        };
        self.say("start");
        *self.process() = Some((Instant::now(), work));
        if crashes {
            self.say("panic: assignment to entry in nil map");
            self.end(2);
        }
        Ok(Started { incarnation, container, host_pid })
    }

    async fn wait_exit(&self) -> Result<i64, SystemError> {
        let incarnation = self.incarnation.load(Ordering::Relaxed);
        let mut ended = self.ended.subscribe();
        let gone = ended.wait_for(|(which, _)| *which >= incarnation).await;
        gone.map(|gone| gone.1).map_err(|error| SystemError::new(ErrorKind::Failed, error))
    }

    async fn kill(&self, signal: Signal) -> Result<Means, SystemError> {
        if !self.is_running() {
            return Err(SystemError::new(ErrorKind::NotRunning, "the scripted tablet is down"));
        }
        match signal {
            Signal::SIGKILL => self.end(137),
            Signal::SIGSTOP => self.frozen.store(true, Ordering::Relaxed),
            Signal::SIGCONT => self.frozen.store(false, Ordering::Relaxed),
            _ => {
                if self.shared.lies(Lie::PanicsAtTheEnd) && self.side == Side::Target {
                    self.say("panic: send on closed channel");
                    self.end(2);
                    return Ok(Means::Engine);
                }
                let slow = self.shared.lies(Lie::EndsSlowly) && self.side == Side::Target;
                tokio::time::sleep(if slow { Duration::from_millis(10_300) } else { ENDS_IN })
                    .await;
                self.end(0);
            }
        }
        Ok(Means::Engine)
    }

    async fn readiness(&self) -> Readiness {
        let not = |why: &str| Readiness { ready: false, reasons: vec![why.to_owned()] };
        match self.since() {
            None => not("it is down"),
            Some(_) if self.frozen.load(Ordering::Relaxed) => not("it does not answer"),
            Some(since) if since.elapsed() < STARTS_IN => not("it starts"),
            Some(_) if self.is_demoted() => not("it is no primary"),
            Some(_) => Readiness { ready: true, reasons: Vec::new() },
        }
    }

    fn questions(&self) -> &'static [&'static str] {
        &["ping", "show", "healthz", "debug-vars"]
    }

    async fn ask(&self, _question: &str) -> Result<(), SystemError> {
        Ok(())
    }

    async fn role(&self) -> Option<String> {
        let role = if self.is_demoted() { "REPLICA" } else { "PRIMARY" };
        self.is_running().then(|| role.to_owned())
    }

    fn mysql_users(&self) -> Vec<String> {
        Vec::new()
    }

    fn log_source(&self) -> Option<String> {
        Some("scripted".to_owned())
    }

    fn log_lines(&self) -> LogLines {
        let (lines, ended) = (self.log.subscribe(), self.ended.subscribe());
        let incarnation = self.incarnation.load(Ordering::Relaxed);
        let next = move |state: Following| async move {
            let (at, mut lines, mut ended) = state;
            loop {
                let line = lines.borrow_and_update().get(at).cloned();
                if let Some(line) = line {
                    return Some((Ok(line), (at + 1, lines, ended)));
                }
                if ended.borrow_and_update().0 >= incarnation {
                    return None;
                }
                tokio::select! {
                    changed = lines.changed() => changed.ok()?,
                    changed = ended.changed() => changed.ok()?,
                }
            }
        };
        futures::stream::unfold((0, lines, ended), next).boxed()
    }

    fn rss_bytes(&self) -> Option<u64> {
        let greedy = self.shared.lies(Lie::EatsMemory) && self.side == Side::Target;
        self.is_running().then_some(if greedy { 60 << 20 } else { 10 << 20 })
    }

    fn charged_bytes(&self) -> Option<u64> {
        self.rss_bytes()
    }

    fn descriptors(&self) -> Result<BTreeMap<String, u64>, String> {
        Ok(BTreeMap::from([("file".to_owned(), 3), ("socket".to_owned(), 4)]))
    }

    async fn tasks(&self) -> Result<Option<u64>, String> {
        Ok(Some(8))
    }

    async fn is_stopping(&self) -> Result<bool, SystemError> {
        Ok(true)
    }

    async fn is_frozen(&self) -> Result<bool, SystemError> {
        Ok(self.frozen.load(Ordering::Relaxed))
    }

    async fn oom(&self) -> Result<OomEvidence, SystemError> {
        self.end(137);
        Ok(OomEvidence::Counter { baseline: 0, count: 1 })
    }
}

/// The next line of a log, the log, and the ends of incarnations.
type Following = (usize, watch::Receiver<Vec<LogLine>>, watch::Receiver<(u32, i64)>);

/// What works on the diffs in one life of the target tablet.
struct Engine {
    shared: Arc<Shared>,
    frozen: Arc<AtomicBool>,
    /// Who works.
    epoch: u64,
}

/// The exchange was dropped: there is nobody to go on.
struct Dropped;

impl Engine {
    async fn run(self) {
        tokio::time::sleep(STARTS_IN).await;
        if self.epoch > 1 && self.shared.lies(Lie::StandsStill) {
            return;
        }
        // Whoever is killed at a crash point has dropped his exchange.
        let _dropped = self.work().await;
    }

    async fn work(&self) -> Result<(), Dropped> {
        if self.epoch > 1 {
            self.restore_workflow().await?;
        }
        // The table that this life streams.
        let mut streams = None;
        loop {
            tokio::time::sleep(STEP).await;
            if self.frozen.load(Ordering::Relaxed) {
                continue;
            }
            let open = {
                let world = self.shared.world();
                let is_open = |(_, diff): &(&String, &crate::world::Diff)| {
                    matches!(diff.status.state.as_str(), "pending" | "started")
                };
                world.diffs.iter().find(is_open).map(|(uuid, diff)| (uuid.clone(), diff.clone()))
            };
            let Some((uuid, diff)) = open else {
                streams = None;
                continue;
            };
            if diff.status.state == "pending" {
                streams = None;
                self.say("update diff set state = 'started'", None).await?;
                self.shared.world().move_to(&uuid, "started", Some(self.epoch));
                continue;
            }
            let next = diff.tables.iter().find(|(_, table)| table.state != "completed");
            let Some((table, status)) = next else {
                self.say("update diff set state = 'completed'", Some(Some(Phase::Completing)))
                    .await?;
                self.shared.world().move_to(&uuid, "completed", Some(self.epoch));
                continue;
            };
            if streams.as_ref() != Some(table) {
                self.begin_stream(&uuid, table, status.cursor.clone()).await?;
                streams = Some(table.clone());
                continue;
            }
            self.checkpoint(&uuid, table).await?;
        }
    }

    async fn restore_workflow(&self) -> Result<(), Dropped> {
        let held = self.shared.world().workflow.clone();
        let is_ours = held.is_some_and(|workflow| workflow.hold == Some(WorkflowHold::Diff));
        if is_ours && !self.shared.lies(Lie::LeavesTheWorkflow) {
            self.say("update workflow set state = 'Running'", None).await?;
            self.shared.world().set_workflow("Running", "", None);
        }
        Ok(())
    }

    /// The workflow is stopped for the snapshot, and the stream of a table's rows begins after its cursor.
    async fn begin_stream(
        &self,
        uuid: &str,
        table: &str,
        cursor: Option<String>,
    ) -> Result<(), Dropped> {
        self.say("update table set state = 'started'", Some(Some(Phase::Snapshot))).await?;
        let owner = Some(self.epoch);
        self.shared.world().change_table(
            uuid,
            table,
            |status| {
                status.state = "started".to_owned();
                status.owner = owner;
            },
            [Said::Other],
        );
        self.say("update workflow set state = 'Stopped'", None).await?;
        self.shared.world().set_workflow("Stopped", "for vdiff", Some(WorkflowHold::Diff));
        tokio::time::sleep(STEP / 4).await;
        if !self.shared.lies(Lie::LeavesTheWorkflow) {
            self.say("update workflow set state = 'Running'", None).await?;
            self.shared.world().set_workflow("Running", "", None);
        }
        self.say("insert into log 'streaming'", Some(Some(Phase::Streaming))).await?;
        let forgets = self.epoch > 1 && self.shared.lies(Lie::ForgetsTheCursor);
        let after = if forgets { None } else { cursor };
        let table = table.to_owned();
        self.shared.world().tell(uuid, Said::StreamBegan { table, after });
        Ok(())
    }

    async fn checkpoint(&self, uuid: &str, table: &str) -> Result<(), Dropped> {
        let total = self.shared.rows.get(table).copied().unwrap_or_default();
        let owner = Some(self.epoch);
        let done = {
            let world = self.shared.world();
            world.diffs.get(uuid).and_then(|diff| diff.tables.get(table)).map_or(0, |it| it.rows)
        };
        if done >= total {
            self.say("update table set state = 'completed'", Some(None)).await?;
            let complete = |status: &mut records::journal::facts::TableStatus| {
                status.state = "completed".to_owned();
                status.owner = owner;
            };
            let mut world = self.shared.world();
            world.change_table(uuid, table, complete, [Said::StreamEnded]);
            return Ok(());
        }
        self.say("update table set rows, cursor", None).await?;
        let rows = (done + ROWS).min(total);
        let checkpoint = |status: &mut records::journal::facts::TableStatus| {
            status.rows = rows;
            status.cursor = Some(format!("[{rows}]"));
            status.place = Some(rows);
            status.owner = owner;
        };
        self.shared.world().change_table(uuid, table, checkpoint, []);
        Ok(())
    }

    /// What is said passes the switchboard, where it may be held.
    async fn say(&self, statement: &str, announces: Option<Option<Phase>>) -> Result<(), Dropped> {
        let board = &self.shared.switchboard;
        let exchange = board.begin(ObservedRequest {
            link: Link::Mysql,
            connection: self.epoch,
            fingerprint: statement.to_owned(),
            class: Class::Writes,
            announces,
            text: statement.to_owned(),
        });
        for moment in [Moment::Before, Moment::Executed, Moment::Replied] {
            let passed = board.pass(&exchange, moment, std::future::pending()).await;
            if passed == Passage::Drop {
                return Err(Dropped);
            }
        }
        Ok(())
    }
}
