//! The journal: the append-only event record of a trial, one JSON object a line, flushed as things
//! happen. Oracles judge it and nothing else, so everything a verdict needs stands in it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::schedule::{Fault, Schedule, Step};
use crate::tellings::Telling;

pub use crate::schedule::{HitKind, Side};
use crate::verdict::Invariant;

use facts::WorkflowHold;

mod clock;
pub mod facts;
mod landing;
mod probes;
mod read;
mod results;

pub use clock::{ClockLook, begin_us, clock_looks};
pub use landing::{Evidence, FaultLanded, Hit, InFlight, Interrupted, MissKind, SNAPSHOT_GONE};
pub use probes::{Answer, CallOutcome, CountedWhen, Residue, ResourceCount, Roles, Told, Verbs};
pub use read::{JournalError, line, parse, read};
pub use results::{
    Difference, DifferenceKind, FinalReport, SidecarChange, TableReport, TableTruth, Truth,
};

/// What observers are called, so that an oracle can name the evidence it rests on. An observer that
/// watches one tablet appends a slash and the side: `readiness/target`.
pub mod observers {
    /// Polls the four parts of readiness.
    pub const READINESS: &str = "readiness";
    /// Watches processes: starts, exits.
    pub const PROCESS: &str = "process";
    /// Follows the tablets' logs.
    pub const LOGS: &str = "logs";
    /// Samples resident set and charged memory.
    pub const MEMORY: &str = "memory";
    /// Polls the sidecar tables, for triggers and pictures only.
    pub const SIDECAR: &str = "sidecar";
}

/// The version of the journal's format that this build reads and writes.
pub const FORMAT: u32 = 1;

/// One line of a journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// From 0, without gaps.
    pub seq: u64,
    /// Milliseconds since the trial began, by a monotonic clock.
    pub at_ms: u64,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// So many exits that nobody asked for within [`CRASH_LOOP_WINDOW_MS`] are a crash loop.
pub const CRASH_LOOP_EXITS: usize = 3;
/// See [`CRASH_LOOP_EXITS`].
pub const CRASH_LOOP_WINDOW_MS: u64 = 60_000;

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// First line.
    TrialStarted(Box<TrialStarted>),
    /// The trial is a feature's scenario.
    Scenario(Scenario),
    /// A scenario added a step to the schedule of the head.
    StepAdded {
        /// Its index, counted on from the steps that the head has.
        step: usize,
        /// The step.
        added: Step,
    },
    /// A step of the scenario found something else than it says.
    ScenarioFailed {
        /// What it expected and found.
        why: String,
    },
    /// A tablet's container was started by the harness; the next incarnation begins.
    TabletStarted(TabletStarted),
    /// A tablet's process ended.
    TabletExited(TabletExited),
    /// The tablet's log holds a panic record.
    Panicked {
        /// Whose log.
        side: Side,
        /// Its incarnation, from 1.
        incarnation: u32,
        /// True when the tablet caught it (a controller's panic).
        caught: bool,
        /// The record's text.
        message: String,
    },
    /// Observed readiness changed (first observation included).
    Readiness {
        /// Of which tablet.
        side: Side,
        /// Its incarnation.
        incarnation: u32,
        /// All four parts of the definition held.
        ready: bool,
        /// Why not.
        reasons: Vec<String>,
    },
    /// An observer began to watch; names in [`observers`].
    ObserverStarted {
        /// Its name.
        observer: String,
    },
    /// An observer made no observation for longer than a second.
    ObserverGap {
        /// Its name.
        observer: String,
        /// The gap.
        gap_ms: u64,
    },
    /// An observer ended in order.
    ObserverStopped {
        /// Its name.
        observer: String,
        /// Observations made.
        observations: u64,
    },
    /// A sample for triggers and pictures; no oracle but I9's rests on it.
    Sample(Sample),
    /// A trigger fired.
    TriggerFired {
        /// Index of the schedule's step.
        step: usize,
        /// What was seen.
        seen: String,
    },
    /// A fault was injected; whether it landed is told later.
    FaultInjected {
        /// Index of the schedule's step.
        step: usize,
        /// The fault.
        fault: Fault,
        /// How, when there is more than one way.
        means: String,
    },
    /// A fault landed.
    FaultLanded(FaultLanded),
    /// A fault's aim was gone, or the evidence did not come.
    FaultMissed {
        /// Index of the schedule's step.
        step: usize,
        /// The fault.
        fault: Fault,
        /// Why.
        reason: String,
        /// What became of it.
        #[serde(default)]
        kind: MissKind,
    },
    /// A fault was healed (process restarted, memory released, diff resumed).
    FaultHealed {
        /// Index of the schedule's step.
        step: usize,
        /// The fault.
        fault: Fault,
    },
    /// An operator's action on a VDiff was answered, or was not.
    VdiffAction(VdiffAction),
    /// What an operator did besides VDiff's verbs.
    OperatorAct {
        /// The act.
        act: OperatorAct,
    },
    /// The diff had come to rest, and a tablet was not ready within its deadline after that.
    NotReadyAtEnd {
        /// Which tablet.
        side: Side,
        /// Why not.
        reason: String,
    },
    /// The trial is over: SIGTERM was sent to a tablet, which must end in order.
    ShutdownAsked {
        /// Which tablet.
        side: Side,
        /// Its incarnation.
        incarnation: u32,
    },
    /// The log of one incarnation was read, as far as it went.
    LogRead {
        /// Whose log.
        side: Side,
        /// Its incarnation.
        incarnation: u32,
        /// Its lines.
        lines: u64,
        /// The line by which a tablet tells that it has registered was among them.
        start_seen: bool,
        /// The stream ended with the process, and not before.
        to_end: bool,
    },
    /// A newer term was written into the shard record and the demotion awaited (part of I1).
    TermProbe {
        /// Whether the tablet stopped serving as primary.
        demoted: bool,
        /// After so many milliseconds.
        after_ms: u64,
    },
    /// The diff came to rest.
    Settled {
        /// Which VDiff.
        uuid: String,
        /// Its state.
        state: String,
    },
    /// A deadline passed.
    DeadlinePassed {
        /// For what the harness waited.
        waiting_for: String,
        /// How long.
        after_ms: u64,
    },
    /// What `show` said at the end (or before the diff was deleted).
    FinalReport(FinalReport),
    /// A committed change of a sidecar table, from MySQL's binlog, in commit order.
    SidecarChange(SidecarChange),
    /// The binlog was read from the trial's begin to its end.
    HistoryRead {
        /// Row changes of the trial's sidecar tables in it.
        changes: u64,
    },
    /// What was left at the end, by kind.
    Residue(Residue),
    /// What a living tablet held.
    #[serde(alias = "held")]
    ResourcesCounted(ResourceCount),
    /// How fast a tablet answered at the end.
    Answers {
        /// Which tablet.
        side: Side,
        /// The calls, made at once.
        answers: Vec<Answer>,
    },
    /// What was told of a tablet's role.
    Roles(Roles),
    /// What came of the operator's verbs on a diff at rest.
    Verbs(Box<Verbs>),
    /// How much a tablet logged.
    LogVolume {
        /// Whose log.
        side: Side,
        /// Its lines, over all incarnations.
        lines: u64,
        /// The most lines that came within one second.
        busiest_second: u64,
    },
    /// The target MySQL's clock, by which the history is told.
    ServerClock {
        /// Microseconds since the Unix epoch.
        now_us: u64,
        /// How long the question took.
        took_ms: u64,
    },
    /// The workflow's row at the end.
    WorkflowRow {
        /// Name of the workflow.
        workflow: String,
        /// `Running`, `Stopped`, …
        state: String,
        /// Empty when nothing is wrong.
        message: String,
        /// Empty when it runs without end.
        stop_pos: String,
        /// Who keeps it from running, as its row tells.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hold: Option<WorkflowHold>,
        /// How long after the end of the diff it was read.
        after_ms: u64,
    },
    /// The harness itself could not do its job.
    HarnessTrouble {
        /// What.
        what: String,
    },
    /// The trial was lost to what it stands on: it got no servers, or its worker ended.
    TrialLost {
        /// Why.
        what: String,
    },
    /// Lines of a tablet's log worth keeping: the first after a restart, the last of a trial.
    LogLines {
        /// Whose log.
        side: Side,
        /// Its incarnation.
        incarnation: u32,
        /// The lines, oldest first.
        lines: Vec<String>,
    },
    /// A free remark for the timeline.
    Note {
        /// Text.
        text: String,
    },
    /// Last line.
    TrialEnded,
}

/// The head of a journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrialStarted {
    /// See [`FORMAT`].
    pub format: u32,
    /// The run this trial belongs to.
    pub run: String,
    /// When, in milliseconds since the Unix epoch.
    pub wall_ms: u64,
    /// The schedule.
    pub schedule: Schedule,
    /// Image ids by name (`mysql`, `etcd`, `tablet`).
    pub images: BTreeMap<String, String>,
    /// The calibrated length of the diff.
    pub calibrated_ms: u64,
    /// What an exact diff reports.
    pub truth: Truth,
    /// Name of the workflow under diff.
    pub workflow: String,
    /// Which witnesses there were; none: nobody looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub witnesses: Option<crate::witnesses::Witnesses>,
    /// The system under test, by name; none: the tablet of this project, before there were others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// What the system under test does not tell: what is judged by it is not judged.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub untold: Vec<Telling>,
}

/// The scenario that a trial executes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scenario {
    /// `feature: scenario`.
    pub name: String,
    /// Its file and line.
    pub place: String,
    /// Invariants that its tags `@allows:I3` excuse.
    #[serde(default)]
    pub allows: Vec<Invariant>,
}

/// The schedule that a journal tells: the head's, with the steps that were added to it on the way. None
/// without a head.
#[must_use]
pub fn schedule_of(records: &[Record]) -> Option<Schedule> {
    let mut schedule = records.iter().find_map(|record| match &record.event {
        Event::TrialStarted(head) => Some(head.schedule.clone()),
        _ => None,
    })?;
    let mut added: Vec<(usize, &Step)> = records
        .iter()
        .filter_map(|record| match &record.event {
            Event::StepAdded { step, added } => Some((*step, added)),
            _ => None,
        })
        .collect();
    added.sort_by_key(|(step, _)| *step);
    schedule.steps.extend(added.into_iter().map(|(_, step)| step.clone()));
    Some(schedule)
}

/// A tablet's container was started.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TabletStarted {
    /// Which tablet.
    pub side: Side,
    /// From 1, one more at each start.
    pub incarnation: u32,
    /// Container id.
    pub container: String,
    /// PID in the host's PID namespace, where known.
    pub host_pid: Option<i32>,
}

/// What an operator does besides VDiff's verbs. Only what stands here excuses a workflow that does not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OperatorAct {
    /// The workflow was stopped, with a message.
    StopWorkflow,
    /// The workflow was frozen.
    FreezeWorkflow,
}

/// A tablet's process ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TabletExited {
    /// Which tablet.
    pub side: Side,
    /// Its incarnation.
    pub incarnation: u32,
    /// As the engine reports it: 128 + signal for a signal.
    pub exit_code: i64,
    /// The step of the schedule that asked for this exit; none: nobody did.
    pub scheduled_by: Option<usize>,
    /// The harness asked for it, by SIGTERM at the trial's end ([`Event::ShutdownAsked`]).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub at_end: bool,
    /// From the request (signal sent) to the exit, where there was one.
    pub took_ms: Option<u64>,
    /// Last lines of the tablet's log.
    pub last_log: Vec<String>,
}

impl TabletExited {
    /// Nobody asked for it: neither a step of the schedule nor the end of the trial.
    #[must_use]
    pub fn is_unasked(&self) -> bool {
        self.scheduled_by.is_none() && !self.at_end
    }
}

/// A sample of the running trial.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// The target tablet's resident set, bytes; none while it is down.
    pub rss_bytes: Option<u64>,
    /// The target container's charged memory, bytes (tmpfs and page cache included).
    pub cgroup_bytes: Option<u64>,
    /// The newest diff's state; none: there is no diff.
    pub state: Option<String>,
    /// Sum of rows compared.
    pub rows_compared: u64,
    /// Rows an exact diff processes.
    pub rows_total: u64,
    /// Tasks that ran or waited for a core then, on each core of the machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runnable_per_core: Option<f64>,
    /// How much later than it was due the harness's own timer came: for so long before this sample the
    /// harness itself may not have looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timer_lag_ms: Option<u64>,
    /// The share of the time since the sample before in which a task that could run had no core, 0 to 1:
    /// of the tablet's container, or else of the machine. By the kernel's account of pressure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_stalled: Option<f64>,
    /// How often since the sample before the harness's own cgroup was held back by its quota of time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throttled: Option<u64>,
}

/// An operator's action.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VdiffAction {
    /// `create`, `stop`, `resume`, `delete`.
    pub action: String,
    /// Which VDiff.
    pub uuid: String,
    /// The tablet said yes.
    pub acknowledged: bool,
    /// What it said else.
    pub error: Option<String>,
    /// From the call to its answer.
    pub took_ms: u64,
    /// So long before this record the first try was made, milliseconds; none: when the answer's call began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_ms_ago: Option<u64>,
    /// From the call to its effect (state seen, row gone), where awaited.
    pub effect_ms: Option<u64>,
    /// The tries that were not acknowledged, in order: those before this answer, and this one if it is
    /// such a one. The same answer again and again is one entry.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tries: Vec<Try>,
}

/// A try of an operator's action that was not acknowledged, or several with the same answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Try {
    /// The status that the tablet answered with; `no answer` where it did not.
    pub code: String,
    /// Its words.
    pub text: String,
    /// The tablet itself said no (as against: it was not reached, or did not answer).
    pub refused: bool,
    /// The diff's state in MySQL right after; none: no such row.
    pub state: Option<String>,
    /// How often in a row.
    pub count: u32,
    /// When the first of them was called, in milliseconds since the trial began.
    pub first_ms: u64,
    /// When the last of them was answered.
    pub last_ms: u64,
}
