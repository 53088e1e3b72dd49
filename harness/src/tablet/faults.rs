//! What the harness does to a tablet's process and memory.

use std::time::Duration;

use futures::StreamExt;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::cgroup::{OomWatch, belongs_to};
use super::container::Current;
use super::kernel_log::KernelLog;
use super::{ContainerTablet, Means, OOM_WITHIN, OomEvidence, TabletError};
use crate::docker::LABEL_RUN;

/// The helper in the tablet's image.
pub(crate) const HELPER: &str = "/chaos-helper";
/// A living tablet says something in this time.
const SILENCE: Duration = Duration::from_millis(700);
const HELPER_WITHIN: Duration = Duration::from_secs(10);
/// How long the engine's `oom` event may come after the death.
const EVENT_LAG: Duration = Duration::from_millis(500);
const MIB: u64 = 1 << 20;

impl ContainerTablet {
    /// Sends a signal to its process: by host PID where that is certain and permitted, else through
    /// the engine.
    pub async fn kill(&self, signal: Signal) -> Result<Means, TabletError> {
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

    /// Whether its process is stopped (SIGSTOP): by the kernel's word, or, where its process is not
    /// seen from here, by its silence.
    pub async fn is_frozen(&self) -> Result<bool, TabletError> {
        let current = self.current()?;
        let pid = current.host_pid.filter(|pid| belongs_to(*pid, &current.container));
        let stat = pid.and_then(|pid| std::fs::read_to_string(format!("/proc/{pid}/stat")).ok());
        if let Some(stat) = stat {
            return Ok(is_stopped(&stat));
        }
        Ok(tokio::time::timeout(SILENCE, self.client().readyz()).await.is_err())
    }

    /// Fills the container's memory from inside until the kernel kills the tablet, its largest
    /// process; returns with the evidence when the tablet is dead. One that survives leaves no evidence,
    /// and gets its memory back.
    pub async fn oom(&self) -> Result<OomEvidence, TabletError> {
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
        let death = async {
            let started = self.engine.exec_detached(&current.container, &[HELPER, "fill"]).await;
            started.map_err(|source| self.failed("starting the memory helper", source))?;
            self.wait_exit_within(OOM_WITHIN).await
        };
        let (died, mut announced) = with_witness(death, event).await;
        // After the death: nothing can rise any more, so the watch has seen all that it can see.
        let count = match watch {
            Some(watch) => watch.finish().await,
            None => None,
        };
        if died?.is_none() {
            self.release_squeeze().await?;
            return Ok(OomEvidence::None);
        }
        if announced.is_pending() && count.is_none_or(|count| count <= current.oom_baseline) {
            announced.wait(EVENT_LAG).await;
        }
        Ok(evidence(&current, count, kernel_log.as_mut(), announced.seen()))
    }

    /// Fills the container's memory until about `bytes` are charged to it, and holds that. A second
    /// call adds what is missing; less than is charged already changes nothing.
    pub async fn squeeze(&self, bytes: u64) -> Result<(), TabletError> {
        let current = self.current()?;
        let charged = self.charged_bytes().unwrap_or(0);
        let mib = bytes.saturating_sub(charged) / MIB;
        if mib == 0 {
            return Ok(());
        }
        self.helper(&current, &["fill", "--to-mib", &mib.to_string()]).await
    }

    /// Gives back what [`ContainerTablet::squeeze`] took. Nothing to do when the tablet is dead: its
    /// container's `/dev/shm` went with it.
    pub async fn release_squeeze(&self) -> Result<(), TabletError> {
        let current = self.current()?;
        let state = self.state().await?;
        if state.is_none_or(|state| !state.running) {
            return Ok(());
        }
        self.helper(&current, &["release"]).await
    }

    async fn helper(&self, current: &Current, arguments: &[&str]) -> Result<(), TabletError> {
        let command: Vec<&str> = std::iter::once(HELPER).chain(arguments.iter().copied()).collect();
        let ended = self.engine.exec(&current.container, &command, HELPER_WITHIN).await;
        let ended = ended.map_err(|source| self.failed("running the memory helper", source))?;
        if ended.exit_code == Some(0) {
            return Ok(());
        }
        let tablet = self.spec().alias.clone();
        Err(TabletError::Helper { tablet, exit_code: ended.exit_code, output: ended.output })
    }

    fn event_labels(&self) -> Vec<String> {
        let labels = self.site().labels();
        labels.get(LABEL_RUN).map(|run| format!("{LABEL_RUN}={run}")).into_iter().collect()
    }
}

/// Whether a line of `/proc/PID/stat` tells of a stopped process. Its name, in brackets, may hold
/// anything.
fn is_stopped(stat: &str) -> bool {
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    after_name.trim_start().starts_with('T')
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

    // A freeze without proof would count as landed.
    #[test]
    fn a_stopped_process_is_told_from_a_sleeping_one() {
        assert!(is_stopped("7 (a) S (b)) T 1 7 7 0"));
        assert!(!is_stopped("7 (tablet) S 1 7 7 0"));
        assert!(!is_stopped("7 (T) R 1 7 7 0") && !is_stopped(""));
    }
}
