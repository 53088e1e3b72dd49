//! Joins the shards of a campaign into one run: its trials, its coverage, one summary and one report.
//! A shard that is missing, double, or of another campaign is an error: a report that says "all passed"
//! must have seen all.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use records::RunInfo;
use records::coverage::{self, Coverage, CoverageError, PointKey};
use records::layout::{LayoutError, RunDirectory};
use records::run::{Host, Part};
use reports::summary::Quantiles;

use crate::judge::{JudgeError, JudgedRun, coverage_of, judge_run};

/// Why runs cannot be joined.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    /// A run cannot be read.
    #[error("{} cannot be joined", run.display())]
    Unreadable {
        /// The run.
        run: PathBuf,
        /// Why.
        #[source]
        source: LayoutError,
    },
    /// A run is no shard.
    #[error("{} is {part}; only runs with --shard can be joined", run.display())]
    NoShard {
        /// The run.
        run: PathBuf,
        /// What it is.
        part: Part,
    },
    /// Two runs are of different campaigns.
    #[error(
        "{} is of another campaign than {}: {what} {found}, expected {expected}", other.display(), first.display()
    )]
    OtherCampaign {
        /// The first run.
        first: PathBuf,
        /// The one that differs.
        other: PathBuf,
        /// In what.
        what: &'static str,
        /// What it has.
        found: String,
        /// What the first has.
        expected: String,
    },
    /// A shard is there twice.
    #[error("shard {index} of {of} is there twice: {} and {}", first.display(), second.display())]
    Double {
        /// From 1.
        index: u32,
        /// So many.
        of: u32,
        /// One.
        first: PathBuf,
        /// The other.
        second: PathBuf,
    },
    /// Shards are missing.
    #[error("missing: {}; give the runs of all shards", parts(missing, *of))]
    Missing {
        /// From 1.
        missing: Vec<u32>,
        /// So many.
        of: u32,
    },
    /// A shard's trials are not those that it was to run.
    #[error("{} is incomplete: {what}", run.display())]
    Incomplete {
        /// The run.
        run: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// Crash points that were to be struck, and that no shard has struck.
    #[error(
        "{} crash points were struck by no shard, and no shard says why: {}",
        points.len(), points.join("; ")
    )]
    Unstruck {
        /// Each with the shard whose it is.
        points: Vec<String>,
    },
    /// A coverage file cannot be read or written.
    #[error("the coverage cannot be joined")]
    Coverage(#[source] CoverageError),
    /// The joined run is to lie where something is.
    #[error("{} is there already; give --out a new directory", path.display())]
    Occupied {
        /// Where.
        path: PathBuf,
    },
    /// A file cannot be copied or written.
    #[error("cannot write {}", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The joined run cannot be judged.
    #[error("the joined run cannot be judged")]
    Judge(#[source] JudgeError),
    /// A report cannot be written.
    #[error("a report of the joined run cannot be written")]
    Layout(#[source] LayoutError),
}

impl MergeError {
    /// The runs are not what was to be given; else the harness failed.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        match self {
            Self::Unreadable { .. }
            | Self::NoShard { .. }
            | Self::OtherCampaign { .. }
            | Self::Double { .. }
            | Self::Missing { .. }
            | Self::Incomplete { .. }
            | Self::Unstruck { .. }
            | Self::Coverage(CoverageError::OtherFormat { .. } | CoverageError::NotJson { .. })
            | Self::Coverage(CoverageError::WrongField { .. } | CoverageError::Unreadable { .. })
            | Self::Occupied { .. }
            | Self::Judge(_) => true,
            Self::Coverage(CoverageError::Unwritable(_))
            | Self::Unwritable { .. }
            | Self::Layout(_) => false,
        }
    }
}

/// `shard 2 of 3, shard 3 of 3`
fn parts(missing: &[u32], of: u32) -> String {
    let names = missing.iter().map(|index| Part::Shard { index: *index, of }.to_string());
    names.collect::<Vec<_>>().join(", ")
}

/// A run with what it knows of itself.
struct Shard {
    path: PathBuf,
    run: RunDirectory,
    info: RunInfo,
    index: u32,
    of: u32,
}

/// Joins runs into the directory `out`, which must not exist; judges them and writes the reports.
///
/// # Errors
/// When they are not the complete shards of one campaign, or a file cannot be read or written.
pub fn merge(runs: &[PathBuf], out: &Path) -> Result<JudgedRun, MergeError> {
    let mut shards = runs.iter().map(|path| shard(path)).collect::<Result<Vec<_>, _>>()?;
    same_campaign(&shards)?;
    shards.sort_by_key(|shard| shard.index);
    complete(&shards)?;
    if out.exists() {
        return Err(MergeError::Occupied { path: out.to_owned() });
    }
    let coverage = joined_coverage(&shards)?;
    let doubts = doubts_of(&shards)?;
    let merged = RunDirectory::new(out);
    for shard in &shards {
        for trial in trials(shard)? {
            copy(&shard.run.trial(trial), &merged.trial(trial))?;
        }
    }
    merged.write_run(&joined(&shards, doubts, out)).map_err(MergeError::Layout)?;
    if let Some(coverage) = coverage {
        coverage::save(&coverage, &merged.coverage_json()).map_err(MergeError::Coverage)?;
    }
    let judged = judge_run(out).map_err(MergeError::Judge)?;
    reports::write_all(out, &judged.summary, &judged.trials).map_err(MergeError::Layout)?;
    Ok(judged)
}

fn shard(path: &Path) -> Result<Shard, MergeError> {
    let run = RunDirectory::new(path);
    let info =
        run.read_run().map_err(|source| MergeError::Unreadable { run: path.to_owned(), source })?;
    match info.part {
        Part::Shard { index, of } => Ok(Shard { path: path.to_owned(), run, info, index, of }),
        part => Err(MergeError::NoShard { run: path.to_owned(), part }),
    }
}

fn same_campaign(shards: &[Shard]) -> Result<(), MergeError> {
    let Some(first) = shards.first() else { return Ok(()) };
    for other in shards {
        for ((what, found), (_, expected)) in facts(other).into_iter().zip(facts(first)) {
            if found != expected {
                let (first, other) = (first.path.clone(), other.path.clone());
                return Err(MergeError::OtherCampaign { first, other, what, found, expected });
            }
        }
    }
    Ok(())
}

/// What all shards of a campaign have in common. Another MySQL, or another program, is another
/// experiment: a figure over both would be of neither.
fn facts(shard: &Shard) -> [(&'static str, String); 7] {
    let info = &shard.info;
    let image = |name| info.images.get(name).cloned().unwrap_or_else(|| "unknown".to_owned());
    [
        ("seed", info.seed.to_string()),
        ("number of shards", shard.of.to_string()),
        ("plan", format!("\"{}\"", info.plan)),
        ("version of the program", format!("\"{}\"", info.version)),
        ("image mysql", image("mysql")),
        ("image etcd", image("etcd")),
        ("image tablet", image("tablet")),
    ]
}

/// Each shard once, and each with its own trials.
fn complete(shards: &[Shard]) -> Result<(), MergeError> {
    let of = shards.first().map_or(0, |shard| shard.of);
    for pair in shards.windows(2) {
        if pair[0].index == pair[1].index {
            let (first, second) = (pair[0].path.clone(), pair[1].path.clone());
            return Err(MergeError::Double { index: pair[0].index, of, first, second });
        }
    }
    let there: BTreeSet<u32> = shards.iter().map(|shard| shard.index).collect();
    let missing: Vec<u32> = (1..=of).filter(|index| !there.contains(index)).collect();
    if !missing.is_empty() {
        return Err(MergeError::Missing { missing, of });
    }
    for shard in shards {
        let incomplete = |what| MergeError::Incomplete { run: shard.path.clone(), what };
        let trials = trials(shard)?;
        if let Some(stranger) = trials.iter().find(|trial| *trial % of != shard.index - 1) {
            return Err(incomplete(format!("trial {stranger} is of another shard")));
        }
        let planned = shard.info.planned.unwrap_or(0);
        if (trials.len() as u64) < planned {
            return Err(incomplete(format!("{} of {planned} trials are there", trials.len())));
        }
        if shard.info.duration_ms == 0 {
            return Err(incomplete("the run has not ended".to_owned()));
        }
    }
    Ok(())
}

/// Trials that were planned.
fn trials(shard: &Shard) -> Result<Vec<u32>, MergeError> {
    let numbers = shard
        .run
        .trial_numbers()
        .map_err(|source| MergeError::Unreadable { run: shard.path.clone(), source })?;
    Ok(numbers.into_iter().filter(|number| shard.run.schedule(*number).exists()).collect())
}

/// Copies a trial's files.
fn copy(from: &Path, to: &Path) -> Result<(), MergeError> {
    let unwritable = |source| MergeError::Unwritable { path: to.to_owned(), source };
    std::fs::create_dir_all(to).map_err(unwritable)?;
    for entry in std::fs::read_dir(from).map_err(unwritable)? {
        let entry = entry.map_err(unwritable)?;
        if entry.path().is_file() {
            std::fs::copy(entry.path(), to.join(entry.file_name())).map_err(unwritable)?;
        }
    }
    Ok(())
}

/// Why shards are not green, each reason with its shard: the sum may hide it (a floor that one shard
/// missed, and the others exceeded).
fn doubts_of(shards: &[Shard]) -> Result<Vec<String>, MergeError> {
    let mut doubts = Vec::new();
    for shard in shards {
        let judged = judge_run(&shard.path).map_err(MergeError::Judge)?;
        let reasons = judged.summary.verdict_reasons.into_iter();
        doubts.extend(reasons.map(|reason| format!("shard {}: {reason}", shard.index)));
    }
    Ok(doubts)
}

/// What the joined run knows of itself: times, floors and plans are added, so that trials an hour are
/// those of one machine. No field is taken over unseen: what a shard knows, the joined run tells.
fn joined(shards: &[Shard], doubts: Vec<String>, out: &Path) -> RunInfo {
    let infos = || shards.iter().map(|shard| &shard.info);
    let first = infos().next().cloned().unwrap_or_default();
    let RunInfo {
        format: _,
        run: _,
        seed,
        program,
        version,
        directory: _,
        floor: _,
        plan,
        exhaustive,
        part: _,
        jobs: _,
        floor_cycle_ms: _,
        planned: _,
        started_wall_ms: _,
        duration_ms: _,
        trials_ms: _,
        interrupted: _,
        undone: _,
        images,
        host: _,
    } = first;
    RunInfo {
        format: records::run::FORMAT,
        run: out.file_name().unwrap_or(out.as_os_str()).to_string_lossy().into_owned(),
        seed,
        program,
        version,
        directory: out.display().to_string(),
        floor: infos().map(|info| info.floor).sum(),
        plan,
        exhaustive,
        part: Part::Merged { shards: u32::try_from(shards.len()).unwrap_or(u32::MAX) },
        jobs: infos().map(|info| info.jobs).max().unwrap_or(0),
        floor_cycle_ms: Quantiles::of(infos().filter_map(|info| info.floor_cycle_ms)).p50,
        planned: infos().map(|info| info.planned).sum(),
        started_wall_ms: infos().map(|info| info.started_wall_ms).min().unwrap_or(0),
        duration_ms: infos().map(|info| info.duration_ms).sum(),
        trials_ms: infos().map(|info| info.trials_ms).sum(),
        // Told among the doubts, with the shard's number.
        interrupted: None,
        undone: doubts,
        images,
        host: host(infos().map(|info| &info.host)),
    }
}

/// The host of all, or the first with the number of the others.
fn host<'a>(hosts: impl Iterator<Item = &'a Host>) -> Host {
    let mut different: Vec<&Host> = Vec::new();
    for host in hosts {
        if !different.contains(&host) {
            different.push(host);
        }
    }
    let Some((first, others)) = different.split_first() else { return Host::default() };
    let mut host = (*first).clone();
    if !others.is_empty() {
        host.engine = format!("{} hosts, one of them: {}", different.len(), host.engine);
    }
    host
}

fn joined_coverage(shards: &[Shard]) -> Result<Option<Coverage>, MergeError> {
    let mut all: Vec<Coverage> = Vec::new();
    let mut without: Option<&Shard> = None;
    for shard in shards {
        match coverage_of(&shard.run).map_err(MergeError::Coverage)? {
            Some(coverage) => all.push(coverage),
            None => without = Some(shard),
        }
    }
    match (all.is_empty(), without) {
        (true, _) => Ok(None),
        (false, Some(shard)) => Err(MergeError::Incomplete {
            run: shard.path.clone(),
            what: "it has no coverage.json, and other shards have".to_owned(),
        }),
        (false, None) => united(shards, &all).map(Some),
    }
}

/// All enumerations as one. What was to be struck, and was struck by nobody, is named.
///
/// A point that its own shard has not seen, and less than half of the shards have, comes with a machine's
/// speed as what comes with the clock does: it is listed apart.
fn united(shards: &[Shard], all: &[Coverage]) -> Result<Coverage, MergeError> {
    let mut joined = all.iter().cloned().fold(Coverage::default(), Coverage::merge);
    let of = u32::try_from(all.len()).unwrap_or(u32::MAX);
    let unstruck = joined.points().filter(|(_, at)| !at.time_driven && !at.is_landed(None));
    let unstruck: Vec<PointKey> = unstruck.map(|(key, _)| key.clone()).collect();
    let mut missing = Vec::new();
    for key in unstruck {
        let owner = key.shard(of) as usize - 1;
        let seen = all.iter().filter(|one| one.point(&key).is_some()).count();
        if all[owner].point(&key).is_none() && seen * 2 < all.len() {
            joined.set_apart(&key);
        } else if shards[owner].info.exhaustive && !tells(&shards[owner].info) {
            missing.push(format!("{key} (shard {})", owner + 1));
        }
    }
    if missing.is_empty() { Ok(joined) } else { Err(MergeError::Unstruck { points: missing }) }
}

/// Whether a shard says itself that it has not done all: then the joined run says so, too.
fn tells(info: &RunInfo) -> bool {
    info.interrupted.is_some() || !info.undone.is_empty()
}

#[cfg(test)]
mod tests;
