//! The entries of the catalogue.

use super::{Capability, DiffOutcome, FaultFacts, Hurts};
use crate::schedule::{HitKind, Side};

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
const OUTAGE: FaultFacts = FaultFacts { needs: OWN_SERVERS, hurts: Hurts::Servers, ..LASTING };

/// In the order of [`Fault::ALL`].
pub(super) const CATALOGUE: [FaultFacts; 25] = [
    FaultFacts { name: "sigkill", does: "the target tablet gets SIGKILL", ..DEADLY },
    FaultFacts {
        name: "sigterm",
        does: "the target tablet gets SIGTERM, and ends in order",
        ends: Some((Side::Target, 0)),
        effect: "the process ends in order, and leaves the diff to the next one",
        evidence: "exit 0 as asked; the diff in MySQL, unfinished between end and restart",
        proven_by: &[HitKind::Process],
        ..PASSING
    },
    FaultFacts {
        name: "oom",
        does: "the kernel's OOM killer kills the target tablet",
        needs: MEMORY,
        demands: &[Capability::MemoryLimit],
        effect: "the kernel kills the process that works on the diff",
        evidence: "the kernel's oom_kill counter, its log, or the engine's event; the diff unfinished",
        proven_by: &[HitKind::Process],
        ..DEADLY
    },
    FaultFacts {
        name: "memory-squeeze",
        does: "its container's memory is filled slowly, and released",
        needs: MEMORY,
        demands: &[Capability::MemoryLimit, Capability::MemoryAccount],
        effect: "memory runs short for the tablet, and it gives way",
        evidence: "the diff rests in the ephemeral error of memory pressure, at a charge near the limit",
        proven_by: &[HitKind::Memory],
        ..PASSING
    },
    FaultFacts {
        name: "cancel",
        does: "the VDiff is stopped, and resumed",
        needs: ANSWERS,
        outcome: DiffOutcome::CompletesWhenResumed,
        disturbs_readiness: false,
        effect: "a diff that runs is stopped",
        evidence: "its row: pending or started before, stopped after",
        proven_by: &[HitKind::Row],
        ..PASSING
    },
    FaultFacts {
        name: "delete",
        does: "the VDiff is deleted, and a new one created",
        needs: ANSWERS,
        outcome: DiffOutcome::GoneAndFollowed,
        disturbs_readiness: false,
        effect: "a diff that runs is deleted",
        evidence: "its row: pending or started before, gone after",
        proven_by: &[HitKind::Row],
        ..PASSING
    },
    FaultFacts {
        name: "rpc-drop",
        does: "the reader of a row stream goes away",
        needs: ANSWERS,
        disturbs_readiness: false,
        effect: "a stream with rows outstanding loses its reader",
        evidence: "the source's processlist: the stream's statement still sends when its reader goes",
        proven_by: &[HitKind::RowStream],
        ..PASSING
    },
    FaultFacts {
        name: "row-surgery",
        does: "killed, and the VDiff's row deleted by hand before the restart",
        outcome: DiffOutcome::GoneAndFollowed,
        effect: "the row of an unfinished diff is gone when the tablet starts",
        evidence: "the exit; one row deleted by hand",
        proven_by: &[HitKind::Row],
        ..DEADLY
    },
    FaultFacts {
        name: "etcd-restart",
        does: "etcd restarts: every watch ends",
        needs: OWN_SERVERS,
        keeps_unready: &[Side::Source, Side::Target],
        hurts: Hurts::Servers,
        effect: "watches of both tablets end",
        evidence: "etcd's own count of watchers before, and the lease that holds the tablet's key",
        proven_by: &[HitKind::Watch],
        ..PASSING
    },
    FaultFacts {
        name: "host-crash",
        does: "the target tablet and its MySQL die together",
        needs: OWN_SERVERS,
        keeps_unready: &[Side::Target],
        hurts: Hurts::Servers,
        effect: "the tablet and its MySQL die together, in the middle of the diff",
        evidence: "both exits; the diff in MySQL in the last moment before",
        proven_by: &[HitKind::Process],
        ..DEADLY
    },
    FaultFacts {
        name: "mysql-kill",
        does: "the target's MySQL gets SIGKILL, is down for a while, and recovers",
        effect: "statements and streams of the target tablet break off",
        evidence: "the processlist in the last moment: the tablet's connections in use, by number and statement",
        proven_by: &[HitKind::Connection, HitKind::Start],
        ..OUTAGE
    },
    FaultFacts {
        name: "mysql-source-kill",
        does: "the source's MySQL gets SIGKILL, is down for a while, and recovers",
        keeps_unready: &[Side::Source],
        effect: "the row stream breaks off with rows outstanding",
        evidence: "the source's processlist in the last moment: the stream's statement still sends",
        proven_by: &[HitKind::RowStream, HitKind::Call],
        ..OUTAGE
    },
    FaultFacts {
        name: "source-kill",
        does: "the source tablet gets SIGKILL, and is started again",
        ends: Some((Side::Source, 137)),
        effect: "the row stream breaks off with rows outstanding, or cannot be opened",
        evidence: "the source's processlist in the last moment: the stream's statement still sends; or the target is held before its call, or tells that it was refused",
        proven_by: &[HitKind::RowStream, HitKind::Call],
        ..PASSING
    },
    FaultFacts {
        name: "mysql-connection-kill",
        does: "KILL of every connection of the target tablet in its MySQL",
        needs: "a MySQL user of each incarnation's own",
        effect: "a statement or stream of the target tablet breaks off",
        evidence: "the processlist: the killed connections that were in use, by number and statement",
        proven_by: &[HitKind::Connection],
        ..PASSING
    },
    FaultFacts {
        name: "mysql-readonly",
        does: "the target's MySQL is super_read_only for a while",
        needs: "servers of its own, with the performance schema on",
        effect: "a write of the tablet is refused",
        evidence: "MySQL's count of writes that it refused to the tablet's user",
        proven_by: &[HitKind::Write],
        ..OUTAGE
    },
    FaultFacts {
        name: "lock-table",
        does: "a table lock holds up checkpoints for longer than a statement waits for one",
        needs: "a sidecar database of its own",
        effect: "a write of the tablet waits for the lock",
        evidence: "the processlist: a statement of the tablet's user that waits for it",
        proven_by: &[HitKind::Write],
        ..LASTING
    },
    FaultFacts {
        name: "disk-full",
        does: "the disk of the target's MySQL is filled up, and freed",
        needs: "servers of its own, MySQL on a tmpfs volume of limited size",
        hurts: Hurts::Disk,
        effect: "a write of the tablet waits for room, or is refused",
        evidence: "the processlist: a write of the tablet's user that does not end; or its diff's error",
        proven_by: &[HitKind::Write],
        ..OUTAGE
    },
    FaultFacts {
        name: "etcd-kill",
        does: "etcd gets SIGKILL, and is down for longer than the tablets' leases",
        keeps_unready: &[Side::Source, Side::Target],
        effect: "watches end, and leases run out",
        evidence: "etcd's own count of watchers before, and the lease that holds the tablet's key",
        proven_by: &[HitKind::Watch],
        ..OUTAGE
    },
    FaultFacts {
        name: "lease-expiry",
        does: "the target tablet's lease is revoked in etcd: to it the same as run out",
        needs: OWN_ROOT,
        disturbs_readiness: false,
        effect: "the key by which the tablet is known goes with its lease",
        evidence: "etcd: the key was bound to the lease, and is gone with it",
        proven_by: &[HitKind::Lease],
        ..PASSING
    },
    FaultFacts {
        name: "freeze",
        does: "the target tablet gets SIGSTOP, and SIGCONT before or after its lease ends",
        effect: "the process that works on the diff stands still",
        evidence: "the kernel says stopped (or it is silent); the diff does not move meanwhile",
        proven_by: &[HitKind::Process],
        ..LASTING
    },
    FaultFacts {
        name: "demote",
        does: "another alias is primary by a newer term, then the tablet by a yet newer one",
        needs: OWN_ROOT,
        effect: "the tablet is no primary any more, in the middle of the diff",
        evidence: "its role before and after",
        proven_by: &[HitKind::Role],
        ..LASTING
    },
    FaultFacts {
        name: "tablet-replace",
        does: "a new container takes the frozen tablet's alias; the old one is thawed later",
        ends: Some((Side::Target, 3)),
        lasts: true,
        effect: "two incarnations of one alias: the old one stands still, the new one takes over",
        evidence: "the kernel says stopped; the next incarnation was started",
        proven_by: &[HitKind::Process],
        ..PASSING
    },
    FaultFacts {
        name: "partition",
        does: "a link of the target tablet is cut, for less or more than its lease",
        needs: PROXY,
        demands: &[Capability::WireProxy],
        effect: "what the tablet says on the link does not arrive",
        evidence: "a stream or exchange that was open then, by name; bytes that wait in the proxy's sockets",
        proven_by: &[HitKind::Exchange],
        ..LASTING
    },
    FaultFacts {
        name: "latency",
        does: "every byte on a link of the target tablet comes later for a while",
        needs: PROXY,
        demands: &[Capability::WireProxy],
        keeps_unready: &[],
        effect: "what the tablet says on the link comes later",
        evidence: "the time of later exchanges, measured against the delay",
        proven_by: &[HitKind::Delay],
        ..LASTING
    },
    FaultFacts {
        name: "reset",
        does: "every connection of a link of the target tablet is reset",
        needs: PROXY,
        demands: &[Capability::WireProxy],
        effect: "a stream, exchange or connection in use breaks off",
        evidence: "what was open on the link then, by name; the connection that followed",
        proven_by: &[HitKind::Exchange],
        ..PASSING
    },
];
