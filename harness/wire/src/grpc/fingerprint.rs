//! What a call says: its fingerprint, its class, its text.

use prost::Message;
use tablet_wire::binlogdata::VStreamRowsRequest;
use tablet_wire::etcdserverpb::compare::TargetUnion;
use tablet_wire::etcdserverpb::request_op::Request as Op;
use tablet_wire::etcdserverpb::watch_request::RequestUnion;
use tablet_wire::etcdserverpb::{
    Compare, DeleteRangeRequest, LeaseGrantRequest, LeaseKeepAliveRequest, LeaseRevokeRequest,
    PutRequest, RangeRequest, RequestOp, TxnRequest, WatchRequest,
};

use super::call::Saying;
use super::frames;
use crate::{Class, Normaliser, Reading};

/// Part of the keys of locks.
const LOCKS: &str = "locks/";
/// Of a value, in a text for people.
const VALUE_MAX: usize = 60;

/// How a method's messages go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// One request, one answer.
    Unary,
    /// The client begins; answers, or both, are streams.
    Stream,
    /// Who begins is unknown.
    Unknown,
}

/// What a request says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Spoken {
    pub(super) fingerprint: String,
    pub(super) class: Class,
    pub(super) text: String,
}

impl Spoken {
    pub(super) fn saying(&self) -> Saying<'_> {
        Saying { fingerprint: &self.fingerprint, class: self.class, text: &self.text }
    }
}

/// The shape of the method with this path.
pub(super) fn shape(path: &str) -> Shape {
    match path {
        "/etcdserverpb.Watch/Watch"
        | "/etcdserverpb.Lease/LeaseKeepAlive"
        | "/queryservice.Query/StreamHealth"
        | "/queryservice.Query/VStreamRows"
        | "/queryservice.Query/VStreamTables" => Shape::Stream,
        "/etcdserverpb.Lease/LeaseGrant" | "/etcdserverpb.Lease/LeaseRevoke" => Shape::Unary,
        _ if path.starts_with("/etcdserverpb.KV/")
            || path.starts_with("/tabletmanagerservice.TabletManager/") =>
        {
            Shape::Unary
        }
        _ => Shape::Unknown,
    }
}

/// A method's name in fingerprints: `etcd KV/Put`, `Query/VStreamRows`.
pub(super) fn method(path: &str) -> String {
    let path = path.trim_start_matches('/');
    match path.strip_prefix("etcdserverpb.") {
        Some(name) => format!("etcd {name}"),
        None => match path.split_once('/') {
            Some((service, name)) => {
                let service = service.rsplit('.').next().unwrap_or(service);
                format!("{service}/{name}")
            }
            None => path.to_owned(),
        },
    }
}

/// The class of the end of a stream.
pub(super) fn class_of_end(path: &str) -> Class {
    match path {
        "/queryservice.Query/VStreamRows" | "/queryservice.Query/VStreamTables" => Class::Snapshot,
        _ => Class::Reads,
    }
}

/// Reads a request's body. What cannot be read is named by its method alone.
pub(super) fn read(path: &str, body: &[u8], names: &Normaliser) -> Spoken {
    let content = frames::content(body);
    let class = content.and_then(|content| class(path, content)).unwrap_or_else(|| plain(path));
    let words = |detail| {
        let method = method(path);
        let words = content.and_then(|content| words(path, content, detail));
        words.map_or(method.clone(), |words| format!("{method} {words}").trim_end().to_owned())
    };
    Spoken { fingerprint: words(Detail::Bare { names }), class, text: words(Detail::Full) }
}

/// The class of a method, whatever it says.
fn plain(path: &str) -> Class {
    match path {
        "/etcdserverpb.KV/Put" | "/etcdserverpb.KV/DeleteRange" | "/etcdserverpb.KV/Txn" => {
            Class::Writes
        }
        "/etcdserverpb.Lease/LeaseGrant"
        | "/etcdserverpb.Lease/LeaseRevoke"
        | "/etcdserverpb.Lease/LeaseKeepAlive" => Class::Locks,
        _ => class_of_end(path),
    }
}

fn class(path: &str, content: &[u8]) -> Option<Class> {
    let of_key = |key: &[u8]| {
        if String::from_utf8_lossy(key).contains(LOCKS) { Class::Locks } else { Class::Writes }
    };
    match path {
        "/etcdserverpb.KV/Put" => PutRequest::decode(content).ok().map(|put| of_key(&put.key)),
        "/etcdserverpb.KV/DeleteRange" => {
            DeleteRangeRequest::decode(content).ok().map(|delete| of_key(&delete.key))
        }
        "/etcdserverpb.KV/Txn" => {
            let TxnRequest { compare: _, success, failure } = TxnRequest::decode(content).ok()?;
            let writes = success.iter().chain(&failure).filter_map(|op| match &op.request {
                Some(Op::RequestPut(put)) => Some(of_key(&put.key)),
                Some(Op::RequestDeleteRange(delete)) => Some(of_key(&delete.key)),
                Some(Op::RequestRange(_)) | None => None,
            });
            // A write of state outweighs one of a lock: classes are in that order.
            Some(writes.min().unwrap_or(Class::Reads))
        }
        _ => None,
    }
}

/// How much is told.
#[derive(Clone, Copy)]
enum Detail<'a> {
    /// No values, ids, revisions, nor the trial's names.
    Bare { names: &'a Normaliser },
    /// All, for people.
    Full,
}

fn words(path: &str, content: &[u8], detail: Detail<'_>) -> Option<String> {
    Some(match path {
        "/etcdserverpb.KV/Range" => detail.range(&RangeRequest::decode(content).ok()?),
        "/etcdserverpb.KV/Put" => detail.put(&PutRequest::decode(content).ok()?),
        "/etcdserverpb.KV/DeleteRange" => detail.delete(&DeleteRangeRequest::decode(content).ok()?),
        "/etcdserverpb.KV/Txn" => detail.txn(&TxnRequest::decode(content).ok()?),
        "/etcdserverpb.Watch/Watch" => detail.watch(&WatchRequest::decode(content).ok()?),
        "/etcdserverpb.Lease/LeaseGrant" => {
            let LeaseGrantRequest { ttl, id } = LeaseGrantRequest::decode(content).ok()?;
            detail.only_full(|| format!("ttl {ttl} id {id}"))
        }
        "/etcdserverpb.Lease/LeaseRevoke" => {
            detail.id(LeaseRevokeRequest::decode(content).ok()?.id)
        }
        "/etcdserverpb.Lease/LeaseKeepAlive" => {
            detail.id(LeaseKeepAliveRequest::decode(content).ok()?.id)
        }
        "/queryservice.Query/VStreamRows" => {
            detail.rows(&VStreamRowsRequest::decode(content).ok()?)
        }
        _ => return None,
    })
}

/// A lock's key ends with its lease's number in Vitess's topology: another one each time.
fn without_number(key: &str) -> String {
    match key.rsplit_once(LOCKS) {
        Some((path, number)) if is_number(number) => format!("{path}{LOCKS}…"),
        _ => key.to_owned(),
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

impl Detail<'_> {
    fn only_full(self, text: impl FnOnce() -> String) -> String {
        match self {
            Self::Bare { .. } => String::new(),
            Self::Full => text(),
        }
    }

    fn id(self, id: i64) -> String {
        self.only_full(|| format!("id {id:x}"))
    }

    fn key(self, key: &[u8], range_end: &[u8]) -> String {
        let key = String::from_utf8_lossy(key);
        let key = match self {
            Self::Bare { names } => without_number(&names.text(&key)),
            Self::Full => key.into_owned(),
        };
        format!("{key}{}", if range_end.is_empty() { "" } else { "*" })
    }

    fn range(self, range: &RangeRequest) -> String {
        self.key(&range.key, &range.range_end)
    }

    fn put(self, put: &PutRequest) -> String {
        let key = self.key(&put.key, &[]);
        match self {
            Self::Bare { .. } if put.lease == 0 => key,
            Self::Bare { .. } => format!("{key} leased"),
            Self::Full => format!("{key} = {} lease {:x}", value(&put.value), put.lease),
        }
    }

    fn delete(self, delete: &DeleteRangeRequest) -> String {
        self.key(&delete.key, &delete.range_end)
    }

    fn txn(self, txn: &TxnRequest) -> String {
        let list =
            |ops: &[RequestOp]| ops.iter().map(|op| self.op(op)).collect::<Vec<_>>().join(", ");
        let conditions: Vec<String> = txn.compare.iter().map(|one| self.condition(one)).collect();
        let mut words = Vec::new();
        for (name, list) in [
            ("if", conditions.join(", ")),
            ("then", list(&txn.success)),
            ("else", list(&txn.failure)),
        ] {
            if !list.is_empty() {
                words.push(format!("{name} {list}"));
            }
        }
        words.join(" ")
    }

    /// Whether a key is absent is told; the revision at which it is expected is not.
    fn condition(self, compare: &Compare) -> String {
        let key = self.key(&compare.key, &[]);
        let (what, expected) = match &compare.target_union {
            Some(
                TargetUnion::Version(0)
                | TargetUnion::CreateRevision(0)
                | TargetUnion::ModRevision(0),
            ) => {
                return format!("{key} absent");
            }
            Some(TargetUnion::Version(version)) => ("version", version.to_string()),
            Some(TargetUnion::CreateRevision(revision)) => ("created", revision.to_string()),
            Some(TargetUnion::ModRevision(revision)) => ("unchanged", revision.to_string()),
            Some(TargetUnion::Value(bytes)) => ("value", value(bytes)),
            Some(TargetUnion::Lease(id)) => ("lease", format!("{id:x}")),
            None => ("compared", String::new()),
        };
        format!("{key} {what} {}", self.only_full(|| expected)).trim_end().to_owned()
    }

    fn op(self, op: &RequestOp) -> String {
        match &op.request {
            Some(Op::RequestRange(range)) => format!("get {}", self.range(range)),
            Some(Op::RequestPut(put)) => format!("put {}", self.put(put)),
            Some(Op::RequestDeleteRange(delete)) => format!("delete {}", self.delete(delete)),
            None => "nothing".to_owned(),
        }
    }

    fn watch(self, watch: &WatchRequest) -> String {
        match &watch.request_union {
            Some(RequestUnion::CreateRequest(create)) => {
                let from = self.only_full(|| format!(" from {}", create.start_revision));
                format!("create {}{from}", self.key(&create.key, &create.range_end))
            }
            Some(RequestUnion::CancelRequest(cancel)) => {
                format!("cancel {}", self.only_full(|| cancel.watch_id.to_string()))
            }
            None => String::new(),
        }
    }

    fn rows(self, rows: &VStreamRowsRequest) -> String {
        let target = rows.target.clone().unwrap_or_default();
        let (keyspace, shard) = (target.keyspace, target.shard);
        let query = match self {
            Self::Bare { names } => Reading::of(rows.query.as_bytes(), names).fingerprint,
            Self::Full => rows.query.clone(),
        };
        let after = match &rows.lastpk {
            None => String::new(),
            Some(last) => {
                let values = last.rows.first().map_or(&[][..], |row| &row.values);
                format!(" after {}", self.only_full(|| value(values))).trim_end().to_owned()
            }
        };
        format!("{keyspace}/{shard} {query}{after}")
    }
}

/// The beginning of a value.
fn value(bytes: &[u8]) -> String {
    let shown = &bytes[..bytes.len().min(VALUE_MAX)];
    format!("“{}”", shown.escape_ascii())
}

#[cfg(test)]
mod tests;
