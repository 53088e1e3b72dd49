//! What single looks at the end of a trial (and one at its rest before the diff) saw.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Side;

/// When a look was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CountedWhen {
    /// The tablet was ready, and no diff had been created yet.
    AtRest,
    /// Every diff had come to rest.
    AtEnd,
}

/// What a living tablet holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceCount {
    /// Which tablet.
    pub side: Side,
    /// Its incarnation.
    pub incarnation: u32,
    /// When it was looked at.
    pub moment: CountedWhen,
    /// Open file descriptors by kind (`socket`, `pipe`, `anon_inode:[eventpoll]`, …); none where the
    /// process cannot be seen.
    pub descriptors: Option<BTreeMap<String, u64>>,
    /// Spawned tasks that have not ended, as the tablet counts them; none when it did not say.
    pub tasks: Option<u64>,
    /// What could not be looked at, and why.
    pub not_looked_at: Vec<String>,
}

/// One call and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The call (`ping`, `show`, `stop`, …).
    pub call: String,
    /// From the call to its answer, or to the end of the patience.
    pub took_ms: u64,
    /// What the tablet said.
    pub outcome: CallOutcome,
}

/// What a tablet said to a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CallOutcome {
    /// Yes.
    Done,
    /// No, and why.
    Refused(String),
    /// No, there is no such diff.
    NotFound,
    /// Nothing (in time, or the connection broke), and why.
    Silence(String),
}

/// The operator's verbs, tried on a diff that had come to rest, in this order: show, stop, resume,
/// delete, and all four again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verbs {
    /// Which diff.
    pub uuid: String,
    /// The state in which it rested.
    pub state: String,
    /// Its state after the stop; none: no row.
    pub after_stop: Option<String>,
    /// Its state after the resume; none: no row.
    pub after_resume: Option<String>,
    /// The answers while it was there.
    pub before: Vec<Answer>,
    /// The answers after the delete.
    pub after: Vec<Answer>,
    /// Its own row was still there at the end.
    pub still_there: bool,
    /// Rows of the sidecar tables whose diff or workflow is gone, by table.
    pub orphans: BTreeMap<String, u64>,
    /// The workflow's state at the end.
    pub workflow: String,
}

/// Where the role of a tablet is told, at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// The type: `PRIMARY`, `REPLICA`, …
    pub kind: String,
    /// Seconds of the term, 0 when none is told.
    pub term_s: i64,
}

/// What is told of a tablet's role in the three places.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Roles {
    /// Which tablet.
    pub side: Side,
    /// Its alias.
    pub alias: String,
    /// By its own health stream.
    pub health: Told,
    /// Whether the health stream says serving.
    pub serving: bool,
    /// By its Tablet record.
    pub tablet_record: Told,
    /// Whom the shard record names as primary.
    pub shard_primary: String,
    /// Since when, in seconds.
    pub shard_term_s: i64,
    /// How long they were watched until they agreed, or to the end of the patience.
    pub after_ms: u64,
}

impl Roles {
    /// Whether the three places say the same, and one primary serves.
    #[must_use]
    pub fn agree(&self) -> bool {
        if self.shard_primary == self.alias {
            let primary = |told: &Told| told.kind == "PRIMARY" && told.term_s == self.shard_term_s;
            return self.serving && primary(&self.health) && primary(&self.tablet_record);
        }
        let steps_back = |told: &Told| told.kind != "PRIMARY";
        !self.serving && steps_back(&self.health) && steps_back(&self.tablet_record)
    }
}

/// What dead incarnations left behind, one line a thing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Residue {
    /// Connections of dead incarnations.
    pub connections: Vec<String>,
    /// Statements that still run for them.
    pub statements: Vec<String>,
    /// Open transactions and snapshots of theirs.
    pub transactions: Vec<String>,
    /// Locks: table, metadata, row and user-level locks in MySQL, lock keys in etcd.
    pub locks: Vec<String>,
    /// Leases in etcd that hold keys of a dead incarnation, or of nobody.
    #[serde(default)]
    pub leases: Vec<String>,
    /// What was looked at, so that an empty residue says something.
    pub looked_at: Vec<String>,
    /// What could not be looked at, and why.
    #[serde(default)]
    pub not_looked_at: Vec<String>,
}

impl Residue {
    /// Whether nothing was found.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.left().all(|(_, things)| things.is_empty())
    }

    /// What was found, by kind.
    pub fn left(&self) -> impl Iterator<Item = (&'static str, &[String])> {
        [
            ("connection", &self.connections),
            ("running statement", &self.statements),
            ("open transaction", &self.transactions),
            ("lock", &self.locks),
            ("lease", &self.leases),
        ]
        .into_iter()
        .map(|(kind, things)| (kind, things.as_slice()))
    }

    /// Adds what another look found.
    pub fn take_in(&mut self, other: Residue) {
        self.connections.extend(other.connections);
        self.statements.extend(other.statements);
        self.transactions.extend(other.transactions);
        self.locks.extend(other.locks);
        self.leases.extend(other.leases);
        self.looked_at.extend(other.looked_at);
        self.not_looked_at.extend(other.not_looked_at);
    }
}
