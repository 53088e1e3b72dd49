//! The resident set of a process: what it is now, and the greatest that it ever was, as the kernel keeps it.

use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};

/// The resident set of a process, bytes; none where it cannot be seen.
#[must_use]
pub fn rss_bytes(pid: i32) -> Option<u64> {
    let mut system = System::new().ok()?;
    let wanted = Pid::from_u32(u32::try_from(pid).ok()?);
    let kind = ProcessRefreshKind::nothing().with_memory();
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&[wanted]), false, kind);
    Some(system.process(wanted)?.memory())
}

/// The peak of a process's resident set since its start, bytes; none where it cannot be seen. No poll can
/// miss it, however short it was.
#[must_use]
pub fn peak_rss_bytes(pid: i32) -> Option<u64> {
    peak_of(&std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?)
}

/// `VmHWM` of a `/proc/<pid>/status`, in bytes.
fn peak_of(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    // The present set stands below the peak in the same file, and is smaller.
    #[test]
    fn the_peak_is_read_and_not_the_present() {
        assert_eq!(peak_of("VmPeak:\t 9 kB\nVmHWM:\t    7 kB\nVmRSS:\t 5 kB\n"), Some(7 * 1024));
        assert_eq!(peak_of("VmRSS:\t 5 kB\n"), None);
    }
}
