//! The menu that plans are dealt from, and the rules of what goes together.

use rand::RngExt;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha12Rng;
use reports::schedule::{Bug, Fault, Phase, Step, Trigger};

use super::round_3;

/// Every fault, in the order of the catalogue.
pub const FAULTS: [Fault; 10] = [
    Fault::Sigkill,
    Fault::Sigterm,
    Fault::Oom,
    Fault::MemorySqueeze,
    Fault::Cancel,
    Fault::Delete,
    Fault::RpcDrop,
    Fault::RowSurgery,
    Fault::EtcdRestart,
    Fault::HostCrash,
];

/// Every bug of the zoo.
pub const BUGS: [Bug; 5] = [
    Bug::RegistryBeforeInit,
    Bug::WatchEndUnwrap,
    Bug::SplitCheckpoint,
    Bug::LateRestartGuard,
    Bug::CompletedTableAgain,
];

/// Kinds of triggers, as the command line names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TriggerKind {
    /// A fraction of the calibrated length.
    Time,
    /// A fraction of the rows.
    Progress,
    /// A phase of the diff.
    Phase,
    /// A second fault while the tablet starts.
    Recovery,
}

impl TriggerKind {
    /// All of them.
    pub const ALL: [TriggerKind; 4] =
        [TriggerKind::Time, TriggerKind::Progress, TriggerKind::Phase, TriggerKind::Recovery];

    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            TriggerKind::Time => "time",
            TriggerKind::Progress => "progress",
            TriggerKind::Phase => "phase",
            TriggerKind::Recovery => "recovery",
        }
    }

    fn of(draw: Draw) -> TriggerKind {
        match draw {
            Draw::Time => TriggerKind::Time,
            Draw::Progress => TriggerKind::Progress,
            Draw::At(_) => TriggerKind::Phase,
        }
    }
}

/// How a slot's first trigger is drawn.
#[derive(Clone, Copy, Debug)]
pub(super) enum Draw {
    Time,
    Progress,
    At(Phase),
}

/// One line of the menu.
#[derive(Clone, Debug)]
pub(super) struct Slot {
    fault: Fault,
    /// The first round of the menu draws this one; later rounds draw among all.
    first: Draw,
    also: &'static [Draw],
    /// A second fault, while the tablet recovers from the first, or later in the diff.
    second: Second,
    /// Dealt before the others of its round.
    pub(super) core: bool,
}

#[derive(Clone, Copy, Debug)]
enum Second {
    None,
    Recovery(Fault),
    Later(Fault),
}

const TIMES: &[Draw] = &[Draw::Progress, Draw::Time];
const EARLY: &[Draw] =
    &[Draw::Progress, Draw::Time, Draw::At(Phase::Streaming), Draw::At(Phase::Reconcile)];
const ANY: &[Draw] = &[
    Draw::Progress,
    Draw::Time,
    Draw::At(Phase::Snapshot),
    Draw::At(Phase::Streaming),
    Draw::At(Phase::Reconcile),
    Draw::At(Phase::Completing),
];

/// The menu. The core comes first in each round: its twelve hold eight kinds of faults and all phases.
const SLOTS: &[Slot] = &[
    core(Fault::Sigkill, Draw::Time, ANY, Second::None),
    core(Fault::Sigkill, Draw::At(Phase::Snapshot), ANY, Second::None),
    core(Fault::Oom, Draw::At(Phase::Reconcile), ANY, Second::None),
    core(Fault::Sigkill, Draw::At(Phase::Completing), ANY, Second::None),
    core(Fault::Oom, Draw::Progress, ANY, Second::None),
    core(Fault::Sigkill, Draw::Progress, TIMES, Second::Recovery(Fault::Sigkill)),
    core(Fault::Cancel, Draw::Progress, EARLY, Second::None),
    core(Fault::Sigterm, Draw::At(Phase::Snapshot), EARLY, Second::None),
    core(Fault::MemorySqueeze, Draw::Progress, TIMES, Second::None),
    core(Fault::Delete, Draw::Progress, EARLY, Second::None),
    core(Fault::EtcdRestart, Draw::Progress, TIMES, Second::None),
    core(Fault::HostCrash, Draw::Progress, TIMES, Second::None),
    rest(Fault::Oom, Draw::Progress, TIMES, Second::Later(Fault::Sigkill)),
    rest(Fault::Sigterm, Draw::Time, EARLY, Second::None),
    rest(Fault::RpcDrop, Draw::Progress, TIMES, Second::Later(Fault::Sigkill)),
    rest(Fault::RowSurgery, Draw::Progress, TIMES, Second::None),
];

const fn core(fault: Fault, first: Draw, also: &'static [Draw], second: Second) -> Slot {
    Slot { fault, first, also, second, core: true }
}

const fn rest(fault: Fault, first: Draw, also: &'static [Draw], second: Second) -> Slot {
    Slot { fault, first, also, second, core: false }
}

/// The menu with only the faults and triggers that were asked for. When a second fault was not asked
/// for, its slot stays with the first alone.
pub(super) fn offered(faults: &[Fault], triggers: &[TriggerKind]) -> Vec<Slot> {
    let wanted_fault = |fault: &Fault| faults.is_empty() || faults.contains(fault);
    let wanted = |kind: TriggerKind| triggers.is_empty() || triggers.contains(&kind);
    let mut offered = Vec::new();
    for slot in SLOTS.iter().filter(|slot| wanted_fault(&slot.fault)) {
        let mut slot = slot.clone();
        slot.second = match slot.second {
            Second::Recovery(fault) if wanted_fault(&fault) && wanted(TriggerKind::Recovery) => {
                slot.second
            }
            Second::Later(fault) if wanted_fault(&fault) && wanted(TriggerKind::Progress) => {
                slot.second
            }
            Second::Recovery(_) | Second::Later(_) | Second::None => Second::None,
        };
        let recovery = matches!(slot.second, Second::Recovery(_));
        let first_fits = slot.draws().any(|draw| wanted(TriggerKind::of(draw)));
        // "recovery" alone: the first fault needs a trigger of its own, whatever was asked for.
        if first_fits || (recovery && triggers == [TriggerKind::Recovery]) {
            offered.push(slot);
        }
    }
    if triggers == [TriggerKind::Recovery] {
        offered.retain(|slot| matches!(slot.second, Second::Recovery(_)));
    }
    offered
}

impl Slot {
    fn draws(&self) -> impl Iterator<Item = Draw> + '_ {
        std::iter::once(self.first).chain(self.also.iter().copied())
    }

    pub(super) fn steps(
        &self,
        round: u32,
        triggers: &[TriggerKind],
        rng: &mut ChaCha12Rng,
    ) -> Vec<Step> {
        let wanted =
            |draw: &Draw| triggers.is_empty() || triggers.contains(&TriggerKind::of(*draw));
        let fitting: Vec<Draw> = self.draws().filter(wanted).collect();
        let draw = match (round, fitting.as_slice()) {
            (_, []) => self.first,
            (0, [first, ..]) => *first,
            (_, several) => several.choose(rng).copied().unwrap_or(self.first),
        };
        let followed = matches!(self.second, Second::Later(_));
        let first = Step { trigger: trigger(draw, self.fault, followed, rng), fault: self.fault };
        match self.second {
            Second::None => vec![first],
            Second::Recovery(fault) => {
                let after_ms = rng.random_range(60..1_200);
                vec![first, Step { trigger: Trigger::DuringRecovery { after_ms }, fault }]
            }
            Second::Later(fault) => {
                let fraction = round_3(rng.random_range(0.55..0.85));
                vec![first, Step { trigger: Trigger::Progress { fraction }, fault }]
            }
        }
    }
}

/// Draws a trigger. What takes long to inject aims earlier, or the diff would be over.
fn trigger(draw: Draw, fault: Fault, followed: bool, rng: &mut ChaCha12Rng) -> Trigger {
    let latest = match fault {
        _ if followed => 0.45,
        Fault::Sigkill | Fault::Sigterm | Fault::RpcDrop => 0.88,
        Fault::Oom | Fault::Cancel | Fault::RowSurgery | Fault::HostCrash => 0.80,
        Fault::Delete | Fault::EtcdRestart => 0.75,
        Fault::MemorySqueeze => 0.50,
    };
    match draw {
        Draw::Time => Trigger::Time { fraction: round_3(rng.random_range(0.15..latest)) },
        Draw::Progress => Trigger::Progress { fraction: round_3(rng.random_range(0.08..latest)) },
        Draw::At(phase) => Trigger::Phase { phase },
    }
}

/// Whether a fault can be injected by a trigger.
///
/// # Errors
/// Why not.
pub fn works_with(fault: Fault, trigger: &Trigger) -> Result<(), &'static str> {
    match trigger {
        Trigger::Time { .. } | Trigger::Progress { .. } => Ok(()),
        Trigger::Phase { phase } => phase_works_with(fault, *phase),
        Trigger::CrashPoint { .. } => crash_point_works_with(fault),
        Trigger::DuringRecovery { .. } => match fault {
            Fault::Sigkill | Fault::Sigterm | Fault::Oom | Fault::HostCrash => Ok(()),
            Fault::EtcdRestart => Ok(()),
            Fault::MemorySqueeze | Fault::RpcDrop => {
                Err("it acts on a diff at work, and none works while the tablet starts")
            }
            Fault::Cancel | Fault::Delete | Fault::RowSurgery => {
                Err("the operator's actions need a tablet that answers")
            }
        },
    }
}

fn crash_point_works_with(fault: Fault) -> Result<(), &'static str> {
    match fault {
        Fault::Sigkill | Fault::Sigterm | Fault::Oom | Fault::Cancel => Ok(()),
        Fault::Delete | Fault::RowSurgery => {
            Err("the diff may not be there yet, or not any more, at such a point")
        }
        Fault::MemorySqueeze => Err("it takes seconds, and an exchange is held only for a moment"),
        Fault::RpcDrop => Err("it acts on a stream of its own, which has no such point"),
        Fault::EtcdRestart | Fault::HostCrash => {
            Err("it ends the held exchange's other side; use a time or a progress")
        }
    }
}

fn phase_works_with(fault: Fault, phase: Phase) -> Result<(), &'static str> {
    match fault {
        Fault::Sigkill | Fault::Oom => Ok(()),
        Fault::Sigterm | Fault::Cancel | Fault::Delete | Fault::RowSurgery => match phase {
            Phase::Snapshot | Phase::Streaming | Phase::Reconcile => Ok(()),
            Phase::Completing => {
                Err("the diff completes before it can take effect; use an earlier phase")
            }
        },
        Fault::MemorySqueeze => Err("it takes seconds, and a phase is held only for a moment"),
        Fault::RpcDrop => Err("it acts on a stream of its own, which has no such phase"),
        Fault::EtcdRestart | Fault::HostCrash => {
            Err("it would outlive the row lock that holds the phase; use a time or a progress")
        }
    }
}

/// Whether the fault ends with a start of the target tablet.
pub(crate) fn restarts_target(fault: Fault) -> bool {
    match fault {
        Fault::Sigkill | Fault::Sigterm | Fault::Oom | Fault::HostCrash => true,
        Fault::RowSurgery => true,
        Fault::MemorySqueeze
        | Fault::Cancel
        | Fault::Delete
        | Fault::RpcDrop
        | Fault::EtcdRestart => false,
    }
}

/// The fault's name, as schedules and the command line spell it.
#[must_use]
pub fn fault_name(fault: Fault) -> &'static str {
    match fault {
        Fault::Sigkill => "sigkill",
        Fault::Sigterm => "sigterm",
        Fault::Oom => "oom",
        Fault::MemorySqueeze => "memory-squeeze",
        Fault::Cancel => "cancel",
        Fault::Delete => "delete",
        Fault::RpcDrop => "rpc-drop",
        Fault::RowSurgery => "row-surgery",
        Fault::EtcdRestart => "etcd-restart",
        Fault::HostCrash => "host-crash",
    }
}

/// A fault by its name.
///
/// # Errors
/// A text that lists the known ones.
pub fn parse_fault(name: &str) -> Result<Fault, String> {
    FAULTS.into_iter().find(|fault| fault_name(*fault) == name).ok_or_else(|| {
        let known = FAULTS.map(fault_name).join(", ");
        format!("unknown fault `{name}`; known are: {known}")
    })
}

/// A bug's name, as the command line and the tablet spell it.
#[must_use]
pub fn bug_name(bug: Bug) -> &'static str {
    match bug {
        Bug::RegistryBeforeInit => "registry-before-init",
        Bug::WatchEndUnwrap => "watch-end-unwrap",
        Bug::SplitCheckpoint => "split-checkpoint",
        Bug::LateRestartGuard => "late-restart-guard",
        Bug::CompletedTableAgain => "completed-table-again",
    }
}

/// A bug by its name.
///
/// # Errors
/// A text that lists the known ones.
pub fn parse_bug(name: &str) -> Result<Bug, String> {
    BUGS.into_iter().find(|bug| bug_name(*bug) == name).ok_or_else(|| {
        format!("unknown bug `{name}`; known are: {}", BUGS.map(bug_name).join(", "))
    })
}

/// A trigger kind by its name.
///
/// # Errors
/// A text that lists the known ones.
pub fn parse_trigger(name: &str) -> Result<TriggerKind, String> {
    TriggerKind::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| {
        let known = TriggerKind::ALL.map(TriggerKind::name).join(", ");
        format!("unknown trigger `{name}`; known are: {known}")
    })
}

/// The phase's name.
#[must_use]
pub fn phase_name(phase: Phase) -> &'static str {
    match phase {
        Phase::Snapshot => "snapshot",
        Phase::Streaming => "streaming",
        Phase::Reconcile => "reconcile",
        Phase::Completing => "completing",
    }
}

/// A trigger in words: "at 40 % of the rows".
#[must_use]
pub fn trigger_text(trigger: &Trigger) -> String {
    match trigger {
        Trigger::Time { fraction } => format!("at {:.1} % of the time", fraction * 100.0),
        Trigger::Progress { fraction } => format!("at {:.1} % of the rows", fraction * 100.0),
        Trigger::Phase { phase } => format!("in phase {}", phase_name(*phase)),
        Trigger::DuringRecovery { after_ms } => format!("{after_ms} ms into the recovery"),
        Trigger::CrashPoint { point } => format!("at {point}"),
    }
}
