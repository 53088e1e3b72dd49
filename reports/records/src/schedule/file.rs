//! Schedules as files: printed the same way each time, byte for byte, and refused with a sentence
//! that says what to do.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{FORMAT, Schedule};

/// Why a schedule cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ScheduleError {
    /// The file cannot be read.
    #[error("cannot read the schedule {}; give the path of a trial's schedule.json", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file cannot be written.
    #[error("cannot write the schedule {}", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is no JSON object.
    #[error(
        "{name}: not a schedule: expected one JSON object, as a run writes it to \
         trials/<number>/schedule.json"
    )]
    NotJson {
        /// The file.
        name: String,
        /// Why.
        source: serde_json::Error,
    },
    /// A field is unknown, missing or of another kind.
    #[error(
        "{name}: a field of the schedule is wrong: {why}; correct it, or write a schedule anew \
         with `vdiff-chaos run`"
    )]
    WrongField {
        /// The file.
        name: String,
        /// The parser's words: what was found and what was expected.
        why: String,
    },
    /// Another format.
    #[error(
        "{name}: schedule format {found}, expected {FORMAT}; replay it with the version of \
         vdiff-chaos that wrote it"
    )]
    OtherFormat {
        /// The file.
        name: String,
        /// What was found.
        found: String,
    },
}

/// Reads a schedule from a file.
///
/// # Errors
/// When it cannot be read, is no JSON, is of another format, or has an unknown or wrong field.
pub fn load(path: &Path) -> Result<Schedule, ScheduleError> {
    let text = fs::read_to_string(path)
        .map_err(|source| ScheduleError::Unreadable { path: path.to_owned(), source })?;
    parse(&text, &path.display().to_string())
}

/// Reads a schedule from text; `name` stands in errors.
///
/// # Errors
/// As [`load`], but for reading.
pub fn parse(text: &str, name: &str) -> Result<Schedule, ScheduleError> {
    let name = || name.to_owned();
    let value: Value = serde_json::from_str(text)
        .map_err(|source| ScheduleError::NotJson { name: name(), source })?;
    // The version comes first: fields of a newer one would only be called unknown.
    match value.get("format") {
        Some(found) if found.as_u64() == Some(u64::from(FORMAT)) => {}
        Some(found) => {
            return Err(ScheduleError::OtherFormat { name: name(), found: found.to_string() });
        }
        None => {
            let why = "missing field `format`".to_owned();
            return Err(ScheduleError::WrongField { name: name(), why });
        }
    }
    // From the text once more: this parser names line and column.
    serde_json::from_str(text)
        .map_err(|error| ScheduleError::WrongField { name: name(), why: error.to_string() })
}

/// A schedule as text: pretty JSON with a last newline, always the same for the same schedule.
#[must_use]
pub fn print(schedule: &Schedule) -> String {
    let mut text = serde_json::to_string_pretty(schedule)
        .expect("a schedule has string keys only, so it serialises");
    text.push('\n');
    text
}

/// Writes a schedule to a file.
///
/// # Errors
/// When it cannot be written.
pub fn save(schedule: &Schedule, path: &Path) -> Result<(), ScheduleError> {
    fs::write(path, print(schedule))
        .map_err(|source| ScheduleError::Unwritable { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn a_schedule_survives_the_round_trip() {
        let schedule = sample::schedule(0);
        let text = print(&schedule);
        assert_eq!(parse(&text, "s").unwrap(), schedule);
        assert_eq!(print(&parse(&text, "s").unwrap()), text);
    }

    fn refused(change: impl FnOnce(&mut Value)) -> String {
        let mut value = serde_json::to_value(sample::schedule(0)).unwrap();
        change(&mut value);
        parse(&value.to_string(), "s.json").unwrap_err().to_string()
    }

    #[test]
    fn what_is_wrong_is_said_with_file_expectation_and_remedy() {
        let newer = refused(|v| v["format"] = 3.into());
        assert_eq!(
            newer,
            "s.json: schedule format 3, expected 2; replay it with the version of vdiff-chaos \
             that wrote it"
        );
        let unknown = refused(|v| v["colour"] = "red".into());
        assert!(unknown.starts_with("s.json: ") && unknown.contains("unknown field `colour`"));
        assert!(unknown.contains("expected one of `format`, `seed`"), "{unknown}");
        let fault = refused(|v| v["steps"][0]["fault"] = "meteor".into());
        assert!(
            fault.contains("unknown variant `meteor`") && fault.contains("`sigkill`"),
            "{fault}"
        );
        let missing = refused(|v| {
            v.as_object_mut().unwrap().remove("format");
        });
        assert!(missing.contains("missing field `format`"));
        let text = parse("sigkill", "s.json").unwrap_err().to_string();
        assert!(text.contains("expected one JSON object"));
    }
}
