//! The open file descriptors of a container's process, counted from the host.

use std::collections::BTreeMap;

/// Whether this user may look at the descriptors of that process.
#[must_use]
pub fn sees_descriptors(pid: i32) -> bool {
    descriptors_of(pid).is_ok()
}

/// The open file descriptors of a process, by kind.
///
/// # Errors
/// When this user may not look at them, or the process is gone.
pub fn descriptors_of(pid: i32) -> std::io::Result<BTreeMap<String, u64>> {
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
        let sockets = || descriptors_of(me).unwrap().get("socket").copied().unwrap_or_default();
        let listeners: Vec<_> =
            (0..64).map(|_| std::net::TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let open = sockets();
        assert!(open >= 64, "{open}");
        drop(listeners);
        assert!(sockets() + 32 < open);
    }
}
