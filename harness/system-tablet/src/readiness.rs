//! Ready, by its definition: `/readyz` says 200, the health stream says serving, the shard record
//! agrees, and a VDiff `show` answers.

use super::ContainerTablet;
use system::Readiness;

impl ContainerTablet {
    /// All four parts, asked at once, now.
    pub async fn readiness(&self) -> Readiness {
        let client = self.client();
        let spec = self.spec();
        let record = self.servers().etcd.shard(&spec.topo_root, &spec.keyspace, &spec.shard);
        let (page, health, record, show) = tokio::join!(
            client.readyz(),
            client.health(),
            record,
            client.vdiff_show(&spec.workflow, "all")
        );
        let mut reasons = Vec::new();
        match page {
            Ok((200, _)) => {}
            Ok((status, body)) => {
                let why = body.get("reasons").map(ToString::to_string).unwrap_or_default();
                reasons.push(format!("/readyz says {status}: {why}"));
            }
            Err(error) => reasons.push(format!("/readyz: {}", engine::errors::innermost(&error))),
        }
        match health {
            Ok(message) if message.serving => {}
            Ok(_) => reasons.push("the health stream says not serving".to_owned()),
            Err(error) => {
                reasons.push(format!("health stream: {}", engine::errors::innermost(&error)))
            }
        }
        match record {
            Ok(Some(record)) => {
                let primary = record.primary_alias.unwrap_or_default();
                let primary = format!("{}-{:010}", primary.cell, primary.uid);
                if primary != spec.alias {
                    reasons.push(format!("the shard record names {primary}"));
                }
            }
            Ok(None) => reasons.push("there is no shard record".to_owned()),
            Err(error) => {
                reasons.push(format!("the shard record: {}", engine::errors::innermost(&error)))
            }
        }
        if let Err(error) = show {
            reasons.push(format!("VDiff show: {}", engine::errors::innermost(&error)));
        }
        Readiness { ready: reasons.is_empty(), reasons }
    }
}
