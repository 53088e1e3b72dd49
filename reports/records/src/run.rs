//! What a campaign knows of itself (`run.json`) and of each of its trials.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::journal::Record;
use crate::schedule::Schedule;
use crate::text::shell_argument;
use crate::verdict::{Judgement, Verdict};
use crate::witnesses::{NotPossible, Witnesses};

/// The version of `run.json` and `summary.json` that this build reads and writes.
pub const FORMAT: u32 = 3;

/// A campaign, as far as its trials do not tell it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RunInfo {
    /// See [`FORMAT`].
    pub format: u32,
    /// The run's id, which is also its directory's name.
    pub run: String,
    /// The seed of its schedules.
    pub seed: u64,
    /// The program as the user calls it (`vdiff-chaos`, `cargo run --`).
    pub program: String,
    /// Its version; empty where an older one wrote this.
    #[serde(default)]
    pub version: String,
    /// The run's directory as the user reaches it.
    pub directory: String,
    /// Landed faults below which a run is not green.
    pub floor: u64,
    /// What its schedules are drawn from, in words: shards of one campaign have the same.
    #[serde(default)]
    pub plan: String,
    /// Its work is a finite list, all of which was to be done: what could not be judged is tried again,
    /// and nothing unclear is tolerated at the end.
    #[serde(default)]
    pub exhaustive: bool,
    /// Which part of a campaign it is.
    #[serde(default)]
    pub part: Part,
    /// Trials at a time.
    #[serde(default)]
    pub jobs: u64,
    /// The engine's own cycle from a kill to a running container, median, in milliseconds; none when it
    /// was not measured.
    #[serde(default)]
    pub floor_cycle_ms: Option<u64>,
    /// Trials that were planned; none: as many as fit its time.
    #[serde(default)]
    pub planned: Option<u64>,
    /// When it began, in milliseconds since the Unix epoch.
    pub started_wall_ms: u64,
    /// From its begin to its end; 0 until it has ended.
    #[serde(default)]
    pub duration_ms: u64,
    /// From its first trial's begin to its last one's end: without the images and the first servers. 0:
    /// no trial has ended, or it was not measured.
    #[serde(default)]
    pub trials_ms: u64,
    /// Why it ended before its plan was done (Ctrl-C, the global deadline).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interrupted: Option<String>,
    /// What it was to do and did not, one sentence each: no such run is green.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub undone: Vec<String>,
    /// Image ids by name (`mysql`, `etcd`, `tablet`).
    #[serde(default)]
    pub images: BTreeMap<String, String>,
    /// Where it ran.
    #[serde(default)]
    pub host: Host,
}

/// Which part of a campaign a run is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// All of it.
    #[default]
    Whole,
    /// This shard, from 1, of so many.
    Shard {
        /// From 1.
        index: u32,
        /// So many.
        of: u32,
    },
    /// All of it, joined from so many shards: their times and floors are added.
    Merged {
        /// So many.
        shards: u32,
    },
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Whole => f.write_str("a whole campaign"),
            Self::Shard { index, of } => write!(f, "shard {index} of {of}"),
            Self::Merged { shards } => write!(f, "joined from {shards} shards"),
        }
    }
}

/// The machine and engine of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// `Docker 20.10.24`.
    pub engine: String,
    /// `cgroup v1`.
    pub cgroup: String,
    /// Cores.
    pub cores: u64,
    /// Memory in bytes.
    pub memory_bytes: u64,
    /// Which witnesses there are; none: nobody looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub witnesses: Option<Witnesses>,
    /// What was left out for this host's sake.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_possible: Vec<NotPossible>,
}

impl Host {
    /// What a reader must know of it beside the verdict: which witnesses there were, what was judged
    /// without some of them, and what was not tried.
    #[must_use]
    pub fn provisos(&self) -> Vec<String> {
        let witnesses = self.witnesses.map(|witnesses| {
            let unjudged = witnesses.unjudged();
            let means = if unjudged.is_empty() { "" } else { ": " };
            format!("witnesses: {witnesses}{means}{}", unjudged.join("; "))
        });
        let left_out = self.not_possible.iter().map(ToString::to_string);
        witnesses.into_iter().chain(left_out).collect()
    }
}

impl std::fmt::Display for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let memory = crate::text::bytes(self.memory_bytes);
        write!(f, "{}, {}, {} cores, {memory}", self.engine, self.cgroup, self.cores)
    }
}

/// A trial with all that is known of it.
#[derive(Clone, Debug, PartialEq)]
pub struct TrialRecord {
    /// Its schedule.
    pub schedule: Schedule,
    /// Its journal; empty when the harness failed before the trial began.
    pub records: Vec<Record>,
    /// What the oracles said.
    pub judgements: Vec<Judgement>,
}

/// What stands in a trial's `verdict.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrialVerdict {
    /// The trial's number.
    pub trial: u32,
    /// The worst of its judgements.
    pub verdict: Verdict,
    /// One for each invariant.
    pub judgements: Vec<Judgement>,
}

impl TrialRecord {
    /// Its number, from 0.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.schedule.trial
    }

    /// The worst of its judgements that apply.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        Judgement::worst(&self.judgements)
    }

    /// Its length in milliseconds.
    #[must_use]
    pub fn duration_ms(&self) -> u64 {
        self.records.iter().map(|record| record.at_ms).max().unwrap_or(0)
    }

    /// What is written to its `verdict.json`.
    #[must_use]
    pub fn trial_verdict(&self) -> TrialVerdict {
        TrialVerdict {
            trial: self.number(),
            verdict: self.verdict(),
            judgements: self.judgements.clone(),
        }
    }
}

impl RunInfo {
    /// A trial's schedule as the user reaches it.
    #[must_use]
    pub fn schedule_path(&self, trial: u32) -> String {
        let directory = self.directory.trim_end_matches('/');
        format!("{directory}/trials/{trial:04}/schedule.json")
    }

    /// The command that replays a trial.
    #[must_use]
    pub fn replay_command(&self, trial: u32) -> String {
        format!("{} replay {}", self.program, shell_argument(&self.schedule_path(trial)))
    }
}
