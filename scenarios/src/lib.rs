//! The feature run: Gherkin steps over the harness, and the record of what they tried.
//!
//! `cargo test` runs the project's `features/` through `tests/features.rs`; `vdiff-chaos features DIR`
//! runs a directory of the user's. Both call [`run`].

pub mod args;
mod bad;
mod book;
mod description;
mod finder;
mod junit;
pub mod outcome;
mod place;
mod points;
mod reading;
pub mod record;
mod report;
mod steps;
mod suite;
mod tags;
mod world;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use cucumber::event::ScenarioFinished;
use cucumber::feature::Ext;
use cucumber::gherkin::{Feature, Scenario};
use cucumber::{Parser, World as _, WriterExt as _, cli, parser, writer};
use futures::{FutureExt as _, stream};
use harness::cli::Exit;
use harness::systems::SystemOptions;
use tokio_util::sync::CancellationToken;

use crate::args::Arguments;
pub use crate::bad::BadFeatures;
use crate::book::Book;
use crate::outcome::End;
use crate::place::{Names, Place};
use crate::record::{Counts, Floor, Record};
use crate::suite::Suite;
use crate::tags::{OWN_SERVERS, SMALL_DISK};
use crate::world::World;

/// Two scenarios at a time: the tablets of two trials keep two cores busy.
const SCENARIOS_AT_A_TIME: usize = 2;
/// Removing what a feature run started takes at most this long.
const REMOVE_WITHIN: Duration = Duration::from_secs(60);

/// Why a feature run did not come to an outcome.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The features cannot be run; nothing was started.
    #[error(transparent)]
    Features(#[from] BadFeatures),
    /// The harness failed.
    #[error("the feature run")]
    Harness(#[source] anyhow::Error),
}

/// A feature run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Directory (or file) of features.
    pub features: PathBuf,
    /// Which scenarios.
    pub arguments: Arguments,
    /// What must at least have been tried when every scenario is asked for; when only some are, at least
    /// one fault must have landed.
    pub floor: Option<Floor>,
    /// Where journals and reports go.
    pub directory: PathBuf,
    /// Which system, and of which images.
    pub system: SystemOptions,
    /// Known bugs that scenarios name stay off: the control of a scenario that finds one.
    pub clean_tablet: bool,
}

/// What a feature run came to.
#[derive(Clone, Debug)]
pub struct SuiteOutcome {
    /// What was tried.
    pub counts: Counts,
    /// With which code to exit.
    pub exit: Exit,
    /// What did not hold, and is excused by a tag.
    pub excused: Vec<String>,
    /// Why the run is not green; empty when it is.
    pub reasons: Vec<String>,
    /// The page to read.
    pub report: PathBuf,
}

/// Lists the names of the scenarios that the arguments select, in the order of the files.
///
/// # Errors
/// With all features that cannot be read.
pub fn list(options: &Options) -> Result<Vec<String>, BadFeatures> {
    let book = Book::read(&options.features)?.select(&options.arguments);
    Ok(book.names.values().map(ToString::to_string).collect())
}

/// Runs features; `stop` ends the run in order. Whatever happens, nothing is left on the engine.
///
/// # Errors
/// When features cannot be run (nothing was started then), or reports could not be written.
pub async fn run(options: &Options, stop: &CancellationToken) -> Result<SuiteOutcome, RunError> {
    let book = Book::read(&options.features)?;
    for note in &book.notes {
        eprintln!("note     {note}");
    }
    let book = book.select(&options.arguments);
    book.check()?;
    play_all(options, book, stop).await.map_err(RunError::Harness)
}

async fn play_all(
    options: &Options,
    mut book: Book,
    stop: &CancellationToken,
) -> anyhow::Result<SuiteOutcome> {
    let (began, started) = (Instant::now(), SystemTime::now());
    let features = std::mem::take(&mut book.features);
    let playable = features.iter().map(Ext::count_scenarios).sum();
    let record = Record::new(&options.directory, book.names.clone());
    let suite = Arc::new(Suite::new(options, record.clone()));
    world::install(Arc::clone(&suite))?;
    let mut info = report::info(options, started.duration_since(UNIX_EPOCH).unwrap_or_default());
    report::begin(options, &info)?;
    let interrupted = playable > 0
        && stop.run_until_cancelled(play(features, &book.names, &record)).await.is_none();
    let counts = record.counts();
    let mut reasons = reasons(options, &book, &counts, playable, interrupted);
    info.interrupted = interrupted.then(|| "the user stopped it".to_owned());
    info.undone = report::undone(&reasons, &record.done(), &suite.trials());
    info.duration_ms = records::millis(began.elapsed()).max(1);
    // Reports first: what cannot be removed must not take them along.
    let written = report::write(options, info, &suite.trials(), &record);
    let removed = tokio::time::timeout(REMOVE_WITHIN, suite.remove()).await;
    removed.context("the servers were not removed in time")??;
    let again = report::judged_again(options, &written?, &suite.trials());
    let is_harness = counts.harness > 0 || again.is_some();
    reasons.extend(again);
    let done = record.done();
    let excused = done.iter().flat_map(|it| {
        it.excused.iter().map(move |what| format!("{}: {}: {what}", it.feature, it.name))
    });
    Ok(SuiteOutcome {
        exit: exit(&counts, is_harness, reasons.is_empty()),
        excused: excused.collect(),
        counts,
        reasons,
        report: options.directory.join("index.html"),
    })
}

/// The worst of what there was: a finding, a harness that failed, a doubt.
fn exit(counts: &Counts, is_harness: bool, is_green: bool) -> Exit {
    let ends = [
        (counts.failed > 0, Exit::Finding),
        (is_harness, Exit::Harness),
        (!is_green, Exit::Inconclusive),
    ];
    let ends = ends.into_iter().filter_map(|(is_so, exit)| is_so.then_some(exit));
    ends.fold(Exit::Pass, Exit::worst)
}

/// Features that were read before: cucumber's own reader takes other files, and reads them otherwise.
struct Read(Vec<Feature>);

impl Parser<()> for Read {
    type Cli = cli::Empty;
    type Output = stream::Iter<std::vec::IntoIter<parser::Result<Feature>>>;

    fn parse(self, (): (), _: Self::Cli) -> Self::Output {
        stream::iter(self.0.into_iter().map(Ok).collect::<Vec<_>>())
    }
}

async fn play(features: Vec<Feature>, names: &Names, record: &Record) {
    let (names, ends) = (names.clone(), record.clone());
    World::cucumber::<&str>()
        .with_parser::<_, ()>(Read(features))
        .with_writer(
            writer::Basic::stdout()
                .summarized()
                .tee::<World, _>(record.clone().discard_arbitrary_writes().discard_stats_writes())
                .assert_normalized(),
        )
        .with_default_cli()
        .max_concurrent_scenarios(SCENARIOS_AT_A_TIME)
        .before(move |feature, _, scenario, world| {
            world.name(told(&names, feature, scenario));
            let tagged = |name: &str| tags::is_tagged(scenario, name);
            let (own, small_disk) = (tagged(OWN_SERVERS), tagged(SMALL_DISK));
            if let Some(only) = tags::only(scenario) {
                world.is_only_for(only);
            }
            async move {
                if own || small_disk {
                    world.take_own_servers(small_disk).await;
                }
            }
            .boxed_local()
        })
        .after(move |feature, _, scenario, how, world| {
            let failure = match how {
                ScenarioFinished::StepPassed => None,
                ScenarioFinished::StepSkipped => Some("no such step".to_owned()),
                ScenarioFinished::StepFailed(_, _, error) => Some(record::failure_text(error)),
                ScenarioFinished::BeforeHookFailed(_) => Some("in a hook".to_owned()),
            };
            let (place, ends) = (Place::of(feature, scenario), ends.clone());
            async move {
                // Without a world the record says that the harness failed.
                let Some(world) = world else { return };
                let is_new = failure.is_none();
                let ended = world.finish(failure).await;
                let (end, message) = (ended.end, ended.message.clone().unwrap_or_default());
                ends.ended(place, ended);
                match end {
                    End::Passed => {}
                    End::Skipped => eprintln!("skipped  {message}"),
                    End::Inconclusive => eprintln!("unclear  {message}"),
                    // A hook has no other way to show that a scenario failed.
                    End::Failed | End::Harness => {
                        assert!(!is_new, "{message}");
                        eprintln!("{message}");
                    }
                }
            }
            .boxed_local()
        })
        .run(())
        .await;
}

fn told(names: &Names, feature: &Feature, scenario: &Scenario) -> records::journal::Scenario {
    let place = Place::of(feature, scenario);
    let name = names.get(&place);
    records::journal::Scenario {
        name: name.map_or_else(|| scenario.name.clone(), ToString::to_string),
        place: format!("{}:{}", name.map_or("", |name| name.file.as_str()), place.line),
        allows: tags::allowed(scenario),
    }
}

fn reasons(
    options: &Options,
    book: &Book,
    counts: &Counts,
    playable: usize,
    interrupted: bool,
) -> Vec<String> {
    let mut reasons = Vec::new();
    if interrupted {
        reasons.push("the run was interrupted".to_owned());
    }
    for (count, what) in [
        (counts.failed, "failed"),
        (counts.inconclusive, "say nothing"),
        (counts.harness, "ended because the harness failed"),
    ] {
        if count > 0 {
            reasons.push(format!("{count} of {} scenarios {what}", counts.scenarios));
        }
    }
    for (place, why) in &book.empty {
        let name = book.names.get(place).map(ToString::to_string).unwrap_or_default();
        reasons.push(format!("{name} tries nothing: {why} ({})", place.path.display()));
    }
    if book.names.is_empty() {
        let features = options.features.display();
        reasons.push(match options.arguments.selects_everything() {
            true => format!("nothing was tried: no scenario in {features}"),
            false => "nothing was tried: no scenario has one of these texts in its name".to_owned(),
        });
    }
    if !interrupted && counts.scenarios != playable as u64 {
        reasons.push(format!("{} of {playable} scenarios ran", counts.scenarios));
    }
    if let Some(floor) = &options.floor {
        let missed = match options.arguments.selects_everything() {
            true => floor.missed_by(counts),
            false => (counts.landed == 0)
                .then(|| "too little was tried: of what was selected, no fault landed".to_owned()),
        };
        reasons.extend(missed);
    }
    reasons
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(filters: &[&str], floor: Option<Floor>) -> Options {
        let filters = filters.iter().map(ToString::to_string).collect();
        Options {
            features: PathBuf::from("features"),
            arguments: Arguments { filters, ..Arguments::default() },
            floor,
            directory: PathBuf::from("unused"),
            system: SystemOptions::default(),
            clean_tablet: false,
        }
    }

    fn one(name: &str) -> Book {
        let place = Place { path: PathBuf::from("features/a.feature"), line: 3 };
        let file = "a.feature".to_owned();
        let name = place::Name { feature: "A".to_owned(), scenario: name.to_owned(), file };
        Book { names: [(place, name)].into(), ..Book::default() }
    }

    #[test]
    fn the_exit_code_is_the_worst_of_what_there_was() {
        let none = Counts::default();
        let failed = Counts { failed: 1, harness: 1, inconclusive: 1, ..Counts::default() };
        assert_eq!(exit(&failed, true, false), Exit::Finding);
        assert_eq!(exit(&none, true, false), Exit::Harness);
        assert_eq!(exit(&none, false, false), Exit::Inconclusive);
        assert_eq!(exit(&none, false, true), Exit::Pass);
    }

    // Neither whole nor in part is a run green that tried nothing.
    #[test]
    fn a_part_of_which_nothing_landed_is_not_green() {
        let floor = Some(Floor { scenarios: 5, landed: 5 });
        let ran = Counts { scenarios: 1, ..Counts::default() };
        let landed = Counts { landed: 1, ..ran.clone() };
        let some = options(&["killed"], floor.clone());
        assert_eq!(reasons(&some, &one("killed"), &ran, 1, false).len(), 1);
        assert!(reasons(&some, &one("killed"), &landed, 1, false).is_empty());
        let all = options(&[], floor);
        assert_eq!(reasons(&all, &one("killed"), &landed, 1, false).len(), 1);
        // Somebody's own scenario may have no fault.
        assert!(reasons(&options(&[], None), &one("killed"), &ran, 1, false).is_empty());
    }

    #[test]
    fn what_says_nothing_or_tries_nothing_is_a_reason() {
        let own = options(&[], None);
        let unclear = Counts { scenarios: 1, inconclusive: 1, ..Counts::default() };
        assert_eq!(reasons(&own, &one("killed"), &unclear, 1, false).len(), 1);
        let none = Counts::default();
        let nothing = reasons(&own, &Book::default(), &none, 0, false);
        assert!(nothing[0].contains("no scenario in features"), "{nothing:?}");
        let unknown = reasons(&options(&["x"], None), &Book::default(), &none, 0, false);
        assert!(unknown[0].contains("in its name"), "{unknown:?}");
        let mut book = one("to be written");
        let place = book.names.keys().next().cloned().unwrap();
        book.empty.insert(place, "it has no steps".to_owned());
        let reasons = reasons(&own, &book, &none, 0, false);
        assert!(reasons[0].contains("A: to be written tries nothing"), "{reasons:?}");
    }
}
