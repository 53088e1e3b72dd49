//! What the engines are told, once or while they run.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Where the tablet's MySQL is, and as whom to connect.
#[derive(Clone, PartialEq, Eq)]
pub struct MysqlSettings {
    /// Name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// The user of this incarnation.
    pub user: String,
    /// Its password; never printed.
    pub password: String,
}

impl fmt::Debug for MysqlSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}:{}", self.user, self.host, self.port)
    }
}

/// Settings of VDiff that are fixed at start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VdiffOptions {
    /// A checkpoint at least every so many processed rows.
    pub checkpoint_rows: u64,
    /// A checkpoint at least this often.
    pub checkpoint_interval: Duration,
    /// A packet of rows is sent when it has grown to this size.
    pub packet_bytes: usize,
    /// The HTTP/2 window of a source's row stream; none: the library's.
    pub stream_window_bytes: Option<u32>,
    /// Unclean starts without progress after which a diff rests in a lasting error.
    pub max_attempts: u32,
    /// The first wait before an ephemeral error is retried.
    pub retry_min: Duration,
    /// The longest such wait.
    pub retry_max: Duration,
}

/// Settings that change while the tablet runs (`/debug/env`).
#[derive(Debug, Default)]
pub struct LiveSettings {
    rows_per_second: AtomicU64,
}

impl LiveSettings {
    /// Settings with this limit on VDiff; 0 is no limit.
    pub fn new(rows_per_second: u64) -> LiveSettings {
        LiveSettings { rows_per_second: AtomicU64::new(rows_per_second) }
    }

    /// How many rows a diff may process in a second; 0 is no limit.
    pub fn rows_per_second(&self) -> u64 {
        self.rows_per_second.load(Ordering::Relaxed)
    }

    /// Changes the limit, also for diffs that are running.
    pub fn set_rows_per_second(&self, limit: u64) {
        self.rows_per_second.store(limit, Ordering::Relaxed);
    }
}

/// How near the tablet is to its memory limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pressure {
    /// Room enough.
    None,
    /// Slow down.
    Slow,
    /// Checkpoint and stop with an ephemeral error, before the kernel kills the process.
    High,
}

impl Pressure {
    /// The word in `/debug/vars`.
    pub fn name(self) -> &'static str {
        match self {
            Pressure::None => "none",
            Pressure::Slow => "slow",
            Pressure::High => "high",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_printed() {
        let mysql = MysqlSettings {
            host: "db".into(),
            port: 3306,
            user: "u".into(),
            password: "secret".into(),
        };
        assert_eq!(format!("{mysql:?}"), "u@db:3306");
    }
}
