//! The zoo: known bugs of the tablet, switched on one by one, to measure that the harness finds them.
//!
//! Each bug has trials that must find it and oracles that must name it. Where the operator of the
//! incident had a workaround, one more trial does it, on the tablet with the bug: it must come back.
//! The control runs the same trials on the same image with no bug on, and must find nothing.

use std::path::PathBuf;
use std::time::Duration;

use reports::TrialRecord;
use reports::journal::Event;
use reports::schedule::{Bug, Fault, Schedule};
use reports::verdict::{Invariant, Verdict};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::campaign::{self, CampaignError, CampaignOptions, Work};
use crate::images::ImageOptions;
use crate::plan::{self, PlanError, PlanOptions, TriggerKind};

/// Trials that hunt for each bug.
const TRIALS: u32 = 2;
const DEADLINE: Duration = Duration::from_secs(900);

/// What the zoo shall do.
#[derive(Clone, Debug)]
pub struct ZooOptions {
    /// The control: no bug on.
    pub clean_tablet: bool,
    /// The seed.
    pub seed: u64,
    /// Where runs and `zoo.json` go.
    pub out: PathBuf,
    /// Images; the tablet's is the one with the bugs compiled in.
    pub images: ImageOptions,
    /// The program as the user calls it.
    pub program: String,
}

/// What became of one bug.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Specimen {
    /// Its name.
    pub bug: String,
    /// It was switched on.
    pub switched_on: bool,
    /// A trial failed by an invariant that this bug breaks; for the control: by any.
    pub found: bool,
    /// The invariants that failed.
    pub oracle: Vec<String>,
    /// Trials that hunted for it, and were run.
    pub trials: u64,
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
    /// Where its run is.
    pub directory: String,
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

/// Switches each bug on, or none for the control, and writes `zoo.json`.
///
/// # Errors
/// When a campaign could not run, or the file not be written.
pub async fn run(
    options: &ZooOptions,
    stop: &CancellationToken,
    say: &(dyn Fn(&str) + Send + Sync),
) -> Result<Vec<Specimen>, CampaignError> {
    let write =
        |source, path: &std::path::Path| CampaignError::Write { path: path.to_owned(), source };
    std::fs::create_dir_all(&options.out).map_err(|source| write(source, &options.out))?;
    let mut specimens = Vec::new();
    for bug in Bug::ALL {
        if stop.is_cancelled() {
            break;
        }
        let name = bug.name();
        say(&format!(
            "bug      {name}{}",
            if options.clean_tablet { " (off: control)" } else { "" }
        ));
        let work = campaign_of(bug, options).map_err(CampaignError::Plan)?;
        let outcome = campaign::run(&work, stop, say).await?;
        let specimen = specimen(bug, options, &outcome.trials, &outcome.directory);
        say(&format!(
            "bug      {name}: {}",
            if specimen.found {
                format!("found by {}", specimen.oracle.join(", "))
            } else {
                "not found".to_owned()
            }
        ));
        specimens.push(specimen);
    }
    let path = options.out.join("zoo.json");
    let text = serde_json::to_string_pretty(&specimens).map_err(std::io::Error::other);
    text.and_then(|text| std::fs::write(&path, text + "\n"))
        .map_err(|source| write(source, &path))?;
    Ok(specimens)
}

/// Whether the zoo did what it should: all found, and every workaround worked; or, as control, none,
/// and nothing unclear.
#[must_use]
pub fn verdict(specimens: &[Specimen], clean_tablet: bool) -> Verdict {
    let all = Bug::ALL.len();
    let as_wanted = |specimen: &Specimen| {
        let worked = specimen.workaround.as_ref().is_none_or(|one| one.landed && one.comes_back);
        specimen.found && worked
    };
    match clean_tablet {
        false if specimens.len() == all && specimens.iter().all(as_wanted) => Verdict::Pass,
        false => Verdict::Fail,
        true if specimens.iter().any(|s| s.found) => Verdict::Fail,
        true if specimens.len() < all || specimens.iter().any(|s| s.inconclusive > 0) => {
            Verdict::Inconclusive
        }
        true => Verdict::Pass,
    }
}

fn campaign_of(bug: Bug, options: &ZooOptions) -> Result<CampaignOptions, PlanError> {
    Ok(CampaignOptions {
        work: Work::Given(schedules(bug, options)?),
        jobs: 2,
        floor: Some(1),
        deadline: DEADLINE,
        out: Some(options.out.join(bug.name())),
        junit: None,
        images: ImageOptions { seeded_bugs: true, ..options.images.clone() },
        program: options.program.clone(),
    })
}

/// The trials that must find a bug, and after them the one that works around it.
fn schedules(bug: Bug, options: &ZooOptions) -> Result<Vec<Schedule>, PlanError> {
    let on = (!options.clean_tablet).then_some(bug);
    let plan = |fault: Fault| PlanOptions {
        trials: TRIALS,
        faults: vec![fault],
        triggers: vec![TriggerKind::Progress],
        bug: on,
        ..PlanOptions::default()
    };
    let mut schedules = plan::campaign(options.seed, &plan(hunt(bug)))?;
    if let Some(way_out) = workaround(bug) {
        schedules.push(plan::schedule(options.seed, TRIALS, &plan(way_out))?);
    }
    Ok(schedules)
}

/// The fault that brings a bug out.
fn hunt(bug: Bug) -> Fault {
    match bug {
        Bug::RegistryBeforeInit => Fault::Sigkill,
        Bug::WatchEndUnwrap => Fault::EtcdRestart,
    }
}

/// The fault that is the operator's way around a bug.
fn workaround(bug: Bug) -> Option<Fault> {
    match bug {
        Bug::RegistryBeforeInit => Some(Fault::RowSurgery),
        Bug::WatchEndUnwrap => None,
    }
}

/// The invariants that a bug breaks: one of them must name it.
fn breaks(bug: Bug) -> &'static [Invariant] {
    match bug {
        // A crash loop, each exit of which is a panic.
        Bug::RegistryBeforeInit => &[Invariant::I1, Invariant::I2],
        // The supervisor brings it back at once: an unscheduled exit, and no loop.
        Bug::WatchEndUnwrap => &[Invariant::I2],
    }
}

/// Whether every one of a bug's invariants failed, or, in the control, any at all.
fn finds(bug: Bug, options: &ZooOptions, trial: &TrialRecord) -> bool {
    let failed = failures(trial);
    if options.clean_tablet {
        return !failed.is_empty();
    }
    breaks(bug).iter().all(|broken| failed.contains(broken))
}

fn failures(trial: &TrialRecord) -> Vec<Invariant> {
    let failed = trial.judgements.iter().filter(|judgement| judgement.is_fail());
    failed.map(|judgement| judgement.invariant).collect()
}

fn reasons_of(trial: &TrialRecord) -> impl Iterator<Item = &String> {
    let failed = trial.judgements.iter().filter(|judgement| judgement.is_fail());
    failed.flat_map(|judgement| judgement.reasons.iter().map(|reason| &reason.text))
}

fn specimen(
    bug: Bug,
    options: &ZooOptions,
    trials: &[TrialRecord],
    directory: &std::path::Path,
) -> Specimen {
    let way_out = workaround(bug);
    let works_around =
        |trial: &&TrialRecord| trial.schedule.steps.iter().any(|step| Some(step.fault) == way_out);
    let (around, hunting): (Vec<&TrialRecord>, Vec<&TrialRecord>) =
        trials.iter().partition(works_around);
    // A control must find nothing in any trial.
    let looked_at = || hunting.iter().chain(around.iter().filter(|_| options.clean_tablet));
    let first = looked_at().position(|trial| finds(bug, options, trial));
    let mut oracle: Vec<Invariant> = looked_at().flat_map(|trial| failures(trial)).collect();
    oracle.sort_unstable();
    oracle.dedup();
    let mut reasons: Vec<String> = Vec::new();
    for reason in looked_at().flat_map(|trial| reasons_of(trial)) {
        if !reasons.contains(reason) {
            reasons.push(reason.clone());
        }
    }
    let inconclusive =
        trials.iter().filter(|trial| trial.verdict() == Verdict::Inconclusive).count();
    Specimen {
        bug: bug.name().to_owned(),
        switched_on: !options.clean_tablet,
        found: first.is_some(),
        oracle: oracle.iter().map(|invariant| format!("{invariant:?}")).collect(),
        trials: hunting.len() as u64,
        found_in: first.map(|place| place as u64 + 1),
        exits: looked_at().flat_map(|trial| unscheduled_exits(trial)).collect(),
        reasons,
        inconclusive: inconclusive as u64,
        workaround: around.first().map(|trial| way_out_of(trial)),
        directory: directory.display().to_string(),
    }
}

fn unscheduled_exits(trial: &TrialRecord) -> impl Iterator<Item = String> + '_ {
    trial.records.iter().filter_map(|record| match &record.event {
        Event::TabletExited(exit) if exit.scheduled_by.is_none() => Some(format!(
            "trial {}: {} incarnation {}: exit {}",
            trial.number(),
            crate::observer::side_name(exit.side),
            exit.incarnation,
            exit.exit_code
        )),
        _ => None,
    })
}

fn way_out_of(trial: &TrialRecord) -> Workaround {
    let landed = |record: &reports::journal::Record| matches!(record.event, Event::FaultLanded(_));
    let comes_back = |judgement: &reports::verdict::Judgement| {
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
mod tests {
    use super::*;

    fn specimen(bug: Bug, found: bool, comes_back: bool) -> Specimen {
        let workaround = workaround(bug).map(|fault| Workaround {
            fault: fault.name(),
            landed: true,
            comes_back,
            verdict: Verdict::Pass,
        });
        Specimen {
            bug: bug.name().to_owned(),
            switched_on: true,
            found,
            oracle: Vec::new(),
            trials: 2,
            found_in: None,
            exits: Vec::new(),
            reasons: Vec::new(),
            inconclusive: 0,
            workaround,
            directory: String::new(),
        }
    }

    // The zoo measures the harness: a bug that slips through must not look green.
    #[test]
    fn every_bug_must_be_found_and_every_workaround_must_work() {
        let all = |found, comes_back| Bug::ALL.map(|bug| specimen(bug, found, comes_back));
        assert_eq!(verdict(&all(true, true), false), Verdict::Pass);
        assert_eq!(verdict(&all(false, true), false), Verdict::Fail);
        assert_eq!(verdict(&all(true, false), false), Verdict::Fail);
        assert_eq!(verdict(&all(true, true)[..1], false), Verdict::Fail);
    }

    #[test]
    fn the_control_must_find_nothing_and_say_something() {
        let all = |found| Bug::ALL.map(|bug| specimen(bug, found, true));
        assert_eq!(verdict(&all(false), true), Verdict::Pass);
        assert_eq!(verdict(&all(true), true), Verdict::Fail);
        assert_eq!(verdict(&all(false)[..1], true), Verdict::Inconclusive);
        let mut unclear = all(false);
        unclear[0].inconclusive = 1;
        assert_eq!(verdict(&unclear, true), Verdict::Inconclusive);
    }

    // Replay needs a trial's file alone, and files of one run must not overwrite each other.
    #[test]
    fn the_control_differs_from_the_hunt_in_the_bug_only() {
        let options = |clean_tablet| ZooOptions {
            clean_tablet,
            seed: 1,
            out: PathBuf::new(),
            images: ImageOptions::default(),
            program: String::new(),
        };
        for bug in Bug::ALL {
            let hunt = schedules(bug, &options(false)).unwrap();
            let numbers: Vec<u32> = hunt.iter().map(|schedule| schedule.trial).collect();
            assert_eq!(numbers, (0..hunt.len() as u32).collect::<Vec<_>>());
            let mut control = schedules(bug, &options(true)).unwrap();
            assert!(control.iter().all(|schedule| schedule.bug.is_none()));
            control.iter_mut().for_each(|schedule| schedule.bug = Some(bug));
            assert_eq!(control, hunt);
        }
    }
}
