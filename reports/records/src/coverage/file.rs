//! Coverage as a file: a list of points, always in the same order.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Coverage, FORMAT, Point, PointKey, Tries};
use crate::layout::{LayoutError, write_file};
use crate::schedule::Fault;

/// Why a coverage file cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum CoverageError {
    /// The file cannot be read.
    #[error("cannot read the coverage file {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file cannot be written.
    #[error("the coverage was not saved")]
    Unwritable(#[source] LayoutError),
    /// It is no JSON.
    #[error(
        "{name}: not a coverage file: expected one JSON object, as a run writes it to coverage.json"
    )]
    NotJson {
        /// The file.
        name: String,
        /// Why.
        source: serde_json::Error,
    },
    /// A field is unknown, missing or of another kind.
    #[error(
        "{name}: a field of the coverage file is wrong: {why}; take the file of another run, or let \
         a run enumerate its points anew"
    )]
    WrongField {
        /// The file.
        name: String,
        /// What was found and what was expected.
        why: String,
    },
    /// Another format.
    #[error(
        "{name}: coverage format {found}, expected {FORMAT}; use the version of vdiff-chaos that \
         wrote it"
    )]
    OtherFormat {
        /// The file.
        name: String,
        /// What was found.
        found: String,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: u32,
    points: Vec<Line>,
}

/// A point with its key. (Unknown fields cannot be refused here: the key is flattened.)
#[derive(Serialize, Deserialize)]
struct Line {
    #[serde(flatten)]
    key: PointKey,
    nth: u32,
    time_driven: bool,
    tries: BTreeMap<Fault, Tries>,
}

/// Reads a coverage file.
///
/// # Errors
/// When it cannot be read, is no JSON, is of another format, has a wrong field or a point twice.
pub fn load(path: &Path) -> Result<Coverage, CoverageError> {
    let text = fs::read_to_string(path)
        .map_err(|source| CoverageError::Unreadable { path: path.to_owned(), source })?;
    parse(&text, &path.display().to_string())
}

/// Reads a coverage file's text; `name` stands in errors.
///
/// # Errors
/// As [`load`], but for reading.
pub fn parse(text: &str, name: &str) -> Result<Coverage, CoverageError> {
    let name = || name.to_owned();
    let wrong = |why: String| CoverageError::WrongField { name: name(), why };
    let value: Value = serde_json::from_str(text)
        .map_err(|source| CoverageError::NotJson { name: name(), source })?;
    // The version comes first: a newer one's fields would only be called unknown.
    match value.get("format") {
        Some(found) if found.as_u64() == Some(u64::from(FORMAT)) => {}
        Some(found) => {
            return Err(CoverageError::OtherFormat { name: name(), found: found.to_string() });
        }
        None => return Err(wrong("missing field `format`".to_owned())),
    }
    let file: File = serde_json::from_str(text).map_err(|error| wrong(error.to_string()))?;
    let mut points = BTreeMap::new();
    for Line { key, nth, time_driven, tries } in file.points {
        let words = key.to_string();
        if points.insert(key, Point { nth, time_driven, tries }).is_some() {
            return Err(wrong(format!("the point {words} stands in it twice")));
        }
    }
    Ok(Coverage { points })
}

/// Coverage as text: always the same for the same coverage.
#[must_use]
pub fn print(coverage: &Coverage) -> String {
    let line = |(key, point): (&PointKey, &Point)| Line {
        key: key.clone(),
        nth: point.nth,
        time_driven: point.time_driven,
        tries: point.tries.clone(),
    };
    let file = File { format: FORMAT, points: coverage.points().map(line).collect() };
    let mut text = serde_json::to_string_pretty(&file)
        .expect("names of faults are strings, so that every key of a coverage is one");
    text.push('\n');
    text
}

/// Writes a coverage file.
///
/// # Errors
/// When it cannot be written.
pub fn save(coverage: &Coverage, path: &Path) -> Result<(), CoverageError> {
    write_file(path, &print(coverage)).map_err(CoverageError::Unwritable)
}
