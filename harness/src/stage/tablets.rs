//! A trial's tablets: how they are specified, created and removed.

use std::sync::Arc;

use records::journal::{Event, Side};
use records::schedule::Schedule;

use super::Environment;
use super::open::{SHARD, SOURCE_DB, SOURCE_KEYSPACE, TARGET_DB, TARGET_KEYSPACE, WORKFLOW};
use crate::journal::Journal;
use system_tablet::{ContainerTablet, TabletSpec, Wiring};

/// Names that a trial's tablets share.
pub(super) struct Names<'a> {
    pub(super) stage: &'a str,
    pub(super) sidecar_db: &'a str,
    pub(super) topo_root: &'a str,
}

/// First and longest pause before an ephemeral error is retried: short, for trials last seconds.
const RETRY_MS: (u64, u64) = (500, 2_000);
const LEASE_TTL_SECONDS: u64 = 5;
/// The source tablet is no target of memory faults; it gets room.
const SOURCE_MEMORY_BYTES: u64 = 256 << 20;

/// A tablet that was never started; its container comes with its first incarnation.
pub(super) fn tablet(
    environment: &Environment,
    schedule: &Schedule,
    names: &Names<'_>,
    side: Side,
    wiring: Wiring,
) -> ContainerTablet {
    ContainerTablet::new(
        &environment.engine,
        environment.run.site(),
        Arc::clone(&environment.servers),
        &environment.images.tablet,
        TabletSpec { wiring, ..spec(schedule, names, side) },
    )
}

fn spec(schedule: &Schedule, names: &Names<'_>, side: Side) -> TabletSpec {
    let mut pace = schedule.pace.clone();
    let (alias, keyspace, db_name) = match side {
        Side::Source => ("zone1-0000000100", SOURCE_KEYSPACE, SOURCE_DB),
        Side::Target => ("zone1-0000000200", TARGET_KEYSPACE, TARGET_DB),
    };
    if side == Side::Source {
        // The diff's pace is the target's business; its source streams as fast as it is read, and what
        // lies between the two is bounded by the target's window.
        pace.rows_per_second = 0;
        pace.memory_limit_bytes = pace.memory_limit_bytes.max(SOURCE_MEMORY_BYTES);
    }
    let side_name = side.name();
    TabletSpec {
        side,
        what: format!("{}-{side_name}", names.stage),
        user_prefix: format!("{}_{}", names.stage, &side_name[..1]),
        alias: alias.to_owned(),
        keyspace: keyspace.to_owned(),
        shard: SHARD.to_owned(),
        db_name: db_name.to_owned(),
        sidecar_db: names.sidecar_db.to_owned(),
        topo_root: names.topo_root.to_owned(),
        workflow: WORKFLOW.to_owned(),
        pace,
        retry_min_ms: RETRY_MS.0,
        retry_max_ms: RETRY_MS.1,
        lease_ttl_seconds: LEASE_TTL_SECONDS,
        bug: schedule.bug.filter(|_| side == Side::Target),
        wiring: Wiring::default(),
        options: Vec::new(),
    }
}

/// Removes a tablet; one that does not go falls to the run's own removal.
pub(super) async fn remove(tablet: &ContainerTablet, journal: &Journal) {
    if let Err(error) = tablet.remove().await {
        let text = format!("a tablet was not removed: {}", engine::errors::chain(&error));
        journal.record(Event::Note { text });
    }
}
