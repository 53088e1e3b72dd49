//! The greatest resident set that a tablet's process ever had, as the kernel keeps it.

use super::ContainerTablet;
use super::cgroup::belongs_to;

impl ContainerTablet {
    /// The peak of its resident set since its start, bytes; none where the process cannot be seen. No
    /// poll can miss it, however short it was.
    #[must_use]
    pub fn peak_rss_bytes(&self) -> Option<u64> {
        let current = self.current().ok()?;
        let pid = current.host_pid?;
        let peak = peak_of(&std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?)?;
        // The PID may have become a stranger's meanwhile.
        belongs_to(pid, &current.container).then_some(peak)
    }
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
