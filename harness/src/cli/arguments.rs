//! What can be asked for.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use reports::schedule::{Bug, Fault};

use crate::images::ImageOptions;
use crate::plan::{self, TriggerKind};

/// Finds the bugs of a VDiff that is interrupted, before its users do.
#[derive(Debug, Parser)]
#[command(name = "vdiff-chaos", version, after_help = EXITS, max_term_width = 100)]
pub struct Cli {
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

const EXITS: &str = "Exit codes: 0 all passed · 1 a finding · 2 inconclusive, or too few faults landed \
· 3 the harness failed · 64 usage";

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// A random campaign: start a cluster, interrupt diffs, judge, report.
    #[command(after_help = "Example:\n  vdiff-chaos run --seed 7 --trials 40 --faults sigkill,oom")]
    Run(Box<RunArgs>),
    /// A schedule again, exactly.
    #[command(
        after_help = "Example:\n  vdiff-chaos replay reports/runs/latest/trials/0003/schedule.json --times 5"
    )]
    Replay(ReplayArgs),
    /// A saved run judged again, from its journals alone.
    #[command(after_help = "Example:\n  vdiff-chaos judge reports/runs/latest")]
    Judge(JudgeArgs),
    /// Each known bug switched on: which are found?
    #[command(
        after_help = "Example:\n  vdiff-chaos zoo\n  vdiff-chaos zoo --clean-tablet   # the control: must find nothing"
    )]
    Zoo(ZooArgs),
    /// A directory of .feature files; yours may lie in your own repository.
    #[command(
        after_help = "Example:\n  vdiff-chaos features features/incident\n  vdiff-chaos features my-features 'comes back'"
    )]
    Features(FeaturesArgs),
    /// The catalogue of faults, and what works on this host.
    #[command(after_help = "Example:\n  vdiff-chaos faults")]
    Faults,
    /// The tablet's peak memory against table size and limit.
    #[command(after_help = "Example:\n  vdiff-chaos memory --rows 1000000,100000 --limit 64m")]
    Memory(MemoryArgs),
    /// What this host can do, and what falls back or is skipped.
    #[command(after_help = "Example:\n  vdiff-chaos doctor")]
    Doctor,
    /// Builds or fetches the images, by hand.
    #[command(after_help = "Example:\n  vdiff-chaos images --mysql-image mysql:8.4")]
    Images(ImageArgs),
    /// Removes what dead runs left.
    #[command(
        after_help = "Example:\n  vdiff-chaos clean\n  vdiff-chaos clean --all   # also of owners that cannot be told dead"
    )]
    Clean(CleanArgs),
}

/// Which images.
#[derive(Clone, Debug, Default, Args)]
pub struct ImageArgs {
    /// MySQL's image [default: local, else built from packages, else official]
    #[arg(long, value_name = "IMAGE", env = "VDIFF_CHAOS_MYSQL_IMAGE")]
    pub mysql_image: Option<String>,
    /// etcd's image
    #[arg(long, value_name = "IMAGE", env = "VDIFF_CHAOS_ETCD_IMAGE")]
    pub etcd_image: Option<String>,
    /// The tablet's image [default: built from this checkout]
    #[arg(long, value_name = "IMAGE", env = "VDIFF_CHAOS_TABLET_IMAGE")]
    pub tablet_image: Option<String>,
}

impl ImageArgs {
    pub(super) fn options(&self, seeded_bugs: bool) -> ImageOptions {
        ImageOptions {
            mysql: self.mysql_image.clone(),
            etcd: self.etcd_image.clone(),
            tablet: self.tablet_image.clone(),
            seeded_bugs,
        }
    }
}

/// Where reports go.
#[derive(Clone, Debug, Default, Args)]
pub struct OutArgs {
    /// The run's directory [default: a new one in reports/runs]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// A JUnit report, besides the one in the run's directory
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
}

/// Arguments of `run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The campaign's seed: the same seed, the same schedules [default: random]
    #[arg(long)]
    pub seed: Option<u64>,
    /// How many trials
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub trials: u32,
    /// Instead of a number of trials: begin trials for so long (90s, 30m, 8h)
    #[arg(long, value_parser = duration, conflicts_with = "trials")]
    pub duration: Option<Duration>,
    /// Only these faults, with commas [default: all]
    #[arg(long, value_delimiter = ',', value_parser = plan::parse_fault)]
    pub faults: Vec<Fault>,
    /// Only these triggers, with commas: time, progress, phase, recovery, overlap
    #[arg(long, value_delimiter = ',', value_parser = plan::parse_trigger)]
    pub triggers: Vec<TriggerKind>,
    /// Trials at a time
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub jobs: u16,
    /// This part of the trials: 2/3 is the second of three
    #[arg(long, value_name = "I/N", value_parser = shard)]
    pub shard: Option<(u32, u32)>,
    /// Rows of each table
    #[arg(long, default_value_t = 4_000, value_parser = clap::value_parser!(u64).range(100..=50_000_000))]
    pub rows: u64,
    /// Tables of the workload, with commas
    #[arg(long, value_delimiter = ',', default_value = "corder,customer,product")]
    pub tables: Vec<String>,
    /// Landed faults below which the run is not green [default: 8, or two thirds of the trials]
    #[arg(long)]
    pub floor: Option<u64>,
    /// A known bug, switched on in the tablet
    #[arg(long, value_parser = plan::parse_bug)]
    pub bug: Option<Bug>,
    /// The whole run ends after so long in any case [default: by the number of trials]
    #[arg(long, value_parser = duration)]
    pub deadline: Option<Duration>,
    /// Reports.
    #[command(flatten)]
    pub out: OutArgs,
    /// Images.
    #[command(flatten)]
    pub images: ImageArgs,
}

/// Arguments of `replay`.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// A trial's schedule.json
    pub file: PathBuf,
    /// So many times; prints how often it failed
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub times: u32,
    /// Trials at a time
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub jobs: u16,
    /// Reports.
    #[command(flatten)]
    pub out: OutArgs,
    /// Images.
    #[command(flatten)]
    pub images: ImageArgs,
}

/// Arguments of `judge`.
#[derive(Debug, Args)]
pub struct JudgeArgs {
    /// A run's directory
    pub run: PathBuf,
}

/// Arguments of `features`.
#[derive(Debug, Args)]
pub struct FeaturesArgs {
    /// A directory of .feature files, or one of them
    pub directory: PathBuf,
    /// Only scenarios whose "feature: scenario" has one of these texts in it
    pub names: Vec<String>,
    /// Where reports go.
    #[command(flatten)]
    pub out: OutArgs,
    /// Which images.
    #[command(flatten)]
    pub images: ImageArgs,
}

/// Arguments of `zoo`.
#[derive(Debug, Args)]
pub struct ZooArgs {
    /// The control: the same trials on the same image with no bug on; must find nothing
    #[arg(long)]
    pub clean_tablet: bool,
    /// The seed
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Where runs and zoo.json go [default: a new directory in reports/runs]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Images.
    #[command(flatten)]
    pub images: ImageArgs,
}

/// Arguments of `memory`.
#[derive(Debug, Args)]
pub struct MemoryArgs {
    /// Rows of the table, with commas; one number is compared with a tenth of itself
    #[arg(long, value_delimiter = ',', default_value = "1000000",
          value_parser = clap::value_parser!(u64).range(1_000..=50_000_000))]
    pub rows: Vec<u64>,
    /// The tablet's memory limit
    #[arg(long, default_value = "64m", value_parser = bytes)]
    pub limit: u64,
    /// Images.
    #[command(flatten)]
    pub images: ImageArgs,
}

/// Arguments of `clean`.
#[derive(Debug, Args)]
pub struct CleanArgs {
    /// Also what belongs to owners that cannot be told dead (on another host, in another namespace)
    #[arg(long)]
    pub all: bool,
}

fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no duration; write 90s, 30m or 8h");
    let at = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
    let (number, unit) = text.split_at(at);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        _ => return Err(wrong()),
    };
    let total = number.checked_mul(seconds).filter(|s| (1..=7 * 86_400).contains(s));
    total.map(Duration::from_secs).ok_or_else(|| format!("`{text}` is not within 1 s and 7 days"))
}

fn shard(text: &str) -> Result<(u32, u32), String> {
    let parts = text.split_once('/').and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
    match parts {
        Some((index, of)) if of >= 1 && (1..=of).contains(&index) => Ok((index, of)),
        _ => Err(format!("`{text}` is no shard; write 2/3 for the second of three")),
    }
}

fn bytes(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is no size; write 64m or 1g");
    let lower = text.to_ascii_lowercase();
    let at = lower.find(|c: char| !c.is_ascii_digit()).unwrap_or(lower.len());
    let (number, unit) = lower.split_at(at);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let factor: u64 = match unit {
        "" | "b" => 1,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        _ => return Err(wrong()),
    };
    number.checked_mul(factor).filter(|bytes| *bytes >= 16 << 20).ok_or_else(|| {
        format!("`{text}` is less than 16m, which no tablet can live on, or too large")
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    // A misread size or duration would run another experiment than the one asked for.
    #[test]
    fn durations_shards_and_sizes_are_read_or_refused() {
        assert_eq!(duration("30m"), Ok(Duration::from_secs(1_800)));
        assert_eq!(shard("2/3"), Ok((2, 3)));
        assert_eq!(bytes("64m"), Ok(64 << 20));
        for bad in ["", "m", "5", "5d", "0s", "99999999h"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
        for bad in ["", "3", "0/3", "4/3", "a/b", "1/0"] {
            assert!(shard(bad).is_err(), "{bad}");
        }
        for bad in ["", "m", "1m", "64x", "99999999999999g"] {
            assert!(bytes(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn every_command_has_an_example() {
        for command in Cli::command().get_subcommands() {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("vdiff-chaos "), "{}", command.get_name());
        }
    }

    #[test]
    fn an_unknown_fault_names_the_known_ones() {
        let error = Cli::try_parse_from(["vdiff-chaos", "run", "--faults", "sigkil"]).unwrap_err();
        assert!(error.to_string().contains("row-surgery"), "{error}");
    }
}
