//! The leases that etcd knows, and what they hold.

use futures::TryStreamExt;
use tablet_wire::etcdserverpb::lease_client::LeaseClient;
use tablet_wire::etcdserverpb::{LeaseLeasesRequest, LeaseTimeToLiveRequest};
use tonic::transport::Channel;

use super::{Etcd, failed};
use crate::ClusterError;

/// Leases that are asked about at a time.
const AT_ONCE: usize = 16;

/// A lease that has not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Its number.
    pub id: i64,
    /// Seconds that are left of it.
    pub ttl_s: i64,
    /// Seconds for which it was granted.
    pub granted_ttl_s: i64,
    /// The keys that end with it.
    pub keys: Vec<String>,
}

impl Etcd {
    /// Every lease that has not ended.
    pub async fn leases(&self) -> Result<Vec<Lease>, ClusterError> {
        let client = LeaseClient::new(self.channel());
        let all = client.clone().lease_leases(LeaseLeasesRequest {}).await;
        let all = all.map_err(failed("listing the leases"))?.into_inner().leases;
        let ids = futures::stream::iter(all.into_iter().map(|lease| Ok(lease.id)));
        let found = ids.map_ok(|id| lease(client.clone(), id)).try_buffer_unordered(AT_ONCE);
        found.try_filter_map(|lease| async { Ok(lease) }).try_collect().await
    }
}

/// None: it has ended meanwhile.
async fn lease(mut client: LeaseClient<Channel>, id: i64) -> Result<Option<Lease>, ClusterError> {
    let asked = client.lease_time_to_live(LeaseTimeToLiveRequest { id, keys: true }).await;
    let found = match asked {
        Ok(found) => found.into_inner(),
        Err(status) if status.code() == tonic::Code::NotFound => return Ok(None),
        Err(status) => return Err(failed("asking for a lease")(status)),
    };
    let keys = found.keys.iter().map(|key| String::from_utf8_lossy(key).into_owned()).collect();
    // etcd answers -1 for a lease that it does not know.
    Ok((found.ttl >= 0).then_some(Lease {
        id,
        ttl_s: found.ttl,
        granted_ttl_s: found.granted_ttl,
        keys,
    }))
}
