//! A recorded conversation: every exchange of the target tablet in one trial, a JSON line each, beside
//! the trial's journal (`conversation.jsonl`).

use std::io::Write;
use std::path::{Path, PathBuf};

use records::schedule::{Link, Phase};
use serde::{Deserialize, Serialize};

use super::{Class, Exchange};

/// The file's name in a trial's directory.
pub const FILE: &str = "conversation.jsonl";

/// One exchange, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recorded {
    /// With whom.
    pub link: Link,
    /// The tablet's life, from 1.
    pub life: u32,
    /// Without literals.
    pub fingerprint: String,
    /// What it does to the other side.
    pub class: Class,
    /// The diff's phase.
    pub phase: Option<Phase>,
    /// Which of its kind in this phase and life, from 1.
    pub nth: u32,
    /// As it was sent, cut.
    pub text: String,
}

/// A conversation cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// The file.
    #[error("cannot access the recorded conversation {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A line of it.
    #[error("{} line {line}: not an exchange; record it anew with `vdiff-chaos crash-points list`", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

impl From<&Exchange> for Recorded {
    fn from(exchange: &Exchange) -> Recorded {
        Recorded {
            link: exchange.link,
            life: exchange.life,
            fingerprint: exchange.fingerprint.to_string(),
            class: exchange.class,
            phase: exchange.phase,
            nth: exchange.nth,
            text: exchange.text.to_string(),
        }
    }
}

/// Writes a trial's conversation into its directory.
///
/// # Errors
/// When the file cannot be written.
pub fn write(directory: &Path, conversation: &[Exchange]) -> Result<(), RecordingError> {
    let path = directory.join(FILE);
    let write = || {
        let mut file = std::io::BufWriter::new(std::fs::File::create(&path)?);
        for exchange in conversation {
            serde_json::to_writer(&mut file, &Recorded::from(exchange))?;
            file.write_all(b"\n")?;
        }
        file.flush()
    };
    write().map_err(|source| RecordingError::File { path: path.clone(), source })
}

/// Reads a trial's conversation from its directory.
///
/// # Errors
/// When the file cannot be read, or a line is no exchange.
pub fn read(directory: &Path) -> Result<Vec<Recorded>, RecordingError> {
    let path = directory.join(FILE);
    let text = std::fs::read_to_string(&path)
        .map_err(|source| RecordingError::File { path: path.clone(), source })?;
    let parse = |(at, line): (usize, &str)| {
        serde_json::from_str(line).map_err(|source| RecordingError::Line {
            path: path.clone(),
            line: at + 1,
            source,
        })
    };
    text.lines().enumerate().map(parse).collect()
}
