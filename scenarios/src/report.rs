//! What a feature run writes of itself: `run.json`, the trials' reports, `features.json`, JUnit. And the
//! check that the saved run, judged again, says the same.

use std::time::Duration;

use anyhow::Context as _;
use records::journal::{Event, Record as JournalRecord};
use records::layout::RunDirectory;
use records::verdict::Verdict;
use records::{RunInfo, TrialRecord};
use reports::summary::Summary;

use crate::Options;
use crate::outcome::{End, ScenarioRecord};
use crate::record::Record;

/// What is known of the run at its begin.
pub(crate) fn info(options: &Options, started: Duration) -> RunInfo {
    let directory = &options.directory;
    let landed = options.floor.as_ref().filter(|_| options.arguments.selects_everything());
    RunInfo {
        format: records::run::FORMAT,
        run: directory.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        program: "vdiff-chaos".to_owned(),
        version: harness::version::of_program().to_owned(),
        exhaustive: true,
        directory: directory.display().to_string(),
        plan: format!("the features of {}", options.features.display()),
        floor: landed.map_or(0, |floor| floor.landed),
        started_wall_ms: records::millis(started),
        ..RunInfo::default()
    }
}

/// Makes the run's directory.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn begin(options: &Options, info: &RunInfo) -> anyhow::Result<()> {
    let directory = RunDirectory::new(&options.directory);
    std::fs::create_dir_all(directory.trials())
        .with_context(|| format!("cannot make {}", directory.trials().display()))?;
    directory.write_run(info).context("writing run.json")
}

/// What is not in the trials' journals, and keeps the run from being green.
pub(crate) fn undone(
    reasons: &[String],
    done: &[ScenarioRecord],
    trials: &[TrialRecord],
) -> Vec<String> {
    // A finding stands in its trial, and is none of the run's doubts.
    let is_failure = |reason: &&String| reason.ends_with("scenarios failed");
    let mut undone: Vec<String> = reasons.iter().filter(|it| !is_failure(it)).cloned().collect();
    for scenario in done.iter().filter(|it| it.outcome > End::Passed) {
        let place = format!("{}:{}", scenario.file, scenario.line);
        let is_its = |record: &JournalRecord| match &record.event {
            Event::Scenario(told) => told.place == place,
            _ => false,
        };
        let trial = trials.iter().find(|trial| trial.records.iter().any(is_its));
        if trial.is_none_or(|trial| trial.verdict() == Verdict::Pass) {
            let why = scenario.message.as_deref().unwrap_or("for an unknown reason");
            undone.push(format!("{}: {}: {why}", scenario.feature, scenario.name));
        }
    }
    undone
}

/// Writes all reports; the summary that they show.
///
/// # Errors
/// When one cannot be written.
pub(crate) fn write(
    options: &Options,
    info: RunInfo,
    trials: &[TrialRecord],
    record: &Record,
) -> anyhow::Result<Summary> {
    let images = trials.iter().flat_map(|trial| &trial.records).find_map(|it| match &it.event {
        Event::TrialStarted(head) => Some(head.images.clone()),
        _ => None,
    });
    let info =
        RunInfo { images: images.unwrap_or_default(), planned: Some(trials.len() as u64), ..info };
    let directory = RunDirectory::new(&options.directory);
    directory.write_run(&info).context("writing run.json")?;
    let summary = Summary::build(&info, trials);
    reports::write_all(&options.directory, &summary, trials).context("writing the report")?;
    // Last: JUnit of a feature run is that of its scenarios, not of its trials.
    record.save().context("writing features.json and junit.xml")?;
    Ok(summary)
}

/// Judges what was saved as `judge` does; why the two differ, if they do.
pub(crate) fn judged_again(
    options: &Options,
    summary: &Summary,
    trials: &[TrialRecord],
) -> Option<String> {
    let again = match harness::judge::judge_run(&options.directory) {
        Ok(again) => again,
        Err(error) => return Some(format!("the saved run cannot be judged again: {error}")),
    };
    for (once, again) in trials.iter().zip(&again.trials) {
        if once.judgements != again.judgements {
            return Some(format!("judged again, trial {} comes to something else", once.number()));
        }
    }
    (again.summary.verdict != summary.verdict || again.trials.len() != trials.len()).then(|| {
        format!("judged again, the run is {} and not {}", again.summary.verdict, summary.verdict)
    })
}
