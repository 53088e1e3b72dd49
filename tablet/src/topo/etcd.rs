//! A small etcd client over the generated messages: ranges, transactions, leases, watches.
//!
//! The channel connects lazily and again after every loss, so the client outlives etcd's restarts.
//! Every call ends within [`CALL`]. A write whose answer did not come may have happened: callers
//! read again instead of assuming.

use std::future::Future;
use std::time::Duration;

use prost::Message;
use tablet_wire::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use tablet_wire::etcdserverpb::kv_client::KvClient;
use tablet_wire::etcdserverpb::lease_client::LeaseClient;
use tablet_wire::etcdserverpb::request_op::Request as Op;
use tablet_wire::etcdserverpb::watch_client::WatchClient;
use tablet_wire::etcdserverpb::{
    Compare, DeleteRangeRequest, KeyValue, LeaseGrantRequest, LeaseKeepAliveRequest,
    LeaseRevokeRequest, PutRequest, RangeRequest, RequestOp, TxnRequest, TxnResponse,
};
use tonic::Status;
use tonic::transport::{Channel, Endpoint};

use super::watch::TopoWatch;

/// The deadline of every call.
pub(crate) const CALL: Duration = Duration::from_secs(2);
const CONNECT: Duration = Duration::from_secs(1);
const KEEP_ALIVE: Duration = Duration::from_secs(2);

/// Why the topology could not be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TopoError {
    /// The address is none.
    #[error("'{0}' is no address of an etcd server: expected http://host:port")]
    Address(String),
    /// etcd refused or was not reached.
    #[error("etcd failed while {attempted} {key}: {}", status_text(.source))]
    Call {
        /// What was attempted ("reading").
        attempted: &'static str,
        /// On which key or lease.
        key: String,
        /// gRPC's answer.
        #[source]
        source: Box<Status>,
    },
    /// etcd did not answer.
    #[error("etcd did not answer within {after:?} while {attempted} {key}")]
    Deadline {
        /// What was attempted.
        attempted: &'static str,
        /// On which key or lease.
        key: String,
        /// The deadline.
        after: Duration,
    },
    /// A record could not be understood.
    #[error("the record {key} is no valid {kind}")]
    Record {
        /// The record's key.
        key: String,
        /// What it should be.
        kind: &'static str,
        /// What is wrong with it.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// The status with what lies beneath it (refused, unknown host), which its own text leaves out.
fn status_text(status: &Status) -> String {
    let mut text = format!("{:?}: {}", status.code(), status.message());
    let mut next = std::error::Error::source(status);
    while let Some(source) = next {
        let layer = source.to_string();
        if !text.contains(&layer) {
            text.push_str(": ");
            text.push_str(&layer);
        }
        next = source.source();
    }
    text
}

/// A client; clones share one connection.
#[derive(Clone)]
pub(crate) struct Etcd {
    kv: KvClient<Channel>,
    lease: LeaseClient<Channel>,
    watch: WatchClient<Channel>,
}

impl Etcd {
    /// A client of the server at `address`; does not connect yet.
    pub(crate) fn new(address: &str) -> Result<Etcd, TopoError> {
        let endpoint = Endpoint::from_shared(address.to_owned())
            .map_err(|_| TopoError::Address(address.to_owned()))?
            .connect_timeout(CONNECT)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE);
        let channel = endpoint.connect_lazy();
        Ok(Etcd {
            kv: KvClient::new(channel.clone()),
            lease: LeaseClient::new(channel.clone()),
            watch: WatchClient::new(channel),
        })
    }

    /// The key as it is now, by a linearised read.
    pub(crate) async fn get(&self, key: &str) -> Result<Option<KeyValue>, TopoError> {
        let request = RangeRequest { key: key.into(), ..RangeRequest::default() };
        let mut kv = self.kv.clone();
        let response = call("reading", key, kv.range(request)).await?;
        Ok(response.kvs.into_iter().next())
    }

    /// The key decoded as `M`, with the revision of its last change.
    pub(crate) async fn get_record<M: Message + Default>(
        &self,
        key: &str,
        kind: &'static str,
    ) -> Result<Option<(M, i64)>, TopoError> {
        let Some(found) = self.get(key).await? else { return Ok(None) };
        let record = M::decode(found.value.as_slice()).map_err(|source| TopoError::Record {
            key: key.to_owned(),
            kind,
            source: Box::new(source),
        })?;
        Ok(Some((record, found.mod_revision)))
    }

    /// Does all `writes` at one revision, if every key of `expected` was last changed at the revision
    /// beside it (0: is absent). Gives the revision, or `None` when something was otherwise.
    pub(crate) async fn write_if(
        &self,
        expected: &[(&str, i64)],
        writes: Vec<Write>,
    ) -> Result<Option<i64>, TopoError> {
        let name = expected.first().map_or("", |(key, _)| key);
        let request = TxnRequest {
            compare: expected.iter().map(|(key, revision)| unchanged(key, *revision)).collect(),
            success: writes.into_iter().map(Write::into_op).collect(),
            failure: Vec::new(),
        };
        let mut kv = self.kv.clone();
        let response: TxnResponse = call("writing", name, kv.txn(request)).await?;
        let revision = response.header.map_or(0, |header| header.revision);
        Ok(response.succeeded.then_some(revision))
    }

    /// A new lease of `ttl` (whole seconds).
    pub(crate) async fn grant(&self, ttl: Duration) -> Result<Lease, TopoError> {
        let seconds = i64::try_from(ttl.as_secs()).unwrap_or(i64::MAX);
        let mut lease = self.lease.clone();
        let request = LeaseGrantRequest { ttl: seconds, id: 0 };
        let response = call("granting", "a lease", lease.lease_grant(request)).await?;
        Ok(Lease(response.id))
    }

    /// Ends a lease and deletes its keys; a lease that is gone already is fine.
    pub(crate) async fn revoke(&self, lease: Lease) -> Result<(), TopoError> {
        let mut client = self.lease.clone();
        let request = LeaseRevokeRequest { id: lease.0 };
        match call("revoking", "a lease", client.lease_revoke(request)).await {
            Ok(_) => Ok(()),
            Err(TopoError::Call { source, .. }) if source.code() == tonic::Code::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Renews a lease; false when it has ended.
    pub(crate) async fn keep_alive(&self, lease: Lease) -> Result<bool, TopoError> {
        let mut client = self.lease.clone();
        let request = futures::stream::iter([LeaseKeepAliveRequest { id: lease.0 }]);
        let answer = async move {
            let mut responses = client.lease_keep_alive(request).await?.into_inner();
            let response = responses.message().await?;
            Ok(tonic::Response::new(response))
        };
        let response = call("renewing", "a lease", answer).await?;
        Ok(response.is_some_and(|renewed| renewed.ttl > 0))
    }

    /// Watches one key from now on.
    pub(crate) async fn watch(&self, key: &str) -> Result<TopoWatch, TopoError> {
        let opened = TopoWatch::open(self.watch.clone(), key.to_owned());
        let response = async move { opened.await.map(tonic::Response::new) };
        call("watching", key, response).await
    }
}

/// A lease's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lease(pub(crate) i64);

/// One change inside a transaction.
pub(crate) enum Write {
    /// Puts a value, bound to a lease or not.
    Put {
        /// The key.
        key: String,
        /// The value.
        value: Vec<u8>,
        /// The lease whose end deletes the key.
        lease: Option<Lease>,
    },
    /// Deletes a key.
    Delete {
        /// The key.
        key: String,
    },
}

impl Write {
    fn into_op(self) -> RequestOp {
        let request = match self {
            Write::Put { key, value, lease } => Op::RequestPut(PutRequest {
                key: key.into_bytes(),
                value,
                lease: lease.map_or(0, |lease| lease.0),
                prev_kv: false,
            }),
            Write::Delete { key } => Op::RequestDeleteRange(DeleteRangeRequest {
                key: key.into_bytes(),
                range_end: Vec::new(),
                prev_kv: false,
            }),
        };
        RequestOp { request: Some(request) }
    }
}

fn unchanged(key: &str, revision: i64) -> Compare {
    Compare {
        result: CompareResult::Equal.into(),
        target: CompareTarget::Mod.into(),
        key: key.into(),
        target_union: Some(TargetUnion::ModRevision(revision)),
    }
}

async fn call<T>(
    attempted: &'static str,
    key: &str,
    answer: impl Future<Output = Result<tonic::Response<T>, Status>>,
) -> Result<T, TopoError> {
    match tokio::time::timeout(CALL, answer).await {
        Ok(Ok(response)) => Ok(response.into_inner()),
        Ok(Err(status)) => {
            Err(TopoError::Call { attempted, key: key.to_owned(), source: Box::new(status) })
        }
        Err(_elapsed) => Err(TopoError::Deadline { attempted, key: key.to_owned(), after: CALL }),
    }
}
