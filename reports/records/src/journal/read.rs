//! Reading and writing a journal's lines. A harness that was killed leaves a last line cut off: it
//! is dropped, and a [`Event::HarnessTrouble`] in its place tells so; anything else unreadable is
//! an error that names the line.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{Event, FORMAT, Record};

/// Why a journal cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file cannot be read.
    #[error("cannot read the journal {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A line is no record.
    #[error("{name}, line {line}: not a record of a journal")]
    BadLine {
        /// The file.
        name: String,
        /// From 1.
        line: usize,
        /// Why.
        source: serde_json::Error,
    },
    /// A newer program wrote it.
    #[error(
        "{name}: journal format {found}, this program reads up to {FORMAT}; \
         judge it with the version of vdiff-chaos that wrote it, or a newer one"
    )]
    NewerFormat {
        /// The file.
        name: String,
        /// The format found.
        found: u64,
    },
    /// Nothing in it.
    #[error("{name}: the journal is empty; the harness ended before the trial began")]
    Empty {
        /// The file.
        name: String,
    },
}

/// Reads a journal from a file.
///
/// # Errors
/// When it cannot be read, holds a line that is no record (the last one, cut off, is tolerated and
/// told by a record), is empty, or was written in a newer format.
pub fn read(path: &Path) -> Result<Vec<Record>, JournalError> {
    let bytes = fs::read(path)
        .map_err(|source| JournalError::Unreadable { path: path.to_owned(), source })?;
    parse(&String::from_utf8_lossy(&bytes), &path.display().to_string())
}

/// Reads a journal from text; `name` stands in errors.
///
/// # Errors
/// As [`read`].
pub fn parse(text: &str, name: &str) -> Result<Vec<Record>, JournalError> {
    let lines: Vec<(usize, &str)> =
        text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).collect();
    let last_is_whole = text.ends_with('\n');
    let mut records: Vec<Record> = Vec::with_capacity(lines.len() + 1);
    for (position, (index, line)) in lines.iter().enumerate() {
        let is_last = position + 1 == lines.len();
        check_format(line, name)?;
        match serde_json::from_str::<Record>(line) {
            Ok(record) => records.push(record),
            Err(_) if is_last && !last_is_whole && !records.is_empty() => {
                records.push(cut_off(&records, index + 1));
            }
            Err(source) => {
                return Err(JournalError::BadLine {
                    name: name.to_owned(),
                    line: index + 1,
                    source,
                });
            }
        }
    }
    if records.is_empty() {
        Err(JournalError::Empty { name: name.to_owned() })
    } else {
        Ok(records)
    }
}

/// One record as the line that stands in a journal, its newline included.
///
/// # Errors
/// When the record cannot be serialised (a number that is not finite).
pub fn line(record: &Record) -> Result<String, serde_json::Error> {
    let mut line = serde_json::to_string(record)?;
    line.push('\n');
    Ok(line)
}

/// Only the head tells the format; other lines are left to the record's parser.
fn check_format(line: &str, name: &str) -> Result<(), JournalError> {
    if !line.contains("trial-started") {
        return Ok(());
    }
    let Ok(value) = serde_json::from_str::<Value>(line) else { return Ok(()) };
    let is_head = value.get("event").and_then(Value::as_str) == Some("trial-started");
    match value.get("format").and_then(Value::as_u64) {
        Some(found) if is_head && found > u64::from(FORMAT) => {
            Err(JournalError::NewerFormat { name: name.to_owned(), found })
        }
        _ => Ok(()),
    }
}

fn cut_off(records: &[Record], line: usize) -> Record {
    let (seq, at_ms) = records.last().map_or((0, 0), |last| (last.seq + 1, last.at_ms));
    let what = format!("line {line}, the journal's last, is cut off: the harness was killed");
    Record { seq, at_ms, event: Event::HarnessTrouble { what } }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(seq: u64) -> String {
        line(&Record { seq, at_ms: seq * 10, event: Event::Note { text: "x".into() } }).unwrap()
    }

    #[test]
    fn a_record_survives_the_round_trip() {
        let text = note(0) + &note(1);
        let records = parse(&text, "j").unwrap();
        assert_eq!(records.len(), 2);
        assert_eq!(records.iter().map(|r| line(r).unwrap()).collect::<String>(), text);
    }

    /// A killed harness leaves half a line. Its trial must be readable, and must say so.
    #[test]
    fn a_last_line_cut_off_is_told_by_a_record() {
        let text = note(0) + &note(1)[..20];
        let records = parse(&text, "j").unwrap();
        assert_eq!(records.len(), 2);
        assert!(
            matches!(&records[1].event, Event::HarnessTrouble { what } if what.contains("line 2"))
        );
    }

    #[test]
    fn a_bad_line_in_the_middle_is_an_error_with_its_number() {
        let text = note(0) + "{\"seq\": oops}\n" + &note(2);
        let error = parse(&text, "j.jsonl").unwrap_err();
        assert_eq!(error.to_string(), "j.jsonl, line 2: not a record of a journal");
    }

    #[test]
    fn a_newer_format_is_told_before_its_fields_are_read() {
        let text = "{\"seq\":0,\"at_ms\":0,\"event\":\"trial-started\",\"format\":99,\"new\":1}\n";
        let error = parse(text, "j").unwrap_err();
        assert!(matches!(error, JournalError::NewerFormat { found: 99, .. }), "{error}");
    }

    #[test]
    fn an_empty_journal_is_an_error() {
        assert!(matches!(parse("\n", "j"), Err(JournalError::Empty { .. })));
    }
}
