//! Whether we are still the newest incarnation of our alias: the rules, without any waiting.

use prost::Message;
use tablet_wire::etcdserverpb::KeyValue;
use tablet_wire::topodata::Tablet;

use super::IncarnationRecord;
use crate::engine::Epoch;
use crate::topo::etcd::Lease;

/// The tag of the Tablet record that holds the id of the incarnation that registered last. Unlike
/// the incarnation key it does not go with a lease.
pub(super) const INCARNATION_TAG: &str = "incarnation";

/// The two records of our alias.
#[derive(Debug, Default)]
pub(super) struct Seen {
    incarnation: Option<SeenIncarnation>,
    tablet: Option<SeenTablet>,
}

#[derive(Debug)]
struct SeenIncarnation {
    /// None: the value cannot be read.
    id: Option<String>,
    revision: i64,
    lease: Lease,
}

#[derive(Debug)]
struct SeenTablet {
    /// None: the record cannot be read, or somebody wrote it who knows no incarnations.
    id: Option<String>,
    revision: i64,
}

impl Seen {
    /// What the two keys hold. A value that cannot be read is nobody's.
    pub(super) fn new(incarnation: Option<&KeyValue>, tablet: Option<&KeyValue>) -> Seen {
        let incarnation = incarnation.map(|found| SeenIncarnation {
            id: serde_json::from_slice::<IncarnationRecord>(&found.value)
                .ok()
                .map(|record| record.id),
            revision: found.mod_revision,
            lease: Lease(found.lease),
        });
        let tablet = tablet.map(|found| SeenTablet {
            id: Tablet::decode(found.value.as_slice())
                .ok()
                .and_then(|mut record| record.tags.remove(INCARNATION_TAG)),
            revision: found.mod_revision,
        });
        Seen { incarnation, tablet }
    }

    /// The incarnation key's revision; 0: it is absent.
    pub(super) fn incarnation_revision(&self) -> i64 {
        self.incarnation.as_ref().map_or(0, |seen| seen.revision)
    }

    /// The lease that the incarnation key is bound to.
    pub(super) fn incarnation_lease(&self) -> Option<Lease> {
        self.incarnation.as_ref().map(|seen| seen.lease)
    }

    /// Whether the Tablet record is that of the incarnation `id`.
    pub(super) fn tablet_is_of(&self, id: &str) -> bool {
        self.tablet.as_ref().is_some_and(|seen| seen.id.as_deref() == Some(id))
    }

    /// The Tablet record's revision; 0: it is absent.
    pub(super) fn tablet_revision(&self) -> i64 {
        self.tablet.as_ref().map_or(0, |seen| seen.revision)
    }
}

/// Our place among the incarnations of our alias.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// We have not registered.
    Newcomer,
    /// We are the newest, since this epoch.
    Ours(Epoch),
    /// This one, or a later one, is newer.
    Superseded(Epoch),
}

/// Judges what was `seen`; `epoch` is ours, once we know it.
///
/// Without an epoch, a key with our id means that the answer to our registration was lost. It was
/// conditional on what it replaced, so it happened once, at the key's revision.
pub(super) fn judge(id: &str, epoch: Option<Epoch>, seen: &Seen) -> Standing {
    let key_is_ours = seen.incarnation.as_ref().map(|key| key.id.as_deref() == Some(id));
    let Some(epoch) = epoch else {
        return match key_is_ours {
            Some(true) => Standing::Ours(Epoch(seen.incarnation_revision())),
            Some(false) | None => Standing::Newcomer,
        };
    };
    let tablet_id = seen.tablet.as_ref().and_then(|tablet| tablet.id.as_deref());
    let tablet_is_ours = tablet_id.map(|tablet_id| tablet_id == id);
    match (key_is_ours, tablet_is_ours) {
        (Some(true), _) | (None, Some(true) | None) => Standing::Ours(epoch),
        (Some(false), _) => Standing::Superseded(Epoch(seen.incarnation_revision())),
        (None, Some(false)) => Standing::Superseded(Epoch(seen.tablet_revision())),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn seen(key: Option<(&str, i64)>, tablet: Option<(&str, i64)>) -> Seen {
        let key = key.map(|(id, mod_revision)| KeyValue {
            value: format!(r#"{{"id":"{id}","hostname":"h","pid":1}}"#).into_bytes(),
            mod_revision,
            ..KeyValue::default()
        });
        let tablet = tablet.map(|(id, mod_revision)| {
            let tags = HashMap::from([(INCARNATION_TAG.to_owned(), id.to_owned())]);
            let value = Tablet { tags, ..Tablet::default() }.encode_to_vec();
            KeyValue { value, mod_revision, ..KeyValue::default() }
        });
        Seen::new(key.as_ref(), tablet.as_ref())
    }

    #[test]
    fn a_newcomer_takes_the_place_of_whoever_is_there() {
        for seen in [seen(None, None), seen(Some(("old", 4)), Some(("old", 4)))] {
            assert_eq!(judge("me", None, &seen), Standing::Newcomer);
        }
    }

    /// Otherwise a lost answer would cost a second registration, and with it a second epoch.
    #[test]
    fn a_registration_whose_answer_was_lost_is_recognised() {
        let seen = seen(Some(("me", 6)), Some(("me", 6)));
        assert_eq!(judge("me", None, &seen), Standing::Ours(Epoch(6)));
    }

    #[test]
    fn an_epoch_outlives_the_lease_of_its_key() {
        let epoch = Some(Epoch(6));
        assert_eq!(judge("me", epoch, &seen(None, Some(("me", 9)))), Standing::Ours(Epoch(6)));
        assert_eq!(judge("me", epoch, &seen(None, None)), Standing::Ours(Epoch(6)));
        let put_again = seen(Some(("me", 20)), Some(("me", 20)));
        assert_eq!(judge("me", epoch, &put_again), Standing::Ours(Epoch(6)));
    }

    /// The second row: a newer incarnation came and went while we could not see etcd. Were its key
    /// all that we looked at, we would rise again with a smaller epoch than MySQL has seen.
    #[test]
    fn a_newer_incarnation_supersedes_also_after_it_has_gone() {
        let epoch = Some(Epoch(6));
        let there = seen(Some(("new", 9)), Some(("new", 9)));
        assert_eq!(judge("me", epoch, &there), Standing::Superseded(Epoch(9)));
        assert_eq!(
            judge("me", epoch, &seen(None, Some(("new", 9)))),
            Standing::Superseded(Epoch(9))
        );
    }

    /// A hand-written value must not make the tablet panic, nor both of two tablets go on.
    #[test]
    fn a_key_that_cannot_be_read_is_not_ours() {
        let key = KeyValue { value: b"?".to_vec(), mod_revision: 8, ..KeyValue::default() };
        let garbage = Seen::new(Some(&key), None);
        assert_eq!(judge("me", None, &garbage), Standing::Newcomer);
        assert_eq!(judge("me", Some(Epoch(6)), &garbage), Standing::Superseded(Epoch(8)));
        let garbage = Seen::new(None, Some(&key));
        assert_eq!(judge("me", Some(Epoch(6)), &garbage), Standing::Ours(Epoch(6)));
        assert!(!garbage.tablet_is_of("me"));
    }
}
