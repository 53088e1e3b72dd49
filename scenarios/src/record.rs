//! `features.json` and JUnit of a feature run, written anew after every scenario, so that an
//! interrupted run leaves what it knew.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use cucumber::cli;
use cucumber::event::{self, Cucumber, Feature, Rule, Scenario, Step};
use cucumber::{Event, Writer, parser};
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use serde::{Deserialize, Serialize};

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
    /// Scenarios that failed.
    pub failed: u64,
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

#[derive(Clone, Debug, Serialize)]
struct ScenarioRecord {
    feature: String,
    name: String,
    outcome: &'static str,
    seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

#[derive(Default)]
struct State {
    counts: Counts,
    done: Vec<ScenarioRecord>,
    running: BTreeMap<(String, usize), Running>,
    trouble: Option<std::io::Error>,
}

struct Running {
    since: Instant,
    outcome: &'static str,
    message: Option<String>,
}

/// The record, shared between the writer that cucumber drives and the steps that land faults.
#[derive(Clone)]
pub struct Record {
    state: Arc<Mutex<State>>,
    directory: PathBuf,
}

impl Record {
    /// A record that is kept in this directory as `features.json` and `junit.xml`.
    #[must_use]
    pub fn new(directory: &Path) -> Self {
        Self { state: Arc::default(), directory: directory.to_owned() }
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
            junit(state).map(|junit| (document.to_string(), junit))
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
        feature: &str,
        scenario: &event::Source<cucumber::gherkin::Scenario>,
        event: &Scenario<W>,
    ) {
        let key = (feature.to_owned(), scenario.position.line);
        let ended = self.with(|state| match event {
            Scenario::Started => {
                let running = Running { since: Instant::now(), outcome: "passed", message: None };
                state.running.insert(key, running);
                false
            }
            Scenario::Background(step, event) | Scenario::Step(step, event) => {
                state.step(&key, step, event);
                false
            }
            Scenario::Hook(_, event::Hook::Failed(_, info)) => {
                state.fail(&key, "failed", format!("in a hook: {}", panic_text(info)));
                false
            }
            Scenario::Hook(..) | Scenario::Log(_) => false,
            Scenario::Finished => {
                state.finish(&key, scenario.name.clone());
                true
            }
        });
        if ended && let Err(trouble) = self.save() {
            self.with(|state| state.trouble = Some(trouble));
        }
    }
}

impl State {
    fn step<W>(
        &mut self,
        key: &(String, usize),
        step: &event::Source<cucumber::gherkin::Step>,
        event: &Step<W>,
    ) {
        match event {
            Step::Started => {}
            Step::Passed(..) => self.counts.steps += 1,
            Step::Skipped => {
                self.counts.skipped += 1;
                self.fail(key, "failed", format!("no such step: {}", step.value));
            }
            Step::Failed(_, _, _, error) => {
                self.fail(key, "failed", format!("{}: {error}", step.value));
            }
        }
    }

    fn fail(&mut self, key: &(String, usize), outcome: &'static str, message: String) {
        if let Some(running) = self.running.get_mut(key) {
            running.outcome = outcome;
            running.message.get_or_insert(message);
        }
    }

    fn finish(&mut self, key: &(String, usize), name: String) {
        let Some(running) = self.running.remove(key) else { return };
        self.counts.scenarios += 1;
        self.counts.failed += u64::from(running.outcome == "failed");
        self.done.push(ScenarioRecord {
            feature: key.0.clone(),
            name,
            outcome: running.outcome,
            seconds: running.since.elapsed().as_secs_f64(),
            message: running.message,
        });
    }
}

impl<W: 'static> Writer<W> for Record {
    type Cli = cli::Empty;

    async fn handle_event(&mut self, event: parser::Result<Event<Cucumber<W>>>, _: &Self::Cli) {
        match event.map(Event::into_inner) {
            Ok(Cucumber::Feature(feature, Feature::Scenario(scenario, event))) => {
                self.scenario(&feature.name, &scenario, &event.event);
            }
            Ok(Cucumber::Feature(feature, Feature::Rule(_, Rule::Scenario(scenario, event)))) => {
                self.scenario(&feature.name, &scenario, &event.event)
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

fn junit(state: &State) -> std::io::Result<String> {
    let mut suites: BTreeMap<&str, TestSuite> = BTreeMap::new();
    for record in &state.done {
        let status = match &record.message {
            None => TestCaseStatus::success(),
            Some(message) => {
                let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
                status.set_message(message.clone());
                status
            }
        };
        let mut case = TestCase::new(record.name.clone(), status);
        case.set_time(Duration::from_secs_f64(record.seconds));
        let suite = || TestSuite::new(record.feature.clone());
        suites.entry(&record.feature).or_insert_with(suite).add_test_case(case);
    }
    let mut report = Report::new("features");
    report.add_test_suites(suites.into_values());
    report.to_string().map_err(std::io::Error::other)
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
}
