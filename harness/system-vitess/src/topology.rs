//! The topology of a trial: who is whose primary, and the locks that outlive their owners.

use async_trait::async_trait;
use records::journal::{Residue, Roles, Side, Told};
use servers::residue_of;
use system::{SHARD, SystemError, Tablet, Topology};
use tablet_wire::topodata::{TabletAlias, TabletType};

use super::cell::keyspace_of;
use super::deployment::VitessDeployment;
use super::names::alias;

#[async_trait]
impl Topology for VitessDeployment {
    async fn roles(&self, side: Side) -> Result<Roles, SystemError> {
        let (etcd, root) = (&self.servers().etcd, self.topo_root());
        let name = alias(side);
        let tablet = self.vttablet(side);
        let (vars, record, shard) = tokio::join!(
            tablet.vars(),
            etcd.tablet(root, &name),
            etcd.shard(root, keyspace_of(side), SHARD)
        );
        let (record, shard) = (record?.unwrap_or_default(), shard?.unwrap_or_default());
        let term_s = record.primary_term_start_time.map_or(0, |term| term.seconds);
        let kind = TabletType::try_from(record.r#type);
        // No answer is a role that nobody tells.
        let vars = vars.unwrap_or_default();
        let said = vars["TabletType"].as_str().unwrap_or("unknown").to_ascii_uppercase();
        Ok(Roles {
            side,
            alias: name,
            // Its pages do not tell its term as a number.
            health: Told { kind: said, term_s },
            serving: vars["TabletStateName"] == "SERVING",
            tablet_record: Told {
                kind: kind.map_or("UNKNOWN", |kind| kind.as_str_name()).to_owned(),
                term_s,
            },
            shard_primary: shard.primary_alias.as_ref().map(alias_text).unwrap_or_default(),
            shard_term_s: shard.primary_term_start_time.map_or(0, |term| term.seconds),
            after_ms: 0,
        })
    }

    async fn usurp(&self) -> Result<String, SystemError> {
        Err(SystemError::unsupported("be demoted by a record alone"))
    }

    async fn give_back(&self) -> Result<(), SystemError> {
        Err(SystemError::unsupported("be demoted by a record alone"))
    }

    async fn residue(&self, living: &[Side]) -> Result<Residue, SystemError> {
        let in_mysql = async |side: Side| {
            let server = match side {
                Side::Source => &self.servers().source,
                Side::Target => &self.servers().target,
            };
            let users = self.vttablet(side).mysql_users();
            let place = format!("{} MySQL", side.name());
            residue_of(server, place, users, living.contains(&side)).await
        };
        let (source, target) = tokio::try_join!(in_mysql(Side::Source), in_mysql(Side::Target))?;
        let mut residue = source;
        residue.take_in(target);
        residue.take_in(self.locks().await?);
        Ok(residue)
    }
}

impl VitessDeployment {
    /// Every lock key under the trial's root: no diff is at work any more. Vitess gives no owner in it, and no
    /// lease but a lock's.
    async fn locks(&self) -> Result<Residue, SystemError> {
        let keys = self.servers().etcd.list_prefix(&format!("{}/", self.topo_root())).await?;
        let locks = keys.iter().filter(|key| key.key.contains("/locks/"));
        let told = |lock: &servers::KeyValue| {
            format!("etcd {}: {}", lock.key, String::from_utf8_lossy(&lock.value))
        };
        Ok(Residue {
            locks: locks.map(told).collect(),
            looked_at: vec![
                "named locks in etcd".to_owned(),
                "keyspace and shard locks in etcd".to_owned(),
            ],
            ..Residue::default()
        })
    }
}

fn alias_text(alias: &TabletAlias) -> String {
    format!("{}-{:010}", alias.cell, alias.uid)
}
