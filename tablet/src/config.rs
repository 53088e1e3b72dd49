//! The options of the program, each also from the environment (`TABLET_<NAME>`).

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Parser;
use serde::Deserialize;

use crate::engine::{MysqlSettings, TabletAlias, VdiffOptions};
use crate::memory_guard::GuardSettings;
use crate::seeded_bugs::{self, SeededBugs, SeededBugsError};

/// The smallest packet that is worth sending.
const PACKET_BYTES_MIN: u64 = 1024;
/// The largest: gRPC clients refuse messages over 4 MiB unless told otherwise, as our own is, and a
/// packet may overshoot by a row.
const PACKET_BYTES_MAX: u64 = 1024 * 1024;

/// A Vitess-like tablet with a real VDiff.
///
/// One process beside one MySQL: registers itself in etcd, and as its shard's primary compares
/// tables that are being moved. Logs JSON lines on stderr.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "tablet",
    version,
    after_help = "Example:\n  tablet --alias zone1-0000000200 --keyspace customer --hostname target \
                  --topo-address http://etcd:2379 --mysql-host mysql --db-name vt_customer"
)]
pub struct Config {
    /// The tablet's name for life: cell and number.
    #[arg(long, env = "TABLET_ALIAS")]
    pub alias: TabletAlias,
    /// The keyspace it serves.
    #[arg(long, env = "TABLET_KEYSPACE", value_parser = topo_name)]
    pub keyspace: String,
    /// The shard it serves.
    #[arg(long, env = "TABLET_SHARD", default_value = "0", value_parser = topo_name)]
    pub shard: String,
    /// The name by which others reach this tablet.
    #[arg(long, env = "TABLET_HOSTNAME", value_parser = host_name)]
    pub hostname: String,
    /// The address to listen on.
    #[arg(long, env = "TABLET_LISTEN_ADDRESS", default_value = "0.0.0.0")]
    pub listen_address: IpAddr,
    /// The port of the gRPC services.
    #[arg(long, env = "TABLET_GRPC_PORT", default_value_t = 15999)]
    pub grpc_port: u16,
    /// The port of HTTP (/healthz, /readyz, /debug/vars, /metrics).
    #[arg(long, env = "TABLET_HTTP_PORT", default_value_t = 15100)]
    pub http_port: u16,
    /// etcd, as http://host:port.
    #[arg(long, env = "TABLET_TOPO_ADDRESS")]
    pub topo_address: String,
    /// Where the topology begins in etcd; the global cell is below it.
    #[arg(long, env = "TABLET_TOPO_ROOT", default_value = "/vitess")]
    pub topo_root: String,
    /// The tablet's own MySQL: name or address.
    #[arg(long, env = "TABLET_MYSQL_HOST", value_parser = host_name)]
    pub mysql_host: String,
    /// Its port.
    #[arg(long, env = "TABLET_MYSQL_PORT", default_value_t = 3306)]
    pub mysql_port: u16,
    /// A file {"user":"..","password":".."}, read at each start.
    #[arg(long, env = "TABLET_MYSQL_CREDENTIALS_FILE", default_value = "/etc/tablet/mysql.json")]
    pub mysql_credentials_file: PathBuf,
    /// The database with the tablet's tables.
    #[arg(long, env = "TABLET_DB_NAME", value_parser = database_name)]
    pub db_name: String,
    /// The database with the sidecar tables.
    #[arg(long, env = "TABLET_SIDECAR_DB", default_value = "_vt", value_parser = database_name)]
    pub sidecar_db: String,
    /// Checkpoint at least every so many processed rows.
    #[arg(long, env = "TABLET_VDIFF_CHECKPOINT_ROWS", default_value_t = 10_000,
          value_parser = clap::value_parser!(u64).range(1..))]
    pub vdiff_checkpoint_rows: u64,
    /// Checkpoint at least this often, in milliseconds.
    #[arg(long, env = "TABLET_VDIFF_CHECKPOINT_INTERVAL_MS", default_value_t = 1000,
          value_parser = clap::value_parser!(u64).range(1..))]
    pub vdiff_checkpoint_interval_ms: u64,
    /// Rows that a diff may process in a second; 0: no limit. Also by /debug/env.
    #[arg(long, env = "TABLET_VDIFF_ROWS_PER_SECOND", default_value_t = 0)]
    pub vdiff_rows_per_second: u64,
    /// A packet of rows is sent when it has grown to this many bytes.
    #[arg(long, env = "TABLET_VDIFF_PACKET_BYTES", default_value_t = 65_536,
          value_parser = clap::value_parser!(u64).range(PACKET_BYTES_MIN..=PACKET_BYTES_MAX))]
    pub vdiff_packet_bytes: u64,
    /// The HTTP/2 window of a source's row stream, in bytes: what may be on its way unread. Without it,
    /// the library's (2 MiB).
    #[arg(long, env = "TABLET_VDIFF_STREAM_WINDOW_BYTES",
          value_parser = clap::value_parser!(u32).range(1024..=0x7fff_ffff))]
    pub vdiff_stream_window_bytes: Option<u32>,
    /// Unclean starts without progress after which a diff rests in an error.
    #[arg(long, env = "TABLET_VDIFF_MAX_ATTEMPTS", default_value_t = 5,
          value_parser = clap::value_parser!(u32).range(1..))]
    pub vdiff_max_attempts: u32,
    /// The first wait before an ephemeral error is retried, in milliseconds.
    #[arg(long, env = "TABLET_VDIFF_RETRY_MIN_MS", default_value_t = 1000,
          value_parser = clap::value_parser!(u64).range(1..))]
    pub vdiff_retry_min_ms: u64,
    /// The longest such wait, in milliseconds.
    #[arg(long, env = "TABLET_VDIFF_RETRY_MAX_MS", default_value_t = 60_000,
          value_parser = clap::value_parser!(u64).range(1..))]
    pub vdiff_retry_max_ms: u64,
    /// The memory limit in bytes, instead of the cgroup's.
    #[arg(long, env = "TABLET_MEMORY_LIMIT_BYTES",
          value_parser = clap::value_parser!(u64).range(1..))]
    pub memory_limit_bytes: Option<u64>,
    /// VDiff slows down from this share of the limit on, in percent.
    #[arg(long, env = "TABLET_MEMORY_SLOW_PERCENT", default_value_t = 75,
          value_parser = clap::value_parser!(u64).range(1..=99))]
    pub memory_slow_percent: u64,
    /// VDiff stops with an ephemeral error from this share on, in percent.
    #[arg(long, env = "TABLET_MEMORY_HIGH_PERCENT", default_value_t = 85,
          value_parser = clap::value_parser!(u64).range(2..=100))]
    pub memory_high_percent: u64,
    /// How long the topology remembers a tablet that has died, in seconds.
    #[arg(long, env = "TABLET_LEASE_TTL_SECONDS", default_value_t = 10,
          value_parser = clap::value_parser!(u64).range(2..=3600))]
    pub lease_ttl_seconds: u64,
    /// The longest wait before the shard sync loop tries again, in milliseconds.
    #[arg(long, env = "TABLET_SHARD_SYNC_RETRY_MS", default_value_t = 1000,
          value_parser = clap::value_parser!(u64).range(1..=3000))]
    pub shard_sync_retry_ms: u64,
}

/// Why the options cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// One option must be less than another.
    #[error("--{smaller} ({smaller_value}) must be less than --{larger} ({larger_value})")]
    Order {
        /// The option that is too large.
        smaller: &'static str,
        /// Its value.
        smaller_value: u64,
        /// The option that it must stay under.
        larger: &'static str,
        /// Its value.
        larger_value: u64,
    },
    /// The credentials' file cannot be read.
    #[error("the MySQL credentials file {path} cannot be read")]
    CredentialsFile {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The credentials' file holds something else.
    #[error("the MySQL credentials file {path} is not {{\"user\":\"..\",\"password\":\"..\"}}")]
    Credentials {
        /// The file.
        path: PathBuf,
        /// What is wrong; has no secrets in it.
        reason: String,
    },
    /// The bugs asked for cannot be had.
    #[error(transparent)]
    SeededBugs(#[from] SeededBugsError),
}

#[derive(Deserialize)]
struct Credentials {
    user: String,
    password: String,
}

/// The options with all that is read at the start.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The options.
    pub config: Config,
    /// Where MySQL is, and as whom to connect.
    pub mysql: MysqlSettings,
    /// Known bugs that are switched on.
    pub bugs: SeededBugs,
}

impl Settings {
    /// Checks the options against each other, and reads the credentials and the environment's bugs.
    ///
    /// # Errors
    /// Options that contradict each other, an unreadable file, a bug that this binary has not.
    pub fn load(config: Config) -> Result<Settings, ConfigError> {
        config.check_order()?;
        let bugs = std::env::var(seeded_bugs::VARIABLE).unwrap_or_default();
        let bugs = SeededBugs::parse_for_this_build(&bugs)?;
        let credentials = read_credentials(&config.mysql_credentials_file)?;
        let mysql = MysqlSettings {
            host: config.mysql_host.clone(),
            port: config.mysql_port,
            user: credentials.user,
            password: credentials.password,
        };
        Ok(Settings { config, mysql, bugs })
    }
}

impl Config {
    fn check_order(&self) -> Result<(), ConfigError> {
        let slow = ("memory-slow-percent", self.memory_slow_percent);
        let high = ("memory-high-percent", self.memory_high_percent);
        let least = ("vdiff-retry-min-ms", self.vdiff_retry_min_ms);
        // Equal waits are a constant wait: allowed.
        let most = ("vdiff-retry-max-ms", self.vdiff_retry_max_ms.saturating_add(1));
        for ((smaller, smaller_value), (larger, larger_value)) in [(slow, high), (least, most)] {
            if smaller_value >= larger_value {
                return Err(ConfigError::Order { smaller, smaller_value, larger, larger_value });
            }
        }
        Ok(())
    }

    /// VDiff's part.
    pub(crate) fn vdiff_options(&self) -> VdiffOptions {
        VdiffOptions {
            checkpoint_rows: self.vdiff_checkpoint_rows,
            checkpoint_interval: Duration::from_millis(self.vdiff_checkpoint_interval_ms),
            packet_bytes: usize::try_from(self.vdiff_packet_bytes).unwrap_or(usize::MAX),
            stream_window_bytes: self.vdiff_stream_window_bytes,
            max_attempts: self.vdiff_max_attempts,
            retry_min: Duration::from_millis(self.vdiff_retry_min_ms),
            retry_max: Duration::from_millis(self.vdiff_retry_max_ms),
        }
    }

    /// The memory guard's part.
    pub(crate) fn guard_settings(&self) -> GuardSettings {
        GuardSettings {
            limit_bytes: self.memory_limit_bytes,
            slow_percent: self.memory_slow_percent,
            high_percent: self.memory_high_percent,
        }
    }

    /// Where gRPC listens.
    pub(crate) fn grpc_address(&self) -> SocketAddr {
        SocketAddr::new(self.listen_address, self.grpc_port)
    }

    /// Where HTTP listens.
    pub(crate) fn http_address(&self) -> SocketAddr {
        SocketAddr::new(self.listen_address, self.http_port)
    }
}

fn read_credentials(path: &Path) -> Result<Credentials, ConfigError> {
    let text = std::fs::read(path)
        .map_err(|source| ConfigError::CredentialsFile { path: path.to_owned(), source })?;
    serde_json::from_slice(&text).map_err(|error| {
        // The parser's own text may quote the password.
        let reason = format!("line {}, column {}", error.line(), error.column());
        ConfigError::Credentials { path: path.to_owned(), reason }
    })
}

fn topo_name(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    if text.is_empty() || !text.chars().all(plain) {
        return Err("expected letters, digits, '_', '-' and '.'".to_owned());
    }
    Ok(text.to_owned())
}

fn host_name(text: &str) -> Result<String, String> {
    if text.is_empty() || text.chars().any(|c| c.is_whitespace() || c == '/') {
        return Err("expected a host name or an address".to_owned());
    }
    Ok(text.to_owned())
}

fn database_name(text: &str) -> Result<String, String> {
    // 64 is MySQL's longest identifier.
    if text.is_empty() || text.len() > 64 || text.contains(['`', '\0', '/', '\\', '.']) {
        return Err("expected a MySQL database name of at most 64 bytes".to_owned());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: [&str; 13] = [
        "tablet",
        "--alias",
        "zone1-200",
        "--keyspace",
        "customer",
        "--hostname",
        "target",
        "--topo-address",
        "http://etcd:2379",
        "--mysql-host",
        "db",
        "--db-name",
        "vt_customer",
    ];

    fn parse(more: &[&str]) -> Result<Config, clap::Error> {
        Config::try_parse_from(LEAST.iter().chain(more))
    }

    #[test]
    fn the_defaults_are_those_that_are_documented() {
        let config = parse(&[]).unwrap();
        assert_eq!(config.alias.to_string(), "zone1-0000000200");
        assert_eq!((config.grpc_port, config.http_port), (15999, 15100));
        assert_eq!((config.sidecar_db.as_str(), config.shard.as_str()), ("_vt", "0"));
        let options = config.vdiff_options();
        assert_eq!(options.checkpoint_rows, 10_000);
        assert_eq!(options.retry_max, Duration::from_secs(60));
    }

    #[test]
    fn nonsense_is_refused() {
        for bad in [
            ["--memory-slow-percent", "0"],
            ["--vdiff-checkpoint-rows", "0"],
            ["--vdiff-packet-bytes", "12"],
            ["--sidecar-db", "a`b"],
            ["--shard", "../0"],
            ["--grpc-port", "70000"],
            ["--nonsense", "1"],
        ] {
            assert!(parse(&bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn marks_in_the_wrong_order_are_refused_by_name() {
        let config = parse(&["--memory-slow-percent", "90"]).unwrap();
        let error = config.check_order().unwrap_err().to_string();
        assert_eq!(
            error,
            "--memory-slow-percent (90) must be less than --memory-high-percent (85)"
        );
    }

    #[test]
    fn a_missing_credentials_file_is_named() {
        let error = read_credentials(Path::new("/nowhere/mysql.json")).err().unwrap();
        assert!(error.to_string().contains("/nowhere/mysql.json"), "{error}");
    }
}
