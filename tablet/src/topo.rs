//! The topology: records about keyspaces, shards and tablets in etcd.
//!
//! `etcd` is the only module that speaks to etcd. etcd may be away or restarted at any moment:
//! every call has a deadline and fails with a `TopoError`; whoever calls tries again.

pub(crate) mod etcd;
pub(crate) mod locator;
pub(crate) mod records;
pub(crate) mod watch;

pub(crate) use etcd::{Etcd, TopoError};
pub(crate) use records::{Paths, ShardRecord, Term};
