//! What a trial of Vitess is given and granted: its pace and its deadlines.

use std::num::NonZeroU64;

use records::schedule::{Capability, Deadlines, Pace};

use super::image::Vitess;

/// A table's progress is saved after so many compared rows, and at its end (`updateTableProgress` in
/// `table_differ.go`).
const CHECKPOINT_ROWS: u64 = 10_000;
/// No promise in time: what is saved is told by rows alone.
const CHECKPOINT_INTERVAL_MS: u64 = 3_600_000;
/// A tablet has 130 MB at work.
const MEMORY_LIMIT_BYTES: u64 = 384 << 20;
/// Small packets, so that a slow link carries them one by one; Vitess's own are 250 kB.
const PACKET_BYTES: u64 = 8 << 10;
/// What a row takes on its way, in the mean of the workload's tables.
const ROW_BYTES: u64 = 100;

/// Bytes a second of the link on which rows come from the source, at a pace; none: as fast as it can.
pub(super) fn bytes_per_second(pace: &Pace) -> Option<NonZeroU64> {
    NonZeroU64::new(pace.rows_per_second.saturating_mul(ROW_BYTES))
}

/// How a trial's diff goes: at most so many rows a second come from the source, with Vitess's own checkpoints.
#[must_use]
pub fn pace(rows_per_second: u64) -> Pace {
    Pace {
        rows_per_second,
        checkpoint_rows: CHECKPOINT_ROWS,
        checkpoint_interval_ms: CHECKPOINT_INTERVAL_MS,
        memory_limit_bytes: MEMORY_LIMIT_BYTES,
        packet_bytes: PACKET_BYTES,
    }
}

/// What a trial's waits are granted. Failed diffs are taken up every 30 s (`retryErroredVDiffs` in `engine.go`): a
/// diff that fell twice needs two of these rounds, and its run; one that fell stands still for one.
#[must_use]
pub fn deadlines() -> Deadlines {
    Deadlines {
        ready_ms: 15_000,
        ready_holds_ms: 2_000,
        settle_ms: 80_000,
        cancel_ms: 15_000,
        trial_ms: 240_000,
        stall_ms: 35_000,
    }
}

/// What it does not do, and why.
#[must_use]
pub fn lacks(vitess: &Vitess) -> Vec<(Capability, String)> {
    let lacks = |capability, why: &str| (capability, why.to_owned());
    let mut all = vec![
        lacks(Capability::PhaseLocks, "Vitess's phases are not held by row locks yet"),
        lacks(Capability::Lease, "a vttablet keeps no lease in etcd"),
        lacks(Capability::Replacement, "two vttablets of one alias are not set up yet"),
        lacks(
            Capability::MemoryGuard,
            "vttablet does not promise to give way when memory is short",
        ),
        lacks(
            Capability::Demotion,
            "a demoted vttablet makes its MySQL read-only, which others share",
        ),
        lacks(Capability::RowReader, "no reader of vttablet's row streams is set up yet"),
    ];
    if let Err(why) = &vitess.helper {
        let why = format!("there is no memory helper to fill a container with: {why}");
        all.push((Capability::MemoryLimit, why));
    }
    all
}
