//! The tablet of this project as a system under test, behind the boundary of the crate `system`.
//!
//! All that knows this tablet is here: its options, columns, texts and pages, the statements that its phases
//! begin with, its exit codes, its known bugs. It is started, hurt, asked and restarted from outside, by its
//! wire protocols, signals and the kernel's accounts only.

mod client;
mod container;
mod deployment;
mod dialect;
mod links;
mod must_contain;
mod operator;
mod readiness;
mod sidecar;
mod spec;
mod tablet;
mod topology;
mod vocabulary;
mod zoo;

use std::collections::BTreeMap;

use servers::ClusterError;
use system::{ErrorKind, SystemError};

use contained::ContainedError;

pub use client::{Client, RowStream};
pub use container::ContainerTablet;
pub use deployment::TabletSystem;
pub use dialect::TabletDialect;
pub use must_contain::must_contain;
pub use spec::{TabletSpec, Wiring};
pub use zoo::known_bug;

/// A row of `show`: values by column name, NULL as none.
pub type ShowRow = BTreeMap<String, Option<String>>;

/// What can go wrong between harness and tablet.
#[derive(Debug, thiserror::Error)]
pub enum TabletError {
    /// Its container.
    #[error(transparent)]
    Contained(#[from] ContainedError),
    /// Its MySQL failed.
    #[error("tablet {tablet}: {phase} failed")]
    Cluster {
        /// Its alias.
        tablet: String,
        /// What was attempted.
        phase: &'static str,
        /// Why.
        #[source]
        source: Box<ClusterError>,
    },
    /// It refused a call, or did not answer.
    #[error("tablet {tablet}: {call}: {}", source.message())]
    Rpc {
        /// Its alias.
        tablet: String,
        /// The call.
        call: &'static str,
        /// Its answer.
        #[source]
        source: Box<tonic::Status>,
    },
    /// HTTP did not answer as it should.
    #[error("tablet {tablet}: GET {path} failed")]
    Http {
        /// Its alias.
        tablet: String,
        /// The path.
        path: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
}

impl TabletError {
    /// The status of its answer, or of the transport; none: there was no call.
    #[must_use]
    pub fn code(&self) -> Option<String> {
        match self {
            Self::Rpc { source, .. } => Some(format!("{:?}", source.code())),
            _ => None,
        }
    }

    fn kind(&self) -> ErrorKind {
        use std::error::Error;
        match self {
            Self::Contained(ContainedError::NotRunning { .. }) => ErrorKind::NotRunning,
            Self::Rpc { source, .. } => {
                let says_none = source.code() == tonic::Code::NotFound
                    || source.message().contains("no vdiff found");
                let gave_up =
                    matches!(source.code(), tonic::Code::Cancelled | tonic::Code::DeadlineExceeded);
                // A status of the transport's own making has a cause below it.
                match source.source() {
                    None if says_none => ErrorKind::NotFound,
                    None if !gave_up => ErrorKind::Refused,
                    _ => ErrorKind::Failed,
                }
            }
            _ => ErrorKind::Failed,
        }
    }
}

impl From<TabletError> for SystemError {
    fn from(error: TabletError) -> SystemError {
        let (kind, code) = (error.kind(), error.code());
        SystemError::new(kind, error).with_code(code)
    }
}
