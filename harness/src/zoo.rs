//! The zoo: known bugs of the tablet, switched on one by one, to measure that the harness finds them.
//!
//! Each bug has trials that must find it and oracles that must name it (`known`). Where the operator
//! of the incident had a workaround, one more trial does it, on the tablet with the bug: it must come
//! back. The control runs the same trials on the same image with no bug on, and must find nothing.
//!
//! A bug with a window is hunted at the crash points that lie in it. Somebody's patch is hunted by all
//! other trials of the zoo, then at every crash point until it is found: any oracle may name it.

mod known;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use records::TrialRecord;
use records::journal::Event;
use records::schedule::{Bug, Step};
use records::verdict::{Invariant, Verdict};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::campaign::{self, CampaignError, CampaignOptions, Work};
use crate::crash_points::hunt::{Hunt, HuntOptions};
use crate::crash_points::plan::Frame;
use crate::prepare::PrepareError;
use engine::docker::Engine;
use engine::images::{self, ImageOptions, Patch};
use known::schedules;
use system::Window;
use system_tablet::known_bug;

const DEADLINE: Duration = Duration::from_secs(900);

/// What the zoo shall do.
#[derive(Clone, Debug)]
pub struct ZooOptions {
    /// What is hunted.
    pub game: ZooTask,
    /// The seed.
    pub seed: u64,
    /// Trials at a time.
    pub jobs: usize,
    /// Where runs and `zoo.json` go.
    pub out: PathBuf,
    /// Images; the tablet's is the one with the bugs compiled in.
    pub images: ImageOptions,
    /// The program as the user calls it.
    pub program: String,
}

/// What is hunted.
#[derive(Clone, Debug)]
pub enum ZooTask {
    /// These known bugs; none: each.
    Bugs(Vec<Bug>),
    /// The control: the same with no bug on.
    CleanTablet(Vec<Bug>),
    /// A patch of the tablet.
    Patch(Patch),
}

impl ZooTask {
    /// The known bugs that are hunted, each once, in the order of the catalogue.
    fn bugs(&self) -> Vec<Bug> {
        match self {
            ZooTask::Bugs(some) | ZooTask::CleanTablet(some) => {
                let wanted = |bug: &Bug| some.is_empty() || some.contains(bug);
                Bug::ALL.into_iter().filter(wanted).collect()
            }
            ZooTask::Patch(_) => Vec::new(),
        }
    }
}

/// What became of one bug.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BugResult {
    /// Its name; of a patch `patch:` and the file's name.
    pub bug: String,
    /// It was switched on.
    pub switched_on: bool,
    /// The only place where it can be seen; none: anywhere, or nobody knows.
    pub window: Option<Window>,
    /// A trial failed by an invariant that this bug breaks; of the control and of a patch: by any.
    pub found: bool,
    /// The invariants that failed.
    pub oracle: Vec<String>,
    /// Trials that hunted for it, and were run.
    pub trials: u64,
    /// So many of them found it.
    pub trials_that_found: u64,
    /// The first of them that found it, from 1.
    pub found_in: Option<u64>,
    /// Exits that nobody asked for, over all trials that hunted: side and code.
    pub exits: Vec<String>,
    /// What the oracles said, a line each.
    pub reasons: Vec<String>,
    /// Trials that say nothing.
    pub inconclusive: u64,
    /// The operator's way out, where there is one.
    pub workaround: Option<Workaround>,
    /// Why its campaign is not to be believed: it was cut short, or tried too little.
    pub doubts: Vec<String>,
    /// Where its run is.
    pub directory: String,
}

/// What the zoo came to.
#[derive(Debug, Default)]
pub struct Zoo {
    /// What became of each bug.
    pub specimens: Vec<BugResult>,
    /// In what the harness failed besides.
    pub failures: Vec<CampaignError>,
}

/// What became of a trial in which the operator works around the bug.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Workaround {
    /// The fault that is a kill and the operator's act in one.
    pub fault: &'static str,
    /// The act came about.
    pub landed: bool,
    /// The tablet came back, and stayed.
    pub comes_back: bool,
    /// The whole trial's verdict: the next diff completed, exact, and so on.
    pub verdict: Verdict,
}

/// Switches each bug on, or none for the control, or builds the patched tablet; writes `zoo.json`.
///
/// # Errors
/// When a campaign could not run, or the file not be written.
pub async fn run(
    options: &ZooOptions,
    stop: &CancellationToken,
    say: &(dyn Fn(&str) + Send + Sync),
) -> Result<Zoo, CampaignError> {
    let write =
        |source, path: &std::path::Path| CampaignError::Write { path: path.to_owned(), source };
    std::fs::create_dir_all(&options.out).map_err(|source| write(source, &options.out))?;
    let mut zoo = Zoo::default();
    for prey in prey(options, stop, say).await? {
        if stop.is_cancelled() {
            break;
        }
        let off = if prey.is_on { "" } else { " (off: control)" };
        say(&format!("bug      {}{off}", prey.name));
        let specimen = prey.hunt(options, stop, say, &mut zoo.failures).await?;
        let found = match specimen.found_in {
            Some(first) => format!(
                "found by {} in {} of {} trials, first in trial {first}",
                specimen.oracle.join(", "),
                specimen.trials_that_found,
                specimen.trials
            ),
            None => "not found".to_owned(),
        };
        say(&format!("bug      {}: {found}", prey.name));
        zoo.specimens.push(specimen);
    }
    let path = options.out.join("zoo.json");
    let text = serde_json::to_string_pretty(&zoo.specimens).map_err(std::io::Error::other);
    text.and_then(|text| std::fs::write(&path, text + "\n"))
        .map_err(|source| write(source, &path))?;
    Ok(zoo)
}

/// Whether the zoo did what it should: all found, and every workaround worked; or, as control, none,
/// and nothing unclear. A patch has no such duty: found or not, a verdict on it is one.
#[must_use]
pub fn verdict(specimens: &[BugResult], game: &ZooTask) -> Verdict {
    let all = game.bugs().len();
    let as_wanted = |specimen: &BugResult| {
        let worked = specimen.workaround.as_ref().is_none_or(|one| one.landed && one.comes_back);
        specimen.found && worked
    };
    // Where nothing hunted, nothing slipped through.
    let no_slip = |one: &BugResult| as_wanted(one) || one.trials == 0 && !one.doubts.is_empty();
    let found = specimens.iter().any(|specimen| specimen.found);
    let is_unclear = |one: &BugResult| one.inconclusive > 0 || !one.doubts.is_empty();
    let unclear = specimens.iter().any(is_unclear);
    match game {
        ZooTask::Bugs(_) if specimens.len() == all && specimens.iter().all(as_wanted) => {
            Verdict::Pass
        }
        ZooTask::Bugs(_) if specimens.len() == all && specimens.iter().all(no_slip) => {
            Verdict::Inconclusive
        }
        ZooTask::Bugs(_) => Verdict::Fail,
        ZooTask::CleanTablet(_) | ZooTask::Patch(_) if found => Verdict::Fail,
        ZooTask::CleanTablet(_) if specimens.len() < all || unclear => Verdict::Inconclusive,
        ZooTask::Patch(_) if specimens.is_empty() || unclear => Verdict::Inconclusive,
        ZooTask::CleanTablet(_) | ZooTask::Patch(_) => Verdict::Pass,
    }
}

/// One thing that is hunted by one campaign.
struct Hunted {
    name: String,
    /// None: a patch.
    bug: Option<Bug>,
    is_on: bool,
    /// One campaign after the other, until it is found.
    works: Vec<Work>,
    images: ImageOptions,
    program: String,
}

async fn prey(
    options: &ZooOptions,
    stop: &CancellationToken,
    say: &(dyn Fn(&str) + Send + Sync),
) -> Result<Vec<Hunted>, CampaignError> {
    let is_on = match &options.game {
        ZooTask::Bugs(_) => true,
        ZooTask::CleanTablet(_) => false,
        ZooTask::Patch(patch) => return Ok(vec![patched(patch, options, stop, say).await?]),
    };
    let of = |bug| {
        let work = match known_bug(bug).window {
            Some(window) if is_on => hunt(options.seed, Some(bug), Some(window)),
            Some(_) | None => {
                let schedules = schedules(bug, is_on, options.seed);
                Work::Given(schedules.map_err(CampaignError::Plan)?)
            }
        };
        Ok(Hunted {
            name: bug.name().to_owned(),
            bug: Some(bug),
            is_on,
            works: vec![work],
            images: ImageOptions { seeded_bugs: true, ..options.images.clone() },
            program: options.program.clone(),
        })
    };
    options.game.bugs().into_iter().map(of).collect()
}

/// The patched tablet is built before anything else: it may not compile.
async fn patched(
    patch: &Patch,
    options: &ZooOptions,
    stop: &CancellationToken,
    say: &(dyn Fn(&str) + Send + Sync),
) -> Result<Hunted, CampaignError> {
    let schedules = known::all_schedules(options.seed).map_err(CampaignError::Plan)?;
    let engine = Engine::connect().await.map_err(PrepareError::Engine);
    let engine = engine.map_err(CampaignError::Prepare)?;
    let tell = |line: &str| say(&format!("images   {line}"));
    let built = images::ensure_patched_tablet(&engine, patch, &tell);
    let built = stop.run_until_cancelled(built).await.ok_or(PrepareError::Stopped);
    let built = built.and_then(|built| built.map_err(PrepareError::Images));
    let tablet = built.map_err(CampaignError::Prepare)?.reference;
    Ok(Hunted {
        name: format!("patch:{}", patch.name()),
        bug: None,
        is_on: true,
        works: vec![Work::Given(schedules), hunt(options.seed, None, None)],
        // A trial is replayed on the same tablet.
        program: format!("VDIFF_CHAOS_TABLET_IMAGE={tablet} {}", options.program),
        images: ImageOptions { tablet: Some(tablet), seeded_bugs: false, ..options.images.clone() },
    })
}

/// A hunt at crash points: all of them, or those of a window.
fn hunt(seed: u64, bug: Option<Bug>, window: Option<Window>) -> Work {
    let options = HuntOptions { window, ..HuntOptions::exhaustive(Frame::small(seed, bug)) };
    Work::Dealt { seed, dealer: Arc::new(Mutex::new(Hunt::new(options))) }
}

fn failures(trial: &TrialRecord) -> Vec<Invariant> {
    let failed = trial.judgements.iter().filter(|judgement| judgement.is_fail());
    failed.map(|judgement| judgement.invariant).collect()
}

fn reasons_of(trial: &TrialRecord) -> impl Iterator<Item = &String> {
    let failed = trial.judgements.iter().filter(|judgement| judgement.is_fail());
    failed.flat_map(|judgement| judgement.reasons.iter().map(|reason| &reason.text))
}

impl Hunted {
    async fn hunt(
        &self,
        options: &ZooOptions,
        stop: &CancellationToken,
        say: &(dyn Fn(&str) + Send + Sync),
        failures: &mut Vec<CampaignError>,
    ) -> Result<BugResult, CampaignError> {
        let (mut trials, mut doubts) = (Vec::new(), Vec::new());
        let mut directory = options.out.clone();
        for (nth, work) in self.works.iter().enumerate() {
            let run = campaign::run(&self.campaign(options, nth, work.clone()), stop, say).await;
            let outcome = match run {
                // The others are hunted all the same.
                Err(CampaignError::NotPossible(left_out)) => {
                    doubts.push(left_out.to_string());
                    continue;
                }
                run => run?,
            };
            trials.extend(outcome.trials);
            doubts.extend(outcome.summary.verdict_reasons);
            failures.extend(outcome.failures);
            directory = outcome.directory;
            if trials.iter().any(|trial| self.is_found_by(trial)) {
                break;
            }
        }
        Ok(BugResult { doubts, ..self.specimen(&trials, &directory) })
    }

    fn campaign(&self, options: &ZooOptions, nth: usize, work: Work) -> CampaignOptions {
        let again = if nth > 0 { "-points" } else { "" };
        CampaignOptions {
            work,
            jobs: options.jobs,
            fail_fast: nth > 0,
            floor: self.floor(),
            deadline: if nth > 0 { DEADLINE * 4 } else { DEADLINE },
            out: Some(options.out.join(self.name.replace(':', "-") + again)),
            junit: None,
            system: self.images.clone().into(),
            program: self.program.clone(),
        }
    }

    /// A bug that is on may break the tablet before anything lands. What finds nothing must have tried.
    fn floor(&self) -> Option<u64> {
        (self.is_on && self.bug.is_some()).then_some(1)
    }

    /// Whether every one of the bug's invariants failed; in the control and of a patch, any at all.
    fn is_found_by(&self, trial: &TrialRecord) -> bool {
        let failed = failures(trial);
        match self.bug {
            Some(bug) if self.is_on => known_bug(bug).breaks.iter().all(|one| failed.contains(one)),
            Some(_) | None => !failed.is_empty(),
        }
    }

    fn specimen(&self, trials: &[TrialRecord], directory: &std::path::Path) -> BugResult {
        let known = self.bug.map(known_bug);
        let way_out = known.as_ref().and_then(|known| known.workaround);
        let works_around = |trial: &&TrialRecord| {
            trial.schedule.steps.iter().any(|step| Some(step.fault) == way_out)
        };
        // A recording does not hunt; but one that fails has found something without a strike.
        let hunts = |trial: &&TrialRecord| {
            let is_recording =
                trial.schedule.proxied && !trial.schedule.steps.iter().any(Step::is_at_point);
            !is_recording || trial.verdict() == Verdict::Fail
        };
        let (around, hunting): (Vec<&TrialRecord>, Vec<&TrialRecord>) =
            trials.iter().filter(hunts).partition(works_around);
        // A control must find nothing in any trial.
        let looked_at = || hunting.iter().chain(around.iter().filter(|_| !self.is_on));
        let first = looked_at().position(|trial| self.is_found_by(trial));
        let that_found = looked_at().filter(|trial| self.is_found_by(trial)).count();
        let mut oracle: Vec<Invariant> = looked_at().flat_map(|trial| failures(trial)).collect();
        oracle.sort_unstable();
        oracle.dedup();
        let mut reasons: Vec<String> = Vec::new();
        for reason in looked_at().flat_map(|trial| reasons_of(trial)) {
            if !reasons.contains(reason) {
                reasons.push(reason.clone());
            }
        }
        let is_unclear = |trial: &&TrialRecord| {
            trial.verdict() == Verdict::Inconclusive
                && !reports::summary::is_made_good(trial, trials)
        };
        let inconclusive = trials.iter().filter(is_unclear).count();
        BugResult {
            bug: self.name.clone(),
            switched_on: self.is_on,
            window: known.and_then(|known| known.window),
            found: first.is_some(),
            oracle: oracle.iter().map(|invariant| format!("{invariant:?}")).collect(),
            trials: hunting.len() as u64,
            trials_that_found: that_found as u64,
            found_in: first.map(|place| place as u64 + 1),
            exits: looked_at().flat_map(|trial| unscheduled_exits(trial)).collect(),
            reasons,
            inconclusive: inconclusive as u64,
            doubts: Vec::new(),
            workaround: around.first().map(|trial| way_out_of(trial)),
            directory: directory.display().to_string(),
        }
    }
}

fn unscheduled_exits(trial: &TrialRecord) -> impl Iterator<Item = String> + '_ {
    trial.records.iter().filter_map(|record| match &record.event {
        Event::TabletExited(exit) if exit.is_unasked() => Some(format!(
            "trial {}: {} incarnation {}: exit {}",
            trial.number(),
            exit.side.name(),
            exit.incarnation,
            exit.exit_code
        )),
        _ => None,
    })
}

fn way_out_of(trial: &TrialRecord) -> Workaround {
    let landed = |record: &records::journal::Record| matches!(record.event, Event::FaultLanded(_));
    let comes_back = |judgement: &records::verdict::Judgement| {
        judgement.invariant == Invariant::I1 && judgement.is_pass()
    };
    let fault = trial.schedule.steps.first().map_or("", |step| step.fault.name());
    Workaround {
        fault,
        landed: trial.records.iter().any(landed),
        comes_back: trial.judgements.iter().any(comes_back),
        verdict: trial.verdict(),
    }
}

#[cfg(test)]
mod tests;
