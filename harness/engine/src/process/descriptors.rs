//! The open file descriptors of a tablet's process, counted from the host.

use std::collections::BTreeMap;

use super::ContainerTablet;
use super::cgroup::belongs_to;

impl ContainerTablet {
    /// Open file descriptors by kind; the error says why they cannot be seen.
    pub fn descriptors(&self) -> Result<BTreeMap<String, u64>, String> {
        let current = self.current().map_err(|error| error.to_string())?;
        let pid = current
            .host_pid
            .ok_or("the process cannot be seen: its PID is of another namespace or host")?;
        let found = of_process(pid).map_err(|error| format!("/proc/{pid}/fd: {error}"))?;
        // The PID may have become a stranger's meanwhile.
        if !belongs_to(pid, &current.container) {
            return Err("the process ended meanwhile".to_owned());
        }
        Ok(found)
    }
}

/// Whether this user may look at the descriptors of that process.
pub fn sees_descriptors(pid: i32) -> bool {
    of_process(pid).is_ok()
}

fn of_process(pid: i32) -> std::io::Result<BTreeMap<String, u64>> {
    let mut kinds = BTreeMap::new();
    for entry in std::fs::read_dir(format!("/proc/{pid}/fd"))? {
        // One that was closed since is none.
        let Ok(target) = std::fs::read_link(entry?.path()) else { continue };
        *kinds.entry(kind(&target.to_string_lossy())).or_default() += 1;
    }
    Ok(kinds)
}

/// `socket:[123]` is a socket; a path is a file.
fn kind(target: &str) -> String {
    match target.split_once(":[") {
        Some(("anon_inode", what)) => format!("anon_inode:[{what}"),
        Some((kind, _)) if !kind.starts_with('/') => kind.to_owned(),
        _ if target.starts_with("anon_inode:") => target.to_owned(),
        _ => "file".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_told_apart() {
        for (target, expected) in [
            ("socket:[4711]", "socket"),
            ("pipe:[1]", "pipe"),
            ("anon_inode:[eventpoll]", "anon_inode:[eventpoll]"),
            ("/dev/null", "file"),
            ("/tmp/a:[b", "file"),
        ] {
            assert_eq!(kind(target), expected);
        }
    }

    // A count that stands still would hide every leak.
    #[test]
    fn an_open_socket_is_one_more_until_it_is_closed() {
        let me = i32::try_from(std::process::id()).unwrap();
        let sockets = || of_process(me).unwrap().get("socket").copied().unwrap_or_default();
        let listeners: Vec<_> =
            (0..64).map(|_| std::net::TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let open = sockets();
        assert!(open >= 64, "{open}");
        drop(listeners);
        assert!(sockets() + 32 < open);
    }
}
