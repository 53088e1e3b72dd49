//! Which witnesses there were, and what a host cannot do: what a reader needs to weigh a verdict.

use serde::{Deserialize, Serialize};

/// What could be seen of a container's process from where the harness ran.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Witnesses {
    /// The process itself, by its PID on this host: its resident memory, its state.
    pub host_pid: bool,
    /// The kernel's accounts of its container: memory, and the counter of OOM kills.
    pub cgroup: bool,
    /// Its open descriptors.
    pub descriptors: bool,
    /// The kernel's log.
    pub kernel_log: bool,
    /// Its conversation: containers reach the wire proxy.
    pub proxy: bool,
}

/// Something that was left out, because it is not possible where the run ran.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotPossible {
    /// What: names of faults, or crash points.
    pub what: String,
    /// Why.
    pub why: String,
}

impl Witnesses {
    /// Each of them by its name, and whether it was there.
    #[must_use]
    pub fn all(&self) -> [(&'static str, bool); 5] {
        [
            ("host PID", self.host_pid),
            ("cgroup", self.cgroup),
            ("descriptors", self.descriptors),
            ("kernel log", self.kernel_log),
            ("proxy", self.proxy),
        ]
    }

    /// What was therefore judged without some evidence, a sentence each.
    #[must_use]
    pub fn unjudged(&self) -> Vec<&'static str> {
        let mut unjudged = Vec::new();
        if !self.host_pid {
            unjudged.push("I9 judged without the tablet's resident memory");
        }
        if !self.cgroup {
            unjudged.push("OOM kills proven without the kernel's counter");
        }
        if !self.descriptors {
            unjudged.push("I7 judged without descriptors");
        }
        unjudged
    }
}

impl std::fmt::Display for Witnesses {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let word = |(name, there)| format!("{name} {}", if there { "yes" } else { "no" });
        f.write_str(&self.all().map(word).join(" · "))
    }
}

impl std::fmt::Display for NotPossible {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "not possible here, and not tried: {} ({})", self.what, self.why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // A reader of "PASS" would take I7 for judged in full.
    #[test]
    fn a_witness_that_was_not_there_is_told_with_what_follows() {
        let all = Witnesses {
            host_pid: true,
            cgroup: true,
            descriptors: true,
            kernel_log: true,
            proxy: true,
        };
        assert!(all.unjudged().is_empty());
        let runner = Witnesses { descriptors: false, kernel_log: false, ..all };
        assert_eq!(runner.unjudged(), ["I7 judged without descriptors"]);
        assert_eq!(
            runner.to_string(),
            "host PID yes · cgroup yes · descriptors no · kernel log no · proxy yes"
        );
        assert_eq!(Witnesses::default().unjudged().len(), 3);
    }
}
