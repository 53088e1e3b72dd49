//! The one module that names Docker: the engine's calls, each with a deadline and an error that says
//! which operation on what failed; what a run creates, and who owns it.
//!
//! testcontainers starts containers; its re-exported `bollard` does what it lacks. Nothing outside
//! this module sees either.

mod calls;
mod engine;
mod exec;
mod launch;
pub mod owner;
mod run;
mod streams;
mod tar;

use std::time::Duration;

pub use calls::{Labelled, LabelledKind, MemoryAccount, RootFileSystem};
pub use engine::PIECE;
pub use engine::{ContainerState, Engine, EngineFacts};
pub use exec::ExecOutput;
pub use launch::{Container, ContainerSpec, narrow_receiving, narrow_sending};
pub use run::{LABEL_OWNER, LABEL_RUN, NAME_PREFIX, Run, RunScope};
pub(crate) use run::{OWNER_FILE, temporary_root};
pub use streams::{EngineEvent, LogLine};
pub use tar::Tar;

use testcontainers::bollard;

/// What went wrong between the harness and the engine.
#[derive(Debug, thiserror::Error)]
pub enum DockerError {
    /// No engine answered.
    #[error(
        "no container engine answers (is Docker running? `vdiff-chaos doctor` says what is looked for)"
    )]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The engine refused or failed a call.
    #[error("engine call `{operation}` on {object} failed")]
    Call {
        /// The call.
        operation: &'static str,
        /// The container, image, network or volume.
        object: String,
        /// The engine's answer.
        #[source]
        source: Box<bollard::errors::Error>,
    },
    /// A call did not answer in time.
    #[error("engine call `{operation}` on {object} did not answer within {deadline:?}")]
    Deadline {
        /// The call.
        operation: &'static str,
        /// The container, image, network or volume.
        object: String,
        /// The limit.
        deadline: Duration,
    },
    /// testcontainers could not create or start a container.
    #[error("container {name} did not start")]
    Launch {
        /// Its name.
        name: String,
        /// testcontainers' reason.
        #[source]
        source: Box<testcontainers::TestcontainersError>,
    },
    /// The engine's answer lacks something.
    #[error("the engine's answer to `{operation}` on {object} lacks {lacks}")]
    Answer {
        /// The call.
        operation: &'static str,
        /// The object.
        object: String,
        /// What is missing.
        lacks: &'static str,
    },
    /// A file of this host could not be read or written.
    #[error("{what}")]
    Host {
        /// What was attempted, on which path.
        what: String,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
}

impl DockerError {
    /// Whether the engine said that the object does not exist.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.status() == Some(404)
    }

    /// Whether the engine could not ask a registry, as against the registry that said no: Podman has no
    /// such call, and some mirrors do not answer it.
    #[must_use]
    pub fn is_about_asking(&self) -> bool {
        match self {
            Self::Call { source, .. } => match source.as_ref() {
                bollard::errors::Error::DockerResponseServerError { status_code, message } => {
                    matches!(status_code, 404 | 405 | 501) && message.contains("not supported")
                }
                _ => false,
            },
            _ => false,
        }
    }

    /// The HTTP status of the engine's refusal.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Call { source, .. } => match source.as_ref() {
                bollard::errors::Error::DockerResponseServerError { status_code, .. } => {
                    Some(*status_code)
                }
                _ => None,
            },
            _ => None,
        }
    }
}
