//! The menu that plans are dealt from, and the rules of what goes together.

use rand::RngExt;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha12Rng;
use records::schedule::{Bug, Fault, Length, Link, Phase, Step, Trigger};

use super::round_3;

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
    /// A further fault while the harm of the one before it goes on.
    Overlap,
}

impl TriggerKind {
    /// All of them.
    pub const ALL: [TriggerKind; 5] = [
        TriggerKind::Time,
        TriggerKind::Progress,
        TriggerKind::Phase,
        TriggerKind::Recovery,
        TriggerKind::Overlap,
    ];

    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            TriggerKind::Time => "time",
            TriggerKind::Progress => "progress",
            TriggerKind::Phase => "phase",
            TriggerKind::Recovery => "recovery",
            TriggerKind::Overlap => "overlap",
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

/// How an entry's first trigger is drawn.
#[derive(Clone, Copy, Debug)]
pub(super) enum Draw {
    Time,
    Progress,
    At(Phase),
}

/// One line of the menu.
#[derive(Clone, Debug)]
pub(super) struct MenuEntry {
    fault: Fault,
    /// The first round of the menu draws this one; later rounds draw among all.
    first: Draw,
    also: &'static [Draw],
    second: Second,
    pub(super) part: MenuPart,
}

/// The part of the menu that an entry belongs to. In each round the core is dealt first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum MenuPart {
    Core,
    Rest,
    /// Dealt after the others, and shuffled apart from them: a seed's first trials stay what they are
    /// when the menu grows.
    More,
}

/// Faults besides the first.
#[derive(Clone, Copy, Debug)]
enum Second {
    None,
    /// While the tablet recovers from the first.
    Recovery(Fault),
    /// Later in the diff.
    Later(Fault),
    /// On top of the first, one after the other, while its harm goes on.
    During(&'static [Fault]),
}

const TIMES: &[Draw] = &[Draw::Progress, Draw::Time];
const EARLY: &[Draw] =
    &[Draw::Progress, Draw::Time, Draw::At(Phase::Streaming), Draw::At(Phase::Reconcile)];
/// What acts on the source's row stream: it has ended when a table is reconciled.
const STREAMED: &[Draw] = &[Draw::Progress, Draw::Time, Draw::At(Phase::Streaming)];
const ANY: &[Draw] = &[
    Draw::Progress,
    Draw::Time,
    Draw::At(Phase::Snapshot),
    Draw::At(Phase::Streaming),
    Draw::At(Phase::Reconcile),
    Draw::At(Phase::Completing),
];

/// The menu. The core comes first in each round: its twelve hold eight kinds of faults and all phases.
const MENU: &[MenuEntry] = &[
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
    more(Fault::MysqlKill, Draw::Progress, TIMES, Second::None),
    more(Fault::MysqlSourceKill, Draw::Progress, TIMES, Second::None),
    more(Fault::SourceKill, Draw::Progress, STREAMED, Second::None),
    more(Fault::MysqlConnectionKill, Draw::At(Phase::Snapshot), ANY, Second::None),
    more(Fault::MysqlReadonly, Draw::Progress, TIMES, Second::None),
    more(Fault::LockTable, Draw::Progress, TIMES, Second::None),
    more(Fault::DiskFull, Draw::Progress, TIMES, Second::None),
    more(Fault::EtcdKill, Draw::Progress, TIMES, Second::None),
    more(Fault::LeaseExpiry, Draw::Progress, EARLY, Second::None),
    more(Fault::Freeze, Draw::Progress, EARLY, Second::None),
    more(Fault::Demote, Draw::Progress, TIMES, Second::None),
    more(Fault::TabletReplace, Draw::Progress, TIMES, Second::None),
    more(Fault::Partition, Draw::Progress, TIMES, Second::None),
    more(Fault::Latency, Draw::Progress, TIMES, Second::None),
    more(Fault::Reset, Draw::Progress, TIMES, Second::None),
    more(Fault::MysqlKill, Draw::Progress, TIMES, Second::During(&[Fault::Sigkill])),
    more(Fault::Freeze, Draw::Progress, TIMES, Second::During(&[Fault::EtcdKill])),
    more(Fault::EtcdKill, Draw::Progress, TIMES, Second::During(&[Fault::Oom])),
    more(Fault::LockTable, Draw::Progress, TIMES, Second::During(&[Fault::Sigterm])),
    more(Fault::MysqlReadonly, Draw::Progress, TIMES, Second::During(&[Fault::Sigkill])),
    more(Fault::Demote, Draw::Progress, TIMES, Second::During(&[Fault::Sigkill])),
    more(Fault::MysqlSourceKill, Draw::Time, TIMES, Second::During(&[Fault::SourceKill])),
    more(Fault::MysqlConnectionKill, Draw::Progress, TIMES, Second::Later(Fault::SourceKill)),
    more(
        Fault::Freeze,
        Draw::Time,
        TIMES,
        Second::During(&[Fault::EtcdKill, Fault::MysqlSourceKill]),
    ),
    more(Fault::MysqlKill, Draw::Time, TIMES, Second::During(&[Fault::EtcdKill, Fault::Sigkill])),
    more(Fault::CpuStarve, Draw::Progress, TIMES, Second::None),
    more(Fault::MysqlSourceVanish, Draw::Progress, TIMES, Second::None),
];

const fn core(fault: Fault, first: Draw, also: &'static [Draw], second: Second) -> MenuEntry {
    MenuEntry { fault, first, also, second, part: MenuPart::Core }
}

const fn rest(fault: Fault, first: Draw, also: &'static [Draw], second: Second) -> MenuEntry {
    MenuEntry { fault, first, also, second, part: MenuPart::Rest }
}

const fn more(fault: Fault, first: Draw, also: &'static [Draw], second: Second) -> MenuEntry {
    MenuEntry { fault, first, also, second, part: MenuPart::More }
}

/// The menu with only the faults and triggers that were asked for. When a further fault was not asked
/// for, or is not possible here, its entry stays with the first alone.
pub(super) fn offered(
    faults: &[Fault],
    triggers: &[TriggerKind],
    without: &[Fault],
) -> Vec<MenuEntry> {
    let wanted_fault =
        |fault: &Fault| (faults.is_empty() || faults.contains(fault)) && !without.contains(fault);
    let wanted = |kind: TriggerKind| triggers.is_empty() || triggers.contains(&kind);
    let mut offered = Vec::new();
    for entry in MENU.iter().filter(|entry| wanted_fault(&entry.fault)) {
        let mut entry = entry.clone();
        let whole = entry.second.kind().is_none_or(wanted)
            && entry.second.faults().iter().all(wanted_fault);
        if !whole {
            entry.second = Second::None;
        }
        let first_fits = entry.draws().any(|draw| wanted(TriggerKind::of(draw)));
        // A kind of further faults alone: the first needs a trigger of its own, whatever was asked for.
        let further = entry.second.kind().filter(|kind| *kind != TriggerKind::Progress);
        if first_fits || further.is_some_and(|kind| triggers.contains(&kind)) {
            offered.push(entry);
        }
    }
    if triggers.iter().all(|kind| matches!(kind, TriggerKind::Recovery | TriggerKind::Overlap)) {
        offered.retain(|entry| triggers.is_empty() || entry.second.kind().is_some());
    }
    offered
}

impl Second {
    /// How the further faults are triggered.
    fn kind(self) -> Option<TriggerKind> {
        match self {
            Second::None => None,
            Second::Recovery(_) => Some(TriggerKind::Recovery),
            Second::Later(_) => Some(TriggerKind::Progress),
            Second::During(_) => Some(TriggerKind::Overlap),
        }
    }

    fn faults(&self) -> &[Fault] {
        match self {
            Second::None => &[],
            Second::Recovery(fault) | Second::Later(fault) => std::slice::from_ref(fault),
            Second::During(faults) => faults,
        }
    }

    fn steps(self, rng: &mut ChaCha12Rng) -> Vec<Step> {
        match self {
            Second::None => Vec::new(),
            Second::Recovery(fault) => {
                let after_ms = rng.random_range(60..1_200);
                vec![Step::new(Trigger::DuringRecovery { after_ms }, fault)]
            }
            Second::Later(fault) => {
                let fraction = round_3(rng.random_range(0.55..0.85));
                vec![Step::new(Trigger::Progress { fraction }, fault)]
            }
            Second::During(faults) => {
                let mut step = |fault: &Fault| {
                    let after_ms = rng.random_range(50..1_500);
                    with_length(Step::new(Trigger::DuringFault { after_ms }, *fault), rng)
                };
                faults.iter().map(&mut step).collect()
            }
        }
    }
}

impl MenuEntry {
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
        let first = Step::new(trigger(draw, self.fault, followed, rng), self.fault);
        let mut steps = vec![with_length(first, rng)];
        steps.extend(self.second.steps(rng));
        steps
    }
}

/// Draws the length and the link of a fault that has one. A freeze or a cut ends before the lease does, or well after.
fn with_length(step: Step, rng: &mut ChaCha12Rng) -> Step {
    let link = match step.fault.facts().on_link() {
        true => Link::ALL.choose(rng).copied(),
        false => None,
    };
    let step = Step { link, ..step };
    if step.fault.facts().length != Length::Drawn {
        return step;
    }
    let shorter = rng.random_bool(0.5);
    let lasts_ms =
        if shorter { rng.random_range(500..3_500) } else { rng.random_range(6_500..9_000) };
    Step { lasts_ms: Some(lasts_ms), ..step }
}

/// Draws a trigger. What takes long to inject aims earlier, or the diff would be over.
fn trigger(draw: Draw, fault: Fault, followed: bool, rng: &mut ChaCha12Rng) -> Trigger {
    let latest = match followed {
        true => 0.45,
        false => f64::from(fault.facts().latest_percent) / 100.0,
    };
    match draw {
        Draw::Time => Trigger::Time { fraction: round_3(rng.random_range(0.15..latest)) },
        Draw::Progress => Trigger::Progress { fraction: round_3(rng.random_range(0.08..latest)) },
        Draw::At(phase) => Trigger::Phase { phase },
    }
}

/// A fault by its name.
///
/// # Errors
/// A text that lists the known ones.
pub fn parse_fault(name: &str) -> Result<Fault, String> {
    Fault::ALL.into_iter().find(|fault| fault.name() == name).ok_or_else(|| {
        let known = Fault::ALL.map(Fault::name).join(", ");
        format!("unknown fault `{name}`; known are: {known}")
    })
}

/// A bug by its name.
///
/// # Errors
/// A text that lists the known ones.
pub fn parse_bug(name: &str) -> Result<Bug, String> {
    Bug::ALL.into_iter().find(|bug| bug.name() == name).ok_or_else(|| {
        format!("unknown bug `{name}`; known are: {}", Bug::ALL.map(Bug::name).join(", "))
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

/// A trigger in words: "at 40 % of the rows".
#[must_use]
pub fn trigger_text(trigger: &Trigger) -> String {
    match trigger {
        Trigger::Time { fraction } => format!("at {:.1} % of the time", fraction * 100.0),
        Trigger::Progress { fraction } => format!("at {:.1} % of the rows", fraction * 100.0),
        Trigger::Phase { phase } => format!("in phase {}", phase.name()),
        Trigger::DuringRecovery { after_ms } => format!("{after_ms} ms into the recovery"),
        Trigger::DuringFault { after_ms } => format!("{after_ms} ms into the fault before it"),
        Trigger::CrashPoint { point } => format!("at {point}"),
    }
}
