//! The journal's writer: one JSON object a line, appended and flushed as things happen, so that a
//! harness that is killed leaves everything it saw.
//!
//! The handle is shared by the trial's driver and all its observers. Sequence numbers have no gaps,
//! times are monotonic and never fall from one record to the next. A failing disk does not stop a
//! trial half-way: the first failure is kept and told by [`Journal::finish`] and [`Journal::check`].

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use records::journal::{Event, Record};

/// Records that one journal takes; a trial that says more is itself in trouble.
pub const RECORDS_MAX: usize = 200_000;

/// Why a journal is not complete.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file could not be made.
    #[error("cannot create the journal {}", path.display())]
    Create {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A record could not be written.
    #[error("the journal {} is incomplete from record {seq} on: {cause}", path.display())]
    Write {
        /// Where.
        path: PathBuf,
        /// First record that is missing in the file.
        seq: u64,
        /// Why, in words (the error itself is told once, to everybody who asks).
        cause: String,
    },
}

/// A handle of a trial's journal; clones write into the same file.
#[derive(Clone, Debug)]
pub struct Journal {
    inner: Arc<Mutex<Inner>>,
    started: Instant,
    path: Arc<PathBuf>,
}

#[derive(Debug)]
struct Inner {
    file: File,
    records: Vec<Record>,
    failure: Option<(u64, String)>,
}

impl Journal {
    /// Creates the file (which must not exist) and starts the trial's clock.
    ///
    /// # Errors
    /// When the file cannot be created.
    pub fn create(path: &Path) -> Result<Journal, JournalError> {
        let file = OpenOptions::new()
            .create_new(true)
            .append(true)
            .open(path)
            .map_err(|source| JournalError::Create { path: path.to_owned(), source })?;
        Ok(Journal {
            inner: Arc::new(Mutex::new(Inner { file, records: Vec::new(), failure: None })),
            started: Instant::now(),
            path: Arc::new(path.to_owned()),
        })
    }

    /// Appends a record and flushes it; returns its sequence number.
    pub fn record(&self, event: Event) -> u64 {
        let mut inner = self.lock();
        let seq = inner.records.len() as u64;
        if inner.records.len() >= RECORDS_MAX {
            let text = format!("more than {RECORDS_MAX} records");
            inner.failure.get_or_insert((seq, text));
            return seq;
        }
        let record = Record { seq, at_ms: self.now_ms(), event };
        let written =
            serde_json::to_vec(&record).map_err(std::io::Error::other).and_then(|mut line| {
                line.push(b'\n');
                inner.file.write_all(&line)?;
                inner.file.flush()
            });
        if let Err(error) = written {
            inner.failure.get_or_insert((seq, error.to_string()));
        }
        inner.records.push(record);
        seq
    }

    /// Appends a free remark for the timeline.
    pub fn note(&self, text: impl Into<String>) -> u64 {
        self.record(Event::Note { text: text.into() })
    }

    /// Milliseconds since the journal was created.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        records::millis(self.started.elapsed())
    }

    /// Where the journal is written.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Everything recorded so far.
    #[must_use]
    pub fn records(&self) -> Vec<Record> {
        self.lock().records.clone()
    }

    /// Looks through what was recorded so far, without a copy.
    pub fn inspect<T>(&self, look: impl FnOnce(&[Record]) -> T) -> T {
        look(&self.lock().records)
    }

    /// Whether everything recorded so far reached the file.
    ///
    /// # Errors
    /// With the first record that did not.
    pub fn check(&self) -> Result<(), JournalError> {
        match &self.lock().failure {
            None => Ok(()),
            Some((seq, cause)) => Err(JournalError::Write {
                path: self.path.as_ref().clone(),
                seq: *seq,
                cause: cause.clone(),
            }),
        }
    }

    /// Appends the last line and returns the whole journal.
    ///
    /// # Errors
    /// When a record did not reach the file.
    pub fn finish(&self) -> Result<Vec<Record>, JournalError> {
        self.record(Event::TrialEnded);
        self.check()?;
        Ok(self.records())
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Two observers write at once: a gap or a repeated number would let an oracle point at the
    // wrong record, a falling time would turn a timeline around.
    #[test]
    fn sequence_has_no_gap_and_time_never_falls_with_many_writers() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::create(&dir.path().join("journal.jsonl")).unwrap();
        std::thread::scope(|scope| {
            for writer in 0..4 {
                let journal = journal.clone();
                scope.spawn(move || {
                    for i in 0..50 {
                        journal.note(format!("{writer}.{i}"));
                    }
                });
            }
        });
        let records = journal.finish().unwrap();
        assert_eq!(records.len(), 201);
        assert!(records.iter().enumerate().all(|(i, record)| record.seq == i as u64));
        assert!(records.is_sorted_by_key(|record| record.at_ms));
        let text = std::fs::read_to_string(journal.path()).unwrap();
        let read: Vec<Record> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(read, records);
    }

    #[test]
    fn an_existing_journal_is_never_written_over() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal.jsonl");
        drop(Journal::create(&path).unwrap());
        assert!(matches!(Journal::create(&path), Err(JournalError::Create { .. })));
    }
}
