//! What a campaign comes to (`summary.json`): a pure function of its trials' journals and judgements.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use records::coverage::{Coverage, Figures};
use records::journal::{Event, FaultLanded, Record, Side};
use records::run::{FORMAT, Host, Part, RunInfo, TrialRecord};
use records::schedule::{Phase, Schedule, Trigger};
use records::statistics::{Rate, share_percent};
use records::tellings::Telling;
use records::verdict::{Invariant, Judgement, Verdict};

mod landing;
mod lives;
mod recovery;
mod shares;

pub(crate) use landing::landed_in_words;
pub use landing::{Landing, landings, recoveries_ms};
pub use lives::{Return, compared_twice, returns};
pub use recovery::Recovery;
pub use shares::TimeShares;

/// Percentage of inconclusive trials above which a run is not green; below it only those for reasons of
/// the harness are borne, and where the work is a finite list none.
pub const INCONCLUSIVE_PERCENT_MAX: u64 = 2;

/// What no run judges, whatever comes of it: it stands in the head of each report.
pub const NOT_JUDGED: &str = "snapshots under writes, for the data is at rest";

/// What is said of a run whose harness did not come to its end, or has not yet.
pub const NOT_ENDED: &str = "the run has not ended";

/// What a campaign comes to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// See [`FORMAT`].
    pub format: u32,
    /// The run's id.
    pub run: String,
    /// `fail`: a trial failed. `inconclusive`: nothing passed, the floor was not reached, the run
    /// was interrupted, or more than [`INCONCLUSIVE_PERCENT_MAX`] percent of the trials were
    /// inconclusive. `pass` else.
    pub verdict: Verdict,
    /// Why the verdict is `inconclusive`, one sentence each.
    pub verdict_reasons: Vec<String>,
    /// What was not judged in it, one sentence each.
    #[serde(default)]
    pub not_judged: Vec<String>,
    /// The seed.
    pub seed: u64,
    /// Which part of a campaign it is.
    pub part: Part,
    /// Trials at a time.
    pub jobs: u64,
    /// Trials by verdict.
    pub trials: Counts,
    /// Inconclusive trials, of all.
    pub inconclusive_percent: f64,
    /// How often one schedule failed, when the run repeated it. An inconclusive trial says nothing, and
    /// is no attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reproduction: Option<Rate>,
    /// Crash points that there are and that were hit; none when the run enumerated none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coverage: Option<Figures>,
    /// Checks that oracles made.
    pub checks: u64,
    /// Landed faults by name.
    pub landed: BTreeMap<String, u64>,
    /// Faults that missed.
    pub missed: u64,
    /// Landed faults below which a run is not green.
    pub floor: u64,
    /// Landed faults by the diff's phase, where known.
    pub landed_phases: BTreeMap<String, u64>,
    /// Fraction (0 to 1) of the landed faults, of those whose place in the diff is known, that hit
    /// between 5 % and 95 % of it.
    pub landed_between_5_and_95_percent: f64,
    /// From a restart to ready.
    pub recovery_ms: Quantiles,
    /// From the death of the tablet's process to the next one's readiness, after scheduled faults.
    pub kill_to_ready_ms: Quantiles,
    /// From that readiness to the first rows that the new process saved.
    pub ready_to_moving_ms: Quantiles,
    /// Both by fault and phase.
    pub recovery: Vec<Recovery>,
    /// Rows compared twice at most, by restart: see [`compared_twice`].
    pub rows_compared_twice: Quantiles,
    /// Trials per hour, from the first one's begin to the last one's end.
    pub trials_per_hour: f64,
    /// Where the time of trials goes; none when no time passed in them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_shares: Option<TimeShares>,
    /// The engine's own cycle from a kill to a running container, in milliseconds: the median of some,
    /// measured in the same run. No trial can restart a tablet faster. None when it was not measured.
    pub floor_cycle_ms: Option<u64>,
    /// Broken invariants.
    pub findings: Vec<Finding>,
    /// Trials that say nothing.
    pub inconclusive: Vec<InconclusiveTrial>,
    /// Image ids by name.
    pub images: BTreeMap<String, String>,
    /// Where it ran.
    pub host: Host,
    /// When it began, in milliseconds since the Unix epoch.
    pub started_wall_ms: u64,
    /// Its length.
    pub duration_ms: u64,
    /// The run's directory as the user reaches it.
    pub directory: String,
}

/// Trials by verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// All.
    pub total: u64,
    /// Passed.
    pub pass: u64,
    /// Failed.
    pub fail: u64,
    /// Inconclusive.
    pub inconclusive: u64,
    /// Inconclusive, and judged in another try: of a run whose work is a finite list.
    #[serde(default)]
    pub again: u64,
}

/// Quantiles of what was measured; none when nothing was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quantiles {
    /// How many were measured.
    pub count: u64,
    /// Median.
    pub p50: Option<u64>,
    /// 95th percentile.
    pub p95: Option<u64>,
    /// The greatest.
    pub max: Option<u64>,
}

/// A broken invariant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// The trial's number.
    pub trial: u32,
    /// Which invariant.
    pub invariant: Invariant,
    /// Its name in words.
    pub title: String,
    /// Expected and found, one line each.
    pub reasons: Vec<String>,
    /// The trial's landed faults with their evidence, in words.
    pub faults: Vec<String>,
    /// The command that replays it.
    pub replay: String,
    /// The trial's schedule as the user reaches it.
    pub schedule: String,
}

/// A trial that says nothing, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InconclusiveTrial {
    /// The trial's number.
    pub trial: u32,
    /// Why, each cause once.
    pub causes: Vec<String>,
    /// The command that replays it.
    pub replay: String,
}

impl Summary {
    /// What these trials come to.
    #[must_use]
    pub fn build(run: &RunInfo, trials: &[TrialRecord]) -> Self {
        let again = if run.exhaustive { tried_again(trials) } else { BTreeSet::new() };
        let counts = count(trials, &again);
        let landings: Vec<Landing> = trials.iter().flat_map(landings).collect();
        let mut landed = BTreeMap::new();
        let mut landed_phases = BTreeMap::new();
        for landing in &landings {
            *landed.entry(landing.fault.name().to_owned()).or_default() += 1;
            if let Some(phase) = landing.phase {
                *landed_phases.entry(phase.name().to_owned()).or_default() += 1;
            }
        }
        let returns: Vec<Return> = trials.iter().flat_map(returns).collect();
        let unexplained = trials.iter().filter(|trial| is_unexplained(trial)).count() as u64;
        let verdict_reasons = doubts(run, counts, landings.len() as u64, unexplained);
        Self {
            format: FORMAT,
            run: run.run.clone(),
            verdict: match (counts.fail, verdict_reasons.is_empty()) {
                (1.., _) => Verdict::Fail,
                (0, true) => Verdict::Pass,
                (0, false) => Verdict::Inconclusive,
            },
            verdict_reasons,
            not_judged: not_judged(trials),
            seed: run.seed,
            part: run.part,
            jobs: run.jobs,
            trials: counts,
            inconclusive_percent: share_percent(counts.inconclusive, counts.total),
            reproduction: reproduction(trials, counts),
            coverage: None,
            checks: trials.iter().flat_map(|trial| &trial.judgements).map(|j| j.checks).sum(),
            landed,
            missed: missed(trials),
            floor: run.floor,
            landed_phases,
            landed_between_5_and_95_percent: middle_fraction(&landings),
            recovery_ms: Quantiles::of(trials.iter().flat_map(|t| recoveries_ms(&t.records))),
            kill_to_ready_ms: Quantiles::of(returns.iter().map(|back| back.kill_to_ready_ms)),
            ready_to_moving_ms: Quantiles::of(
                returns.iter().filter_map(|back| back.ready_to_moving_ms),
            ),
            recovery: recovery::by_fault_and_phase(&returns),
            rows_compared_twice: Quantiles::of(trials.iter().flat_map(compared_twice)),
            trials_per_hour: per_hour(counts.total, run),
            time_shares: TimeShares::of(trials),
            floor_cycle_ms: run.floor_cycle_ms,
            findings: trials.iter().flat_map(|trial| findings(run, trial)).collect(),
            inconclusive: trials
                .iter()
                .filter(|trial| !again.contains(&trial.number()))
                .filter_map(|trial| inconclusive(run, trial))
                .collect(),
            images: run.images.clone(),
            host: run.host.clone(),
            started_wall_ms: run.started_wall_ms,
            duration_ms: run.duration_ms,
            directory: run.directory.clone(),
        }
    }

    /// With what the run's enumeration comes to; a run that enumerated nothing has none.
    #[must_use]
    pub fn cover(self, coverage: Option<&Coverage>) -> Self {
        Self { coverage: coverage.map(Coverage::figures), ..self }
    }

    /// All landed faults.
    #[must_use]
    pub fn landed_total(&self) -> u64 {
        self.landed.values().sum()
    }
}

impl Quantiles {
    /// Of these values, by the nearest rank.
    pub fn of(values: impl IntoIterator<Item = u64>) -> Self {
        let mut values: Vec<u64> = values.into_iter().collect();
        values.sort_unstable();
        let rank = |percent: usize| {
            let rank = (values.len() * percent).div_ceil(100).max(1);
            values.get(rank - 1).copied()
        };
        let (p50, p95) = (rank(50), rank(95));
        Self { count: values.len() as u64, p50, p95, max: values.last().copied() }
    }
}

fn count(trials: &[TrialRecord], again: &BTreeSet<u32>) -> Counts {
    let mut counts = Counts { total: trials.len() as u64, ..Counts::default() };
    for trial in trials {
        match trial.verdict() {
            Verdict::Pass => counts.pass += 1,
            Verdict::Fail => counts.fail += 1,
            Verdict::Inconclusive if again.contains(&trial.number()) => counts.again += 1,
            Verdict::Inconclusive => counts.inconclusive += 1,
        }
    }
    counts
}

/// Inconclusive trials that another try of the same schedule has made good.
fn tried_again(trials: &[TrialRecord]) -> BTreeSet<u32> {
    trials.iter().filter(|one| is_made_good(one, trials)).map(TrialRecord::number).collect()
}

/// Whether a trial was inconclusive, and another try of its schedule was not.
#[must_use]
pub fn is_made_good(trial: &TrialRecord, trials: &[TrialRecord]) -> bool {
    let trial_schedule = &trial.schedule;
    let is_judged_try = |other: &TrialRecord| {
        let (trial, vdiff_uuid) = (other.schedule.trial, other.schedule.vdiff_uuid.clone());
        other.verdict() != Verdict::Inconclusive
            && other.schedule == Schedule { trial, vdiff_uuid, ..trial_schedule.clone() }
    };
    trial.verdict() == Verdict::Inconclusive && trials.iter().any(is_judged_try)
}

/// Inconclusive for a reason that a broken tablet may have brought about.
fn is_unexplained(trial: &TrialRecord) -> bool {
    trial.verdict() == Verdict::Inconclusive && !Judgement::is_harness_alone(&trial.judgements)
}

/// Why a run without a failure is not green.
fn doubts(run: &RunInfo, counts: Counts, landed: u64, unexplained: u64) -> Vec<String> {
    let mut doubts = Vec::new();
    if run.duration_ms == 0 {
        doubts.push(NOT_ENDED.to_owned());
    }
    if let Some(why) = &run.interrupted {
        doubts.push(format!("the run was interrupted: {why}"));
    }
    doubts.extend(run.undone.iter().cloned());
    if counts.pass == 0 {
        doubts.push("no trial passed".to_owned());
    }
    if landed < run.floor {
        doubts.push(format!("{landed} faults landed, below the floor of {}", run.floor));
    }
    doubts.extend(unclear(run, counts, unexplained));
    doubts
}

/// Whether the inconclusive trials are more than is borne.
fn unclear(run: &RunInfo, counts: Counts, unexplained: u64) -> Option<String> {
    let Counts { inconclusive, total, .. } = counts;
    if run.exhaustive {
        let text = format!(
            "{inconclusive} of {total} trials stayed inconclusive, where every one is to be judged"
        );
        return (inconclusive > 0).then_some(text);
    }
    if inconclusive * 100 > total * INCONCLUSIVE_PERCENT_MAX {
        return Some(format!(
            "{inconclusive} of {total} trials were inconclusive, more than {INCONCLUSIVE_PERCENT_MAX} %"
        ));
    }
    let text = format!(
        "{unexplained} of {total} trials were inconclusive for what a broken tablet may bring about"
    );
    (unexplained > 0).then_some(text)
}

/// The rate at which one schedule failed; none when the trials are of different schedules.
fn reproduction(trials: &[TrialRecord], counts: Counts) -> Option<Rate> {
    let [first, rest @ ..] = trials else { return None };
    let is_again = |trial: &TrialRecord| {
        let again = Schedule { trial: first.schedule.trial, ..trial.schedule.clone() };
        again == first.schedule
    };
    let repeated = !rest.is_empty() && rest.iter().all(is_again);
    repeated.then(|| Rate::new(counts.fail, counts.pass + counts.fail))
}

fn missed(trials: &[TrialRecord]) -> u64 {
    let is_miss = |record: &&Record| matches!(record.event, Event::FaultMissed { .. });
    trials.iter().flat_map(|trial| &trial.records).filter(is_miss).count() as u64
}

fn middle_fraction(landings: &[Landing]) -> f64 {
    let places: Vec<f64> = landings.iter().filter_map(|landing| landing.fraction).collect();
    if places.is_empty() {
        return 0.0;
    }
    let middle = places.iter().filter(|place| (0.05..=0.95).contains(*place)).count();
    middle as f64 / places.len() as f64
}

/// Of the time in which trials ran; of all of the run's, where only that was measured.
fn per_hour(trials: u64, run: &RunInfo) -> f64 {
    let duration_ms = if run.trials_ms > 0 { run.trials_ms } else { run.duration_ms };
    if duration_ms == 0 {
        return 0.0;
    }
    (trials as f64 * 3.6e6 / duration_ms as f64 * 10.0).round() / 10.0
}

fn findings(run: &RunInfo, trial: &TrialRecord) -> Vec<Finding> {
    let faults: Vec<String> = landings(trial).iter().map(Landing::in_words).collect();
    let broken = trial.judgements.iter().filter(|judgement| judgement.is_fail());
    broken
        .map(|judgement| Finding {
            trial: trial.number(),
            invariant: judgement.invariant,
            title: judgement.invariant.title().to_owned(),
            reasons: judgement.reasons.iter().map(|reason| reason.text.clone()).collect(),
            faults: faults.clone(),
            replay: run.replay_command(trial.number()),
            schedule: run.schedule_path(trial.number()),
        })
        .collect()
}

fn inconclusive(run: &RunInfo, trial: &TrialRecord) -> Option<InconclusiveTrial> {
    if trial.verdict() != Verdict::Inconclusive {
        return None;
    }
    let is_doubt = |j: &&Judgement| j.weighs() && j.verdict == Verdict::Inconclusive;
    let mut causes: Vec<String> = Vec::new();
    for reason in trial.judgements.iter().filter(is_doubt).flat_map(|j| &j.reasons) {
        if !causes.contains(&reason.text) {
            causes.push(reason.text.clone());
        }
    }
    if causes.is_empty() {
        causes.push("no oracle had anything to judge".to_owned());
    }
    let replay = run.replay_command(trial.number());
    Some(InconclusiveTrial { trial: trial.number(), causes, replay })
}

/// What was not judged: in any run, and for want of something that the system does not tell.
fn not_judged(trials: &[TrialRecord]) -> Vec<String> {
    let untold = trials.iter().flat_map(|trial| &trial.records).filter_map(|record| {
        let Event::TrialStarted(head) = &record.event else { return None };
        Some(&head.untold)
    });
    let untold: BTreeSet<Telling> = untold.flatten().copied().collect();
    let for_want_of_it = untold.into_iter().flat_map(Telling::not_judged);
    std::iter::once(NOT_JUDGED.to_owned()).chain(for_want_of_it).collect()
}

/// Where a fault of a schedule's step hit, for those who only have the record.
pub(crate) fn phase_of(landed: &FaultLanded, schedule: &Schedule) -> Option<Phase> {
    let seen = landed.interrupted.as_ref().and_then(|interrupted| interrupted.phase);
    let aimed = schedule.steps.get(landed.step).map(|step| &step.trigger);
    seen.or(match aimed {
        Some(Trigger::Phase { phase }) => Some(*phase),
        Some(Trigger::CrashPoint { point }) => point.phase,
        Some(
            Trigger::Time { .. }
            | Trigger::Progress { .. }
            | Trigger::DuringRecovery { .. }
            | Trigger::DuringFault { .. },
        )
        | None => None,
    })
}

/// The tablet under test.
pub(crate) fn is_target(side: Side) -> bool {
    side == Side::Target
}

#[cfg(test)]
mod tests;
