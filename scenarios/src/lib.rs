//! The feature run: Gherkin steps over the harness, and the record of what they tried.
//!
//! `cargo test` runs the project's `features/` through `tests/features.rs`; `vdiff-chaos features DIR`
//! runs a directory of the user's. Both call [`run`].

pub mod args;
mod listing;
mod points;
pub mod record;
mod said;
mod steps;
mod suite;
mod world;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use cucumber::event::ScenarioFinished;
use cucumber::{World as _, WriterExt as _, writer};
use futures::FutureExt as _;
use harness::images::ImageOptions;
use tokio_util::sync::CancellationToken;

use crate::args::Arguments;
use crate::record::{Counts, Floor, Record};
use crate::suite::Suite;
use crate::world::World;

/// Two scenarios at a time: the tablets of two trials keep two cores busy.
const SCENARIOS_AT_A_TIME: usize = 2;
/// Removing what a feature run started takes at most this long.
const REMOVE_WITHIN: Duration = Duration::from_secs(60);

/// A feature run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Directory (or file) of features.
    pub features: PathBuf,
    /// Which scenarios.
    pub arguments: Arguments,
    /// What must at least have been tried when every scenario is asked for.
    pub floor: Option<Floor>,
    /// Where journals and reports go.
    pub directory: PathBuf,
    /// Which images.
    pub images: ImageOptions,
    /// Known bugs that scenarios name stay off: the control of a scenario that finds one.
    pub clean_tablet: bool,
}

/// What a feature run came to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What was tried.
    pub counts: Counts,
    /// Why the run is not green; empty when it is.
    pub reasons: Vec<String>,
    /// The page to read.
    pub report: PathBuf,
}

/// Lists the names of the scenarios that the arguments select, in the order of the files.
///
/// # Errors
/// When a feature cannot be read.
pub fn list(options: &Options) -> anyhow::Result<Vec<String>> {
    let names = listing::names(&options.features)?;
    Ok(names.into_iter().filter(|name| options.arguments.selects(name)).collect())
}

/// Runs features; `stop` ends the run in order. Whatever happens, nothing is left on the engine.
///
/// # Errors
/// When the run could not begin or its reports could not be written.
pub async fn run(options: &Options, stop: &CancellationToken) -> anyhow::Result<Outcome> {
    let begun = std::time::Instant::now();
    let selected = list(options)?;
    let record = Record::new(&options.directory);
    let suite = Arc::new(Suite::new(options, record.clone()));
    world::install(Arc::clone(&suite))?;
    let interrupted = if selected.is_empty() {
        false
    } else {
        stop.run_until_cancelled(play(options, &record)).await.is_none()
    };
    let removed = tokio::time::timeout(REMOVE_WITHIN, suite.remove()).await;
    record.save().context("writing features.json and junit.xml")?;
    let report = write_report(&options.directory, &suite, begun.elapsed())?;
    removed.context("the servers were not removed in time")??;
    let counts = record.counts();
    let reasons = reasons(options, &counts, selected.len(), interrupted);
    Ok(Outcome { counts, reasons, report })
}

async fn play(options: &Options, record: &Record) {
    let arguments = options.arguments.clone();
    World::cucumber()
        .with_writer(
            writer::Basic::stdout()
                .summarized()
                .tee::<World, _>(record.clone().discard_arbitrary_writes().discard_stats_writes())
                .assert_normalized(),
        )
        .with_default_cli()
        .max_concurrent_scenarios(SCENARIOS_AT_A_TIME)
        .before(|_, _, scenario, world| {
            let tagged = |name: &str| scenario.tags.iter().any(|tag| tag == name);
            let (own, small_disk) = (tagged("own-servers"), tagged("small-disk"));
            async move {
                if own || small_disk {
                    world.take_own_servers(small_disk).await;
                }
            }
            .boxed_local()
        })
        .after(|_, _, _, ended, world| {
            let passed = matches!(ended, ScenarioFinished::StepPassed);
            async move {
                let Some(world) = world else { return };
                if let Err(error) = world.end().await {
                    // A hook has no other way to fail a scenario.
                    assert!(!passed, "the scenario did not end in order: {error:#}");
                    eprintln!("the scenario did not end in order: {error:#}");
                }
            }
            .boxed_local()
        })
        .filter_run(options.features.clone(), move |feature, _, scenario| {
            arguments.selects(&listing::name(feature, scenario))
        })
        .await;
}

fn reasons(options: &Options, counts: &Counts, selected: usize, interrupted: bool) -> Vec<String> {
    let mut reasons = Vec::new();
    if interrupted {
        reasons.push("the run was interrupted".to_owned());
    }
    if counts.failed > 0 {
        reasons.push(format!("{} of {} scenarios failed", counts.failed, counts.scenarios));
    }
    if counts.parsing_errors > 0 {
        reasons.push(format!("{} features could not be read", counts.parsing_errors));
    }
    if !interrupted && counts.scenarios != selected as u64 {
        reasons.push(format!("{} of {selected} scenarios ran", counts.scenarios));
    }
    if options.arguments.selects_everything()
        && let Some(missed) = options.floor.as_ref().and_then(|floor| floor.missed_by(counts))
    {
        reasons.push(missed);
    }
    reasons
}

fn write_report(directory: &Path, suite: &Suite, took: Duration) -> anyhow::Result<PathBuf> {
    let trials = suite.trials();
    let info = reports::RunInfo {
        format: reports::run::FORMAT,
        run: directory.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        program: "vdiff-chaos".to_owned(),
        directory: directory.display().to_string(),
        planned: Some(trials.len() as u64),
        duration_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX).max(1),
        ..reports::RunInfo::default()
    };
    let summary = reports::summary::Summary::build(&info, &trials);
    std::fs::create_dir_all(directory)?;
    reports::layout::RunDirectory::new(directory).write_run(&info)?;
    reports::write_all(directory, &summary, &trials).context("writing the report")?;
    Ok(directory.join("index.html"))
}
