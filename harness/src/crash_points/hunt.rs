//! The hunt: deals recordings, then a strike at each point they have shown, then what those have shown.
//!
//! Points that no run has covered yet come first. Of a kind with few exchanges the next one is tried
//! until it does not come any more. A point that was not reached is tried again, since the operator's
//! part of a script races with the diff; after five tries it is named.
//! With recoveries, each strike's restart is itself a conversation: some of its points are struck in
//! trials that strike twice.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::path::Path;
use std::time::{Duration, Instant};

use rand::seq::{IndexedRandom, SliceRandom};
use records::TrialRecord;
use records::coverage::{Coverage, Occurrence};
use records::journal::Event;
use records::schedule::{CrashPoint, Fault, Schedule};
use records::verdict::Verdict;

use super::enumerate::{Kind, Listed, kinds};
use super::plan::{Frame, RECORDINGS, SCRIPTS, Script};
use crate::plan::{PlanError, fork};
use crate::systems;
use system::{Demand, Window};
use wire::recording::{self, Recorded, RecordingError};

mod dealer;
mod entry;

pub use entry::Entry;
use entry::{can_strike, list, part};

/// The second life of a tablet is the recovery from the first strike.
const RECOVERY: u32 = 2;
/// Points of one recovery that are struck.
const SECONDS_PER_FIRST: usize = 3;
/// Every recording had the point: what is not reached in so many trials is not there any more.
const TRIES_MAX: u32 = 5;
/// What could not be judged is tried so often.
const UNCLEAR_TRIES_MAX: u32 = 3;
/// A kind is tried beyond what was recorded at most up to this number.
const BEYOND_MAX: u32 = 8;

/// What a hunt shall do.
#[derive(Clone, Debug)]
pub struct HuntOptions {
    /// What all trials have in common.
    pub frame: Frame,
    /// Strike with each of these; none: only record and list.
    pub faults: Vec<Fault>,
    /// Only points that lie here.
    pub window: Option<Window>,
    /// Only this part of the points, from 1, of so many.
    pub shard: Option<(u32, u32)>,
    /// Strike again while the tablet recovers.
    pub during_recovery: bool,
    /// Begin trials for so long.
    pub duration: Option<Duration>,
    /// Until so many percent of the points are covered.
    pub until_percent: Option<f64>,
    /// What earlier runs have covered.
    pub covered: Coverage,
    /// What the recordings must contain, all together.
    pub must_contain: Vec<Demand>,
}

/// Why a hunt cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum HuntError {
    /// A schedule cannot be made.
    #[error("a trial cannot be planned")]
    Plan(#[source] PlanError),
    /// A conversation was not recorded.
    #[error("the conversation of trial {trial} is missing")]
    Recording {
        /// The trial.
        trial: u32,
        /// Why.
        #[source]
        source: RecordingError,
    },
    /// Nobody knows whether a run without a strike is a clean one.
    #[error(
        "the run {trial} (script \"{script}\", no strike) is inconclusive, so that its conversation \
         says nothing: {why}"
    )]
    Unclear {
        /// The trial.
        trial: u32,
        /// Its script.
        script: &'static str,
        /// The first reason.
        why: String,
    },
    /// The recordings lack what a tablet cannot do without.
    #[error(
        "the recorded conversations lack {}: the tablet no longer says it, or the proxy no longer \
         understands it (the list is in must-contain.json)", lacking.join(", ")
    )]
    Lacking {
        /// Names of the list.
        lacking: Vec<String>,
    },
}

/// Why a trial is run.
#[derive(Clone, Debug)]
enum Purpose {
    Record { script: usize, tries: u32 },
    Strike { entry: Entry, fault: Fault, tries: u32 },
    Beyond { entry: Entry, fault: Fault, tries: u32 },
    Second { script: Script, strikes: [(CrashPoint, Fault); 2] },
}

/// See the module.
pub struct Hunt {
    options: HuntOptions,
    until: Option<Instant>,
    next_trial: u32,
    queue: VecDeque<Purpose>,
    running: HashMap<u32, Purpose>,
    recordings: Vec<Vec<Vec<Recorded>>>,
    /// Scripts that a trial failed in, with nothing struck.
    failing: BTreeSet<usize>,
    entries: Vec<Entry>,
    coverage: Coverage,
    problem: Option<HuntError>,
}

impl HuntOptions {
    /// Whether every point is to be struck: not a sample, nor as many as there is time for.
    fn is_exhaustive(&self) -> bool {
        let bounded = self.duration.is_some() || self.until_percent.is_some();
        !self.during_recovery && !bounded && !self.faults.is_empty()
    }

    /// SIGKILL at every point, once.
    #[must_use]
    pub fn exhaustive(frame: Frame) -> HuntOptions {
        let must_contain = systems::must_contain(frame.system);
        HuntOptions {
            frame,
            faults: vec![Fault::Sigkill],
            window: None,
            shard: None,
            during_recovery: false,
            duration: None,
            until_percent: None,
            covered: Coverage::default(),
            must_contain,
        }
    }
}

impl Hunt {
    /// A hunt that begins with the recordings.
    #[must_use]
    pub fn new(options: HuntOptions) -> Hunt {
        let scripts = 0..SCRIPTS.len();
        // Numbers of trials are apart in all shards, so that these can be joined.
        let (first, _) = numbering(options.shard);
        let queue = (0..RECORDINGS)
            .flat_map(|_| scripts.clone().map(|script| Purpose::Record { script, tries: 1 }))
            .collect();
        Hunt {
            until: None,
            next_trial: first,
            queue,
            running: HashMap::new(),
            recordings: vec![Vec::new(); SCRIPTS.len()],
            failing: BTreeSet::new(),
            entries: Vec::new(),
            coverage: Coverage::default(),
            problem: None,
            options,
        }
    }

    /// All points, once the recordings are there.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// What this hunt has covered.
    #[must_use]
    pub fn coverage(&self) -> &Coverage {
        &self.coverage
    }

    /// Points that were to be struck, and were not reached.
    #[must_use]
    pub fn left(&self) -> usize {
        let struck = |entry: &&Entry| {
            let point = self.coverage.point(&entry.listed.key());
            let landed = |fault: Fault| point.is_some_and(|point| point.is_landed(Some(fault)));
            let mut faults = self.options.faults.iter().copied();
            faults.all(|fault| !can_strike(fault, entry) || landed(fault))
        };
        let wanted = part(&self.entries, self.options.shard).filter(|entry| !entry.listed.timed);
        wanted.filter(|entry| !struck(entry)).count()
    }

    fn schedule(&mut self, purpose: &Purpose) -> Result<Schedule, PlanError> {
        let trial = self.next_trial;
        let frame = &self.options.frame;
        let schedule = match purpose {
            Purpose::Record { script, .. } => frame.recording(trial, SCRIPTS[*script]),
            Purpose::Strike { entry, fault, .. } => {
                let strikes = [(entry.listed.point.clone(), *fault)];
                frame.strike(trial, entry.script, &strikes, entry.listed.timed)
            }
            Purpose::Beyond { entry, fault, .. } => {
                let strikes = [(entry.listed.point.clone(), *fault)];
                frame.strike(trial, entry.script, &strikes, true)
            }
            Purpose::Second { script, strikes } => frame.strike(trial, *script, strikes, true),
        }?;
        self.next_trial += numbering(self.options.shard).1;
        Ok(schedule)
    }

    /// A recording has ended; the last one of all begins the strikes.
    fn recorded(&mut self, script: usize, tries: u32, trial: &TrialRecord, directory: &Path) {
        let number = trial.number();
        match trial.verdict() {
            Verdict::Pass => match recording::read(directory) {
                Ok(conversation) => self.recordings[script].push(conversation),
                Err(source) => self.problem = Some(HuntError::Recording { trial: number, source }),
            },
            // A finding, made without a strike. What else is there is struck all the same.
            Verdict::Fail => {
                self.failing.insert(script);
                let of_it = |one: &Purpose| matches!(one, Purpose::Record { script: of, .. } if *of == script);
                self.queue.retain(|one| !of_it(one));
            }
            Verdict::Inconclusive if tries < UNCLEAR_TRIES_MAX => {
                self.queue.push_front(Purpose::Record { script, tries: tries + 1 });
            }
            Verdict::Inconclusive => {
                let judged = trial.judgements.iter().filter(|judged| !judged.not_applicable);
                let mut reasons = judged.flat_map(|judged| &judged.reasons);
                let why = reasons.next().map_or_else(String::new, |reason| reason.text.clone());
                let script = SCRIPTS[script].name;
                self.problem = Some(HuntError::Unclear { trial: number, script, why });
            }
        }
        let recording = |purpose: &Purpose| matches!(purpose, Purpose::Record { .. });
        let all_ended = !self.queue.iter().chain(self.running.values()).any(recording);
        if all_ended && self.problem.is_none() {
            self.begin();
        }
    }

    /// The recordings are there: lists the points and queues the strikes.
    fn begin(&mut self) {
        for script in &self.failing {
            self.recordings[*script].clear();
        }
        let is_lacking = |demand: &&Demand| {
            !self.recordings.iter().flatten().flatten().any(|said| demand.is_met_by(said))
        };
        let lacking = self.options.must_contain.iter().filter(is_lacking);
        let lacking: Vec<String> = lacking.map(|demand| demand.what.clone()).collect();
        // What a failing script would have shown cannot be asked for.
        if self.failing.is_empty() && !lacking.is_empty() {
            self.problem = Some(HuntError::Lacking { lacking });
            return;
        }
        self.entries = list(&self.recordings);
        if let Some(window) = self.options.window {
            self.entries.retain(|entry| window.has(&entry.listed.point));
        }
        self.until = self.options.duration.map(|duration| Instant::now() + duration);
        let faults = &self.options.faults;
        let can_be_struck =
            |entry: &&Entry| faults.is_empty() || faults.iter().any(|one| can_strike(*one, entry));
        for entry in self.entries.iter().filter(can_be_struck) {
            self.coverage.enumerate(entry.listed.key(), entry.listed.point.nth, entry.listed.timed);
        }
        self.queue_strikes();
    }

    fn queue_strikes(&mut self) {
        let shard = self.options.shard;
        let mut strikes = Vec::new();
        for fault in &self.options.faults {
            let (fault, tries) = (*fault, 1);
            let strike = |entry: &Entry| Purpose::Strike { entry: entry.clone(), fault, tries };
            let aims = part(&self.entries, shard).filter(|entry| can_strike(fault, entry));
            strikes.extend(aims.map(strike));
        }
        if self.options.during_recovery {
            strikes.shuffle(&mut fork(self.options.frame.seed, "crash points", 0));
        }
        let covered = &self.options.covered;
        let is_covered = |strike: &Purpose| match strike {
            Purpose::Strike { entry, fault, .. } => {
                let known = covered.point(&entry.listed.key());
                entry.listed.timed || known.is_some_and(|point| point.is_landed(Some(*fault)))
            }
            _ => true,
        };
        strikes.sort_by_key(is_covered); // Stable: the order within stays.
        self.queue = strikes.into();
        if self.options.during_recovery || self.options.window.is_some() {
            return;
        }
        if let Some(fault) = self.options.faults.first() {
            let beyond = self.beyond(*fault, shard);
            self.queue.extend(beyond);
        }
    }

    /// For each kind with few exchanges the one after the last.
    fn beyond(&self, fault: Fault, shard: Option<(u32, u32)>) -> Vec<Purpose> {
        let mut seen = BTreeSet::new();
        let firsts = self.entries.iter().filter(|entry| {
            let kind = &entry.kind;
            seen.insert((kind.link, kind.fingerprint.clone(), kind.phase))
        });
        part(firsts, shard)
            .filter(|entry| can_strike(fault, entry))
            .filter_map(|entry| {
                let listed = entry.kind.beyond(entry.kind.count_max)?;
                let entry = Entry { listed, ..entry.clone() };
                Some(Purpose::Beyond { entry, fault, tries: 1 })
            })
            .collect()
    }

    fn struck(&mut self, purpose: Purpose, trial: &TrialRecord, directory: &Path) {
        let is_judged = trial.verdict() != Verdict::Inconclusive;
        let has_hit = trial
            .records
            .iter()
            .any(|record| matches!(&record.event, Event::FaultLanded(landed) if landed.step == 0));
        let landed = has_hit && is_judged;
        match purpose {
            Purpose::Strike { entry, fault, tries } => {
                self.coverage.count(trial);
                // What was hit and not judged says as little as what was not reached; what comes with
                // the clock need not come again.
                let tries_max = match (has_hit, entry.listed.timed) {
                    (true, _) | (false, true) if !is_judged => UNCLEAR_TRIES_MAX,
                    (_, true) => 0,
                    (_, false) => TRIES_MAX,
                };
                if !landed && tries < tries_max {
                    self.queue.push_back(Purpose::Strike { entry, fault, tries: tries + 1 });
                } else if landed && self.options.during_recovery {
                    self.queue_seconds(&entry, fault, trial.number(), directory);
                }
            }
            Purpose::Beyond { entry, fault, .. } if landed => {
                let listed = &entry.listed;
                self.coverage.enumerate(listed.key(), listed.point.nth, false);
                self.coverage.count(trial);
                let next = entry.listed.point.nth + 1;
                if next <= BEYOND_MAX {
                    let mut entry = entry;
                    entry.listed.point.nth = next;
                    entry.listed.occurrence = Occurrence::Nth(next);
                    self.queue.push_back(Purpose::Beyond { entry, fault, tries: 1 });
                }
            }
            Purpose::Beyond { entry, fault, tries } if !is_judged && tries < UNCLEAR_TRIES_MAX => {
                self.queue.push_back(Purpose::Beyond { entry, fault, tries: tries + 1 });
            }
            Purpose::Beyond { .. } | Purpose::Second { .. } | Purpose::Record { .. } => {}
        }
    }

    /// Some points of the recovery that a strike has led to.
    fn queue_seconds(&mut self, entry: &Entry, fault: Fault, trial: u32, directory: &Path) {
        let conversation = match recording::read(directory) {
            Ok(conversation) => conversation,
            Err(source) => {
                self.problem = Some(HuntError::Recording { trial, source });
                return;
            }
        };
        let found = kinds(&[conversation], RECOVERY);
        let points: Vec<Listed> = found.iter().flat_map(Kind::points).collect();
        let mut rng = fork(self.options.frame.seed, "recovery", trial);
        for listed in points.sample(&mut rng, SECONDS_PER_FIRST) {
            let strikes =
                [(entry.listed.point.clone(), fault), (listed.point.clone(), Fault::Sigkill)];
            self.queue.push_front(Purpose::Second { script: entry.script, strikes });
        }
    }

    /// Whether there is time, and something left to cover.
    fn goes_on(&self) -> bool {
        let in_time = self.until.is_none_or(|until| Instant::now() < until);
        self.problem.is_none() && in_time && !self.is_enough()
    }

    /// Whether this hunt and those before it have covered as much as was asked for.
    fn is_enough(&self) -> bool {
        let Some(percent) = self.options.until_percent else { return false };
        let mut all = self.coverage.clone();
        all.adopt(&self.options.covered);
        let figures = all.figures();
        figures.enumerated > 0 && figures.percent >= percent
    }
}

/// The first trial's number, and the step from one to the next.
fn numbering(shard: Option<(u32, u32)>) -> (u32, u32) {
    shard.map_or((0, 1), |(index, of)| (index - 1, of))
}

#[cfg(test)]
mod tests;
