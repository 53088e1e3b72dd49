//! The zoo: known bugs of the tablet, switched on one by one, to measure that the harness finds them.
//!
//! Each bug has trials that must find it and an oracle that must name it. The control runs the same
//! trials on the same image with no bug on, and must find nothing.

use std::path::PathBuf;
use std::time::Duration;

use reports::TrialRecord;
use reports::journal::Event;
use reports::schedule::{Bug, Fault};
use reports::verdict::{Invariant, Verdict};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::campaign::{self, CampaignError, CampaignOptions, Work};
use crate::images::ImageOptions;
use crate::plan::{self, BUGS, PlanOptions, TriggerKind, bug_name};

/// Trials for each bug.
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
    /// A trial failed by an invariant that this bug breaks.
    pub found: bool,
    /// The invariants that failed.
    pub oracle: Vec<String>,
    /// Trials until it was found, or all.
    pub trials: u64,
    /// Exits that nobody asked for, over all trials: side and code.
    pub exits: Vec<String>,
    /// What the oracles said, a line each.
    pub reasons: Vec<String>,
    /// Trials that say nothing.
    pub inconclusive: u64,
    /// Where its run is.
    pub directory: String,
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
    for bug in BUGS {
        if stop.is_cancelled() {
            break;
        }
        let name = bug_name(bug);
        say(&format!(
            "bug      {name}{}",
            if options.clean_tablet { " (off: control)" } else { "" }
        ));
        let outcome = campaign::run(&campaign_of(bug, options), stop, say).await?;
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

/// Whether the zoo did what it should: all found, or, as control, none, and nothing unclear.
#[must_use]
pub fn verdict(specimens: &[Specimen], clean_tablet: bool) -> Verdict {
    let all = BUGS.len();
    match clean_tablet {
        false if specimens.len() == all && specimens.iter().all(|s| s.found) => Verdict::Pass,
        false => Verdict::Fail,
        true if specimens.iter().any(|s| s.found) => Verdict::Fail,
        true if specimens.len() < all || specimens.iter().any(|s| s.inconclusive > 0) => {
            Verdict::Inconclusive
        }
        true => Verdict::Pass,
    }
}

fn campaign_of(bug: Bug, options: &ZooOptions) -> CampaignOptions {
    let (faults, triggers) = hunt(bug);
    let plan = PlanOptions {
        trials: TRIALS,
        faults,
        triggers,
        bug: (!options.clean_tablet).then_some(bug),
        ..PlanOptions::default()
    };
    CampaignOptions {
        work: Work::Planned { seed: options.seed, plan, shard: None, duration: None },
        jobs: 2,
        floor: Some(1),
        deadline: DEADLINE,
        out: Some(options.out.join(bug_name(bug))),
        junit: None,
        images: ImageOptions { seeded_bugs: true, ..options.images.clone() },
        program: options.program.clone(),
    }
}

/// The trials that must find a bug.
fn hunt(bug: Bug) -> (Vec<Fault>, Vec<TriggerKind>) {
    match bug {
        Bug::RegistryBeforeInit => (vec![Fault::Sigkill], vec![TriggerKind::Progress]),
        Bug::WatchEndUnwrap => (vec![Fault::EtcdRestart], vec![TriggerKind::Progress]),
    }
}

fn specimen(
    bug: Bug,
    options: &ZooOptions,
    trials: &[TrialRecord],
    directory: &std::path::Path,
) -> Specimen {
    let failed = |trial: &&TrialRecord| trial.verdict() == Verdict::Fail;
    let first = trials.iter().position(|trial| failed(&trial));
    let mut oracle: Vec<Invariant> = Vec::new();
    let mut reasons = Vec::new();
    for judgement in trials.iter().flat_map(|trial| &trial.judgements) {
        if judgement.verdict == Verdict::Fail && !judgement.not_applicable {
            oracle.push(judgement.invariant);
            reasons.extend(judgement.reasons.iter().map(|reason| reason.text.clone()));
        }
    }
    oracle.sort_unstable();
    oracle.dedup();
    reasons.dedup();
    let exits = trials.iter().flat_map(|trial| &trial.records).filter_map(|r| match &r.event {
        Event::TabletExited(exit) if exit.scheduled_by.is_none() => Some(format!(
            "{} incarnation {}: exit {}",
            crate::observer::side_name(exit.side),
            exit.incarnation,
            exit.exit_code
        )),
        _ => None,
    });
    Specimen {
        bug: plan::bug_name(bug).to_owned(),
        switched_on: !options.clean_tablet,
        found: first.is_some(),
        oracle: oracle.iter().map(|invariant| format!("{invariant:?}")).collect(),
        trials: first.map_or(trials.len(), |place| place + 1) as u64,
        exits: exits.collect(),
        reasons,
        inconclusive: trials.iter().filter(|t| t.verdict() == Verdict::Inconclusive).count() as u64,
        directory: directory.display().to_string(),
    }
}
