//! Who owns what a run creates, and whether that owner is dead.
//!
//! An owner is a process: boot id, PID namespace, PID and start time. It is dead only if this host,
//! in the same boot and PID namespace, has no such process; anything else cannot be told from here,
//! and what cannot be told dead keeps its things.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

/// A process that owns a run.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Owner {
    boot_id: String,
    pid_namespace: String,
    pid: u32,
    /// Clock ticks since boot, as `/proc/<pid>/stat` has it.
    started: u64,
}

/// What can be said of an owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnerState {
    /// Its process runs.
    Alive,
    /// Its process is gone, provably.
    Dead,
    /// It lives (or lived) where this process cannot look.
    Unknown,
}

/// A label that is not an owner.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not an owner (boot id/PID namespace/PID/start time)")]
pub struct OwnerError(String);

impl Owner {
    /// This process.
    pub fn current() -> std::io::Result<Self> {
        let pid = std::process::id();
        let started = start_time(pid)?.ok_or_else(|| {
            std::io::Error::new(std::io::ErrorKind::NotFound, "this process is not in /proc")
        })?;
        Ok(Self { boot_id: boot_id()?, pid_namespace: pid_namespace()?, pid, started })
    }

    /// Whether it lives. What cannot be read counts as unknown.
    #[must_use]
    pub fn life(&self) -> OwnerState {
        let here = match (boot_id(), pid_namespace()) {
            (Ok(boot), Ok(namespace)) => boot == self.boot_id && namespace == self.pid_namespace,
            _ => false,
        };
        if !here {
            return OwnerState::Unknown;
        }
        match start_time(self.pid) {
            Ok(Some(started)) if started == self.started => OwnerState::Alive,
            Ok(_) => OwnerState::Dead,
            Err(_) => OwnerState::Unknown,
        }
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}/{}", self.boot_id, self.pid_namespace, self.pid, self.started)
    }
}

impl FromStr for Owner {
    type Err = OwnerError;

    fn from_str(text: &str) -> Result<Self, OwnerError> {
        let bad = || OwnerError(text.to_owned());
        let mut parts = text.split('/');
        let mut next = || parts.next().filter(|part| !part.is_empty()).ok_or_else(bad);
        let owner = Self {
            boot_id: next()?.to_owned(),
            pid_namespace: next()?.to_owned(),
            pid: next()?.parse().map_err(|_| bad())?,
            started: next()?.parse().map_err(|_| bad())?,
        };
        if parts.next().is_some() { Err(bad()) } else { Ok(owner) }
    }
}

fn boot_id() -> std::io::Result<String> {
    Ok(std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

/// The inode of this process's PID namespace.
fn pid_namespace() -> std::io::Result<String> {
    let link = std::fs::read_link("/proc/self/ns/pid")?;
    let text = link.to_string_lossy();
    Ok(text.chars().filter(char::is_ascii_digit).collect())
}

/// When the process started; none when there is no such process (or only its zombie).
fn start_time(pid: u32) -> std::io::Result<Option<u64>> {
    let stat = match std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat"))
    {
        Ok(stat) => stat,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    // The second field is the command in parentheses and may hold anything.
    let mut fields = stat.rsplit(')').next().unwrap_or_default().split_ascii_whitespace();
    if fields.next().is_some_and(|state| state == "Z" || state == "X") {
        return Ok(None);
    }
    let invalid = || std::io::Error::new(std::io::ErrorKind::InvalidData, "stat has no start time");
    // Field 22 of the whole line; field 3 was taken, field 4 is index 0 now.
    fields.nth(18).and_then(|ticks| ticks.parse().ok()).map(Some).ok_or_else(invalid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_alive_and_survives_its_label() {
        let me = Owner::current().unwrap();
        assert_eq!(me.to_string().parse::<Owner>().unwrap(), me);
        assert_eq!(me.life(), OwnerState::Alive);
    }

    /// The PID alone says nothing: it may have been given to another process since.
    #[test]
    fn a_reused_pid_is_a_dead_owner() {
        let mut owner = Owner::current().unwrap();
        owner.started -= 1;
        assert_eq!(owner.life(), OwnerState::Dead);
    }

    #[test]
    fn an_ended_process_is_a_dead_owner() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let mut owner = Owner::current().unwrap();
        owner.pid = child.id();
        owner.started = start_time(child.id()).unwrap().unwrap_or(1);
        child.wait().unwrap();
        assert_eq!(owner.life(), OwnerState::Dead);
    }

    #[test]
    fn owners_elsewhere_cannot_be_told_dead() {
        let me = Owner::current().unwrap();
        let other_boot = Owner { boot_id: "another".to_owned(), ..me.clone() };
        let other_namespace = Owner { pid_namespace: "1".to_owned(), ..me };
        assert_eq!(other_boot.life(), OwnerState::Unknown);
        assert_eq!(other_namespace.life(), OwnerState::Unknown);
    }

    #[test]
    fn nonsense_is_no_owner() {
        for text in ["", "a/b/c/d", "a/b/1", "a/b/1/2/3", "//1/2"] {
            assert!(text.parse::<Owner>().is_err(), "{text}");
        }
    }
}
