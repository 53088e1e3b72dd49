//! The names of scenarios, outlines expanded, without running them.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use cucumber::feature::Ext as _;
use cucumber::gherkin::{Feature, GherkinEnv, Scenario};

/// The name by which a scenario is selected.
pub(crate) fn name(feature: &Feature, scenario: &Scenario) -> String {
    format!("{}: {}", feature.name, scenario.name)
}

/// The names of all scenarios of a directory or file.
pub(crate) fn names(features: &Path) -> anyhow::Result<Vec<String>> {
    let mut names = Vec::new();
    for path in files(features)? {
        let feature = Feature::parse_path(&path, GherkinEnv::default())
            .with_context(|| format!("cannot read the feature {}", path.display()))?;
        let feature = feature
            .expand_examples()
            .with_context(|| format!("cannot expand the examples of {}", path.display()))?;
        let rules = feature.rules.iter().flat_map(|rule| &rule.scenarios);
        names
            .extend(feature.scenarios.iter().chain(rules).map(|scenario| name(&feature, scenario)));
    }
    Ok(names)
}

fn files(features: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if features.is_file() {
        return Ok(vec![features.to_owned()]);
    }
    let mut found = Vec::new();
    let mut open = vec![features.to_owned()];
    while let Some(directory) = open.pop() {
        let entries = std::fs::read_dir(&directory).with_context(|| {
            format!("cannot read the directory of features {}", directory.display())
        })?;
        for entry in entries {
            let path = entry?.path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "feature") {
                found.push(path);
            }
        }
    }
    ensure!(!found.is_empty(), "no .feature file in {}", features.display());
    found.sort();
    Ok(found)
}
