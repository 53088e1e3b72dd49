//! The process of a container, as the kernel of this host accounts for it: its cgroup, its memory, its
//! descriptors, the kernel's log. A PID that was given to somebody else since is told by [`belongs_to`].

mod cgroup;
mod descriptors;
mod kernel_log;
mod resident;

pub use cgroup::{CgroupPaths, OomWatch, belongs_to, held_back_count, throttled_count};
pub use descriptors::{descriptors_of, sees_descriptors};
pub use kernel_log::KernelLog;
pub use resident::{peak_rss_bytes, rss_bytes};

use nix::sys::signal::kill;
use nix::unistd::Pid;

/// Whether this user may send signals to that process.
#[must_use]
pub fn may_signal(pid: i32) -> bool {
    kill(Pid::from_raw(pid), None).is_ok()
}

/// Whether a process is stopped (SIGSTOP); none where the kernel's word on it cannot be read.
#[must_use]
pub fn is_stopped(pid: i32) -> Option<bool> {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).ok().map(|stat| says_stopped(&stat))
}

/// Whether a line of `/proc/PID/stat` tells of a stopped process. Its name, in brackets, may hold
/// anything.
fn says_stopped(stat: &str) -> bool {
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    after_name.trim_start().starts_with('T')
}

#[cfg(test)]
mod tests {
    use super::*;

    // A freeze without proof would count as landed.
    #[test]
    fn a_stopped_process_is_told_from_a_sleeping_one() {
        assert!(says_stopped("7 (a) S (b)) T 1 7 7 0"));
        assert!(!says_stopped("7 (tablet) S 1 7 7 0"));
        assert!(!says_stopped("7 (T) R 1 7 7 0") && !says_stopped(""));
    }
}
