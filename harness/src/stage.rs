//! The stage of a trial: its tablets on shared servers, its journal, its observers.
//!
//! [`Stage`] offers the single acts (launch, start the workflow, create a VDiff, wait, collect), each of
//! which writes what it did and saw into the journal. Faults and triggers work on it. A broken invariant is
//! never an `Err` here: it stands in the journal, for the oracles. An [`ActError`] means that the harness
//! could not do its job.

mod acts;
mod answers;
mod collect;
mod links;
mod open;
mod residue;
mod resources;
mod tablets;
mod verbs;
mod waits;

use std::sync::Arc;

use crate::survey::Survey;
use engine::docker::{Engine, Run};
use engine::images::Images;
use servers::Servers;
use workload::Dataset;

pub use acts::Action;
pub(crate) use open::image_ids;
pub use open::{SHARD, SOURCE_DB, SOURCE_KEYSPACE, Stage, TARGET_DB, TARGET_KEYSPACE, WORKFLOW};
pub use waits::Waited;
pub(crate) use waits::is_at_rest;

/// What trials of one slot share: servers, images, loaded data.
#[derive(Clone)]
pub struct Environment {
    /// The engine.
    pub engine: Engine,
    /// The run that owns all containers.
    pub run: Arc<Run>,
    /// The images.
    pub images: Arc<Images>,
    /// MySQL and etcd.
    pub servers: Arc<Servers>,
    /// The data, which lies in both MySQLs.
    pub dataset: Arc<Dataset>,
    /// The calibrated length of a clean diff, milliseconds.
    pub calibrated_ms: u64,
    /// What the host can do.
    pub survey: Arc<Survey>,
}

/// MySQL's numbers for a database and a table that do not exist.
const NO_SUCH_DATABASE: u16 = 1049;
const NO_SUCH_TABLE: u16 = 1146;

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

    /// Whether MySQL said that a table or database is not there.
    #[must_use]
    pub fn is_missing_table(&self) -> bool {
        let mut next: Option<&(dyn std::error::Error + 'static)> =
            self.source.as_deref().map(|source| source as _);
        while let Some(error) = next {
            if let Some(mysql_async::Error::Server(server)) = error.downcast_ref() {
                return matches!(server.code, NO_SUCH_DATABASE | NO_SUCH_TABLE);
            }
            next = error.source();
        }
        false
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
