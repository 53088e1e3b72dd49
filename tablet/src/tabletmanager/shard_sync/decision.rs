//! What the shard record means for us: the rules of roles, without any waiting.

use tablet_wire::topodata::Shard;

use crate::engine::TabletAlias;
use crate::tabletmanager::state::Role;
use crate::topo::records::alias_message;
use crate::topo::{ShardRecord, Term};

/// What follows from a record.
#[derive(Debug, PartialEq)]
pub(super) enum Decision {
    /// Be this.
    Become(Role),
    /// Write the record first; the role follows when the write has happened.
    Write(ShardWrite),
}

/// A compare-and-swap of the shard record that makes us its primary.
#[derive(Debug, PartialEq)]
pub(crate) struct ShardWrite {
    /// The record's revision that was read; 0: there was none.
    pub(super) expected_revision: i64,
    /// The record to be.
    pub(super) shard: Shard,
    /// Its term.
    pub(super) term: Term,
}

/// The rules:
/// - no record, or one that names nobody: claim it, later than every term known;
/// - it names us: primary, with the record's term (a new epoch keeps it);
/// - it names another: replica, unless our own term is the newer one. Then the record is a write
///   that came late, and ours is written again. At equal terms the record is right: it is what all
///   others see.
pub(super) fn decide(
    me: &TabletAlias,
    role: Role,
    record: Option<&ShardRecord>,
    wall: Term,
) -> Decision {
    let own = match role {
        Role::Primary(term) => Some(term),
        Role::Replica | Role::Unknown => None,
    };
    let recorded = record.and_then(ShardRecord::term);
    match record.and_then(ShardRecord::primary) {
        None => Decision::Write(write(me, record, wall.after(recorded.max(own)))),
        Some(primary) if primary == *me => match recorded {
            Some(term) => Decision::Become(Role::Primary(term)),
            None => Decision::Write(write(me, record, wall.after(own))),
        },
        Some(_other) => match own {
            Some(term) if Some(term) > recorded => Decision::Write(write(me, record, term)),
            Some(_) | None => Decision::Become(Role::Replica),
        },
    }
}

fn write(me: &TabletAlias, record: Option<&ShardRecord>, term: Term) -> ShardWrite {
    let mut shard = record.map(|record| record.shard.clone()).unwrap_or_default();
    shard.primary_alias = Some(alias_message(me));
    shard.primary_term_start_time = Some(term.into());
    shard.is_primary_serving = true;
    ShardWrite { expected_revision: record.map_or(0, |record| record.revision), shard, term }
}

#[cfg(test)]
mod tests {
    use tablet_wire::vttime::Time;

    use super::*;

    fn term(seconds: i64) -> Term {
        Time { seconds, nanoseconds: 0 }.into()
    }

    fn alias(uid: u32) -> TabletAlias {
        TabletAlias { cell: "zone1".into(), uid }
    }

    fn record(primary: Option<u32>, seconds: Option<i64>) -> ShardRecord {
        let shard = Shard {
            primary_alias: primary.map(|uid| alias_message(&alias(uid))),
            primary_term_start_time: seconds.map(|seconds| term(seconds).into()),
            ..Shard::default()
        };
        ShardRecord { shard, revision: 40 }
    }

    /// Role before, record, and what must follow at wall clock 100.
    #[test]
    fn roles_follow_the_record() {
        let primary = |seconds| Role::Primary(term(seconds));
        let cases = [
            (Role::Unknown, record(Some(1), Some(50)), primary(50)),
            (Role::Replica, record(Some(1), Some(70)), primary(70)),
            (primary(50), record(Some(1), Some(50)), primary(50)),
            (primary(50), record(Some(1), Some(60)), primary(60)),
            (Role::Unknown, record(Some(2), Some(50)), Role::Replica),
            (Role::Unknown, record(Some(2), None), Role::Replica),
            (primary(50), record(Some(2), Some(60)), Role::Replica),
            (primary(50), record(Some(2), Some(50)), Role::Replica),
        ];
        for (role, record, expected) in cases {
            let decision = decide(&alias(1), role, Some(&record), term(100));
            assert_eq!(decision, Decision::Become(expected), "{role:?} {record:?}");
        }
    }

    /// Role before, record, and the revision and term that must be written at wall clock 100.
    #[test]
    fn a_shard_without_primary_is_claimed_and_a_late_write_is_undone() {
        let cases = [
            (Role::Unknown, None, 0, term(100)),
            (Role::Unknown, Some(record(None, None)), 40, term(100)),
            (Role::Unknown, Some(record(None, Some(30))), 40, term(100)),
            (Role::Unknown, Some(record(None, Some(200))), 40, term(100).after(Some(term(200)))),
            (Role::Primary(term(90)), Some(record(Some(2), Some(60))), 40, term(90)),
            (Role::Primary(term(90)), Some(record(Some(2), None)), 40, term(90)),
        ];
        for (role, record, revision, expected) in cases {
            let decision = decide(&alias(1), role, record.as_ref(), term(100));
            let Decision::Write(write) = decision else { panic!("{role:?} {record:?}") };
            assert_eq!((write.expected_revision, write.term), (revision, expected));
            assert_eq!(write.shard.primary_alias, Some(alias_message(&alias(1))));
        }
    }
}
