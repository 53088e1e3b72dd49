//! The topology of a trial: who is whose primary, and the lock keys and leases under its root in etcd.

use async_trait::async_trait;
use records::journal::{Residue, Roles, Side, Told};
use serde::Deserialize;
use serde_json::Value;
use tablet_wire::topodata::{TabletAlias, TabletType};

use super::TabletError;
use super::deployment::TabletDeployment;
use servers::{KeyValue, Lease, residue_of};
use system::{
    ErrorKind, HeldLease, SHARD, SOURCE_KEYSPACE, SystemError, TARGET_KEYSPACE, Tablet, Topology,
};

/// The value of an incarnation's key, as the tablet writes it. The epoch stands in it only when the
/// key was put again; else it is the revision of the put.
#[derive(Debug, Deserialize)]
struct IncarnationRecord {
    epoch: Option<i64>,
}

/// The tablets that live, by alias, with the epochs that they act under.
type Living = Vec<(String, i64)>;

#[async_trait]
impl Topology for TabletDeployment {
    async fn roles(&self, side: Side) -> Result<Roles, SystemError> {
        let keyspace = match side {
            Side::Source => SOURCE_KEYSPACE,
            Side::Target => TARGET_KEYSPACE,
        };
        let etcd = &self.servers().etcd;
        let tablet = self.container(side);
        let alias = tablet.alias().to_owned();
        let client = tablet.client();
        let (health, record, shard) = tokio::join!(
            client.health(),
            etcd.tablet(self.topo_root(), &alias),
            etcd.shard(self.topo_root(), keyspace, SHARD)
        );
        let (record, shard) = (record?.unwrap_or_default(), shard?.unwrap_or_default());
        // No answer is a role that nobody tells.
        let health = health.unwrap_or_default();
        let kind_of = |kind: i32| {
            TabletType::try_from(kind).map_or("UNKNOWN", |kind| kind.as_str_name()).to_owned()
        };
        let health_kind = health.target.as_ref().map_or(0, |target| target.tablet_type);
        Ok(Roles {
            side,
            alias,
            health: Told {
                kind: kind_of(health_kind),
                term_s: health.primary_term_start_timestamp,
            },
            serving: health.serving,
            tablet_record: Told {
                kind: kind_of(record.r#type),
                term_s: record.primary_term_start_time.map_or(0, |term| term.seconds),
            },
            shard_primary: shard.primary_alias.as_ref().map(alias_text).unwrap_or_default(),
            shard_term_s: shard.primary_term_start_time.map_or(0, |term| term.seconds),
            after_ms: 0,
        })
    }

    async fn usurp(&self) -> Result<String, SystemError> {
        Ok(self.servers().etcd.usurp(self.topo_root(), TARGET_KEYSPACE, SHARD).await?)
    }

    async fn give_back(&self) -> Result<(), SystemError> {
        let alias = self.container(Side::Target).alias();
        let uid = alias.rsplit('-').next().and_then(|uid| uid.parse().ok());
        let no_alias = || SystemError::new(ErrorKind::Failed, format!("`{alias}` is no alias"));
        let uid = uid.ok_or_else(no_alias)?;
        let etcd = &self.servers().etcd;
        Ok(etcd.name_primary(self.topo_root(), TARGET_KEYSPACE, SHARD, uid).await?)
    }

    async fn residue(&self, living: &[Side]) -> Result<Residue, SystemError> {
        let in_mysql = async |side: Side| {
            let server = match side {
                Side::Source => &self.servers().source,
                Side::Target => &self.servers().target,
            };
            let users = self.container(side).mysql_users();
            let place = format!("{} MySQL", side.name());
            residue_of(server, place, users, living.contains(&side)).await
        };
        let (source, target) = tokio::try_join!(in_mysql(Side::Source), in_mysql(Side::Target))?;
        let mut residue = source;
        residue.take_in(target);
        residue.take_in(self.etcd_residue(living).await?);
        Ok(residue)
    }

    async fn lease(&self) -> Result<Option<HeldLease>, SystemError> {
        let alias = self.container(Side::Target).alias();
        let cell = alias.split('-').next().unwrap_or_default();
        let key = format!("{}/{cell}/tablets/{alias}/incarnation", self.topo_root());
        let found = self.servers().etcd.get(&key).await?;
        let held = found.filter(|found| found.lease != 0);
        Ok(held.map(|found| HeldLease { id: found.lease, key }))
    }

    async fn revoke(&self, lease: i64) -> Result<(), SystemError> {
        Ok(self.servers().etcd.revoke(lease).await?)
    }
}

impl TabletDeployment {
    /// Every lock key under the trial's root, since no diff is at work any more, and every lease that
    /// keeps a key there for somebody who is not alive.
    async fn etcd_residue(&self, living: &[Side]) -> Result<Residue, SystemError> {
        let etcd = &self.servers().etcd;
        let prefix = format!("{}/", self.topo_root());
        let (keys, leases, source, target) = tokio::join!(
            etcd.list_prefix(&prefix),
            etcd.leases(),
            self.epoch(Side::Source, living),
            self.epoch(Side::Target, living)
        );
        let (keys, leases) = (keys?, leases?);
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
    async fn epoch(&self, side: Side, living: &[Side]) -> Result<Option<(String, i64)>, String> {
        if !living.contains(&side) {
            return Ok(None);
        }
        let tablet = self.container(side);
        let failed = |error: TabletError| engine::errors::chain(&error);
        let vars = tablet.client().debug_vars().await.map_err(failed)?;
        match vars.get("Epoch").and_then(Value::as_i64) {
            Some(epoch) => Ok(Some((tablet.alias().to_owned(), epoch))),
            None => Err(format!("{} does not tell its epoch", tablet.alias())),
        }
    }
}

fn alias_text(alias: &TabletAlias) -> String {
    format!("{}-{:010}", alias.cell, alias.uid)
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
