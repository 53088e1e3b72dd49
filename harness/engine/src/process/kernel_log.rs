//! The kernel's log, as a second witness of an OOM kill where it may be read.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;

/// A record is at most so long.
const RECORD_MAX: usize = 8 * 1024;
/// Records that are read at the most.
const RECORDS_MAX: usize = 10_000;

/// The log from a moment on.
#[derive(Debug)]
pub struct KernelLog {
    file: File,
}

impl KernelLog {
    /// From now on; none when the log may not be read.
    #[must_use]
    pub fn from_now() -> Option<Self> {
        let mut file = File::options()
            .read(true)
            .custom_flags(nix::fcntl::OFlag::O_NONBLOCK.bits())
            .open("/dev/kmsg")
            .ok()?;
        file.seek(SeekFrom::End(0)).ok()?;
        Some(Self { file })
    }

    /// The line that names an OOM kill of this process in this container's cgroup.
    pub fn oom_kill_of(&mut self, container_id: &str, pid: i32) -> Option<String> {
        let mut record = vec![0; RECORD_MAX];
        for _ in 0..RECORDS_MAX {
            // One read is one record; nothing more to read is an error of its own kind.
            let length = self.file.read(&mut record).ok().filter(|length| *length > 0)?;
            let text = String::from_utf8_lossy(&record[..length]);
            let line = text.lines().next().unwrap_or_default();
            if is_oom_kill(line, container_id, pid) {
                let line = line.split_once(';').map_or(line, |(_, line)| line);
                return Some(line.to_owned());
            }
        }
        None
    }
}

fn is_oom_kill(line: &str, container_id: &str, pid: i32) -> bool {
    let names_process =
        line.split(',').any(|part| part.strip_prefix("pid=") == Some(&pid.to_string()));
    line.contains("oom-kill:") && line.contains(container_id) && names_process
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_line_with_cgroup_and_process_counts() {
        let line = "6,1,2,-;oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=abc,\
            mems_allowed=0,oom_memcg=/docker/abc,task_memcg=/docker/abc,task=tablet,pid=42,uid=0";
        assert!(is_oom_kill(line, "abc", 42));
        assert!(!is_oom_kill(line, "abc", 4));
        assert!(!is_oom_kill(line, "abd", 42));
        assert!(!is_oom_kill("Memory cgroup out of memory: abc pid=42", "abc", 42));
    }
}
