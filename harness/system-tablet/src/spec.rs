//! How a trial's tablets are started: what stands in their options.

use records::journal::Side;
use records::schedule::{Bug, Pace};

use system::{SHARD, SOURCE_DB, SOURCE_KEYSPACE, TARGET_DB, TARGET_KEYSPACE, TrialSpec, WORKFLOW};

/// First and longest pause before an ephemeral error is retried: short, for trials last seconds.
const RETRY_MS: (u64, u64) = (500, 2_000);
const LEASE_TTL_SECONDS: u64 = 5;
/// The source tablet is no target of memory faults; it gets room.
const SOURCE_MEMORY_BYTES: u64 = 256 << 20;

/// A tablet to be started.
#[derive(Clone, Debug)]
pub struct TabletSpec {
    /// Source or target: decides whose MySQL it uses.
    pub side: Side,
    /// The last part of the container's name, unique within the run.
    pub what: String,
    /// Its MySQL users are called `<this>_i<incarnation>`; at most 27 bytes.
    pub user_prefix: String,
    /// `zone1-0000000200`.
    pub alias: String,
    /// Its keyspace.
    pub keyspace: String,
    /// Its shard.
    pub shard: String,
    /// The keyspace's database.
    pub db_name: String,
    /// The sidecar database.
    pub sidecar_db: String,
    /// Root of its topology in etcd.
    pub topo_root: String,
    /// The workflow whose diffs `show` is asked about.
    pub workflow: String,
    /// Pace and memory limit.
    pub pace: Pace,
    /// First pause before an ephemeral error is retried, milliseconds.
    pub retry_min_ms: u64,
    /// Longest such pause, milliseconds.
    pub retry_max_ms: u64,
    /// Life of its lease in etcd, seconds.
    pub lease_ttl_seconds: u64,
    /// A known bug, switched on (needs the image with seeded bugs).
    pub bug: Option<Bug>,
    /// Where a proxy steps in.
    pub wiring: Wiring,
    /// Further options, as its command line takes them.
    pub options: Vec<String>,
}

/// How a tablet is reached, and reaches others, where that is not the usual way.
#[derive(Clone, Debug, Default)]
pub struct Wiring {
    /// Names that resolve to another address inside the container.
    pub hosts: Vec<(String, String)>,
    /// The name by which others reach it, instead of its container's.
    pub hostname: Option<String>,
    /// The port of its gRPC services.
    pub grpc_port: Option<u16>,
    /// Where it finds its MySQL.
    pub mysql: Option<(String, u16)>,
    /// Where it finds etcd, as `http://host:port`.
    pub topo: Option<String>,
}

/// Names that a trial's tablets share.
#[derive(Clone, Debug)]
pub(super) struct Names {
    pub(super) trial: String,
    pub(super) sidecar_db: String,
    pub(super) topo_root: String,
}

impl Names {
    pub(super) fn of(trial: &str) -> Names {
        let identifier = identifier(trial);
        Names {
            trial: trial.to_owned(),
            sidecar_db: format!("_vt_{identifier}"),
            topo_root: format!("/{identifier}"),
        }
    }
}

impl TabletSpec {
    /// A trial's tablet.
    pub(super) fn of(trial: &TrialSpec, names: &Names, side: Side, wiring: Wiring) -> TabletSpec {
        let mut pace = trial.schedule.pace.clone();
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
            what: format!("{}-{side_name}", names.trial),
            user_prefix: format!("{}_{}", names.trial, &side_name[..1]),
            alias: alias.to_owned(),
            keyspace: keyspace.to_owned(),
            shard: SHARD.to_owned(),
            db_name: db_name.to_owned(),
            sidecar_db: names.sidecar_db.clone(),
            topo_root: names.topo_root.clone(),
            workflow: WORKFLOW.to_owned(),
            pace,
            retry_min_ms: RETRY_MS.0,
            retry_max_ms: RETRY_MS.1,
            lease_ttl_seconds: LEASE_TTL_SECONDS,
            bug: trial.schedule.bug.filter(|_| side == Side::Target),
            wiring,
            options: Vec::new(),
        }
    }
}

/// Letters, digits and underscores; what SQL and etcd take without quoting.
fn identifier(name: &str) -> String {
    name.chars()
        .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' })
        .collect()
}
