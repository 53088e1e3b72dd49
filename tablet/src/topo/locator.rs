//! Finds the gRPC address of a shard's primary: shard record, then the tablet's record.

use tablet_wire::topodata;

use super::{Etcd, Paths, ShardRecord};
use crate::engine::{LocateError, TabletLocator};

/// The topology as a phone book.
pub(crate) struct TopoLocator {
    etcd: Etcd,
    paths: Paths,
}

impl TopoLocator {
    /// Looks up under `paths`.
    pub(crate) fn new(etcd: Etcd, paths: Paths) -> TopoLocator {
        TopoLocator { etcd, paths }
    }
}

#[tonic::async_trait]
impl TabletLocator for TopoLocator {
    async fn primary_grpc_address(
        &self,
        keyspace: &str,
        shard: &str,
    ) -> Result<String, LocateError> {
        let no_primary = |reason: &str| LocateError::NoPrimary {
            keyspace: keyspace.to_owned(),
            shard: shard.to_owned(),
            reason: reason.to_owned(),
        };
        let unanswered = |source| LocateError::Topology {
            keyspace: keyspace.to_owned(),
            shard: shard.to_owned(),
            source: Box::new(source),
        };
        let key = self.paths.shard(keyspace, shard);
        let found = self.etcd.get_record::<topodata::Shard>(&key, "Shard").await;
        let (shard_record, revision) =
            found.map_err(unanswered)?.ok_or_else(|| no_primary("there is no shard record"))?;
        let alias = ShardRecord { shard: shard_record, revision }
            .primary()
            .ok_or_else(|| no_primary("the shard record names no primary"))?;
        let key = self.paths.tablet(&alias);
        let found = self.etcd.get_record::<topodata::Tablet>(&key, "Tablet").await;
        let (tablet, _) = found
            .map_err(unanswered)?
            .ok_or_else(|| no_primary(&format!("the primary {alias} has no tablet record")))?;
        address_of(&tablet).ok_or_else(|| no_primary(&format!("the primary {alias} is shut down")))
    }
}

/// The URL of a tablet's gRPC port; none when it has deregistered.
fn address_of(tablet: &topodata::Tablet) -> Option<String> {
    let port = tablet.port_map.get("grpc").filter(|port| **port > 0)?;
    let host = Some(&tablet.hostname).filter(|host| !host.is_empty())?;
    Some(format!("http://{host}:{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tablet_that_deregistered_has_no_address() {
        let mut tablet = topodata::Tablet { hostname: "t".into(), ..Default::default() };
        assert_eq!(address_of(&tablet), None);
        tablet.port_map.insert("grpc".into(), 15999);
        assert_eq!(address_of(&tablet).as_deref(), Some("http://t:15999"));
        tablet.hostname.clear();
        assert_eq!(address_of(&tablet), None);
    }
}
