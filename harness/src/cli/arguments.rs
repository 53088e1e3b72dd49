//! What can be asked for.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use records::schedule::{Bug, Fault};
use records::verdict::Invariant;

use super::Failure;
use super::values::{Limit, bytes, coverage, duration, invariant, limit, shard};
use crate::crash_points;
use crate::plan::{self, TriggerKind};
use crate::systems::{SystemKind, SystemOptions};
use engine::images::ImageOptions;
use system_vitess::{VitessOptions, VitessSource};

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
    /// Every exact point of the tablet's conversation: listed, or struck one by one.
    #[command(
        subcommand,
        after_help = "Example:\n  vdiff-chaos crash-points list\n  vdiff-chaos crash-points run --jobs 4"
    )]
    CrashPoints(CrashPointsCommand),
    /// A schedule again, exactly.
    #[command(
        after_help = "Example:\n  vdiff-chaos replay reports/runs/latest/trials/0003/schedule.json --times 5"
    )]
    Replay(ReplayArgs),
    /// A failing schedule made as small as it fails, and a scenario for it.
    #[command(
        after_help = "Example:\n  vdiff-chaos shrink reports/runs/latest --budget 30m\n  vdiff-chaos shrink schedule.json --budget 100,20m --by I4\n\nA candidate is accepted when it fails once by all invariants that the original breaks; it is rejected after so many runs without that, that one with the original's failure rate would be missed with a probability of at most 5 %. Inconclusive runs are not counted, and repeated.\n\nExit codes: 0 nothing that is left can be taken away · 2 out of budget, or the schedule does not fail"
    )]
    Shrink(Box<ShrinkArgs>),
    /// A saved run judged again, from its journals alone.
    #[command(after_help = "Example:\n  vdiff-chaos judge reports/runs/latest")]
    Judge(JudgeArgs),
    /// The shards of one campaign joined into one run.
    #[command(
        after_help = "Example:\n  vdiff-chaos run --seed 7 --trials 40 --shard 1/2 --out one   # on one machine\n  vdiff-chaos run --seed 7 --trials 40 --shard 2/2 --out two   # on another\n  vdiff-chaos merge one two --out both"
    )]
    Merge(MergeArgs),
    /// Each known bug switched on: which are found?
    #[command(
        after_help = "Example:\n  vdiff-chaos zoo\n  vdiff-chaos zoo --clean-tablet   # the control: must find nothing\n  vdiff-chaos zoo --patch harness/system-tablet/zoo/cursor-forgotten.patch   # ends with 1: found"
    )]
    Zoo(ZooArgs),
    /// A directory of .feature files; yours may lie in your own repository.
    #[command(
        after_help = "Example:\n  vdiff-chaos features features/incident\n  vdiff-chaos features my-features 'comes back'\n  vdiff-chaos features shrunk.feature --clean-tablet   # its bug stays off: must pass"
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

/// Which system stands under test, and of which images.
#[derive(Clone, Debug, Default, Args)]
pub struct ImageArgs {
    /// The system under test: tablet (this project's) or vitess (yours: --vitess-image or --vitess-programs,
    /// or what $VDIFF_CHAOS_VITESS names) [default: tablet; vitess where one of the two is given]
    #[arg(long, value_name = "SYSTEM", value_parser = ["tablet", "vitess"])]
    pub system: Option<String>,
    /// Vitess, as an image with vttablet, vtctld and vtctldclient in /vt/bin, such as vitess/lite
    #[arg(long, value_name = "IMAGE", conflicts_with = "vitess_programs")]
    pub vitess_image: Option<String>,
    /// Vitess, as a directory with vttablet, vtctld and vtctldclient, built with CGO_ENABLED=0
    #[arg(long, value_name = "DIR")]
    pub vitess_programs: Option<PathBuf>,
    /// An option of each vttablet, as its command line takes it; again for more
    #[arg(long, value_name = "FLAG", allow_hyphen_values = true)]
    pub tablet_flag: Vec<String>,
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
    /// Which system is asked for.
    pub(super) fn kind(&self) -> SystemKind {
        let given = self.vitess_image.is_some() || self.vitess_programs.is_some();
        match self.system.as_deref() {
            Some("vitess") => SystemKind::Vitess,
            None if given => SystemKind::Vitess,
            _ => SystemKind::Tablet,
        }
    }

    /// The images of this project's tablet; what says something of Vitess is refused, and not ignored.
    pub(super) fn of_tablet(&self, seeded_bugs: bool) -> Result<ImageOptions, Failure> {
        let given = self.vitess_image.is_some() || self.vitess_programs.is_some();
        if self.kind() == SystemKind::Vitess || given || !self.tablet_flag.is_empty() {
            return Err(Failure::wrong(
                "this is tried on this project's tablet: leave out --system vitess, --vitess-image, \
                 --vitess-programs and --tablet-flag",
            ));
        }
        Ok(self.options(seeded_bugs))
    }

    /// The system, and its images; `seeded_bugs`: with the known bugs compiled in.
    pub(super) fn system(&self, seeded_bugs: bool) -> Result<SystemOptions, Failure> {
        if self.kind() == SystemKind::Tablet {
            return Ok(self.of_tablet(seeded_bugs)?.into());
        }
        let images = self.options(seeded_bugs);
        if seeded_bugs {
            return Err(Failure::wrong(
                "known bugs are this project's tablet's: leave out --bug, or Vitess",
            ));
        }
        let source = match (&self.vitess_image, &self.vitess_programs) {
            (Some(image), _) => VitessSource::Image(image.clone()),
            (None, Some(directory)) => VitessSource::Programs(directory.clone()),
            (None, None) => VitessSource::of_environment().ok_or_else(|| {
                Failure::wrong(
                    "--system vitess needs your Vitess: --vitess-image IMAGE (such as vitess/lite), or \
                     --vitess-programs DIR with vttablet, vtctld and vtctldclient",
                )
            })?,
        };
        let vitess = VitessOptions { source, tablet_flags: self.tablet_flag.clone() };
        Ok(SystemOptions { images, vitess: Some(vitess) })
    }

    fn options(&self, seeded_bugs: bool) -> ImageOptions {
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
    /// Rows of each table [default: 4,000; of Vitess 25,000]
    #[arg(long, value_parser = clap::value_parser!(u64).range(100..=50_000_000))]
    pub rows: Option<u64>,
    /// Tables of the workload, with commas
    #[arg(long, value_delimiter = ',', default_value = "corder,customer,product")]
    pub tables: Vec<String>,
    /// Landed faults below which the run is not green [default: 8, or two thirds of the trials]
    #[arg(long)]
    pub floor: Option<u64>,
    /// Begin no trial after the first that failed
    #[arg(long)]
    pub fail_fast: bool,
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

/// What to do with crash points.
#[derive(Debug, Subcommand)]
pub enum CrashPointsCommand {
    /// Records clean runs, and prints every point that they show.
    #[command(after_help = "Example:\n  vdiff-chaos crash-points list --rows 700")]
    List(CrashPointArgs),
    /// Strikes the tablet at every point, and prints the coverage.
    #[command(
        after_help = "Example:\n  vdiff-chaos crash-points run --jobs 4\n  vdiff-chaos crash-points run --faults oom,cancel --shard 1/3\n  vdiff-chaos crash-points run --during-recovery --duration 10m"
    )]
    Run(StrikeArgs),
}

/// What the conversations to be recorded are about.
#[derive(Clone, Debug, Args)]
pub struct CrashPointArgs {
    /// The seed of the data, and of what is sampled [default: random]
    #[arg(long)]
    pub seed: Option<u64>,
    /// Rows of each table
    #[arg(long, default_value_t = crash_points::plan::ROWS, value_parser = clap::value_parser!(u64).range(300..=1_000_000))]
    pub rows: u64,
    /// Tables of the workload, with commas
    #[arg(long, value_delimiter = ',', default_value = "corder,customer,product")]
    pub tables: Vec<String>,
    /// Trials at a time
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub jobs: u16,
    /// Reports.
    #[command(flatten)]
    pub out: OutArgs,
    /// Images.
    #[command(flatten)]
    pub images: ImageArgs,
}

/// Arguments of `crash-points run`.
#[derive(Debug, Args)]
pub struct StrikeArgs {
    /// The conversations.
    #[command(flatten)]
    pub recorded: CrashPointArgs,
    /// Strike with each of these, with commas
    #[arg(long, value_delimiter = ',', default_value = "sigkill", value_parser = plan::parse_fault)]
    pub faults: Vec<Fault>,
    /// Only this part of the points: 1/3 is every third
    #[arg(long, value_name = "I/N", value_parser = shard)]
    pub shard: Option<(u32, u32)>,
    /// Strike again while the tablet recovers from each strike, at some of that recovery's points
    #[arg(long)]
    pub during_recovery: bool,
    /// Begin trials for so long (90s, 30m, 8h)
    #[arg(long, value_parser = duration)]
    pub duration: Option<Duration>,
    /// Until so much is covered: 95%-coverage
    #[arg(long, value_name = "N%-coverage", value_parser = coverage)]
    pub until: Option<f64>,
    /// A coverage file that accumulates over runs: what it has not covered comes first
    #[arg(long, value_name = "FILE")]
    pub coverage: Option<PathBuf>,
    /// A known bug, switched on in the tablet
    #[arg(long, value_parser = plan::parse_bug)]
    pub bug: Option<Bug>,
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

/// Arguments of `shrink`.
#[derive(Debug, Args)]
pub struct ShrinkArgs {
    /// A run's directory (its first failed trial is taken), or a schedule.json
    pub target: PathBuf,
    /// This trial of the run
    #[arg(long)]
    pub trial: Option<u32>,
    /// Ends after so many trials, so long, or both (100 or 30m or 100,30m)
    #[arg(long, value_delimiter = ',', default_value = "1h", value_parser = limit)]
    pub budget: Vec<Limit>,
    /// Runs of the original, to measure how often it fails
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub runs: u32,
    /// The invariants that must keep failing, with commas (I1,I4) [default: those that the original breaks]
    #[arg(long, value_delimiter = ',', value_parser = invariant)]
    pub by: Vec<Invariant>,
    /// Trials at a time
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub jobs: u16,
    /// The run's directory; what was shrunk lies in `shrunk` below it [default: a new one in reports/runs]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
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

/// Arguments of `merge`.
#[derive(Debug, Args)]
pub struct MergeArgs {
    /// Directories of runs with --shard, all of one campaign
    #[arg(required = true, value_name = "RUN")]
    pub runs: Vec<PathBuf>,
    /// Reports.
    #[command(flatten)]
    pub out: OutArgs,
}

/// Arguments of `features`.
#[derive(Debug, Args)]
pub struct FeaturesArgs {
    /// A directory of .feature files, or one of them
    pub directory: PathBuf,
    /// Only scenarios whose "feature: scenario" has one of these texts in it
    pub names: Vec<String>,
    /// The control: known bugs that a scenario names stay off
    #[arg(long)]
    pub clean_tablet: bool,
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
    /// Only these known bugs, with commas
    #[arg(long, value_delimiter = ',', value_parser = plan::parse_bug, value_name = "BUGS",
          conflicts_with = "patch")]
    pub bugs: Vec<Bug>,
    /// Trials at a time, 1 to 8
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=8))]
    pub jobs: u8,
    /// Instead of the known bugs: the tablet with this patch applied, a unified diff against this
    /// checkout that changes files in tablet/ only
    #[arg(long, value_name = "FILE", conflicts_with_all = ["clean_tablet", "tablet_image"])]
    pub patch: Option<PathBuf>,
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
    /// Diffs of each size; the middle peak counts
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=15))]
    pub times: u32,
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

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
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
