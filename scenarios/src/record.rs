//! `features.json` and JUnit of a feature run, written anew after every scenario, so that an
//! interrupted run leaves what it knew.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use cucumber::cli;
use cucumber::event::{self, Cucumber, Feature, Rule, Scenario, Step};
use cucumber::{Event, Writer, gherkin, parser};
use serde::{Deserialize, Serialize};

use crate::junit;
use crate::outcome::{End, Ended, ScenarioRecord};
use crate::place::{Names, Place};

/// Counts of a feature run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Scenarios that ran to their end.
    pub scenarios: u64,
    /// Steps that passed.
    pub steps: u64,
    /// Faults that landed, with evidence.
    pub landed: u64,
    /// Steps without a definition, and the scenarios they stopped.
    pub skipped: u64,
    /// Scenarios that need what the system under test does not do.
    #[serde(default)]
    pub not_possible: u64,
    /// Scenarios that failed: findings.
    pub failed: u64,
    /// Scenarios that say nothing.
    pub inconclusive: u64,
    /// Scenarios in which the harness failed.
    pub harness: u64,
    /// Feature files that could not be read.
    pub parsing_errors: u64,
}

/// What a run must at least have done: checked in, so that a run that tried nothing is not green.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Floor {
    /// Least number of scenarios.
    pub scenarios: u64,
    /// Least number of landed faults.
    pub landed: u64,
}

impl Floor {
    /// Why the counts are below the floor; none when they are not.
    #[must_use]
    pub fn missed_by(&self, counts: &Counts) -> Option<String> {
        (counts.scenarios < self.scenarios || counts.landed < self.landed).then(|| {
            format!(
                "too little was tried: {} scenarios (floor {}), {} faults landed (floor {})",
                counts.scenarios, self.scenarios, counts.landed, self.landed
            )
        })
    }
}

#[derive(Default)]
struct State {
    counts: Counts,
    done: Vec<ScenarioRecord>,
    running: BTreeMap<Place, Running>,
    ended: BTreeMap<Place, Ended>,
    trouble: Option<std::io::Error>,
}

struct Running {
    since: Instant,
    failure: Option<String>,
}

/// The record, shared between the writer that cucumber drives and the steps that land faults.
#[derive(Clone)]
pub struct Record {
    state: Arc<Mutex<State>>,
    directory: PathBuf,
    names: Arc<Names>,
}

impl Record {
    /// A record that is kept in this directory as `features.json` and `junit.xml`.
    #[must_use]
    pub(crate) fn new(directory: &Path, names: Names) -> Self {
        Self { state: Arc::default(), directory: directory.to_owned(), names: Arc::new(names) }
    }

    /// What the hook after a scenario found, which decides.
    pub(crate) fn ended(&self, place: Place, ended: Ended) {
        self.with(|state| state.ended.insert(place, ended));
    }

    /// The scenarios that are over.
    #[must_use]
    pub(crate) fn done(&self) -> Vec<ScenarioRecord> {
        self.with(|state| state.done.clone())
    }

    /// Counts landed faults.
    pub fn landed(&self, faults: u64) {
        self.with(|state| state.counts.landed += faults);
    }

    /// The counts so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.with(|state| state.counts.clone())
    }

    /// Writes both files.
    ///
    /// # Errors
    /// When they could not be written, now or before.
    pub fn save(&self) -> std::io::Result<()> {
        let (json, junit) = self.with(|state| {
            let document = serde_json::json!({ "counts": state.counts, "scenarios": state.done });
            junit::render(&state.done).map(|junit| (document.to_string(), junit))
        })?;
        std::fs::create_dir_all(&self.directory)?;
        std::fs::write(self.directory.join("features.json"), json)?;
        std::fs::write(self.directory.join("junit.xml"), junit)?;
        self.with(|state| state.trouble.take()).map_or(Ok(()), Err)
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn scenario<W>(
        &self,
        feature: &gherkin::Feature,
        scenario: &gherkin::Scenario,
        event: &Scenario<W>,
    ) {
        let place = Place::of(feature, scenario);
        let ended = self.with(|state| match event {
            Scenario::Started => {
                state.running.insert(place, Running { since: Instant::now(), failure: None });
                false
            }
            Scenario::Background(step, event) | Scenario::Step(step, event) => {
                state.step(&place, step, event);
                false
            }
            Scenario::Hook(_, event::Hook::Failed(_, info)) => {
                state.fail(&place, format!("in a hook: {}", panic_text(info)));
                false
            }
            Scenario::Hook(..) | Scenario::Log(_) => false,
            Scenario::Finished => {
                state.finish(&place, &self.names);
                true
            }
        });
        if ended && let Err(trouble) = self.save() {
            self.with(|state| state.trouble = Some(trouble));
        }
    }
}

impl State {
    fn step<W>(&mut self, place: &Place, step: &gherkin::Step, event: &Step<W>) {
        match event {
            Step::Started => {}
            Step::Passed(..) => self.counts.steps += 1,
            Step::Skipped => {
                self.counts.skipped += 1;
                self.fail(place, format!("no such step: {}", step.value));
            }
            Step::Failed(_, _, _, error) => {
                self.fail(place, format!("{}: {}", step.value, failure_text(error)));
            }
        }
    }

    fn fail(&mut self, place: &Place, message: String) {
        if let Some(running) = self.running.get_mut(place) {
            running.failure.get_or_insert(message);
        }
    }

    fn finish(&mut self, place: &Place, names: &Names) {
        let Some(running) = self.running.remove(place) else { return };
        // Without a word of the hook the scenario was not ended in order.
        let ended = self.ended.remove(place).unwrap_or(Ended {
            end: End::Harness,
            message: Some("the scenario was not ended in order".to_owned()),
            excused: Vec::new(),
        });
        self.counts.scenarios += 1;
        match ended.end {
            End::Passed => {}
            End::Skipped => self.counts.not_possible += 1,
            End::Inconclusive => self.counts.inconclusive += 1,
            End::Harness => self.counts.harness += 1,
            End::Failed => self.counts.failed += 1,
        }
        let failure = running.failure.filter(|_| ended.end != End::Passed);
        let told: Vec<String> = failure.into_iter().chain(ended.message).collect();
        let name = names.get(place).cloned();
        self.done.push(ScenarioRecord {
            feature: name.as_ref().map_or_else(String::new, |name| name.feature.clone()),
            file: name.as_ref().map_or_else(String::new, |name| name.file.clone()),
            name: name.map_or_else(String::new, |name| name.scenario),
            line: place.line,
            outcome: ended.end,
            seconds: running.since.elapsed().as_secs_f64(),
            message: (!told.is_empty()).then(|| told.join("\n")),
            excused: ended.excused,
        });
    }
}

impl<W: 'static> Writer<W> for Record {
    type Cli = cli::Empty;

    async fn handle_event(&mut self, event: parser::Result<Event<Cucumber<W>>>, _: &Self::Cli) {
        match event.map(Event::into_inner) {
            Ok(Cucumber::Feature(feature, Feature::Scenario(scenario, event))) => {
                self.scenario(&feature, &scenario, &event.event);
            }
            Ok(Cucumber::Feature(feature, Feature::Rule(_, Rule::Scenario(scenario, event)))) => {
                self.scenario(&feature, &scenario, &event.event);
            }
            Ok(_) => {}
            Err(_) => self.with(|state| state.counts.parsing_errors += 1),
        }
    }
}

impl cucumber::writer::NonTransforming for Record {}

fn panic_text(info: &event::Info) -> String {
    info.downcast_ref::<String>()
        .cloned()
        .or_else(|| info.downcast_ref::<&str>().map(ToString::to_string))
        .unwrap_or_else(|| "(no text)".to_owned())
}

/// A step's failure in words: what it said, without what cucumber puts around it.
pub(crate) fn failure_text(error: &event::StepError) -> String {
    match error {
        event::StepError::Panic(info) => panic_text(info),
        event::StepError::NotFound | event::StepError::AmbiguousMatch(_) => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // A run that tried nothing must not be green.
    #[test]
    fn a_run_below_the_floor_says_what_is_missing() {
        let floor = Floor { scenarios: 2, landed: 3 };
        let enough = Counts { scenarios: 2, landed: 3, ..Counts::default() };
        assert_eq!(floor.missed_by(&enough), None);
        for too_little in [
            Counts { landed: 2, ..enough.clone() },
            Counts { scenarios: 1, ..enough.clone() },
            Counts::default(),
        ] {
            let missed = floor.missed_by(&too_little).unwrap();
            assert!(missed.contains("floor 2") && missed.contains("floor 3"), "{missed}");
        }
    }

    fn record_of(places: &[(&str, usize)]) -> Record {
        let name = |(file, line): &(&str, usize)| {
            let place = Place { path: PathBuf::from(file), line: *line };
            let (feature, scenario) = (format!("Twin ({file})"), "killed".to_owned());
            (place, crate::place::Name { feature, scenario, file: (*file).to_owned() })
        };
        Record::new(Path::new("unused"), places.iter().map(name).collect())
    }

    fn play(record: &Record, place: &Place, ended: Option<Ended>) {
        let running = Running { since: Instant::now(), failure: Some("a step: no".to_owned()) };
        record.with(|state| state.running.insert(place.clone(), running));
        if let Some(ended) = ended {
            record.ended(place.clone(), ended);
        }
        record.with(|state| state.finish(place, &record.names));
    }

    // Two files with one feature name and the same lines, at the same time.
    #[test]
    fn twins_are_two_and_each_has_its_own_outcome() {
        let record = record_of(&[("a.feature", 8), ("b.feature", 8)]);
        let at = |file: &str| Place { path: PathBuf::from(file), line: 8 };
        let ended = |end| Some(Ended { end, message: None, excused: Vec::new() });
        play(&record, &at("a.feature"), ended(End::Passed));
        play(&record, &at("b.feature"), ended(End::Failed));
        let counts = record.counts();
        assert_eq!((counts.scenarios, counts.failed), (2, 1));
        let done = record.done();
        assert_eq!((done[0].file.as_str(), done[0].outcome), ("a.feature", End::Passed));
        assert_eq!((done[1].file.as_str(), done[1].outcome), ("b.feature", End::Failed));
        let junit = junit::render(&done).unwrap();
        assert_eq!(junit.matches("<testsuite name").count(), 2, "{junit}");
    }

    #[test]
    fn a_scenario_of_which_the_hook_says_nothing_is_not_green() {
        let record = record_of(&[("a.feature", 8)]);
        play(&record, &Place { path: PathBuf::from("a.feature"), line: 8 }, None);
        assert_eq!(record.done()[0].outcome, End::Harness);
    }
}
