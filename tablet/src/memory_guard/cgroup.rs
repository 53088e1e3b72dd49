//! The memory files of our cgroup, version 1 or 2.
//!
//! Inside a container the cgroup's directory is mounted as the root of the hierarchy; outside of
//! one it is found by `/proc/self/cgroup`.

use std::path::{Path, PathBuf};

/// Version 1 writes "no limit" as the largest number of pages: anything this large is none.
const NO_LIMIT: u64 = 1 << 60;

/// A cgroup's directory and the names of its files.
#[derive(Debug)]
pub(super) struct Cgroup {
    directory: PathBuf,
    files: &'static Files,
}

#[derive(Debug)]
struct Files {
    version: &'static str,
    limit: &'static str,
    usage: &'static str,
    reclaimable: &'static str,
}

const V1: Files = Files {
    version: "v1",
    limit: "memory.limit_in_bytes",
    usage: "memory.usage_in_bytes",
    reclaimable: "total_inactive_file",
};
const V2: Files = Files {
    version: "v2",
    limit: "memory.max",
    usage: "memory.current",
    reclaimable: "inactive_file",
};

/// What the cgroup is charged, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Usage {
    /// Without the page cache that can be dropped.
    pub(super) charged: u64,
    /// At this much the kernel kills.
    pub(super) limit: Option<u64>,
}

impl Cgroup {
    /// The cgroup that this process's memory is charged to.
    pub(super) fn of_this_process() -> Option<Cgroup> {
        let membership = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        Cgroup::find(Path::new("/sys/fs/cgroup"), &membership)
    }

    /// The cgroup of a process with this `/proc/<pid>/cgroup`, under this mount point.
    fn find(mount: &Path, membership: &str) -> Option<Cgroup> {
        let own = |controllers: &str| {
            membership.lines().find_map(|line| {
                let mut fields = line.splitn(3, ':').skip(1);
                let listed = fields.next()?.split(',').any(|name| name == controllers);
                let path = fields.next()?;
                listed.then(|| path.trim_start_matches('/').to_owned())
            })
        };
        let v1 = mount.join("memory");
        let candidates = [
            own("memory").map(|path| (v1.join(path), &V1)),
            Some((v1, &V1)),
            own("").map(|path| (mount.join(path), &V2)),
            Some((mount.to_owned(), &V2)),
        ];
        let found = candidates
            .into_iter()
            .flatten()
            .find(|(directory, files)| directory.join(files.usage).exists());
        found.map(|(directory, files)| Cgroup { directory, files })
    }

    /// The version, for the log.
    pub(super) fn name(&self) -> &'static str {
        self.files.version
    }

    /// The present usage; none when the files cannot be read.
    pub(super) fn read(&self) -> Option<Usage> {
        let used: u64 = self.text(self.files.usage)?.trim().parse().ok()?;
        let limit = self.text(self.files.limit).and_then(|text| limit_of(&text));
        let stat = self.text("memory.stat").unwrap_or_default();
        let reclaimable = stat_value(&stat, self.files.reclaimable).unwrap_or(0);
        Some(Usage { charged: used.saturating_sub(reclaimable), limit })
    }

    fn text(&self, file: &str) -> Option<String> {
        std::fs::read_to_string(self.directory.join(file)).ok()
    }
}

fn limit_of(text: &str) -> Option<u64> {
    text.trim().parse().ok().filter(|limit| *limit < NO_LIMIT)
}

fn stat_value(stat: &str, name: &str) -> Option<u64> {
    stat.lines().find_map(|line| {
        let (key, value) = line.split_once(' ')?;
        (key == name).then(|| value.trim().parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A mount point with these files in it, removed when dropped.
    struct Mount(PathBuf);

    impl Mount {
        fn with(files: &[(&str, &str)]) -> Mount {
            let root = std::env::temp_dir().join(format!("cgroup-{}", uuid::Uuid::new_v4()));
            for (path, text) in files {
                let path = root.join(path);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, text).unwrap();
            }
            Mount(root)
        }
    }

    impl Drop for Mount {
        fn drop(&mut self) {
            std::fs::remove_dir_all(&self.0).unwrap();
        }
    }

    const INSIDE_V1: &str = "11:cpu,cpuacct:/docker/1\n4:memory:/docker/1\n";

    #[test]
    fn a_container_on_version_1_sees_its_own_files_at_the_mount() {
        let mount = Mount::with(&[
            ("memory/memory.usage_in_bytes", "1000\n"),
            ("memory/memory.limit_in_bytes", "5000\n"),
            ("memory/memory.stat", "inactive_file 7\ntotal_inactive_file 300\n"),
        ]);
        let cgroup = Cgroup::find(&mount.0, INSIDE_V1).unwrap();
        assert_eq!(cgroup.read(), Some(Usage { charged: 700, limit: Some(5000) }));
    }

    #[test]
    fn a_process_on_the_host_is_found_by_its_membership() {
        let mount = Mount::with(&[
            ("memory/memory.usage_in_bytes", "9\n"),
            ("memory/docker/1/memory.usage_in_bytes", "1000\n"),
            ("memory/docker/1/memory.limit_in_bytes", "9223372036854771712\n"),
        ]);
        let cgroup = Cgroup::find(&mount.0, INSIDE_V1).unwrap();
        assert_eq!(cgroup.read(), Some(Usage { charged: 1000, limit: None }));
    }

    #[test]
    fn version_2_is_understood() {
        let mount = Mount::with(&[
            ("memory.current", "1000\n"),
            ("memory.max", "max\n"),
            ("memory.stat", "anon 1\ninactive_file 400\n"),
        ]);
        let cgroup = Cgroup::find(&mount.0, "0::/\n").unwrap();
        assert_eq!(cgroup.name(), "v2");
        assert_eq!(cgroup.read(), Some(Usage { charged: 600, limit: None }));
    }

    #[test]
    fn without_a_cgroup_there_is_none() {
        let mount = Mount::with(&[("x", "")]);
        assert!(Cgroup::find(&mount.0, "").is_none());
    }
}
