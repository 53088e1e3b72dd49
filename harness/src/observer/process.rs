//! A tablet under supervision: its starts and exits, who asked for them, and the restart of what
//! ended unasked.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use records::journal::facts::Dialect;
use records::journal::{
    CRASH_LOOP_EXITS, CRASH_LOOP_WINDOW_MS, Event, Side, TabletExited, TabletStarted,
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{name, pulse::Pulse};
use crate::journal::Journal;
use system::{Predecessor, Signal, Started, SystemError, Tablet};

const CRASH_LOOP_WINDOW: Duration = Duration::from_millis(CRASH_LOOP_WINDOW_MS);
/// The supervisor's pause before it restarts a tablet that ended unasked.
const RESTART_PAUSE: Duration = Duration::from_millis(200);
/// Lines of the log kept for a [`TabletExited`].
const LAST_LINES: usize = 40;
/// How long the log may lag behind the exit.
const LOG_LAG: Duration = Duration::from_millis(250);
const BEAT: Duration = Duration::from_millis(250);

/// Where a tablet's process stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcessState {
    /// It was never started.
    New,
    /// It runs.
    Running {
        /// Its incarnation, from 1.
        incarnation: u32,
        /// When the container was started.
        since: Instant,
    },
    /// It ended.
    Exited {
        /// Its incarnation.
        incarnation: u32,
        /// As the engine reports it.
        exit_code: i64,
        /// The step that asked for it.
        scheduled_by: Option<usize>,
    },
    /// It ended unasked too often: the supervisor gave up.
    CrashLoop {
        /// Its last incarnation.
        incarnation: u32,
    },
}

impl ProcessState {
    /// The incarnation, 0 before the first.
    #[must_use]
    pub fn incarnation(self) -> u32 {
        match self {
            ProcessState::New => 0,
            ProcessState::Running { incarnation, .. }
            | ProcessState::Exited { incarnation, .. }
            | ProcessState::CrashLoop { incarnation } => incarnation,
        }
    }
}

/// An exit that somebody asked for.
#[derive(Clone, Copy, Debug)]
pub struct Expectation {
    /// The step that asks; none: the end of the trial.
    pub step: Option<usize>,
    /// The exit code it must have; another one was not asked for.
    pub exit_code: i64,
    /// When it was asked.
    pub since: Instant,
}

/// A tablet and what is known of its process.
pub struct Supervised {
    side: Side,
    tablet: Arc<dyn Tablet>,
    dialect: &'static dyn Dialect,
    journal: Journal,
    state: watch::Sender<ProcessState>,
    /// What was asked for, the oldest first: two may ask at once, for one exit or for different ones.
    expected: Mutex<Vec<Expectation>>,
    last_lines: Mutex<VecDeque<String>>,
    log_path: std::path::PathBuf,
    starting: tokio::sync::Mutex<()>,
    /// The trial is over: what ends now is not restarted.
    closing: AtomicBool,
    /// It is not asked whether it is still ready.
    unwatched: AtomicBool,
}

impl Supervised {
    /// A tablet that was created, not started.
    #[must_use]
    pub fn new(
        side: Side,
        tablet: Arc<dyn Tablet>,
        dialect: &'static dyn Dialect,
        journal: Journal,
        log_path: std::path::PathBuf,
    ) -> Arc<Supervised> {
        Arc::new(Supervised {
            side,
            tablet,
            dialect,
            journal,
            state: watch::Sender::new(ProcessState::New),
            expected: Mutex::default(),
            last_lines: Mutex::new(VecDeque::new()),
            log_path,
            starting: tokio::sync::Mutex::new(()),
            closing: AtomicBool::new(false),
            unwatched: AtomicBool::new(false),
        })
    }

    /// Which tablet of the cluster.
    #[must_use]
    pub fn side(&self) -> Side {
        self.side
    }

    /// The tablet itself.
    #[must_use]
    pub fn tablet(&self) -> &Arc<dyn Tablet> {
        &self.tablet
    }

    /// Where its process stands, now and from now on.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<ProcessState> {
        self.state.subscribe()
    }

    /// Where its process stands now.
    #[must_use]
    pub fn state_now(&self) -> ProcessState {
        *self.state.borrow()
    }

    /// Starts its next incarnation. Nothing happens when it runs already.
    ///
    /// # Errors
    /// When the container cannot be started.
    pub async fn start(&self) -> Result<(), SystemError> {
        let _one_at_a_time = self.starting.lock().await;
        if matches!(self.state_now(), ProcessState::Running { .. }) {
            return Ok(());
        }
        let incarnation = self.state_now().incarnation() + 1;
        let started = self.tablet.start_incarnation().await?;
        self.began(incarnation, &started);
        Ok(())
    }

    /// Starts its next incarnation in a container of its own while the present one lives on. From
    /// now on the new one is supervised; whoever replaced the old one sees to its end.
    ///
    /// # Errors
    /// When it does not run, or the container cannot be started.
    pub async fn replace(&self) -> Result<Predecessor, SystemError> {
        let _one_at_a_time = self.starting.lock().await;
        let (started, predecessor) = self.tablet.replace().await?;
        self.began(started.incarnation, &started);
        Ok(predecessor)
    }

    fn began(&self, incarnation: u32, started: &Started) {
        self.journal.record(Event::TabletStarted(TabletStarted {
            side: self.side,
            incarnation,
            container: started.container.clone(),
            host_pid: started.host_pid,
        }));
        self.state.send_replace(ProcessState::Running { incarnation, since: Instant::now() });
    }

    /// Announces that a step is about to end the process.
    pub fn expect_exit(&self, step: usize, exit_code: i64) {
        self.expect_no_exit(step);
        self.expect(Some(step), exit_code);
    }

    fn expect(&self, step: Option<usize>, exit_code: i64) {
        self.expected().push(Expectation { step, exit_code, since: Instant::now() });
    }

    /// Ends the process in order, at the end of a trial: SIGTERM, and no restart. Says in the journal that
    /// it was asked; its exit is recorded as any other. Nothing happens when it does not run.
    ///
    /// # Errors
    /// When the signal cannot be sent.
    pub async fn shut_down(&self, within: Duration) -> Result<(), SystemError> {
        self.closing.store(true, Ordering::Relaxed);
        let ProcessState::Running { incarnation, .. } = self.state_now() else { return Ok(()) };
        self.journal.record(Event::ShutdownAsked { side: self.side, incarnation });
        self.expect(None, 0);
        self.tablet.kill(Signal::SIGTERM).await?;
        self.wait_exited(incarnation, within).await;
        Ok(())
    }

    /// Takes a step's announcement back (the fault did not come off).
    pub fn expect_no_exit(&self, step: usize) {
        self.expected().retain(|expectation| expectation.step != Some(step));
    }

    fn expected(&self) -> MutexGuard<'_, Vec<Expectation>> {
        self.expected.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until a start that is under way has come back: at a crash point the process may be at work
    /// before the engine has said that it runs.
    pub async fn wait_started(&self, within: Duration) -> ProcessState {
        let mut state = self.state();
        let running = state.wait_for(|state| matches!(state, ProcessState::Running { .. }));
        match tokio::time::timeout(within, running).await {
            Ok(Ok(state)) => *state,
            Ok(Err(_)) | Err(_) => self.state_now(),
        }
    }

    /// Waits until the incarnation has ended; none when the deadline passes.
    pub async fn wait_exited(&self, incarnation: u32, within: Duration) -> Option<ProcessState> {
        let mut state = self.state();
        let ended = state.wait_for(|state| match state {
            ProcessState::New => false,
            ProcessState::Running { incarnation: now, .. } => *now > incarnation,
            ProcessState::Exited { incarnation: now, .. }
            | ProcessState::CrashLoop { incarnation: now } => *now >= incarnation,
        });
        tokio::time::timeout(within, ended).await.ok()?.ok().map(|state| *state)
    }

    /// Whether it is asked for its readiness, once it is ready.
    pub fn set_watched(&self, watched: bool) {
        self.unwatched.store(!watched, Ordering::Relaxed);
    }

    pub(super) fn is_unwatched(&self) -> bool {
        self.unwatched.load(Ordering::Relaxed)
    }

    pub(super) fn dialect(&self) -> &'static dyn Dialect {
        self.dialect
    }

    pub(super) fn journal(&self) -> &Journal {
        &self.journal
    }

    pub(super) fn log_path(&self) -> &std::path::Path {
        &self.log_path
    }

    pub(super) fn logged(&self, line: &str) {
        let mut last = self.last_lines.lock().unwrap_or_else(PoisonError::into_inner);
        last.push_back(line.to_owned());
        if last.len() > LAST_LINES {
            last.pop_front();
        }
    }

    /// The last lines of its log.
    #[must_use]
    pub fn last_log_lines(&self) -> Vec<String> {
        let last = self.last_lines.lock().unwrap_or_else(PoisonError::into_inner);
        last.iter().cloned().collect()
    }

    /// Records an exit; the expectation that asked for it.
    fn exited(&self, incarnation: u32, exit_code: i64) -> Option<Expectation> {
        let expected = std::mem::take(&mut *self.expected());
        // One exit proves one fault: the latest that asked for it. An earlier one misses, and is redrawn.
        let asked = expected.into_iter().rfind(|expected| expected.exit_code == exit_code);
        let took = asked.map(|expected| expected.since.elapsed());
        self.journal.record(Event::TabletExited(TabletExited {
            side: self.side,
            incarnation,
            exit_code,
            scheduled_by: asked.and_then(|expected| expected.step),
            at_end: asked.is_some_and(|expected| expected.step.is_none()),
            took_ms: took.map(records::millis),
            last_log: self.last_log_lines(),
        }));
        asked
    }
}

/// Ends when told to, or when the engine no longer answers.
pub(super) async fn watch(supervised: Arc<Supervised>, stop: CancellationToken) {
    let mut pulse = Pulse::start(&supervised.journal, name("process", supervised.side));
    let ended = stop.run_until_cancelled(supervise(&supervised, &mut pulse)).await;
    match ended {
        Some(Err(error)) => {
            let side = supervised.side.name();
            let what = format!("the {side} tablet cannot be supervised: {error}");
            supervised.journal.record(Event::HarnessTrouble { what });
        }
        Some(Ok(())) | None => pulse.stop(),
    }
}

async fn supervise(supervised: &Supervised, pulse: &mut Pulse) -> Result<(), SystemError> {
    let mut unasked: VecDeque<Instant> = VecDeque::new();
    let mut state = supervised.state();
    loop {
        let incarnation = beating(pulse, async {
            let running = state.wait_for(|now| matches!(now, ProcessState::Running { .. })).await;
            running.map(|now| now.incarnation()).unwrap_or(0)
        })
        .await;
        let mut replaced = supervised.state();
        let ended = async {
            tokio::select! {
                exit_code = supervised.tablet.wait_exit() => exit_code.map(Some),
                _ = replaced.wait_for(|now| now.incarnation() > incarnation) => Ok(None),
            }
        };
        // Replaced: the next one is watched, and the fault that did it sees to the end of this one.
        let Some(exit_code) = beating(pulse, ended).await? else { continue };
        // The log comes by another way; give its last lines a moment to arrive. At the end it is read whole.
        if !supervised.closing.load(Ordering::Relaxed) {
            beating(pulse, tokio::time::sleep(LOG_LAG)).await;
        }
        let asked = supervised.exited(incarnation, exit_code);
        let scheduled_by = asked.and_then(|asked| asked.step);
        if asked.is_some() || supervised.closing.load(Ordering::Relaxed) {
            supervised.state.send_replace(ProcessState::Exited {
                incarnation,
                exit_code,
                scheduled_by,
            });
            continue;
        }
        unasked.push_back(Instant::now());
        while unasked.front().is_some_and(|first| first.elapsed() > CRASH_LOOP_WINDOW) {
            unasked.pop_front();
        }
        if unasked.len() >= CRASH_LOOP_EXITS {
            unasked.clear();
            supervised.state.send_replace(ProcessState::CrashLoop { incarnation });
            continue;
        }
        supervised.state.send_replace(ProcessState::Exited {
            incarnation,
            exit_code,
            scheduled_by,
        });
        beating(pulse, tokio::time::sleep(RESTART_PAUSE)).await;
        beating(pulse, supervised.start()).await?;
    }
}

/// Waits, and counts the waiting as watching.
async fn beating<T>(pulse: &mut Pulse, work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    let mut tick = tokio::time::interval(BEAT);
    loop {
        tokio::select! {
            done = &mut work => {
                pulse.beat();
                return done;
            }
            _ = tick.tick() => pulse.beat(),
        }
    }
}
