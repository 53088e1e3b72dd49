//! Where a scenario stands, and what it is called.

use std::collections::BTreeMap;
use std::path::PathBuf;

use cucumber::gherkin::{Feature, Scenario};

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
