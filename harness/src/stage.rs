//! The stage of a trial: its tablets on shared servers, its journal, its observers.
//!
//! [`Stage`] offers the single acts (launch, start the workflow, create a VDiff, wait, collect), each of
//! which writes what it did and saw into the journal. Faults and triggers work on it. A broken invariant is
//! never an `Err` here: it stands in the journal, for the oracles. An [`ActError`] means that the harness
//! could not do its job.

mod acts;
mod answers;
mod collect;
mod open;
mod residue;
mod resources;
mod verbs;
mod waits;

use std::path::PathBuf;
use std::sync::Arc;

use crate::survey::Survey;
use system::{ErrorKind, System, SystemError};
use workload::Dataset;

pub use open::Stage;
pub use system::Action;
pub use waits::Waited;

/// What trials of one slot share: the system on its servers, and the loaded data.
#[derive(Clone)]
pub struct Environment {
    /// The system under test.
    pub system: Arc<dyn System>,
    /// The run that the trials belong to.
    pub run: String,
    /// Where what is no trial of it may be kept.
    pub directory: PathBuf,
    /// The data under comparison.
    pub dataset: Arc<Dataset>,
    /// The calibrated length of a clean diff, milliseconds.
    pub calibrated_ms: u64,
    /// What the host can do.
    pub survey: Arc<Survey>,
}

/// The harness could not do its job.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct ActError {
    /// What was attempted.
    pub what: String,
    /// Why it failed.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl ActError {
    /// An error without a cause below it.
    #[must_use]
    pub fn new(what: impl Into<String>) -> ActError {
        ActError { what: what.into(), source: None }
    }

    /// Whether the table or database in question is not there.
    #[must_use]
    pub fn is_missing_table(&self) -> bool {
        let cause = self.source.as_deref().and_then(|cause| cause.downcast_ref::<SystemError>());
        cause.is_some_and(|cause| *cause.kind() == ErrorKind::NoTable)
    }

    /// Whether the system cannot do at all what it was asked for.
    #[must_use]
    pub fn is_unsupported(&self) -> bool {
        let cause = self.source.as_deref().and_then(|cause| cause.downcast_ref::<SystemError>());
        cause.is_some_and(|cause| *cause.kind() == ErrorKind::Unsupported)
    }

    /// The error and its causes in one line.
    #[must_use]
    pub fn chain(&self) -> String {
        engine::errors::chain(self)
    }
}

/// Says what was attempted when something below failed.
pub(crate) trait During<T> {
    /// Adds the attempt to the error.
    fn during(self, what: impl Into<String>) -> Result<T, ActError>;
}

impl<T, E: std::error::Error + Send + Sync + 'static> During<T> for Result<T, E> {
    fn during(self, what: impl Into<String>) -> Result<T, ActError> {
        self.map_err(|source| ActError { what: what.into(), source: Some(Box::new(source)) })
    }
}
