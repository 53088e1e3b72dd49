//! What the harness does to a tablet's process and memory.

use std::time::Duration;

use futures::StreamExt;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{Contained, ContainedError, Current};
use engine::docker::{DockerError, ExecOutput, LABEL_RUN};
use engine::images::HELPER;
use engine::process::{self, KernelLog, OomWatch, belongs_to};
use system::{Means, OomEvidence};

/// How long a tablet that is run out of memory may live on.
const OOM_WITHIN: Duration = Duration::from_secs(15);
const HELPER_WITHIN: Duration = Duration::from_secs(10);
/// A tablet that dies of a helper that has ended does so in this time.
const HELPER_LAG: Duration = Duration::from_secs(3);
/// The exit code of a process that was killed.
const KILLED: i64 = 137;
/// How long the engine's `oom` event may come after the death.
const EVENT_LAG: Duration = Duration::from_millis(500);
const MIB: u64 = 1 << 20;

impl Contained {
    /// Sends a signal to its process: by host PID where that is certain and permitted, else through
    /// the engine.
    pub async fn kill(&self, signal: Signal) -> Result<Means, ContainedError> {
        let current = self.current()?;
        // The cgroup names the container: a PID given to somebody else since is not hit.
        let sure = current.host_pid.filter(|pid| belongs_to(*pid, &current.container));
        if let Some(pid) = sure
            && kill(Pid::from_raw(pid), signal).is_ok()
        {
            return Ok(Means::HostPid(pid));
        }
        let sent = self.engine.kill(&current.container, signal.as_str()).await;
        match sent {
            Ok(()) => Ok(Means::Engine),
            // 409: it is not running; 404: it is gone.
            Err(error) if matches!(error.status(), Some(404 | 409)) => Err(self.not_running()),
            Err(source) => Err(self.failed("sending a signal", source)),
        }
    }

    /// Whether its process is stopped (SIGSTOP), by the kernel's word; none where its process is not seen from here.
    ///
    /// # Errors
    /// When it was never started.
    pub fn is_stopped(&self) -> Result<Option<bool>, ContainedError> {
        let current = self.current()?;
        let pid = current.host_pid.filter(|pid| belongs_to(*pid, &current.container));
        Ok(pid.and_then(process::is_stopped))
    }

    /// Bounds the processor time that its container may use in each tenth of a second; none: no bound.
    pub async fn limit_cpu(&self, quota: Option<Duration>) -> Result<(), ContainedError> {
        let current = self.current()?;
        let limited = self.engine.update_cpu(&current.container, quota).await;
        limited.map_err(|source| self.failed("limiting its processor time", source))
    }

    /// How often its container had used up its processor time; none where the kernel's count cannot be read.
    pub fn throttled_count(&self) -> Result<Option<u64>, ContainedError> {
        let current = self.current()?;
        let pid = current.host_pid.filter(|pid| belongs_to(*pid, &current.container));
        Ok(pid.and_then(process::throttled_count))
    }

    /// Fills the container's memory from inside until the kernel kills the tablet, its largest
    /// process; returns with the evidence when the tablet is dead. One that survives leaves no evidence
    /// but the reason, and gets its memory back.
    pub async fn oom(&self) -> Result<OomEvidence, ContainedError> {
        let current = self.current()?;
        let watch = current.cgroup.as_ref().map(OomWatch::start);
        let mut kernel_log = KernelLog::from_now();
        let events = self.engine.events(&self.event_labels());
        let id = current.container.clone();
        let event = async move {
            let mut events = std::pin::pin!(events);
            while let Some(Ok(event)) = events.next().await {
                if event.action == "oom" && event.container == id {
                    return;
                }
            }
            std::future::pending::<()>().await;
        };
        // On the heap: a debug build's future would not fit the stack of a test.
        let death = Box::pin(self.fill_until_death(&current));
        let (died, mut announced) = with_witness(death, event).await;
        // After the death: nothing can rise any more, so the watch has seen all that it can see.
        let count = match watch {
            Some(watch) => watch.finish().await,
            None => None,
        };
        if let Some(why) = died? {
            self.give_back().await;
            return Ok(OomEvidence::Survived { why });
        }
        if announced.is_pending() && count.is_none_or(|count| count <= current.oom_baseline) {
            announced.wait(EVENT_LAG).await;
        }
        Ok(evidence(&current, count, kernel_log.as_mut(), announced.seen()))
    }

    /// Runs the helper until the tablet is dead; why it is not, where it lives on.
    async fn fill_until_death(&self, current: &Current) -> Result<Option<String>, ContainedError> {
        let mut exit = std::pin::pin!(self.wait_exit_within(OOM_WITHIN));
        let fill = self.engine.exec(&current.container, &[HELPER, "fill"], OOM_WITHIN * 2);
        let filled = tokio::select! {
            exit = &mut exit => {
                let lives = exit?.is_none();
                return Ok(lives.then(|| format!("its memory was filled for {OOM_WITHIN:?}")));
            }
            filled = fill => HelperEnd::of(filled),
        };
        // One that was killed dies with the tablet; one that ended by itself will do no more harm.
        let within = if filled.by_itself { HELPER_LAG } else { OOM_WITHIN };
        let exit = tokio::time::timeout(within, exit).await.unwrap_or(Ok(None))?;
        Ok(exit.is_none().then_some(filled.what))
    }

    /// What was filled by a helper that failed is given back as far as it goes: where it could not be
    /// run, nothing was filled.
    async fn give_back(&self) {
        if let Err(error) = self.release_squeeze().await {
            tracing::debug!(%error, "what the memory helper filled was not given back");
        }
    }

    /// Fills the container's memory until about `bytes` are charged to it, and holds that. A second
    /// call adds what is missing; less than is charged already changes nothing.
    ///
    /// # Errors
    /// When nobody tells how much is charged: filled blindly, each call would add to the last, and the
    /// kernel would kill the tablet.
    pub async fn squeeze(&self, bytes: u64) -> Result<(), ContainedError> {
        let current = self.current()?;
        let charged = match self.charged_bytes() {
            Some(charged) => charged,
            None => self.charged_by_engine(&current).await?,
        };
        let mib = bytes.saturating_sub(charged) / MIB;
        if mib == 0 {
            return Ok(());
        }
        self.helper(&current, &["fill", "--to-mib", &mib.to_string()]).await
    }

    /// Gives back what [`Contained::squeeze`] took. Nothing to do when the tablet is dead: its
    /// container's `/dev/shm` went with it.
    pub async fn release_squeeze(&self) -> Result<(), ContainedError> {
        let current = self.current()?;
        let state = self.state().await?;
        if state.is_none_or(|state| !state.running) {
            return Ok(());
        }
        self.helper(&current, &["release"]).await
    }

    /// The engine's word on what is charged, where the kernel's is not to be had from here.
    async fn charged_by_engine(&self, current: &Current) -> Result<u64, ContainedError> {
        let account = self.engine.memory_account(&current.container).await;
        let account = account.map_err(|source| self.failed("asking for its memory", source))?;
        let tablet = || self.name.clone();
        account.charged_bytes.ok_or_else(|| ContainedError::Unaccounted { tablet: tablet() })
    }

    async fn helper(&self, current: &Current, arguments: &[&str]) -> Result<(), ContainedError> {
        let command: Vec<&str> = std::iter::once(HELPER).chain(arguments.iter().copied()).collect();
        let ended = self.engine.exec(&current.container, &command, HELPER_WITHIN).await;
        let ended = ended.map_err(|source| self.failed("running the memory helper", source))?;
        if ended.exit_code == Some(0) {
            return Ok(());
        }
        let tablet = self.name.clone();
        Err(ContainedError::Helper { tablet, exit_code: ended.exit_code, output: ended.output })
    }

    fn event_labels(&self) -> Vec<String> {
        let labels = self.site.labels();
        labels.get(LABEL_RUN).map(|run| format!("{LABEL_RUN}={run}")).into_iter().collect()
    }
}

/// How the helper ended that was to fill the memory for good.
struct HelperEnd {
    what: String,
    /// It was not killed: the tablet will not die of it any more.
    by_itself: bool,
}

impl HelperEnd {
    fn of(ended: Result<ExecOutput, DockerError>) -> HelperEnd {
        match ended {
            Ok(ExecOutput { exit_code: None | Some(KILLED), .. }) => HelperEnd {
                what: "the memory helper was killed, and not the tablet".to_owned(),
                by_itself: false,
            },
            Ok(ExecOutput { exit_code: Some(code), output, .. }) => HelperEnd {
                what: format!("the memory helper ended with {code}: {}", output.trim()),
                by_itself: true,
            },
            Err(error) => HelperEnd {
                by_itself: error.status().is_some(),
                what: format!("the memory helper: {}", engine::errors::chain(&error)),
            },
        }
    }
}

/// A witness that may speak while something else is awaited, and a little after.
struct Witness<F> {
    event: Option<std::pin::Pin<Box<F>>>,
}

impl<F: Future<Output = ()>> Witness<F> {
    fn is_pending(&self) -> bool {
        self.event.is_some()
    }

    fn seen(&self) -> bool {
        self.event.is_none()
    }

    async fn wait(&mut self, at_most: Duration) {
        if let Some(event) = &mut self.event
            && tokio::time::timeout(at_most, event).await.is_ok()
        {
            self.event = None;
        }
    }
}

/// Does the work while a witness listens.
async fn with_witness<T, F: Future<Output = ()>>(
    work: impl Future<Output = T>,
    event: F,
) -> (T, Witness<F>) {
    let mut work = std::pin::pin!(work);
    let mut event = Box::pin(event);
    tokio::select! {
        done = &mut work => return (done, Witness { event: Some(event) }),
        () = &mut event => {}
    }
    (work.await, Witness { event: None })
}

/// The strongest evidence there is.
fn evidence(
    current: &Current,
    count: Option<u64>,
    kernel_log: Option<&mut KernelLog>,
    announced: bool,
) -> OomEvidence {
    let baseline = current.oom_baseline;
    if let Some(count) = count.filter(|count| *count > baseline) {
        return OomEvidence::Counter { baseline, count };
    }
    let line = kernel_log.zip(current.host_pid);
    if let Some(line) = line.and_then(|(log, pid)| log.oom_kill_of(&current.container, pid)) {
        return OomEvidence::KernelLog { line };
    }
    if announced { OomEvidence::EngineEvent } else { OomEvidence::None }
}

#[cfg(test)]
mod tests {
    use super::*;

    // "It did not end" hides a helper that never ran; one that was killed may take the tablet with it.
    #[test]
    fn a_helper_that_failed_is_told_from_one_that_was_killed() {
        let ended = |exit_code, output: &str| {
            HelperEnd::of(Ok(ExecOutput {
                exit_code,
                output: output.to_owned(),
                ..Default::default()
            }))
        };
        let missing = ended(Some(127), "exec: \"/chaos-helper\": no such file\n");
        assert!(missing.by_itself);
        assert_eq!(
            missing.what,
            "the memory helper ended with 127: exec: \"/chaos-helper\": no such file"
        );
        assert!(!ended(Some(137), "").by_itself && !ended(None, "").by_itself);
    }
}
