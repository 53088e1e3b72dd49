//! The catalogue of faults: what each one is called, does and needs, and what must come of it. One
//! place, so that planner, oracles and reports cannot disagree.

mod catalogue;
mod rules;

pub use catalogue::Fault;
pub use rules::{Ends, Length, Rules, Sentence};

use crate::schedule::{HitKind, Side};

/// What the diff must come to under a fault, once it is healed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiffOutcome {
    /// It completes, unaided and exact.
    Completes,
    /// It is stopped and stays so; resumed by the operator, it completes.
    CompletesWhenResumed,
    /// It is gone; a new diff of the same workflow completes.
    GoneAndFollowed,
}

/// Whose servers a fault hurts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hurts {
    /// Nobody's but the trial's own tablets and rows: trials may share servers.
    NobodyElse,
    /// Servers: the trial runs alone, on servers of its own.
    Servers,
    /// The disk of a server: as [`Hurts::Servers`], with a small disk, and never used again.
    Disk,
}

/// What not every host or system offers, and a fault or a trigger cannot do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capability {
    /// A container's memory limit holds.
    MemoryLimit,
    /// Somebody tells how much memory is charged to a container: the kernel, or the engine.
    MemoryAccount,
    /// Containers reach the wire proxy, which lives in the harness.
    WireProxy,
    /// The kernel tells how often a container had used up its processor quota.
    ProcessorAccount,
    /// MySQL and etcd stand below the system: they can be hurt, and asked what the tablets do.
    Servers,
    /// A row lock of the harness holds a diff in each of its phases.
    PhaseLocks,
    /// A tablet relies on a lease in etcd.
    Lease,
    /// A process can be stopped and go on later (SIGSTOP, SIGCONT).
    Freeze,
    /// Another process can take a tablet's place while that lives.
    Replacement,
    /// A tablet gives way when memory is short, before the kernel kills it.
    MemoryGuard,
    /// A tablet stops being primary when the topology names another, and is one again when it is named again.
    Demotion,
    /// The harness can read a tablet's rows as a stream of its own.
    RowReader,
}

/// What is known of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultFacts {
    /// Its name in schedules, reports and on the command line.
    pub name: &'static str,
    /// What it does.
    pub does: &'static str,
    /// What it needs of the host and of the trial.
    pub needs: &'static str,
    /// What it needs that not every host offers: without it, it is not dealt.
    pub demands: &'static [Capability],
    /// The tablet whose process ends by it, and the code that it ends with; none: both live on.
    pub ends: Option<(Side, i64)>,
    /// What the diff must come to.
    pub outcome: DiffOutcome,
    /// The tablets that cannot be ready before it is healed.
    pub keeps_unready: &'static [Side],
    /// Whether it may end a time in which a tablet was ready.
    pub disturbs_readiness: bool,
    /// Whose servers it hurts.
    pub hurts: Hurts,
    /// Its harm goes on until it is healed, so that another fault can come on top of it.
    pub lasts: bool,
    /// What its effect is: without it, it has not landed.
    pub effect: &'static str,
    /// Which evidence proves the effect.
    pub evidence: &'static str,
    /// The kinds of hits that are this evidence; one of them is enough.
    pub proven_by: &'static [HitKind],
    /// With which triggers it goes together.
    pub rules: Rules,
    /// Whether a schedule says how long it lasts.
    pub length: Length,
    /// Of the diff's rows or time, in percent: what is drawn later would come too late to take effect.
    pub latest_percent: u32,
    /// How a scenario says it; none: by its name.
    pub said: Option<Sentence>,
}

impl FaultFacts {
    /// Whether it acts on a link, in the wire proxy.
    #[must_use]
    pub fn on_link(&self) -> bool {
        self.demands.contains(&Capability::WireProxy)
    }
}

impl Fault {
    /// What is known of it.
    #[must_use]
    pub const fn facts(self) -> FaultFacts {
        catalogue::CATALOGUE[self as usize]
    }

    /// Its name in schedules and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.facts().name
    }

    /// The code with which a tablet's process must end under this fault; none: all must live on.
    #[must_use]
    pub fn expected_exit(self) -> Option<i64> {
        self.facts().ends.map(|(_, code)| code)
    }

    /// Whether the target tablet's process ends by it, and another one is started.
    #[must_use]
    pub fn ends_target(self) -> bool {
        matches!(self.facts().ends, Some((Side::Target, _)))
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    // A fault with another's entry would be planned, judged and reported as that other one.
    #[test]
    fn each_fault_has_an_entry_of_its_own_under_the_name_that_schedules_spell() {
        let mut names = BTreeSet::new();
        for fault in Fault::ALL {
            let facts = fault.facts();
            let spelt = serde_json::to_value(fault).unwrap();
            assert_eq!(spelt.as_str(), Some(facts.name));
            assert!(names.insert(facts.name), "{}", facts.name);
            assert!(!facts.does.is_empty() && !facts.needs.is_empty(), "{}", facts.name);
            assert!(!facts.effect.is_empty() && !facts.evidence.is_empty(), "{}", facts.name);
            assert!(!facts.proven_by.is_empty(), "{}", facts.name);
        }
    }

    // On shared servers it would break the trials of others.
    #[test]
    fn an_outage_of_a_server_has_servers_of_its_own() {
        for fault in [Fault::EtcdKill, Fault::MysqlKill, Fault::MysqlSourceKill, Fault::HostCrash] {
            assert_eq!(fault.facts().hurts, Hurts::Servers, "{fault}");
        }
    }
}
