//! What a system under test may tell of its diffs or promise of them, and what is judged by it.

use serde::{Deserialize, Serialize};

use crate::verdict::Invariant;

/// Something that not every system tells, or promises: what nobody has promised is no finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Telling {
    /// Which incarnation works on a diff, a table, a workflow.
    Owners,
    /// Each change of a diff's state, and where each stream begins, beside the states themselves.
    Story,
    /// Whether an error is taken up by the tablet itself or by an operator, and that memory was short.
    Retries,
    /// A promise of how much a crash may cost: saved progress only grows, by so much at a time.
    Checkpoints,
    /// A promise of how much a process writes into its log.
    LogVolume,
    /// A promise that whatever deletes a diff takes all of it along.
    Sweeping,
    /// A promise that a tablet steps down for a newer term in its shard's record.
    Demotion,
    /// A promise that a tablet at rest holds what it held at its start, and how many tasks live in it.
    Resources,
    /// A promise that a tablet which starts without its servers waits for them.
    Patience,
}

impl Telling {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Owners,
        Self::Story,
        Self::Retries,
        Self::Checkpoints,
        Self::LogVolume,
        Self::Sweeping,
        Self::Demotion,
        Self::Resources,
        Self::Patience,
    ];

    /// What it is, in words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Owners => "which incarnation works on a diff",
            Self::Story => "a diff's story beside its states",
            Self::Retries => "who takes a diff up after an error, and why it fell",
            Self::Checkpoints => "how much a crash may cost",
            Self::LogVolume => "how much it writes into its process's log",
            Self::Sweeping => "that whatever deletes a diff takes all of it along",
            Self::Demotion => "that a tablet steps down for a newer term",
            Self::Resources => "what a tablet at rest holds",
            Self::Patience => "that a tablet which starts without its servers waits for them",
        }
    }

    /// What is judged by it: invariants, each with the part of it that is.
    #[must_use]
    pub fn judged_by_it(self) -> &'static [(Invariant, &'static str)] {
        match self {
            Self::Owners => &[
                (Invariant::I3, "that a diff of a dead incarnation is taken up in time"),
                (Invariant::I5, "that the next owner starts a stream before it saves rows"),
                (Invariant::I8, "that an older owner never comes back"),
            ],
            Self::Story => &[
                (Invariant::I5, "that a stream starts at the last saved cursor"),
                (Invariant::I8, "that the log tells each state, and is not flooded"),
            ],
            Self::Retries => &[
                (Invariant::I3, "that no error on the way is a lasting one"),
                (Invariant::I9, "that a diff gives way with the error of short memory"),
            ],
            Self::Checkpoints => &[
                (Invariant::I5, "that saved progress only grows, by a bounded step"),
                (Invariant::I8, "that a table's states move as a diff's do"),
            ],
            Self::LogVolume => &[(Invariant::I8, "that a process's log is not flooded")],
            Self::Sweeping => &[
                (Invariant::I3, "that a diff which was deleted by hand is swept"),
                (Invariant::I7, "that no row of a deleted diff is left"),
            ],
            Self::Demotion => &[(Invariant::I1, "that a newer term ends its serving in time")],
            Self::Patience => &[
                (Invariant::I1, "that a start without servers ends ready"),
                (Invariant::I2, "that a start without servers does not end by itself"),
            ],
            Self::Resources => &[
                (Invariant::I7, "that descriptors and tasks do not grow"),
                (Invariant::I9, "that it stays below a share of its memory limit"),
            ],
        }
    }

    /// What was not judged for want of it, a sentence for each invariant.
    pub fn not_judged(self) -> impl Iterator<Item = String> {
        self.judged_by_it().iter().map(move |(invariant, part)| {
            format!("{invariant}, {part}: the system does not tell or promise {}", self.words())
        })
    }
}
