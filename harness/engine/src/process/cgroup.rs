//! Where the kernel keeps a container's memory accounts, version 1 or 2, and reading them.

use std::fs::File;
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often a watched counter is read: the cgroup lives about 100 ms longer than its process.
const POLL: Duration = Duration::from_millis(2);

/// The memory cgroup of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CgroupPaths {
    directory: PathBuf,
    version: Version,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

impl CgroupPaths {
    /// Looks up a host process's memory cgroup; none when it is gone or cannot be seen from here.
    #[must_use]
    pub fn of_process(pid: i32) -> Option<Self> {
        let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
        let (directory, version) = locate(&groups, &mounts, "memory")?;
        let found = CgroupPaths { directory, version };
        found.counter_file().is_file().then_some(found)
    }

    /// Its directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Processes that the kernel's OOM killer has killed in it since it was made.
    #[must_use]
    pub fn oom_kill_count(&self) -> Option<u64> {
        field(&std::fs::read_to_string(self.counter_file()).ok()?, "oom_kill")
    }

    /// Bytes charged to it that the kernel could not get back at once (tmpfs included, idle page
    /// cache not).
    #[must_use]
    pub fn charged_bytes(&self) -> Option<u64> {
        let (usage, idle) = match self.version {
            Version::One => ("memory.usage_in_bytes", "total_inactive_file"),
            Version::Two => ("memory.current", "inactive_file"),
        };
        let read = |name: &str| std::fs::read_to_string(self.directory.join(name)).ok();
        let usage: u64 = read(usage)?.trim().parse().ok()?;
        let idle = field(&read("memory.stat")?, idle).unwrap_or(0);
        Some(usage.saturating_sub(idle))
    }

    /// The memory that may be charged to it; none where no limit is set.
    #[must_use]
    pub fn limit_bytes(&self) -> Option<u64> {
        let name = match self.version {
            Version::One => "memory.limit_in_bytes",
            Version::Two => "memory.max",
        };
        std::fs::read_to_string(self.directory.join(name)).ok()?.trim().parse().ok()
    }

    /// Its account of how long tasks waited for a core; version 1 has none.
    #[must_use]
    pub fn pressure_file(&self) -> Option<PathBuf> {
        let file = self.directory.join("cpu.pressure");
        (self.version == Version::Two && file.is_file()).then_some(file)
    }

    fn counter_file(&self) -> PathBuf {
        self.directory.join(match self.version {
            Version::One => "memory.oom_control",
            Version::Two => "memory.events",
        })
    }
}

/// How often this process's own cgroup has used up its quota of processor time; none where that is not
/// told.
#[must_use]
pub fn held_back_count() -> Option<u64> {
    throttled("self")
}

/// How often a process's container had used up its quota of processor time; none where that is not told.
#[must_use]
pub fn throttled_count(pid: i32) -> Option<u64> {
    throttled(&pid.to_string())
}

fn throttled(process: &str) -> Option<u64> {
    let groups = std::fs::read_to_string(format!("/proc/{process}/cgroup")).ok()?;
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
    let (directory, _) = locate(&groups, &mounts, "cpu")?;
    field(&std::fs::read_to_string(directory.join("cpu.stat")).ok()?, "nr_throttled")
}

/// Whether the process belongs to the container, by its cgroups: a PID that was given to somebody
/// else since must not be hit.
#[must_use]
pub fn belongs_to(pid: i32, container_id: &str) -> bool {
    !container_id.is_empty()
        && std::fs::read_to_string(format!("/proc/{pid}/cgroup"))
            .is_ok_and(|groups| groups.contains(container_id))
}

/// Reads a cgroup's OOM counter every two milliseconds in a thread of its own, until it is asked or
/// the cgroup is gone: no pause of the runtime can make it miss the rise.
#[derive(Debug)]
pub struct OomWatch {
    stop: SyncSender<()>,
    thread: JoinHandle<Option<u64>>,
}

impl OomWatch {
    /// Begins to watch.
    #[must_use]
    pub fn start(paths: &CgroupPaths) -> Self {
        let (stop, stopped) = sync_channel(1);
        let file = paths.counter_file();
        let thread = std::thread::spawn(move || watch(&file, &stopped));
        Self { stop, thread }
    }

    /// Ends the watch; the greatest count that was seen, none when none was.
    pub async fn finish(self) -> Option<u64> {
        // A thread that ended by itself no longer listens: that is fine.
        self.stop.try_send(()).ok();
        tokio::task::spawn_blocking(move || self.thread.join().ok().flatten()).await.ok().flatten()
    }
}

fn watch(file: &Path, stopped: &Receiver<()>) -> Option<u64> {
    let mut greatest = None;
    // Opened once: the file of a removed cgroup cannot be opened any more.
    let mut file = File::open(file).ok()?;
    let mut text = String::new();
    loop {
        text.clear();
        let read = file.rewind().and_then(|()| file.read_to_string(&mut text));
        if read.is_err() {
            return greatest;
        }
        greatest = greatest.max(field(&text, "oom_kill"));
        match stopped.recv_timeout(POLL) {
            Err(RecvTimeoutError::Timeout) => {}
            Ok(()) | Err(RecvTimeoutError::Disconnected) => return greatest,
        }
    }
}

/// Finds a controller's directory from the texts of `/proc/<pid>/cgroup` and `/proc/self/mountinfo`.
fn locate(groups: &str, mounts: &str, controller: &str) -> Option<(PathBuf, Version)> {
    let of = |wanted: &dyn Fn(&str, &str) -> bool| {
        groups.lines().find_map(|line| {
            let mut parts = line.splitn(3, ':');
            let (id, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
            wanted(id, controllers).then(|| path.to_owned())
        })
    };
    let own = of(&|_, controllers| controllers.split(',').any(|name| name == controller));
    let (version, group) = match own {
        Some(group) => (Version::One, group),
        None => (Version::Two, of(&|id, controllers| id == "0" && controllers.is_empty())?),
    };
    mounts.lines().find_map(|line| {
        let (left, right) = line.split_once(" - ")?;
        let left: Vec<_> = left.split(' ').collect();
        let right: Vec<_> = right.split(' ').collect();
        let fits = match version {
            Version::One => {
                *right.first()? == "cgroup" && right.get(2)?.split(',').any(|o| o == controller)
            }
            Version::Two => *right.first()? == "cgroup2",
        };
        let below = group.strip_prefix(left.get(3)?.trim_end_matches('/'))?;
        let directory = Path::new(left.get(4)?).join(below.trim_start_matches('/'));
        fits.then_some((directory, version))
    })
}

/// The number behind a name, in a text of `name number` lines.
fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID_MOUNTS: &str = "\
31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
";

    #[test]
    fn the_memory_cgroup_is_found_in_every_layout() {
        let cases = [
            (
                "9:name=systemd:/x\n4:memory:/docker/abc\n0::/\n",
                HYBRID_MOUNTS,
                "/sys/fs/cgroup/memory/docker/abc",
                Version::One,
            ),
            (
                "0::/system.slice/docker-abc.scope\n",
                "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
                "/sys/fs/cgroup/system.slice/docker-abc.scope",
                Version::Two,
            ),
            (
                "4:memory:/outer/docker/abc\n",
                "35 31 0:32 /outer /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n",
                "/sys/fs/cgroup/memory/docker/abc",
                Version::One,
            ),
        ];
        for (groups, mounts, directory, version) in cases {
            assert_eq!(locate(groups, mounts, "memory"), Some((directory.into(), version)));
        }
        assert_eq!(locate("", HYBRID_MOUNTS, "memory"), None);
    }

    #[test]
    fn each_controller_of_version_1_has_a_place_of_its_own() {
        let mounts = "33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n";
        let groups = "4:memory:/docker/abc\n2:cpu,cpuacct:/slice\n0::/\n";
        let expected = ("/sys/fs/cgroup/cpu,cpuacct/slice".into(), Version::One);
        assert_eq!(locate(groups, mounts, "cpu"), Some(expected));
        assert_eq!(locate(groups, mounts, "memory"), None);
    }

    /// `oom_kill_disable 1` and `oom 3` stand beside the counter and must not be taken for it.
    #[test]
    fn the_counter_is_read_by_its_whole_name() {
        assert_eq!(field("oom_kill_disable 1\nunder_oom 0\noom_kill 7\n", "oom_kill"), Some(7));
        assert_eq!(field("low 0\noom 3\noom_kill 2\noom_group_kill 0\n", "oom_kill"), Some(2));
        assert_eq!(field("oom_kill_disable 1\n", "oom_kill"), None);
    }
}
