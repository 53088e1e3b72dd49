//! A trial's topology in etcd, as a cell has it after each shard's first `PlannedReparentShard`: a cell, two
//! keyspaces with one shard each, whose record names the trial's tablet its primary. A tablet that finds itself
//! named there starts as a primary, and never first as a replica, which would make its MySQL, that other trials use
//! too, read-only.

use std::time::{SystemTime, UNIX_EPOCH};

use prost::Message;
use records::journal::Side;
use servers::{ClusterError, Etcd};
use system::{SHARD, SOURCE_KEYSPACE, TARGET_KEYSPACE};
use tablet_wire::topodata::{Keyspace, Shard, TabletAlias};
use tablet_wire::vttime::Time;

use super::names::{CELL, Names, uid};

/// Where a cell's own records are kept: `topodata.CellInfo`.
#[derive(Clone, PartialEq, Eq, Message)]
struct CellInfo {
    #[prost(string, tag = "1")]
    server_address: String,
    #[prost(string, tag = "2")]
    root: String,
}

/// Writes the records of a trial.
pub(super) async fn write(etcd: &Etcd, names: &Names) -> Result<(), ClusterError> {
    let global = names.global_root();
    let cell = CellInfo { server_address: etcd.network_address(), root: names.cell_root() };
    etcd.put(&format!("{global}/cells/{CELL}/CellInfo"), cell.encode_to_vec()).await?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let term = Time { seconds: i64::try_from(now.as_secs()).unwrap_or(i64::MAX), nanoseconds: 0 };
    for side in [Side::Source, Side::Target] {
        let keyspace = format!("{global}/keyspaces/{}", keyspace_of(side));
        let record = Keyspace {
            durability_policy: "none".to_owned(),
            sidecar_db_name: names.sidecar_db.clone(),
        };
        let shard = Shard {
            primary_alias: Some(TabletAlias { cell: CELL.to_owned(), uid: uid(side) }),
            key_range: None,
            is_primary_serving: true,
            primary_term_start_time: Some(term),
        };
        etcd.put(&format!("{keyspace}/Keyspace"), record.encode_to_vec()).await?;
        // A schema of nothing: the keyspace is not sharded.
        etcd.put(&format!("{keyspace}/VSchema"), Vec::new()).await?;
        etcd.put(&format!("{keyspace}/shards/{SHARD}/Shard"), shard.encode_to_vec()).await?;
    }
    Ok(())
}

/// The keyspace of a side.
pub(super) fn keyspace_of(side: Side) -> &'static str {
    match side {
        Side::Source => SOURCE_KEYSPACE,
        Side::Target => TARGET_KEYSPACE,
    }
}
