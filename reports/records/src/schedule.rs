//! The schedule: one trial as plain data, the unit of replay. It depends on (seed, trial number)
//! only, and is written before the first fault, so that a killed harness leaves a replayable file.

use serde::{Deserialize, Serialize};

mod crash_point;
mod fault;
mod file;
mod target;

pub use crash_point::{CrashPoint, Link, Moment};
pub use fault::{Capability, DiffOutcome, Ends, Fault, FaultFacts, Hurts, Length, Rules, Sentence};
pub use file::{ScheduleError, load, parse, print, save};
pub use target::{HitKind, Side};

/// The version of the schedule's format that this build reads and writes.
pub const FORMAT: u32 = 2;
const ROW_BYTES_MIN: u64 = 48;

/// One trial, planned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// See [`FORMAT`].
    pub format: u32,
    /// The campaign's seed.
    pub seed: u64,
    /// The trial's number in the campaign, from 0.
    pub trial: u32,
    /// The UUID of the trial's VDiff.
    pub vdiff_uuid: String,
    /// The data compared.
    pub workload: Workload,
    /// How fast the diff runs, and how often it saves its state.
    pub pace: Pace,
    /// The faults, in the order in which they are armed. Those at crash points come first: they are
    /// armed from the tablet's start on, beside the others.
    pub steps: Vec<Step>,
    /// The target tablet's links pass the wire proxy, also where no crash point asks for it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub proxied: bool,
    /// Its last crash point need not come: the trial finds out whether it does.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub explores: bool,
    /// Nobody asks a ready tablet anything while its diff is waited for: it must get on by itself.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unwatched: bool,
    /// A bug of the zoo, switched on in the target tablet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bug: Option<Bug>,
    /// The system under test that its pace and deadlines are of; none: this project's tablet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// Deadlines of the trial.
    pub deadlines: Deadlines,
}

/// The tables of a trial: the same workload is the same rows, byte for byte.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Workload {
    /// Seeds row contents and the places of the planted differences.
    pub seed: u64,
    /// Names of the tables: any of the workload catalogue (`customer`, `corder`, `product`, …).
    pub tables: Vec<String>,
    /// Rows of each table on the source side, before differences are planted.
    pub rows: u64,
    /// Single planted differences over all tables.
    pub differences: u32,
    /// Length in rows of each planted run of differences (one run per kind and side); 0 plants none.
    pub run_length: u64,
    /// No planted pair differs in the bytes of its key alone: a system that compares keys by their collation cannot
    /// see that.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keys_alike: bool,
}

/// The pace of a paced trial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pace {
    /// Rows compared per second, over all tables; 0 is unlimited.
    pub rows_per_second: u64,
    /// A checkpoint at the latest after so many processed rows.
    pub checkpoint_rows: u64,
    /// A checkpoint at the latest after so many milliseconds.
    pub checkpoint_interval_ms: u64,
    /// The tablet's memory limit in bytes.
    pub memory_limit_bytes: u64,
    /// Bytes of rows in one packet of a row stream, at most (one row of any size always fits).
    pub packet_bytes: u64,
}

impl Pace {
    /// Rows of one packet, at most: the least that a row of any workload takes in it, encoded, is 48 bytes.
    #[must_use]
    pub fn packet_rows_max(&self) -> u64 {
        self.packet_bytes / ROW_BYTES_MIN
    }
}

/// One fault at one time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// When.
    pub trigger: Trigger,
    /// What.
    pub fault: Fault,
    /// For so many milliseconds, of a fault whose length is drawn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lasts_ms: Option<u64>,
    /// On this link, of a fault of links; none: the one to the tablet's MySQL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<Link>,
}

/// When a fault is injected.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "on", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Trigger {
    /// At this fraction (0 to 1) of the calibrated length of the diff, counted from its start.
    Time {
        /// 0 to 1.
        fraction: f64,
    },
    /// As soon as this fraction (0 to 1) of all rows was compared.
    Progress {
        /// 0 to 1.
        fraction: f64,
    },
    /// While the diff is in this phase, held there by a row lock in MySQL.
    Phase {
        /// The phase.
        phase: Phase,
    },
    /// While the tablet starts after the fault before it: so many milliseconds after the start.
    DuringRecovery {
        /// Milliseconds after the container was started.
        after_ms: u64,
    },
    /// At an exactly chosen place of the tablet's conversation, held there by the wire proxy. Armed
    /// before the tablet's start: the first one, or the one that heals the step before it.
    CrashPoint {
        /// The place.
        point: CrashPoint,
    },
    /// While the harm of the fault before it goes on: so many milliseconds after that one.
    DuringFault {
        /// Milliseconds after the fault before it was injected.
        after_ms: u64,
    },
}

/// A phase of a diff, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// The workflow is stopped, both snapshots are taken.
    Snapshot,
    /// Rows are streamed and compared.
    Streaming,
    /// Extra rows of a table are paired.
    Reconcile,
    /// The diff is marked completed.
    Completing,
}

/// A known bug of the tablet's zoo.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bug {
    /// The engine's registry is used on the open path before it is initialised.
    RegistryBeforeInit,
    /// The shard sync loop unwraps the event of a watch that has ended.
    WatchEndUnwrap,
    /// The counts of a checkpoint are saved a statement before its cursor.
    SplitCheckpoint,
    /// A workflow is stopped a statement before it is recorded who did it.
    LateRestartGuard,
    /// A diff that died between two tables compares the completed one again.
    CompletedTableAgain,
    /// A source stream that broke off is taken for one that came to its end.
    BrokenStreamIsEnd,
    /// A tablet that has resumed a diff is unready again three seconds later, for good.
    UnreadyAfterRecovery,
    /// A workflow that a crash has left stopped stays so, with the tablet's own error as its
    /// message.
    WorkflowLeftStopped,
    /// A task of a former primary sends on a closed channel, 100 ms after the demotion.
    PanicAfterDemotion,
    /// A diff in its middle cannot be stopped: the tablet refuses at once.
    StopRefused,
    /// The memory guard does not look at the memory.
    NoMemoryGuard,
    /// The connection to the source is kept for ever when a diff goes on from a checkpoint.
    DescriptorLeak,
    /// A diff that was started before the restart waits ten seconds before it goes on.
    SitsAfterRestart,
    /// An orderly end takes twenty seconds.
    SlowSigterm,
    /// A resume is recorded, and nobody works on the diff.
    ResumeWithoutController,
    /// A diff that goes on reads both tables from their beginning, onto its counts.
    CursorForgotten,
    /// The lock of a workflow is kept when its snapshot was given up.
    LockNotReleased,
    /// An error that passes by itself is recorded as a lasting one.
    FlagLostOnError,
    /// A diff that goes on forgets the differences that it had found.
    ReportDroppedOnResume,
    /// A delete leaves the rows of the diff's tables.
    OrphanedTablesOnDelete,
    /// A stop is acknowledged before it is written.
    AckBeforeWrite,
    /// A tablet that has resumed a diff logs a hundred lines a second.
    LogStorm,
    /// The snapshot of a diff that is stopped stays open.
    SnapshotLeftOpen,
    /// A diff goes on after a checkpoint only when somebody asks the tablet something.
    LivesWhenAsked,
}

/// Deadlines, in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deadlines {
    /// From a restart to ready.
    pub ready_ms: u64,
    /// Ready must hold for so long.
    pub ready_holds_ms: u64,
    /// From the last heal to the settled diff.
    pub settle_ms: u64,
    /// An operator's stop, delete or a SIGTERM takes effect.
    pub cancel_ms: u64,
    /// The whole trial.
    pub trial_ms: u64,
    /// A diff that is to run moves so often, outside of harm.
    #[serde(default = "stall_ms", skip_serializing_if = "is_usual_stall")]
    pub stall_ms: u64,
}

/// As this project's tablet promises it: the lease of a dead incarnation 5 s, retry 2 s, shard sync 1 s.
#[must_use]
pub fn stall_ms() -> u64 {
    8_000
}

fn is_usual_stall(ms: &u64) -> bool {
    *ms == stall_ms()
}

impl Schedule {
    /// Whether the target tablet's links pass the wire proxy.
    #[must_use]
    pub fn is_proxied(&self) -> bool {
        let passes = |step: &Step| step.is_at_point() || step.fault.facts().on_link();
        self.proxied || self.steps.iter().any(passes)
    }

    /// `cancel at 14 % of the diff, then sigkill at 61 % of the diff`.
    #[must_use]
    pub fn in_words(&self) -> String {
        if self.steps.is_empty() {
            return "no fault".to_owned();
        }
        let words = |step: &Step| format!("{} {}", step.fault, step.trigger);
        self.steps.iter().map(words).collect::<Vec<_>>().join(", then ")
    }
}

impl Step {
    /// Whether it comes on top of the fault before it.
    #[must_use]
    pub fn is_on_top(&self) -> bool {
        matches!(self.trigger, Trigger::DuringFault { .. })
    }

    /// Whether its trigger is a crash point.
    #[must_use]
    pub fn is_at_point(&self) -> bool {
        matches!(self.trigger, Trigger::CrashPoint { .. })
    }
}

impl Phase {
    /// Every phase, in order.
    pub const ALL: [Self; 4] = [Self::Snapshot, Self::Streaming, Self::Reconcile, Self::Completing];

    /// Its name in schedules and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Snapshot => "snapshot",
            Self::Streaming => "streaming",
            Self::Reconcile => "reconcile",
            Self::Completing => "completing",
        }
    }
}

impl Step {
    /// A fault at a time; what has a length of its own takes the usual one.
    #[must_use]
    pub const fn new(trigger: Trigger, fault: Fault) -> Self {
        Self { trigger, fault, lasts_ms: None, link: None }
    }
}

impl Bug {
    /// Every bug of the zoo.
    pub const ALL: [Self; 24] = [
        Self::RegistryBeforeInit,
        Self::WatchEndUnwrap,
        Self::SplitCheckpoint,
        Self::LateRestartGuard,
        Self::CompletedTableAgain,
        Self::BrokenStreamIsEnd,
        Self::UnreadyAfterRecovery,
        Self::WorkflowLeftStopped,
        Self::PanicAfterDemotion,
        Self::StopRefused,
        Self::NoMemoryGuard,
        Self::DescriptorLeak,
        Self::SitsAfterRestart,
        Self::SlowSigterm,
        Self::ResumeWithoutController,
        Self::CursorForgotten,
        Self::LockNotReleased,
        Self::FlagLostOnError,
        Self::ReportDroppedOnResume,
        Self::OrphanedTablesOnDelete,
        Self::AckBeforeWrite,
        Self::LogStorm,
        Self::SnapshotLeftOpen,
        Self::LivesWhenAsked,
    ];

    /// Its name in schedules, on the command line and in the tablet's environment.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RegistryBeforeInit => "registry-before-init",
            Self::WatchEndUnwrap => "watch-end-unwrap",
            Self::SplitCheckpoint => "split-checkpoint",
            Self::LateRestartGuard => "late-restart-guard",
            Self::CompletedTableAgain => "completed-table-again",
            Self::BrokenStreamIsEnd => "broken-stream-is-end",
            Self::UnreadyAfterRecovery => "unready-after-recovery",
            Self::WorkflowLeftStopped => "workflow-left-stopped",
            Self::PanicAfterDemotion => "panic-after-demotion",
            Self::StopRefused => "stop-refused",
            Self::NoMemoryGuard => "no-memory-guard",
            Self::DescriptorLeak => "descriptor-leak",
            Self::SitsAfterRestart => "sits-after-restart",
            Self::SlowSigterm => "slow-sigterm",
            Self::ResumeWithoutController => "resume-without-controller",
            Self::CursorForgotten => "cursor-forgotten",
            Self::LockNotReleased => "lock-not-released",
            Self::FlagLostOnError => "flag-lost-on-error",
            Self::ReportDroppedOnResume => "report-dropped-on-resume",
            Self::OrphanedTablesOnDelete => "orphaned-tables-on-delete",
            Self::AckBeforeWrite => "ack-before-write",
            Self::LogStorm => "log-storm",
            Self::SnapshotLeftOpen => "snapshot-left-open",
            Self::LivesWhenAsked => "lives-when-asked",
        }
    }
}

impl std::fmt::Display for Phase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl std::fmt::Display for Trigger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Time { fraction } => {
                write!(f, "after {:.0} % of the diff's time", fraction * 100.0)
            }
            Self::Progress { fraction } => write!(f, "at {:.0} % of the diff", fraction * 100.0),
            Self::Phase { phase } => write!(f, "in the phase {phase}"),
            Self::DuringRecovery { after_ms } => write!(f, "{after_ms} ms into the recovery"),
            Self::CrashPoint { point } => write!(f, "at {point}"),
            Self::DuringFault { after_ms } => {
                write!(f, "{after_ms} ms after the fault before it, on top of it")
            }
        }
    }
}
