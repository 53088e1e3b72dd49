//! The scenarios of a feature run: which there are, how they are called, which of them can be run.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use cucumber::World as _;
use cucumber::feature::Ext as _;
use cucumber::gherkin::{Feature, Scenario};

use crate::args::Arguments;
use crate::bad::BadFeatures;
use crate::place::{Name, Names, Place};
use crate::tags::{servers_are_for, tags_are_known};
use crate::world::World;
use crate::{finder, reading, steps};

/// The features of a run, outlines expanded.
#[derive(Debug, Default)]
pub(crate) struct Book {
    /// What can be played.
    pub(crate) features: Vec<Feature>,
    /// All names, in the order of the files; also of what has nothing to play.
    pub(crate) names: Names,
    /// What would be green without having tried anything: why, by place.
    pub(crate) empty: BTreeMap<Place, String>,
    /// Remarks for the user.
    pub(crate) notes: Vec<String>,
}

impl Book {
    /// Reads a directory or file of features.
    ///
    /// # Errors
    /// With all files that cannot be read.
    pub(crate) fn read(root: &Path) -> Result<Self, BadFeatures> {
        let mut book = Self::default();
        let mut bad = BadFeatures::default();
        let mut called: Vec<(Place, String, String)> = Vec::new();
        for path in finder::files(root)? {
            match reading::read(&path) {
                Err(why) => bad.add(&path, why),
                Ok(None) => {
                    book.notes.push(format!("{}: no feature in it, only comments", path.display()));
                }
                Ok(Some(feature)) => book.take(feature, &path, &mut bad, &mut called),
            }
        }
        bad.none_or_err()?;
        book.names = names(root, called);
        Ok(book)
    }

    fn take(
        &mut self,
        feature: Feature,
        path: &Path,
        bad: &mut BadFeatures,
        called: &mut Vec<(Place, String, String)>,
    ) {
        for (line, name, why) in without_rows(&feature) {
            let place = Place { path: path.to_owned(), line };
            called.push((place.clone(), feature.name.clone(), name));
            self.empty.insert(place, why);
        }
        let mut feature = match feature.expand_examples() {
            Ok(feature) => feature,
            Err(error) => return bad.add(path, error),
        };
        for scenario in reading::scenarios(&feature) {
            let place = Place::of(&feature, scenario);
            called.push((place.clone(), feature.name.clone(), scenario.name.clone()));
            if let Err(why) = tags_are_known(scenario) {
                bad.add(path, format!("line {}: {why}", place.line));
            }
            if scenario.steps.is_empty() {
                self.empty.insert(place, "it has no steps".to_owned());
            }
        }
        feature.keep(&|scenario| !scenario.steps.is_empty());
        self.features.push(feature);
    }

    /// What the arguments select of it.
    #[must_use]
    pub(crate) fn select(mut self, arguments: &Arguments) -> Self {
        self.names.retain(|_, name| arguments.selects(&name.to_string()));
        let names = &self.names;
        self.empty.retain(|place, _| names.contains_key(place));
        for feature in &mut self.features {
            let path = feature.path.clone().unwrap_or_default();
            feature.keep(&|scenario| {
                names.contains_key(&Place { path: path.clone(), line: scenario.position.line })
            });
        }
        self.features.retain(|feature| feature.count_scenarios() > 0);
        self
    }

    /// How many scenarios there are to play.
    #[cfg(test)]
    pub(crate) fn playable(&self) -> usize {
        self.features.iter().map(cucumber::feature::Ext::count_scenarios).sum()
    }

    /// Whether each step is known, and each fault one that the scenario's servers are for.
    ///
    /// # Errors
    /// With all steps that are not.
    pub(crate) fn check(&self) -> Result<(), BadFeatures> {
        let mut bad = BadFeatures::default();
        let known = World::collection();
        for feature in &self.features {
            let path = feature.path.clone().unwrap_or_default();
            let mut told = std::collections::BTreeSet::new();
            let mut check = |scenario: &Scenario, step: &cucumber::gherkin::Step| {
                let why = match known.find(step) {
                    Ok(Some(_)) => steps::fault_in(&step.value)
                        .and_then(|fault| fault.map_or(Ok(()), |it| servers_are_for(it, scenario)))
                        .err(),
                    Ok(None) => Some(format!("no such step: {}{}", step.keyword, step.value)),
                    Err(error) => Some(format!("the step is ambiguous: {error}")),
                };
                if let Some(why) = why
                    && told.insert((step.position.line, why.clone()))
                {
                    bad.add(&path, format!("line {}: {why}", step.position.line));
                }
            };
            let general = feature.background.iter().flat_map(|background| &background.steps);
            for scenario in &feature.scenarios {
                general.clone().chain(&scenario.steps).for_each(|step| check(scenario, step));
            }
            for rule in &feature.rules {
                let own = rule.background.iter().flat_map(|background| &background.steps);
                for scenario in &rule.scenarios {
                    let before = general.clone().chain(own.clone());
                    before.chain(&scenario.steps).for_each(|step| check(scenario, step));
                }
            }
        }
        bad.none_or_err()
    }
}

trait Keep {
    /// Keeps these scenarios, and the rules that have one.
    fn keep(&mut self, wanted: &dyn Fn(&Scenario) -> bool);
}

impl Keep for Feature {
    fn keep(&mut self, wanted: &dyn Fn(&Scenario) -> bool) {
        self.scenarios.retain(wanted);
        for rule in &mut self.rules {
            rule.scenarios.retain(wanted);
        }
        self.rules.retain(|rule| !rule.scenarios.is_empty());
    }
}

/// Examples without a row: they would vanish. Line, name of the outline, why.
fn without_rows(feature: &Feature) -> Vec<(usize, String, String)> {
    let mut found = Vec::new();
    for scenario in reading::scenarios(feature) {
        for examples in &scenario.examples {
            let rows = examples.table.as_ref().map_or(0, |table| table.rows.len());
            if rows < 2 {
                let why = format!("its Examples in line {} have no row", examples.position.line);
                found.push((examples.position.line, scenario.name.clone(), why));
            }
        }
    }
    found
}

fn names(root: &Path, called: Vec<(Place, String, String)>) -> Names {
    let mut files: HashMap<String, std::collections::BTreeSet<PathBuf>> = HashMap::new();
    let mut times: HashMap<(PathBuf, String), usize> = HashMap::new();
    for (place, feature, scenario) in &called {
        files.entry(feature.clone()).or_default().insert(place.path.clone());
        *times.entry((place.path.clone(), scenario.clone())).or_default() += 1;
    }
    let name = |(place, feature, scenario): (Place, String, String)| {
        let below = place.path.strip_prefix(root).unwrap_or(&place.path);
        let file = match (below.as_os_str().is_empty(), place.path.file_name()) {
            (true, Some(name)) => name.to_string_lossy().into_owned(),
            _ => below.display().to_string(),
        };
        let is_alone = files.get(&feature).is_none_or(|files| files.len() < 2);
        let is_once = times.get(&(place.path.clone(), scenario.clone())).is_none_or(|n| *n < 2);
        let name = Name {
            feature: if is_alone { feature } else { format!("{feature} ({file})") },
            scenario: match is_once {
                true => scenario,
                false => format!("{scenario} (line {})", place.line),
            },
            file,
        };
        (place, name)
    };
    called.into_iter().map(name).collect()
}

#[cfg(test)]
#[path = "book/tests.rs"]
mod tests;
