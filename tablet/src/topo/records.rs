//! Where records live, and the two values that decide roles: the shard record and its term.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use tablet_wire::{topodata, vttime};

use crate::engine::TabletAlias;

const NANOS_IN_SECOND: i32 = 1_000_000_000;

/// The keys of the topology under one root.
#[derive(Clone, Debug)]
pub(crate) struct Paths {
    root: String,
}

impl Paths {
    /// Keys under `root` (`/vitess`).
    pub(crate) fn new(root: &str) -> Paths {
        Paths { root: root.trim_end_matches('/').to_owned() }
    }

    pub(crate) fn keyspace(&self, keyspace: &str) -> String {
        format!("{}/global/keyspaces/{keyspace}/Keyspace", self.root)
    }

    pub(crate) fn shard(&self, keyspace: &str, shard: &str) -> String {
        format!("{}/global/keyspaces/{keyspace}/shards/{shard}/Shard", self.root)
    }

    pub(crate) fn tablet(&self, alias: &TabletAlias) -> String {
        format!("{}/{}/tablets/{alias}/Tablet", self.root, alias.cell)
    }

    pub(crate) fn incarnation(&self, alias: &TabletAlias) -> String {
        format!("{}/{}/tablets/{alias}/incarnation", self.root, alias.cell)
    }

    pub(crate) fn named_lock(&self, keyspace: &str, workflow: &str) -> String {
        format!("{}/global/internal/named_locks/{keyspace}/{workflow}/lock", self.root)
    }
}

/// Since when a tablet is its shard's primary. The greater term wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Term {
    seconds: i64,
    nanoseconds: i32,
}

impl Term {
    /// The term that begins now.
    pub(crate) fn now() -> Term {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Term {
            seconds: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
            nanoseconds: i32::try_from(since.subsec_nanos()).unwrap_or(0),
        }
    }

    /// This term if it is later than `last`, else the one right after `last`: a clock that went back
    /// must not make a term that loses against an older one.
    pub(crate) fn after(self, last: Option<Term>) -> Term {
        match last {
            Some(last) if self <= last => last.successor(),
            Some(_) | None => self,
        }
    }

    fn successor(self) -> Term {
        if self.nanoseconds + 1 >= NANOS_IN_SECOND {
            Term { seconds: self.seconds.saturating_add(1), nanoseconds: 0 }
        } else {
            Term { seconds: self.seconds, nanoseconds: self.nanoseconds + 1 }
        }
    }

    /// Whole seconds since 1970, as the health stream shows it.
    pub(crate) fn unix_seconds(self) -> i64 {
        self.seconds
    }
}

impl From<Term> for vttime::Time {
    fn from(term: Term) -> vttime::Time {
        vttime::Time { seconds: term.seconds, nanoseconds: term.nanoseconds }
    }
}

impl From<vttime::Time> for Term {
    fn from(time: vttime::Time) -> Term {
        let nanoseconds = time.nanoseconds.clamp(0, NANOS_IN_SECOND - 1);
        Term { seconds: time.seconds, nanoseconds }
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:09}", self.seconds, self.nanoseconds)
    }
}

/// A shard record as it was read: alias and term of one moment.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ShardRecord {
    /// The record.
    pub(crate) shard: topodata::Shard,
    /// etcd's revision of its last change.
    pub(crate) revision: i64,
}

impl ShardRecord {
    /// The primary that the record names.
    pub(crate) fn primary(&self) -> Option<TabletAlias> {
        self.shard.primary_alias.as_ref().and_then(alias_of)
    }

    /// The record's term.
    pub(crate) fn term(&self) -> Option<Term> {
        self.shard.primary_term_start_time.map(Term::from)
    }
}

/// The alias in a record; an empty one names nobody.
pub(crate) fn alias_of(alias: &topodata::TabletAlias) -> Option<TabletAlias> {
    let named = !alias.cell.is_empty();
    named.then(|| TabletAlias { cell: alias.cell.clone(), uid: alias.uid })
}

/// The alias as records hold it.
pub(crate) fn alias_message(alias: &TabletAlias) -> topodata::TabletAlias {
    topodata::TabletAlias { cell: alias.cell.clone(), uid: alias.uid }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn term(seconds: i64, nanoseconds: i32) -> Term {
        Term { seconds, nanoseconds }
    }

    #[test]
    fn a_term_is_later_than_the_last_one_even_when_the_clock_went_back() {
        assert_eq!(term(5, 0).after(None), term(5, 0));
        assert_eq!(term(5, 0).after(Some(term(4, 9))), term(5, 0));
        assert_eq!(term(5, 0).after(Some(term(5, 0))), term(5, 1));
        assert_eq!(term(1, 0).after(Some(term(5, 999_999_999))), term(6, 0));
    }

    #[test]
    fn keys_are_where_vitess_has_them() {
        let paths = Paths::new("/vitess/");
        let alias: TabletAlias = "zone1-200".parse().unwrap();
        assert_eq!(paths.tablet(&alias), "/vitess/zone1/tablets/zone1-0000000200/Tablet");
        assert_eq!(
            paths.shard("customer", "0"),
            "/vitess/global/keyspaces/customer/shards/0/Shard"
        );
    }
}
