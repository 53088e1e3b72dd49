//! The scenarios of a feature run: which there are, how they are called, which of them can be run.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use cucumber::World as _;
use cucumber::feature::Ext as _;
use cucumber::gherkin::{Feature, Scenario};
use reports::schedule::Hurts;
use reports::verdict::Invariant;

use crate::args::Arguments;
use crate::bad::BadFeatures;
use crate::world::World;
use crate::{finder, reading, steps};

/// The tag of a scenario that has servers of its own.
pub(crate) const OWN_SERVERS: &str = "own-servers";
/// The tag of a scenario whose servers have a small disk, and are its own.
pub(crate) const SMALL_DISK: &str = "small-disk";
/// Before the invariant that a scenario may break.
const ALLOWS: &str = "allows:";

/// Where a scenario stands: two scenarios are never at one place, whatever they are called.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Place {
    /// The file.
    pub(crate) path: PathBuf,
    /// Of the scenario, or of the row of its examples.
    pub(crate) line: usize,
}

impl Place {
    /// Of a scenario, its outline expanded.
    pub(crate) fn of(feature: &Feature, scenario: &Scenario) -> Self {
        let path = feature.path.clone().unwrap_or_default();
        Self { path, line: scenario.position.line }
    }
}

/// What a scenario is called: no two of a run are called the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name {
    /// The feature; with its file where another feature has the same name.
    pub(crate) feature: String,
    /// The scenario; with its line where another one of the feature has the same name.
    pub(crate) scenario: String,
    /// The file, from the directory of features on.
    pub(crate) file: String,
}

impl std::fmt::Display for Name {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}: {}", self.feature, self.scenario)
    }
}

/// Names of all scenarios by place.
pub(crate) type Names = BTreeMap<Place, Name>;

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

fn tags_are_known(scenario: &Scenario) -> Result<(), String> {
    for tag in &scenario.tags {
        if tag == "retry" || tag.starts_with("retry(") || tag.starts_with("retry.") {
            return Err(format!(
                "the tag @{tag} is refused: another try turns a failure green, and the first one is \
                 the finding"
            ));
        }
        if let Some(code) = tag.strip_prefix(ALLOWS)
            && Invariant::from_code(code).is_none()
        {
            let known = Invariant::ALL.map(Invariant::code).join(", ");
            return Err(format!("the tag @{tag} names no invariant; there are {known}"));
        }
    }
    Ok(())
}

/// The invariants that a scenario's tags excuse.
pub(crate) fn allowed(scenario: &Scenario) -> Vec<Invariant> {
    let codes = scenario.tags.iter().filter_map(|tag| tag.strip_prefix(ALLOWS));
    codes.filter_map(Invariant::from_code).collect()
}

/// Whether a scenario has a tag.
pub(crate) fn is_tagged(scenario: &Scenario, name: &str) -> bool {
    scenario.tags.iter().any(|tag| tag == name)
}

/// Which tag a fault asks for, if the scenario has not got it.
fn servers_are_for(fault: reports::schedule::Fault, scenario: &Scenario) -> Result<(), String> {
    servers_suffice(fault, is_tagged(scenario, OWN_SERVERS), is_tagged(scenario, SMALL_DISK))
}

/// Whether a fault hurts nobody but the scenario that has such servers.
///
/// # Errors
/// With the tag to write.
pub(crate) fn servers_suffice(
    fault: reports::schedule::Fault,
    own: bool,
    small_disk: bool,
) -> Result<(), String> {
    let (what, tag) = match fault.facts().hurts {
        Hurts::Servers if !own && !small_disk => ("servers that other scenarios use", OWN_SERVERS),
        Hurts::Disk if !small_disk => ("the disk of a server", SMALL_DISK),
        Hurts::NobodyElse | Hurts::Servers | Hurts::Disk => return Ok(()),
    };
    Err(format!(
        "the fault {fault} hurts {what}: write the tag @{tag} above the scenario, its Rule or its Feature"
    ))
}

#[cfg(test)]
#[path = "book/tests.rs"]
mod tests;
