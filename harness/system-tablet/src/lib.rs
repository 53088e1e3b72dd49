//! The tablet as a system under test: started, hurt, asked and restarted from outside, by its wire
//! protocols, signals and the kernel's accounts only.
//!
//! [`SystemUnderTest`] is what a trial needs of it; [`ContainerTablet`] is the tablet of this
//! project in a container. A real Vitess tablet can stand in its place by another implementation.

mod calls;
mod cgroup;
mod client;
mod container;
mod descriptors;
mod dialect;
mod faults;
mod kernel_log;
mod peak;
mod readiness;

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::time::Duration;

use records::journal::{Evidence, Side};
use records::schedule::{Bug, Pace};

use engine::docker::DockerError;
use servers::ClusterError;

pub use cgroup::{CgroupPaths, OomWatch, belongs_to};
pub use cgroup::{held_back_count, throttled_count};
pub use client::{Client, RowStream};
pub use container::{ContainerTablet, Predecessor};
pub use descriptors::sees_descriptors;
pub use dialect::TabletDialect;
pub use faults::may_signal;
pub use nix::sys::signal::Signal;

/// A tablet to be started.
#[derive(Clone, Debug)]
pub struct TabletSpec {
    /// Source or target: decides whose MySQL it uses.
    pub side: Side,
    /// The last part of the container's name, unique within the run.
    pub what: String,
    /// Its MySQL users are called `<this>_i<incarnation>`; at most 27 bytes.
    pub user_prefix: String,
    /// `zone1-0000000200`.
    pub alias: String,
    /// Its keyspace.
    pub keyspace: String,
    /// Its shard.
    pub shard: String,
    /// The keyspace's database.
    pub db_name: String,
    /// The sidecar database.
    pub sidecar_db: String,
    /// Root of its topology in etcd.
    pub topo_root: String,
    /// The workflow whose diffs `show` is asked about.
    pub workflow: String,
    /// Pace and memory limit.
    pub pace: Pace,
    /// First pause before an ephemeral error is retried, milliseconds.
    pub retry_min_ms: u64,
    /// Longest such pause, milliseconds.
    pub retry_max_ms: u64,
    /// Life of its lease in etcd, seconds.
    pub lease_ttl_seconds: u64,
    /// A known bug, switched on (needs the image with seeded bugs).
    pub bug: Option<Bug>,
    /// Where a proxy steps in.
    pub wiring: Wiring,
    /// Further options, as its command line takes them.
    pub options: Vec<String>,
}

/// How a tablet is reached, and reaches others, where that is not the usual way.
#[derive(Clone, Debug, Default)]
pub struct Wiring {
    /// Names that resolve to another address inside the container.
    pub hosts: Vec<(String, String)>,
    /// The name by which others reach it, instead of its container's.
    pub hostname: Option<String>,
    /// The port of its gRPC services.
    pub grpc_port: Option<u16>,
    /// Where it finds its MySQL.
    pub mysql: Option<(String, u16)>,
    /// Where it finds etcd, as `http://host:port`.
    pub topo: Option<String>,
}

/// The next incarnation began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Started {
    /// From 1, one more at each start.
    pub incarnation: u32,
    /// Container id.
    pub container: String,
    /// PID in the host's PID namespace, where it can be trusted.
    pub host_pid: Option<i32>,
    /// Its MySQL user.
    pub mysql_user: String,
}

/// How a signal was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Means {
    /// To the host's PID.
    HostPid(i32),
    /// By the engine, where the PID is not to be had (another namespace, another host, no right).
    Engine,
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

/// The four-part definition of ready.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Readiness {
    /// All parts hold.
    pub ready: bool,
    /// Which do not, and why.
    pub reasons: Vec<String>,
}

/// A row of `show`: values by column name, NULL as none.
pub type ShowRow = BTreeMap<String, Option<String>>;

/// What can go wrong between harness and tablet.
#[derive(Debug, thiserror::Error)]
pub enum TabletError {
    /// The engine failed.
    #[error("tablet {tablet}: {phase} failed")]
    Engine {
        /// Its alias.
        tablet: String,
        /// What was attempted.
        phase: &'static str,
        /// Why.
        #[source]
        source: DockerError,
    },
    /// Its MySQL failed.
    #[error("tablet {tablet}: {phase} failed")]
    Cluster {
        /// Its alias.
        tablet: String,
        /// What was attempted.
        phase: &'static str,
        /// Why.
        #[source]
        source: Box<ClusterError>,
    },
    /// It refused a call, or did not answer.
    #[error("tablet {tablet}: {call}: {}", source.message())]
    Rpc {
        /// Its alias.
        tablet: String,
        /// The call.
        call: &'static str,
        /// Its answer.
        #[source]
        source: Box<tonic::Status>,
    },
    /// HTTP did not answer as it should.
    #[error("tablet {tablet}: GET {path} failed")]
    Http {
        /// Its alias.
        tablet: String,
        /// The path.
        path: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// It does not run.
    #[error("tablet {tablet} does not run")]
    NotRunning {
        /// Its alias.
        tablet: String,
    },
    /// Neither the kernel nor the engine tells how much memory is charged to its container.
    #[error("tablet {tablet}: nobody tells how much memory is charged to its container")]
    Unaccounted {
        /// Its alias.
        tablet: String,
    },
    /// The helper inside the container failed.
    #[error("tablet {tablet}: the memory helper ended with {exit_code:?}: {output}")]
    Helper {
        /// Its alias.
        tablet: String,
        /// Exit code.
        exit_code: Option<i64>,
        /// What it said.
        output: String,
    },
}

impl TabletError {
    /// Whether the tablet itself said no (as against: it was not reached, or did not answer).
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        use std::error::Error;
        match self {
            Self::Rpc { source, .. } => {
                let gave_up =
                    matches!(source.code(), tonic::Code::Cancelled | tonic::Code::DeadlineExceeded);
                // A status of the transport's own making has a cause below it.
                !gave_up && source.source().is_none()
            }
            _ => false,
        }
    }

    /// The status of its answer, or of the transport; none: there was no call.
    #[must_use]
    pub fn code(&self) -> Option<String> {
        match self {
            Self::Rpc { source, .. } => Some(format!("{:?}", source.code())),
            _ => None,
        }
    }

    /// Whether the tablet said that there is no such thing (as against: it did not answer).
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        match self {
            Self::Rpc { source, .. } => {
                source.code() == tonic::Code::NotFound
                    || source.message().contains("no vdiff found")
            }
            _ => false,
        }
    }
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

impl fmt::Display for Means {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HostPid(pid) => write!(f, "by host PID {pid}"),
            Self::Engine => f.write_str("through the engine"),
        }
    }
}

/// What a trial needs of a tablet.
pub trait SystemUnderTest: Send + Sync {
    /// Starts the next incarnation: the first time, or after the last one ended.
    fn start_incarnation(&self) -> impl Future<Output = Result<Started, TabletError>> + Send;
    /// Waits until the running incarnation has ended; its exit code (128 + signal for a signal).
    fn wait_exit(&self) -> impl Future<Output = Result<i64, TabletError>> + Send;
    /// Sends a signal to its process.
    fn kill(&self, signal: Signal) -> impl Future<Output = Result<Means, TabletError>> + Send;
    /// Has the kernel kill it for memory; returns when it is dead, or the deadline of it passed.
    fn oom(&self) -> impl Future<Output = Result<OomEvidence, TabletError>> + Send;
    /// The four-part definition of ready, now.
    fn readiness(&self) -> impl Future<Output = Readiness> + Send;
    /// Its wire protocols at their present addresses.
    fn client(&self) -> Client;
    /// The database with its sidecar tables, on its side's MySQL.
    fn sidecar_db(&self) -> &str;
    /// The MySQL users of all incarnations, in order.
    fn user_names(&self) -> Vec<String>;
}

/// How long a tablet that is run out of memory may live on.
pub(crate) const OOM_WITHIN: Duration = Duration::from_secs(15);
