//! The catalogue of faults: what each one is called, does and needs, and what must come of it. One
//! place, so that planner, oracles and reports cannot disagree.

use serde::{Deserialize, Serialize};

use crate::journal::Side;

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// The target tablet's process gets SIGKILL.
    Sigkill,
    /// The target tablet's process gets SIGTERM.
    Sigterm,
    /// The kernel's OOM killer kills the target tablet.
    Oom,
    /// The container's memory is filled slowly, and released again.
    MemorySqueeze,
    /// The VDiff is stopped by the operator, and resumed.
    Cancel,
    /// The VDiff is deleted by the operator; a new one follows.
    Delete,
    /// The reader of a row stream of the source goes away after some packets.
    RpcDrop,
    /// The tablet is killed and the VDiff's row is deleted by hand before it is started again.
    RowSurgery,
    /// etcd is restarted: every watch ends.
    EtcdRestart,
    /// The target tablet and its MySQL die together; the tablet starts first.
    HostCrash,
    /// The target's MySQL gets SIGKILL, the tablet lives on.
    MysqlKill,
    /// The source's MySQL gets SIGKILL.
    MysqlSourceKill,
    /// The source tablet's process gets SIGKILL.
    SourceKill,
    /// The target tablet's connections are killed in its MySQL.
    MysqlConnectionKill,
    /// The target's MySQL refuses writes for a while.
    MysqlReadonly,
    /// A table of the sidecar is locked against writes for a while.
    LockTable,
    /// The disk of the target's MySQL is full for a while.
    DiskFull,
    /// etcd gets SIGKILL and stays down for longer than the leases.
    EtcdKill,
    /// The target tablet's lease ends in etcd while the tablet lives.
    LeaseExpiry,
    /// The target tablet's process is stopped, and goes on later.
    Freeze,
    /// Another tablet becomes primary by a newer term, and the target tablet again by a yet newer one.
    Demote,
    /// A new container takes the target tablet's alias while the old one is frozen.
    TabletReplace,
    /// A link of the target tablet is cut for a while.
    Partition,
    /// A link of the target tablet is slow for a while.
    Latency,
    /// Every connection of a link of the target tablet is reset.
    Reset,
}

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

/// What is known of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultFacts {
    /// Its name in schedules, reports and on the command line.
    pub name: &'static str,
    /// What it does.
    pub does: &'static str,
    /// What it needs of the host and of the trial.
    pub needs: &'static str,
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
    /// It acts on a link, in the wire proxy.
    pub on_link: bool,
}

const ENGINE: &str = "a container engine";
const MEMORY: &str = "a memory limit that holds; the helper in the tablet's image";
const ANSWERS: &str = "a tablet that answers";
const OWN_SERVERS: &str = "servers of its own";
const PROXY: &str = "an engine on this host: the wire proxy lives in the harness";
const OWN_ROOT: &str = "a topology root of its own";

/// A fault that both tablets live through and that is over when it was injected.
const PASSING: FaultFacts = FaultFacts {
    name: "",
    does: "",
    needs: ENGINE,
    ends: None,
    outcome: DiffOutcome::Completes,
    keeps_unready: &[],
    disturbs_readiness: true,
    hurts: Hurts::NobodyElse,
    lasts: false,
    on_link: false,
};

/// A fault that the target tablet dies of.
const DEADLY: FaultFacts = FaultFacts { ends: Some((Side::Target, 137)), ..PASSING };

/// A fault that keeps the target tablet unready until it is healed.
const LASTING: FaultFacts = FaultFacts { keeps_unready: &[Side::Target], lasts: true, ..PASSING };

/// A fault of servers that goes on until it is healed.
const OUTAGE: FaultFacts = FaultFacts { needs: OWN_SERVERS, hurts: Hurts::Servers, ..LASTING };

/// In the order of [`Fault::ALL`].
const CATALOGUE: [FaultFacts; 25] = [
    FaultFacts { name: "sigkill", does: "the target tablet gets SIGKILL", ..DEADLY },
    FaultFacts {
        name: "sigterm",
        does: "the target tablet gets SIGTERM, and ends in order",
        ends: Some((Side::Target, 0)),
        ..PASSING
    },
    FaultFacts {
        name: "oom",
        does: "the kernel's OOM killer kills the target tablet",
        needs: MEMORY,
        ..DEADLY
    },
    FaultFacts {
        name: "memory-squeeze",
        does: "its container's memory is filled slowly, and released",
        needs: MEMORY,
        ..PASSING
    },
    FaultFacts {
        name: "cancel",
        does: "the VDiff is stopped, and resumed",
        needs: ANSWERS,
        outcome: DiffOutcome::CompletesWhenResumed,
        disturbs_readiness: false,
        ..PASSING
    },
    FaultFacts {
        name: "delete",
        does: "the VDiff is deleted, and a new one created",
        needs: ANSWERS,
        outcome: DiffOutcome::GoneAndFollowed,
        disturbs_readiness: false,
        ..PASSING
    },
    FaultFacts {
        name: "rpc-drop",
        does: "the reader of a row stream goes away",
        needs: ANSWERS,
        disturbs_readiness: false,
        ..PASSING
    },
    FaultFacts {
        name: "row-surgery",
        does: "killed, and the VDiff's row deleted by hand before the restart",
        outcome: DiffOutcome::GoneAndFollowed,
        ..DEADLY
    },
    FaultFacts {
        name: "etcd-restart",
        does: "etcd restarts: every watch ends",
        needs: OWN_SERVERS,
        keeps_unready: &[Side::Source, Side::Target],
        hurts: Hurts::Servers,
        ..PASSING
    },
    FaultFacts {
        name: "host-crash",
        does: "the target tablet and its MySQL die together",
        needs: OWN_SERVERS,
        keeps_unready: &[Side::Target],
        hurts: Hurts::Servers,
        ..DEADLY
    },
    FaultFacts {
        name: "mysql-kill",
        does: "the target's MySQL gets SIGKILL, is down for a while, and recovers",
        ..OUTAGE
    },
    FaultFacts {
        name: "mysql-source-kill",
        does: "the source's MySQL gets SIGKILL, is down for a while, and recovers",
        keeps_unready: &[Side::Source],
        ..OUTAGE
    },
    FaultFacts {
        name: "source-kill",
        does: "the source tablet gets SIGKILL, and is started again",
        ends: Some((Side::Source, 137)),
        ..PASSING
    },
    FaultFacts {
        name: "mysql-connection-kill",
        does: "KILL of every connection of the target tablet in its MySQL",
        needs: "a MySQL user of each incarnation's own",
        ..PASSING
    },
    FaultFacts {
        name: "mysql-readonly",
        does: "the target's MySQL is super_read_only for a while",
        needs: "servers of its own, with the performance schema on",
        ..OUTAGE
    },
    FaultFacts {
        name: "lock-table",
        does: "a table lock holds up checkpoints for longer than a statement waits for one",
        needs: "a sidecar database of its own",
        ..LASTING
    },
    FaultFacts {
        name: "disk-full",
        does: "the disk of the target's MySQL is filled up, and freed",
        needs: "servers of its own, MySQL on a tmpfs volume of limited size",
        hurts: Hurts::Disk,
        ..OUTAGE
    },
    FaultFacts {
        name: "etcd-kill",
        does: "etcd gets SIGKILL, and is down for longer than the tablets' leases",
        keeps_unready: &[Side::Source, Side::Target],
        ..OUTAGE
    },
    FaultFacts {
        name: "lease-expiry",
        does: "the target tablet's lease is revoked in etcd: to it the same as run out",
        needs: OWN_ROOT,
        disturbs_readiness: false,
        ..PASSING
    },
    FaultFacts {
        name: "freeze",
        does: "the target tablet gets SIGSTOP, and SIGCONT before or after its lease ends",
        ..LASTING
    },
    FaultFacts {
        name: "demote",
        does: "another alias is primary by a newer term, then the tablet by a yet newer one",
        needs: OWN_ROOT,
        ..LASTING
    },
    FaultFacts {
        name: "tablet-replace",
        does: "a new container takes the frozen tablet's alias; the old one is thawed later",
        ends: Some((Side::Target, 3)),
        lasts: true,
        ..PASSING
    },
    FaultFacts {
        name: "partition",
        does: "a link of the target tablet is cut, for less or more than its lease",
        needs: PROXY,
        on_link: true,
        ..LASTING
    },
    FaultFacts {
        name: "latency",
        does: "every byte on a link of the target tablet comes later for a while",
        needs: PROXY,
        keeps_unready: &[],
        on_link: true,
        ..LASTING
    },
    FaultFacts {
        name: "reset",
        does: "every connection of a link of the target tablet is reset",
        needs: PROXY,
        on_link: true,
        ..PASSING
    },
];

impl Fault {
    /// Every fault of the catalogue.
    pub const ALL: [Self; 25] = [
        Self::Sigkill,
        Self::Sigterm,
        Self::Oom,
        Self::MemorySqueeze,
        Self::Cancel,
        Self::Delete,
        Self::RpcDrop,
        Self::RowSurgery,
        Self::EtcdRestart,
        Self::HostCrash,
        Self::MysqlKill,
        Self::MysqlSourceKill,
        Self::SourceKill,
        Self::MysqlConnectionKill,
        Self::MysqlReadonly,
        Self::LockTable,
        Self::DiskFull,
        Self::EtcdKill,
        Self::LeaseExpiry,
        Self::Freeze,
        Self::Demote,
        Self::TabletReplace,
        Self::Partition,
        Self::Latency,
        Self::Reset,
    ];

    /// What is known of it.
    #[must_use]
    pub const fn facts(self) -> FaultFacts {
        CATALOGUE[self as usize]
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
        for (index, fault) in Fault::ALL.into_iter().enumerate() {
            assert_eq!(fault as usize, index);
            let facts = fault.facts();
            let spelt = serde_json::to_value(fault).unwrap();
            assert_eq!(spelt.as_str(), Some(facts.name));
            assert!(names.insert(facts.name), "{}", facts.name);
            assert!(!facts.does.is_empty() && !facts.needs.is_empty(), "{}", facts.name);
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
