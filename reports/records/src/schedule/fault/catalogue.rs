//! The faults: the list, and the definition of each.

use serde::{Deserialize, Serialize};

use super::{Capability, DiffOutcome, Ends, FaultFacts, Hurts, Length, Rules, Sentence};
use crate::schedule::{HitKind, Phase, Side};

const ENGINE: &str = "a container engine";
const MEMORY: &str = "a memory limit that holds; the helper in the tablet's image";
const ANSWERS: &str = "a tablet that answers";
const OWN_SERVERS: &str = "servers of its own";
const PROXY: &str = "an engine on this host: the wire proxy lives in the harness";
const OWN_ROOT: &str = "a topology root of its own";

const SERVERS: &[Capability] = &[Capability::Servers];

const EARLY: &[Phase] = &[Phase::Snapshot, Phase::Streaming, Phase::Reconcile];
const RESTARTS: &str = "the supervisor restarts it";

// Why a fault does not go together with a trigger.
const COMPLETES_FIRST: &str = "the diff completes before it can take effect; use an earlier phase";
const STREAM_ENDED: &str = "the table's row stream has ended then; use an earlier phase";
const TAKES_SECONDS: &str = "it takes seconds, and a phase is held only for a moment";
const NO_PHASE: &str = "it acts on a stream of its own, which has no such phase";
const OUTLIVES: &str =
    "it would outlive the row lock that holds the phase; use a time or a progress";
const NONE_WORKS: &str = "it acts on a diff at work, and none works while the tablet starts";
const UNREGISTERED: &str = "it acts on a registered tablet, and a starting one may not be";
const UNANSWERED: &str = "the operator's actions need a tablet that answers";
const ANSWERS_FIRST: &str = "its proof needs a tablet and servers that answer; let it come first";
const GONE: &str = "the diff may not be there yet, or not any more, at such a point";
const NO_POINT: &str = "it acts on a stream of its own, which has no such point";
const TOO_LONG: &str = "it takes long, and an exchange is held only for a moment";
const ENDS_PEER: &str = "it may end the held exchange's other side; use a time or a progress";

/// At a time, at a progress, and while the tablet recovers; not on top of another fault, in no phase and at no
/// crash point.
const ALONE: Rules = Rules {
    phases: &[],
    no_phase: OUTLIVES,
    in_recovery: Ok(()),
    on_top: Err(ANSWERS_FIRST),
    at_point: Err(TOO_LONG),
};

/// A fault that both tablets live through and that is over when it was injected.
const PASSING: FaultFacts = FaultFacts {
    name: "",
    does: "",
    needs: ENGINE,
    demands: &[],
    ends: None,
    outcome: DiffOutcome::Completes,
    keeps_unready: &[],
    disturbs_readiness: true,
    hurts: Hurts::NobodyElse,
    lasts: false,
    effect: "",
    evidence: "",
    proven_by: &[],
    rules: ALONE,
    length: Length::ItsOwn,
    latest_percent: 80,
    said: None,
};

/// A fault that the target tablet dies of.
const DEADLY: FaultFacts = FaultFacts {
    ends: Some((Side::Target, 137)),
    effect: "the process that works on the diff is gone, its rows half compared",
    evidence: "its exit by the signal; the diff in MySQL, unfinished between death and restart",
    proven_by: &[HitKind::Process],
    ..PASSING
};

/// A fault that keeps the target tablet unready until it is healed.
const LASTING: FaultFacts = FaultFacts { keeps_unready: &[Side::Target], lasts: true, ..PASSING };

/// A fault of servers that goes on until it is healed.
const OUTAGE: FaultFacts =
    FaultFacts { needs: OWN_SERVERS, demands: SERVERS, hurts: Hurts::Servers, ..LASTING };

/// Makes the faults and their facts of one list.
macro_rules! catalogue {
    ($($(#[$doc:meta])+ $fault:ident = $facts:ident;)+) => {
        /// What goes wrong.
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize
        )]
        #[serde(rename_all = "kebab-case")]
        pub enum Fault {
            $($(#[$doc])+ $fault,)+
        }

        const COUNT: usize = [$(stringify!($fault)),+].len();

        impl Fault {
            /// Every fault of the catalogue.
            pub const ALL: [Self; COUNT] = [$(Self::$fault),+];
        }

        /// In the order of [`Fault::ALL`].
        pub(super) const CATALOGUE: [FaultFacts; COUNT] = [$($facts),+];
    };
}

catalogue! {
    /// The target tablet's process gets SIGKILL.
    Sigkill = SIGKILL;
    /// The target tablet's process gets SIGTERM.
    Sigterm = SIGTERM;
    /// The kernel's OOM killer kills the target tablet.
    Oom = OOM;
    /// The container's memory is filled slowly, and released again.
    MemorySqueeze = MEMORY_SQUEEZE;
    /// The VDiff is stopped by the operator, and resumed.
    Cancel = CANCEL;
    /// The VDiff is deleted by the operator; a new one follows.
    Delete = DELETE;
    /// The reader of a row stream of the source goes away after some packets.
    RpcDrop = RPC_DROP;
    /// The tablet is killed and the VDiff's row is deleted by hand before it is started again.
    RowSurgery = ROW_SURGERY;
    /// etcd is restarted: every watch ends.
    EtcdRestart = ETCD_RESTART;
    /// The target tablet and its MySQL die together; the tablet starts first.
    HostCrash = HOST_CRASH;
    /// The target's MySQL gets SIGKILL, the tablet lives on.
    MysqlKill = MYSQL_KILL;
    /// The source's MySQL gets SIGKILL.
    MysqlSourceKill = MYSQL_SOURCE_KILL;
    /// The source tablet's process gets SIGKILL.
    SourceKill = SOURCE_KILL;
    /// The target tablet's connections are killed in its MySQL.
    MysqlConnectionKill = MYSQL_CONNECTION_KILL;
    /// The target's MySQL refuses writes for a while.
    MysqlReadonly = MYSQL_READONLY;
    /// A table of the sidecar is locked against writes for a while.
    LockTable = LOCK_TABLE;
    /// The disk of the target's MySQL is full for a while.
    DiskFull = DISK_FULL;
    /// etcd gets SIGKILL and stays down for longer than the leases.
    EtcdKill = ETCD_KILL;
    /// The target tablet's lease ends in etcd while the tablet lives.
    LeaseExpiry = LEASE_EXPIRY;
    /// The target tablet's process is stopped, and goes on later.
    Freeze = FREEZE;
    /// Another tablet becomes primary by a newer term, and the target tablet again by a yet newer one.
    Demote = DEMOTE;
    /// A new container takes the target tablet's alias while the old one is frozen.
    TabletReplace = TABLET_REPLACE;
    /// A link of the target tablet is cut for a while.
    Partition = PARTITION;
    /// A link of the target tablet is slow for a while.
    Latency = LATENCY;
    /// Every connection of a link of the target tablet is reset.
    Reset = RESET;
    /// The target tablet gets next to nothing of a core for a while.
    CpuStarve = CPU_STARVE;
    /// The source's MySQL is off the network without a word, and back later.
    MysqlSourceVanish = MYSQL_SOURCE_VANISH;
}

const SIGKILL: FaultFacts = FaultFacts {
    name: "sigkill",
    does: "the target tablet gets SIGKILL",
    rules: Rules { phases: &Phase::ALL, no_phase: "", on_top: Ok(()), at_point: Ok(()), ..ALONE },
    latest_percent: 88,
    said: Some(Sentence { strikes: "the target tablet is killed {}", ends: Ends::Step(RESTARTS) }),
    ..DEADLY
};

const SIGTERM: FaultFacts = FaultFacts {
    name: "sigterm",
    does: "the target tablet gets SIGTERM, and ends in order",
    ends: Some((Side::Target, 0)),
    effect: "the process ends in order, and leaves the diff to the next one",
    evidence: "exit 0 as asked; the diff in MySQL, unfinished between end and restart",
    proven_by: &[HitKind::Process],
    rules: Rules {
        phases: EARLY,
        no_phase: COMPLETES_FIRST,
        on_top: Ok(()),
        at_point: Ok(()),
        ..ALONE
    },
    latest_percent: 88,
    said: Some(Sentence {
        strikes: "the target tablet is asked to terminate {}",
        ends: Ends::Step(RESTARTS),
    }),
    ..PASSING
};

const OOM: FaultFacts = FaultFacts {
    name: "oom",
    does: "the kernel's OOM killer kills the target tablet",
    needs: MEMORY,
    demands: &[Capability::MemoryLimit],
    effect: "the kernel kills the process that works on the diff",
    evidence: "the kernel's oom_kill counter, its log, or the engine's event; the diff unfinished",
    proven_by: &[HitKind::Process],
    rules: Rules { phases: &Phase::ALL, no_phase: "", on_top: Ok(()), at_point: Ok(()), ..ALONE },
    latest_percent: 80,
    said: Some(Sentence {
        strikes: "the target tablet is OOM-killed {}",
        ends: Ends::Step(RESTARTS),
    }),
    ..DEADLY
};

const MEMORY_SQUEEZE: FaultFacts = FaultFacts {
    name: "memory-squeeze",
    does: "its container's memory is filled slowly, and released",
    needs: MEMORY,
    demands: &[Capability::MemoryLimit, Capability::MemoryAccount, Capability::MemoryGuard],
    effect: "memory runs short for the tablet, and it gives way",
    evidence: "the diff rests in the ephemeral error of memory pressure, at a charge near the limit",
    proven_by: &[HitKind::Memory],
    rules: Rules { no_phase: TAKES_SECONDS, in_recovery: Err(NONE_WORKS), ..ALONE },
    latest_percent: 50,
    said: Some(Sentence {
        strikes: "the target tablet's memory fills up slowly {}",
        ends: Ends::Step("the memory is released"),
    }),
    ..PASSING
};

const CANCEL: FaultFacts = FaultFacts {
    name: "cancel",
    does: "the VDiff is stopped, and resumed",
    needs: ANSWERS,
    outcome: DiffOutcome::CompletesWhenResumed,
    disturbs_readiness: false,
    effect: "a diff that runs is stopped",
    evidence: "its row: pending or started before, stopped after",
    proven_by: &[HitKind::Row],
    rules: Rules {
        phases: EARLY,
        no_phase: COMPLETES_FIRST,
        in_recovery: Err(UNANSWERED),
        at_point: Ok(()),
        ..ALONE
    },
    latest_percent: 80,
    said: Some(Sentence {
        strikes: "the operator stops the VDiff {}",
        ends: Ends::Step("the operator resumes the VDiff"),
    }),
    ..PASSING
};

const DELETE: FaultFacts = FaultFacts {
    name: "delete",
    does: "the VDiff is deleted, and a new one created",
    needs: ANSWERS,
    outcome: DiffOutcome::GoneAndFollowed,
    disturbs_readiness: false,
    effect: "a diff that runs is deleted",
    evidence: "its row: pending or started before, gone after",
    proven_by: &[HitKind::Row],
    rules: Rules {
        phases: EARLY,
        no_phase: COMPLETES_FIRST,
        in_recovery: Err(UNANSWERED),
        at_point: Err(GONE),
        ..ALONE
    },
    latest_percent: 75,
    said: Some(Sentence {
        strikes: "the operator deletes the VDiff {}",
        ends: Ends::Step("the operator creates a new VDiff"),
    }),
    ..PASSING
};

const RPC_DROP: FaultFacts = FaultFacts {
    name: "rpc-drop",
    does: "the reader of a row stream goes away",
    needs: ANSWERS,
    demands: &[Capability::Servers, Capability::RowReader],
    disturbs_readiness: false,
    effect: "a stream with rows outstanding loses its reader",
    evidence: "the source's processlist: the stream's statement still sends when its reader goes",
    proven_by: &[HitKind::RowStream],
    rules: Rules {
        no_phase: NO_PHASE,
        in_recovery: Err(NONE_WORKS),
        at_point: Err(NO_POINT),
        ..ALONE
    },
    latest_percent: 88,
    said: Some(Sentence {
        strikes: "a reader of the source's rows goes away {}",
        ends: Ends::Itself,
    }),
    ..PASSING
};

const ROW_SURGERY: FaultFacts = FaultFacts {
    name: "row-surgery",
    does: "killed, and the VDiff's row deleted by hand before the restart",
    outcome: DiffOutcome::GoneAndFollowed,
    effect: "the row of an unfinished diff is gone when the tablet starts",
    evidence: "the exit; one row deleted by hand",
    proven_by: &[HitKind::Row],
    rules: Rules {
        phases: EARLY,
        no_phase: COMPLETES_FIRST,
        in_recovery: Err(UNANSWERED),
        at_point: Err(GONE),
        ..ALONE
    },
    latest_percent: 80,
    said: Some(Sentence {
        strikes: "the target tablet is killed {}, and the operator deletes the VDiff's row",
        ends: Ends::Step("the supervisor restarts it, and the operator creates a new VDiff"),
    }),
    ..DEADLY
};

const ETCD_RESTART: FaultFacts = FaultFacts {
    name: "etcd-restart",
    does: "etcd restarts: every watch ends",
    needs: OWN_SERVERS,
    demands: SERVERS,
    keeps_unready: &[Side::Source, Side::Target],
    hurts: Hurts::Servers,
    effect: "watches of both tablets end",
    evidence: "etcd's own count of watchers before, and the lease that holds the tablet's key",
    proven_by: &[HitKind::Watch],
    rules: Rules { at_point: Err(ENDS_PEER), ..ALONE },
    latest_percent: 75,
    said: Some(Sentence { strikes: "etcd is restarted {}", ends: Ends::Itself }),
    ..PASSING
};

const HOST_CRASH: FaultFacts = FaultFacts {
    name: "host-crash",
    does: "the target tablet and its MySQL die together",
    needs: OWN_SERVERS,
    demands: SERVERS,
    keeps_unready: &[Side::Target],
    hurts: Hurts::Servers,
    effect: "the tablet and its MySQL die together, in the middle of the diff",
    evidence: "both exits; the diff in MySQL in the last moment before",
    proven_by: &[HitKind::Process],
    rules: Rules { at_point: Err(ENDS_PEER), ..ALONE },
    latest_percent: 80,
    said: Some(Sentence {
        strikes: "the target tablet and its MySQL die together {}",
        ends: Ends::Step(RESTARTS),
    }),
    ..DEADLY
};

const MYSQL_KILL: FaultFacts = FaultFacts {
    name: "mysql-kill",
    does: "the target's MySQL gets SIGKILL, is down for a while, and recovers",
    effect: "statements and streams of the target tablet break off",
    evidence: "the processlist in the last moment: the tablet's connections in use, by number and statement",
    proven_by: &[HitKind::Connection, HitKind::Start],
    rules: Rules { on_top: Ok(()), at_point: Err(ENDS_PEER), ..ALONE },
    latest_percent: 80,
    said: Some(Sentence { strikes: "the target's MySQL is killed {}", ends: Ends::Over }),
    ..OUTAGE
};

const MYSQL_SOURCE_KILL: FaultFacts = FaultFacts {
    name: "mysql-source-kill",
    does: "the source's MySQL gets SIGKILL, is down for a while, and recovers",
    keeps_unready: &[Side::Source],
    effect: "the row stream breaks off with rows outstanding",
    evidence: "the source's processlist in the last moment: the stream's statement still sends",
    proven_by: &[HitKind::RowStream, HitKind::Call],
    rules: Rules { on_top: Ok(()), at_point: Err(ENDS_PEER), ..ALONE },
    latest_percent: 80,
    said: Some(Sentence { strikes: "the source's MySQL is killed {}", ends: Ends::Over }),
    ..OUTAGE
};

const MYSQL_SOURCE_VANISH: FaultFacts = FaultFacts {
    name: "mysql-source-vanish",
    does: "the source's MySQL is off the network from one moment to the next, as with its host's power: \
           no connection to it is closed; it is back later",
    keeps_unready: &[Side::Source],
    effect: "the row stream falls silent with rows outstanding, and looks open",
    evidence: "the source's processlist in the last moment: the stream's statement still sends",
    proven_by: &[HitKind::RowStream],
    said: Some(Sentence {
        strikes: "the source's MySQL vanishes from the network {}",
        ends: Ends::Over,
    }),
    ..OUTAGE
};

const SOURCE_KILL: FaultFacts = FaultFacts {
    name: "source-kill",
    does: "the source tablet gets SIGKILL, and is started again",
    demands: SERVERS,
    ends: Some((Side::Source, 137)),
    effect: "the row stream breaks off with rows outstanding, or cannot be opened",
    evidence: "the source's processlist in the last moment: the stream's statement still sends; or the target is held before its call, or tells that it was refused",
    proven_by: &[HitKind::RowStream, HitKind::Call],
    rules: Rules {
        phases: &[Phase::Snapshot, Phase::Streaming],
        no_phase: STREAM_ENDED,
        on_top: Ok(()),
        at_point: Err(ENDS_PEER),
        ..ALONE
    },
    latest_percent: 80,
    said: Some(Sentence { strikes: "the source tablet is killed {}", ends: Ends::Over }),
    ..PASSING
};

const MYSQL_CONNECTION_KILL: FaultFacts = FaultFacts {
    name: "mysql-connection-kill",
    does: "KILL of every connection of the target tablet in its MySQL",
    needs: "a MySQL user of each incarnation's own",
    demands: SERVERS,
    effect: "a statement or stream of the target tablet breaks off",
    evidence: "the processlist: the killed connections that were in use, by number and statement",
    proven_by: &[HitKind::Connection],
    rules: Rules {
        phases: &Phase::ALL,
        no_phase: "",
        in_recovery: Err(NONE_WORKS),
        at_point: Err(ENDS_PEER),
        ..ALONE
    },
    latest_percent: 80,
    said: Some(Sentence {
        strikes: "the target tablet's connections are killed {}",
        ends: Ends::Over,
    }),
    ..PASSING
};

const MYSQL_READONLY: FaultFacts = FaultFacts {
    name: "mysql-readonly",
    does: "the target's MySQL is super_read_only for a while",
    needs: "servers of its own, with the performance schema on",
    effect: "a write of the tablet is refused",
    evidence: "MySQL's count of writes that it refused to the tablet's user",
    proven_by: &[HitKind::Write],
    rules: Rules { in_recovery: Err(NONE_WORKS), ..ALONE },
    latest_percent: 70,
    said: Some(Sentence { strikes: "the target's MySQL takes no writes {}", ends: Ends::Over }),
    ..OUTAGE
};

const LOCK_TABLE: FaultFacts = FaultFacts {
    name: "lock-table",
    does: "a table lock holds up checkpoints for longer than a statement waits for one",
    needs: "a sidecar database of its own",
    demands: SERVERS,
    effect: "a write of the tablet waits for the lock",
    evidence: "the processlist: a statement of the tablet's user that waits for it",
    proven_by: &[HitKind::Write],
    rules: Rules { in_recovery: Err(NONE_WORKS), ..ALONE },
    latest_percent: 70,
    said: Some(Sentence { strikes: "the table of checkpoints is locked {}", ends: Ends::Over }),
    ..LASTING
};

const DISK_FULL: FaultFacts = FaultFacts {
    name: "disk-full",
    does: "the disk of the target's MySQL is filled up, and freed",
    needs: "servers of its own, MySQL on a tmpfs volume of limited size",
    hurts: Hurts::Disk,
    effect: "a write of the tablet waits for room, or is refused",
    evidence: "the processlist: a write of the tablet's user that does not end; or its diff's error",
    proven_by: &[HitKind::Write],
    rules: Rules { in_recovery: Err(NONE_WORKS), ..ALONE },
    latest_percent: 50,
    ..OUTAGE
};

const ETCD_KILL: FaultFacts = FaultFacts {
    name: "etcd-kill",
    does: "etcd gets SIGKILL, and is down for longer than the tablets' leases",
    keeps_unready: &[Side::Source, Side::Target],
    effect: "watches end, and leases run out",
    evidence: "etcd's own count of watchers before, and the lease that holds the tablet's key",
    proven_by: &[HitKind::Watch],
    rules: Rules { on_top: Ok(()), at_point: Err(ENDS_PEER), ..ALONE },
    latest_percent: 75,
    said: Some(Sentence { strikes: "etcd is killed {}", ends: Ends::Over }),
    ..OUTAGE
};

const LEASE_EXPIRY: FaultFacts = FaultFacts {
    name: "lease-expiry",
    does: "the target tablet's lease is revoked in etcd: to it the same as run out",
    needs: OWN_ROOT,
    demands: &[Capability::Lease],
    disturbs_readiness: false,
    effect: "the key by which the tablet is known goes with its lease",
    evidence: "etcd: the key was bound to the lease, and is gone with it",
    proven_by: &[HitKind::Lease],
    rules: Rules {
        phases: EARLY,
        no_phase: COMPLETES_FIRST,
        in_recovery: Err(UNREGISTERED),
        ..ALONE
    },
    latest_percent: 88,
    said: Some(Sentence { strikes: "the target tablet's lease ends {}", ends: Ends::Over }),
    ..PASSING
};

const FREEZE: FaultFacts = FaultFacts {
    name: "freeze",
    does: "the target tablet gets SIGSTOP, and SIGCONT before or after its lease ends",
    demands: &[Capability::Freeze],
    effect: "the process that works on the diff stands still",
    evidence: "the kernel says stopped (or it is silent); the diff does not move meanwhile",
    proven_by: &[HitKind::Process],
    rules: Rules { phases: EARLY, no_phase: COMPLETES_FIRST, on_top: Ok(()), ..ALONE },
    length: Length::Drawn,
    latest_percent: 80,
    ..LASTING
};

const DEMOTE: FaultFacts = FaultFacts {
    name: "demote",
    does: "another alias is primary by a newer term, then the tablet by a yet newer one",
    needs: OWN_ROOT,
    demands: &[Capability::Demotion],
    effect: "the tablet is no primary any more, in the middle of the diff",
    evidence: "its role before and after",
    proven_by: &[HitKind::Role],
    rules: Rules { in_recovery: Err(UNREGISTERED), ..ALONE },
    latest_percent: 75,
    said: Some(Sentence { strikes: "another tablet becomes primary {}", ends: Ends::Over }),
    ..LASTING
};

const TABLET_REPLACE: FaultFacts = FaultFacts {
    name: "tablet-replace",
    does: "a new container takes the frozen tablet's alias; the old one is thawed later",
    demands: &[Capability::Freeze, Capability::Replacement],
    ends: Some((Side::Target, 3)),
    lasts: true,
    effect: "two incarnations of one alias: the old one stands still, the new one takes over",
    evidence: "the kernel says stopped; the next incarnation was started",
    proven_by: &[HitKind::Process],
    rules: Rules { in_recovery: Err(UNREGISTERED), ..ALONE },
    latest_percent: 80,
    said: Some(Sentence {
        strikes: "a new container takes the frozen target tablet's alias {}",
        ends: Ends::Over,
    }),
    ..PASSING
};

const PARTITION: FaultFacts = FaultFacts {
    name: "partition",
    does: "a link of the target tablet is cut, for less or more than its lease",
    needs: PROXY,
    demands: &[Capability::WireProxy],
    effect: "what the tablet says on the link does not arrive",
    evidence: "a stream or exchange that was open then, by name; bytes that wait in the proxy's sockets",
    proven_by: &[HitKind::Exchange],
    length: Length::Drawn,
    latest_percent: 70,
    ..LASTING
};

const LATENCY: FaultFacts = FaultFacts {
    name: "latency",
    does: "every byte on a link of the target tablet comes later for a while",
    needs: PROXY,
    demands: &[Capability::WireProxy],
    keeps_unready: &[],
    effect: "what the tablet says on the link comes later",
    evidence: "the time of later exchanges, measured against the delay",
    proven_by: &[HitKind::Delay],
    rules: Rules { in_recovery: Err(NONE_WORKS), ..ALONE },
    length: Length::Told,
    latest_percent: 70,
    ..LASTING
};

const RESET: FaultFacts = FaultFacts {
    name: "reset",
    does: "every connection of a link of the target tablet is reset",
    needs: PROXY,
    demands: &[Capability::WireProxy],
    effect: "a stream, exchange or connection in use breaks off",
    evidence: "what was open on the link then, by name; the connection that followed",
    proven_by: &[HitKind::Exchange],
    rules: Rules { at_point: Err(ENDS_PEER), ..ALONE },
    latest_percent: 70,
    ..PASSING
};

const CPU_STARVE: FaultFacts = FaultFacts {
    name: "cpu-starve",
    does: "the target tablet's container gets a hundredth of a core, and all of them again",
    needs: "a processor quota that holds",
    demands: &[Capability::ProcessorAccount],
    effect: "the process that works on the diff waits for a core",
    evidence: "the kernel's count of times in which the container had used up its quota (nr_throttled)",
    proven_by: &[HitKind::Processor],
    rules: Rules { in_recovery: Err(NONE_WORKS), ..ALONE },
    length: Length::Told,
    latest_percent: 70,
    said: Some(Sentence {
        strikes: "the target tablet gets no processor time {}",
        ends: Ends::Over,
    }),
    ..LASTING
};
