//! Which faults go on top of each other.

use records::schedule::Fault;

/// So many faults may be at work at a time: more would say nothing that fewer do not.
pub(super) const SIMULTANEOUS_MAX: usize = 3;

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
