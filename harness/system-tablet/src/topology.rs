//! Lock keys and leases in etcd.

use records::journal::{Residue, Side};
use serde::Deserialize;
use serde_json::Value;

use crate::observer::ProcessState;
use crate::stage::{ActError, During, Stage};
use servers::{KeyValue, Lease};

/// The value of an incarnation's key, as the tablet writes it. The epoch stands in it only when the
/// key was put again; else it is the revision of the put.
#[derive(Debug, Deserialize)]
struct IncarnationRecord {
    epoch: Option<i64>,
}

/// The tablets that live, by alias, with the epochs that they act under.
type Living = Vec<(String, i64)>;

impl Stage {
    /// Every lock key under the trial's root, since no diff is at work any more, and every lease that
    /// keeps a key there for somebody who is not alive.
    pub(super) async fn etcd_residue(&self) -> Result<Residue, ActError> {
        let etcd = &self.environment().servers.etcd;
        let prefix = format!("{}/", self.topo_root());
        let what = "looking for locks and leases in etcd";
        let (keys, leases, source, target) = tokio::join!(
            etcd.list_prefix(&prefix),
            etcd.leases(),
            self.epoch(Side::Source),
            self.epoch(Side::Target)
        );
        let (keys, leases) = (keys.during(what)?, leases.during(what)?);
        let mut found = Residue::default();
        found.locks.extend(
            keys.iter()
                .filter(|key| is_lock(&key.key))
                .map(|lock| format!("etcd {}: {}", lock.key, String::from_utf8_lossy(&lock.value))),
        );
        found.looked_at.push("named locks in etcd".to_owned());
        found.looked_at.push("keyspace and shard locks in etcd".to_owned());
        match (source, target) {
            (Ok(source), Ok(target)) => {
                let living: Living = source.into_iter().chain(target).collect();
                judge(&prefix, &keys, &leases, &living, &mut found);
            }
            (Err(why), _) | (_, Err(why)) => {
                found.not_looked_at.push(format!("holders of leases in etcd: {why}"));
            }
        }
        Ok(found)
    }

    /// Alias and epoch of a living tablet; none when it does not live.
    async fn epoch(&self, side: Side) -> Result<Option<(String, i64)>, String> {
        let supervised = self.tablet(side);
        if !matches!(supervised.state_now(), ProcessState::Running { .. }) {
            return Ok(None);
        }
        let tablet = supervised.tablet();
        let vars = tablet.debug_vars().await.map_err(|error| engine::errors::chain(&error))?;
        match vars.get("Epoch").and_then(Value::as_i64) {
            Some(epoch) => Ok(Some((tablet.spec().alias.clone(), epoch))),
            None => Err(format!("{} does not tell its epoch", tablet.spec().alias)),
        }
    }
}

/// A lock as Vitess lays it down: of a keyspace, a shard, or a name.
fn is_lock(key: &str) -> bool {
    key.contains("/internal/named_locks/") || key.contains("/locks/")
}

/// The keys under the prefix that a lease keeps, by their owners. A lease without a key ends by itself,
/// unless a task renews it: then the task is counted. It cannot be attributed to a trial, and is only
/// mentioned.
fn judge(
    prefix: &str,
    keys: &[KeyValue],
    leases: &[Lease],
    living: &[(String, i64)],
    found: &mut Residue,
) {
    let mut ours = 0;
    for lease in leases {
        for key in lease.keys.iter().filter(|key| key.starts_with(prefix)) {
            ours += 1;
            // Gone between the two questions: it was being given up just then.
            let Some(record) = keys.iter().find(|record| record.key == *key) else { continue };
            if let Err(whose) = is_held_by_the_living(record, living) {
                let (id, ttl_s, granted_s) = (lease.id, lease.ttl_s, lease.granted_ttl_s);
                found.leases.push(format!(
                    "etcd lease {id:x} ({ttl_s} of {granted_s} s left) keeps {key} {whose}"
                ));
            }
        }
    }
    let idle = leases.iter().filter(|lease| lease.keys.is_empty()).count();
    found.looked_at.push(format!(
        "leases in etcd ({ours} keys of this trial are kept by one; {idle} leases keep none)"
    ));
}

/// The error tells whose the key is.
fn is_held_by_the_living(record: &KeyValue, living: &[(String, i64)]) -> Result<(), String> {
    let alias = record
        .key
        .strip_suffix("/incarnation")
        .and_then(|path| path.rsplit('/').next())
        .ok_or_else(|| "of nobody who is alive".to_owned())?;
    let said: IncarnationRecord = serde_json::from_slice(&record.value)
        .map_err(|error| format!("of {alias}, whose record cannot be read: {error}"))?;
    let epoch = said.epoch.unwrap_or(record.mod_revision);
    match living.iter().find(|(name, _)| name == alias) {
        Some((_, now)) if *now == epoch => Ok(()),
        Some((_, now)) => {
            Err(format!("of the dead epoch {epoch} of {alias}, which lives as {now}"))
        }
        None => Err(format!("of the dead epoch {epoch} of {alias}, which does not live")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALIAS: &str = "zone1-0000000200";

    fn key(name: &str, value: &str, revision: i64) -> KeyValue {
        let (key, value) = (format!("/t/{name}"), value.as_bytes().to_vec());
        KeyValue { key, value, mod_revision: revision, lease: 7 }
    }

    fn left(record: &KeyValue, living: &[(String, i64)]) -> Vec<String> {
        let lease = Lease { id: 7, ttl_s: 3, granted_ttl_s: 5, keys: vec![record.key.clone()] };
        let mut found = Residue::default();
        judge("/t/", std::slice::from_ref(record), &[lease], living, &mut found);
        assert_eq!(found.looked_at.len(), 1);
        found.leases
    }

    #[test]
    fn only_the_living_epoch_may_keep_a_key() {
        let living = [(ALIAS.to_owned(), 25)];
        let path = format!("zone1/tablets/{ALIAS}/incarnation");
        let first = key(&path, r#"{"id":"a","hostname":"h","pid":1}"#, 25);
        let again = key(&path, r#"{"id":"a","hostname":"h","pid":1,"epoch":25}"#, 90);
        assert_eq!(left(&first, &living), [""; 0]);
        assert_eq!(left(&again, &living), [""; 0]);
        let ghost = key(&path, r#"{"id":"b","hostname":"h","pid":1}"#, 20);
        for (record, living) in [
            (&ghost, &living[..]),
            (&first, &[]),
            (&key(&path, "garbage", 25), &living),
            (&key("global/internal/named_locks/customer/move/lock", "{}", 25), &living),
        ] {
            assert_eq!(left(record, living).len(), 1, "{record:?}");
        }
    }

    #[test]
    fn leases_of_other_trials_are_left_alone_and_locks_are_known_by_their_place() {
        let mut found = Residue::default();
        let keys = vec!["/u/zone1/tablets/zone1-0000000200/incarnation".to_owned()];
        let lease = Lease { id: 7, ttl_s: 3, granted_ttl_s: 5, keys };
        judge("/t/", &[], &[lease], &[], &mut found);
        assert_eq!(found.leases, [""; 0]);
        for lock in [
            "/t/global/internal/named_locks/customer/move/lock",
            "/t/global/keyspaces/customer/locks/123",
            "/t/global/keyspaces/customer/shards/0/locks/123",
        ] {
            assert!(is_lock(lock), "{lock}");
        }
        assert!(!is_lock("/t/global/keyspaces/customer/shards/0/Shard"));
    }
}
