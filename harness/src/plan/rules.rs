//! What goes together: faults, triggers, and faults on top of each other.

use records::schedule::{Fault, Phase, Trigger};

/// So many faults may be at work at a time: more would say nothing that fewer do not.
pub(super) const SIMULTANEOUS_MAX: usize = 3;

/// Whether a fault can be injected by a trigger.
///
/// # Errors
/// Why not.
pub fn works_with(fault: Fault, trigger: &Trigger) -> Result<(), &'static str> {
    match trigger {
        Trigger::Time { .. } | Trigger::Progress { .. } => Ok(()),
        Trigger::Phase { phase } => phase_works_with(fault, *phase),
        Trigger::DuringRecovery { .. } => recovery_works_with(fault),
        Trigger::DuringFault { .. } => overlap_works_with(fault),
        Trigger::CrashPoint { .. } => crash_point_works_with(fault),
    }
}

/// At a crash point only what takes effect at once, and leaves the exchange's other side alone.
fn crash_point_works_with(fault: Fault) -> Result<(), &'static str> {
    match fault {
        Fault::Sigkill | Fault::Sigterm | Fault::Oom | Fault::Cancel => Ok(()),
        Fault::Delete | Fault::RowSurgery => {
            Err("the diff may not be there yet, or not any more, at such a point")
        }
        Fault::RpcDrop => Err("it acts on a stream of its own, which has no such point"),
        Fault::MemorySqueeze
        | Fault::Freeze
        | Fault::LockTable
        | Fault::MysqlReadonly
        | Fault::DiskFull
        | Fault::Demote
        | Fault::TabletReplace
        | Fault::Partition
        | Fault::Latency
        | Fault::LeaseExpiry => Err("it takes long, and an exchange is held only for a moment"),
        Fault::EtcdRestart
        | Fault::EtcdKill
        | Fault::HostCrash
        | Fault::MysqlKill
        | Fault::MysqlSourceKill
        | Fault::SourceKill
        | Fault::MysqlConnectionKill
        | Fault::Reset => {
            Err("it may end the held exchange's other side; use a time or a progress")
        }
    }
}

fn recovery_works_with(fault: Fault) -> Result<(), &'static str> {
    match fault {
        Fault::Sigkill | Fault::Sigterm | Fault::Oom | Fault::HostCrash | Fault::EtcdRestart => {
            Ok(())
        }
        Fault::MysqlKill
        | Fault::MysqlSourceKill
        | Fault::SourceKill
        | Fault::EtcdKill
        | Fault::Freeze
        | Fault::Partition
        | Fault::Reset => Ok(()),
        Fault::MemorySqueeze
        | Fault::Latency
        | Fault::RpcDrop
        | Fault::MysqlConnectionKill
        | Fault::MysqlReadonly
        | Fault::LockTable
        | Fault::DiskFull => {
            Err("it acts on a diff at work, and none works while the tablet starts")
        }
        Fault::LeaseExpiry | Fault::Demote | Fault::TabletReplace => {
            Err("it acts on a registered tablet, and a starting one may not be")
        }
        Fault::Cancel | Fault::Delete | Fault::RowSurgery => {
            Err("the operator's actions need a tablet that answers")
        }
    }
}

/// On top of another fault only what does not need the tablet or its MySQL to answer.
fn overlap_works_with(fault: Fault) -> Result<(), &'static str> {
    match fault {
        Fault::Sigkill | Fault::Sigterm | Fault::Oom | Fault::SourceKill | Fault::Freeze => Ok(()),
        Fault::MysqlKill | Fault::MysqlSourceKill | Fault::EtcdKill => Ok(()),
        Fault::MemorySqueeze
        | Fault::Cancel
        | Fault::Delete
        | Fault::RpcDrop
        | Fault::RowSurgery
        | Fault::EtcdRestart
        | Fault::HostCrash
        | Fault::MysqlConnectionKill
        | Fault::MysqlReadonly
        | Fault::LockTable
        | Fault::DiskFull
        | Fault::LeaseExpiry
        | Fault::Demote
        | Fault::Partition
        | Fault::Latency
        | Fault::Reset
        | Fault::TabletReplace => {
            Err("its proof needs a tablet and servers that answer; let it come first")
        }
    }
}

/// Whether a fault can come on top of those that are at work.
///
/// # Errors
/// Why not.
pub(super) fn overlaps(at_work: &[Fault], fault: Fault) -> Result<(), &'static str> {
    if at_work.is_empty() || !at_work[0].facts().lasts {
        return Err("the fault before it is over at once; give the step another trigger");
    }
    if at_work.len() >= SIMULTANEOUS_MAX {
        return Err("three faults are at work already");
    }
    if at_work.contains(&fault) {
        return Err("the same fault is at work already");
    }
    let target_ended = at_work.iter().any(|other| other.ends_target());
    if target_ended && (fault.ends_target() || fault == Fault::Freeze) {
        return Err("a fault before it has ended the tablet already");
    }
    if fault == Fault::Sigterm && at_work.contains(&Fault::Freeze) {
        return Err("a frozen tablet takes no SIGTERM");
    }
    if fault == Fault::MysqlKill
        && at_work
            .iter()
            .any(|other| matches!(other, Fault::LockTable | Fault::MysqlReadonly | Fault::DiskFull))
    {
        return Err("what the fault before it did to MySQL would end with the process");
    }
    Ok(())
}

fn phase_works_with(fault: Fault, phase: Phase) -> Result<(), &'static str> {
    match fault {
        Fault::Sigkill | Fault::Oom | Fault::MysqlConnectionKill => Ok(()),
        Fault::Sigterm
        | Fault::Cancel
        | Fault::Delete
        | Fault::RowSurgery
        | Fault::LeaseExpiry
        | Fault::Freeze => match phase {
            Phase::Snapshot | Phase::Streaming | Phase::Reconcile => Ok(()),
            Phase::Completing => {
                Err("the diff completes before it can take effect; use an earlier phase")
            }
        },
        Fault::SourceKill => match phase {
            Phase::Snapshot | Phase::Streaming => Ok(()),
            Phase::Reconcile | Phase::Completing => {
                Err("the table's row stream has ended then; use an earlier phase")
            }
        },
        Fault::MemorySqueeze => Err("it takes seconds, and a phase is held only for a moment"),
        Fault::RpcDrop => Err("it acts on a stream of its own, which has no such phase"),
        Fault::EtcdRestart
        | Fault::HostCrash
        | Fault::MysqlKill
        | Fault::MysqlSourceKill
        | Fault::MysqlReadonly
        | Fault::LockTable
        | Fault::DiskFull
        | Fault::EtcdKill
        | Fault::Demote
        | Fault::Partition
        | Fault::Latency
        | Fault::Reset
        | Fault::TabletReplace => {
            Err("it would outlive the row lock that holds the phase; use a time or a progress")
        }
    }
}
