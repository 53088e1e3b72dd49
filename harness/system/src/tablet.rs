//! A tablet as its supervisor, its kernel and its log see it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;
use records::journal::Evidence;

use super::{Signal, SystemError};

/// The next incarnation began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Started {
    /// From 1, one more at each start.
    pub incarnation: u32,
    /// Container id.
    pub container: String,
    /// PID in the host's PID namespace, where it can be trusted.
    pub host_pid: Option<i32>,
}

/// A process that lost the alias to a newer one, and still lives.
#[derive(Clone, Debug)]
pub struct Predecessor {
    /// Its container's id.
    pub container: String,
    /// Its incarnation.
    pub incarnation: u32,
}

/// How a signal was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Means {
    /// To the host's PID.
    HostPid(i32),
    /// By the engine, where the PID is not to be had (another namespace, another host, no right).
    Engine,
}

impl fmt::Display for Means {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HostPid(pid) => write!(f, "by host PID {pid}"),
            Self::Engine => f.write_str("through the engine"),
        }
    }
}

/// The evidence of an OOM kill.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OomEvidence {
    /// The kernel's counter of the container's cgroup.
    Counter {
        /// At the incarnation's start.
        baseline: u64,
        /// Greatest value seen.
        count: u64,
    },
    /// The kernel's log names cgroup and process.
    KernelLog {
        /// The line.
        line: String,
    },
    /// The engine's `oom` event, together with the death.
    EngineEvent,
    /// It died, and nothing proves that the kernel ran out of memory.
    None,
    /// It did not die.
    Survived {
        /// What became of the filling.
        why: String,
    },
}

impl OomEvidence {
    /// As the journal has it; none when nothing proves the kill.
    #[must_use]
    pub fn into_evidence(self, exit_code: i64) -> Option<Evidence> {
        match self {
            Self::Counter { baseline, count } if count > baseline => {
                Some(Evidence::OomCounter { baseline, count, exit_code })
            }
            Self::KernelLog { line } => Some(Evidence::KernelLog { line }),
            Self::EngineEvent => Some(Evidence::EngineEvent { exit_code }),
            Self::Counter { .. } | Self::None | Self::Survived { .. } => None,
        }
    }
}

/// Whether a tablet is ready, by the system's own definition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Readiness {
    /// All parts of it hold.
    pub ready: bool,
    /// Which do not, and why.
    pub reasons: Vec<String>,
}

/// A line of a tablet's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// It stood on standard error.
    pub stderr: bool,
    /// When it was taken, microseconds since the Unix epoch; none: nobody says.
    pub at_us: Option<u64>,
    /// Without the line break.
    pub text: String,
}

/// The lines of a log, from its beginning until its process ends.
pub type LogLines = BoxStream<'static, Result<LogLine, SystemError>>;

/// A reader of a table's rows, packet by packet; the rows' snapshot ends when it is dropped.
#[async_trait]
pub trait RowReader: Send {
    /// Whether another packet came; not: the stream has ended.
    async fn next_packet(&mut self) -> Result<bool, SystemError>;
}

/// One tablet of a trial, over all its incarnations.
#[async_trait]
pub trait Tablet: Send + Sync + fmt::Debug {
    /// `zone1-0000000200`.
    fn alias(&self) -> &str;

    /// Starts the next incarnation: the first time, or after the last one ended.
    async fn start_incarnation(&self) -> Result<Started, SystemError>;

    /// Waits until the running incarnation has ended; its exit code (128 + signal for a signal).
    async fn wait_exit(&self) -> Result<i64, SystemError>;

    /// Sends a signal to its process.
    async fn kill(&self, signal: Signal) -> Result<Means, SystemError>;

    /// Whether it is ready now.
    async fn readiness(&self) -> Readiness;

    /// What an outsider may ask it, by name: each must be answered, and in time.
    fn questions(&self) -> &'static [&'static str];

    /// Asks one of [`Tablet::questions`].
    async fn ask(&self, question: &str) -> Result<(), SystemError>;

    /// `PRIMARY`, `REPLICA`, …: what it says it is; none when it does not answer.
    async fn role(&self) -> Option<String>;

    /// Its MySQL users, one an incarnation, in order; empty where it has none of its own.
    fn mysql_users(&self) -> Vec<String>;

    /// What its log is read from: another one begins a log of its own.
    fn log_source(&self) -> Option<String>;

    /// The lines of that log.
    fn log_lines(&self) -> LogLines;

    /// Resident set of its process, bytes; none while it is down or cannot be seen.
    fn rss_bytes(&self) -> Option<u64>;

    /// The greatest resident set of its process since its start, bytes.
    fn peak_rss_bytes(&self) -> Option<u64> {
        None
    }

    /// Bytes charged to it; none while it is down or cannot be seen.
    fn charged_bytes(&self) -> Option<u64> {
        None
    }

    /// The kernel's account of how long its tasks waited for a core.
    fn pressure_file(&self) -> Option<PathBuf> {
        None
    }

    /// Open file descriptors by kind; the error says why they cannot be seen.
    fn descriptors(&self) -> Result<BTreeMap<String, u64>, String>;

    /// How many tasks live in its process; none: such a tablet does not tell it at all; the error says why that is
    /// not known now.
    async fn tasks(&self) -> Result<Option<u64>, String>;

    /// Whether it says that it ends in order; unsupported where it does not tell.
    async fn is_stopping(&self) -> Result<bool, SystemError> {
        Err(SystemError::unsupported("tell that it is stopping"))
    }

    /// How many of an operator's actions have arrived at it; unsupported where it does not tell.
    async fn actions_arrived(&self) -> Result<u64, SystemError> {
        Err(SystemError::unsupported("tell which actions have arrived"))
    }

    /// Whether its process is stopped (SIGSTOP).
    async fn is_frozen(&self) -> Result<bool, SystemError> {
        Err(SystemError::unsupported("be frozen"))
    }

    /// Starts the next incarnation beside the present one, which loses the alias to it.
    async fn replace(&self) -> Result<(Started, Predecessor), SystemError> {
        Err(SystemError::unsupported("be replaced while it lives"))
    }

    /// Sends a signal to a predecessor.
    async fn signal_predecessor(
        &self,
        _predecessor: &Predecessor,
        _signal: Signal,
    ) -> Result<(), SystemError> {
        Err(SystemError::unsupported("have a predecessor"))
    }

    /// Waits until a predecessor has ended: its exit code and last lines; none when it still runs.
    async fn predecessor_exit(
        &self,
        _predecessor: &Predecessor,
        _within: Duration,
    ) -> Result<Option<(i64, Vec<String>)>, SystemError> {
        Err(SystemError::unsupported("have a predecessor"))
    }

    /// Has the kernel kill it for memory; returns when it is dead, or the time for it has passed.
    async fn oom(&self) -> Result<OomEvidence, SystemError> {
        Err(SystemError::unsupported("be run out of memory"))
    }

    /// Fills its memory until about `bytes` are charged to it, and holds that.
    async fn squeeze(&self, _bytes: u64) -> Result<(), SystemError> {
        Err(SystemError::unsupported("be squeezed"))
    }

    /// Gives back what [`Tablet::squeeze`] took; nothing to do when it is dead.
    async fn release_squeeze(&self) -> Result<(), SystemError> {
        Err(SystemError::unsupported("be squeezed"))
    }

    /// Bounds its processor time in each tenth of a second; none: no bound.
    async fn limit_cpu(&self, _quota: Option<Duration>) -> Result<(), SystemError> {
        Err(SystemError::unsupported("be starved of a processor"))
    }

    /// How often it had used up its processor time; none where nobody counts.
    fn throttled_count(&self) -> Result<Option<u64>, SystemError> {
        Ok(None)
    }

    /// Reads a table of its database as a stream of packets, with a small window.
    async fn read_rows(&self, _table: &str) -> Result<Box<dyn RowReader>, SystemError> {
        Err(SystemError::unsupported("stream rows to a reader"))
    }
}
