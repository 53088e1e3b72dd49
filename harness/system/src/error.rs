//! What a system could not do, and which kind of no it was.

use std::error::Error;
use std::fmt;

use servers::ClusterError;

/// MySQL's numbers for a database and a table that do not exist.
const NO_SUCH_DATABASE: u16 = 1049;
const NO_SUCH_TABLE: u16 = 1146;

/// Which kind of no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// It was not reached, or did not answer, or somebody below it failed.
    Failed,
    /// The tablet itself said no.
    Refused,
    /// The tablet said that there is no such thing.
    NotFound,
    /// Its process does not run.
    NotRunning,
    /// The database or table in question does not exist (yet, or any more).
    NoTable,
    /// This system cannot do it at all.
    Unsupported,
}

/// A system could not do what it was asked for. It reads as the error that it was made of.
#[derive(Debug)]
pub struct SystemError {
    kind: ErrorKind,
    code: Option<String>,
    error: Box<dyn Error + Send + Sync>,
}

impl SystemError {
    /// Of an error of the system's own.
    #[must_use]
    pub fn new(kind: ErrorKind, error: impl Into<Box<dyn Error + Send + Sync>>) -> SystemError {
        SystemError { kind, code: None, error: error.into() }
    }

    /// With the status of the tablet's answer, or of the transport.
    #[must_use]
    pub fn with_code(self, code: Option<String>) -> SystemError {
        SystemError { code, ..self }
    }

    /// What this system cannot do.
    #[must_use]
    pub fn unsupported(what: &str) -> SystemError {
        SystemError::new(ErrorKind::Unsupported, format!("this system cannot {what}"))
    }

    /// Which kind.
    #[must_use]
    pub fn kind(&self) -> &ErrorKind {
        &self.kind
    }

    /// The status of the tablet's answer, or of the transport; none: there was no call.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }

    /// Whether the tablet itself said no (as against: it was not reached, or did not answer).
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(self.kind, ErrorKind::Refused | ErrorKind::NotFound)
    }
}

impl fmt::Display for SystemError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl Error for SystemError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.error.source()
    }
}

impl From<ClusterError> for SystemError {
    fn from(error: ClusterError) -> SystemError {
        let kind = match &error {
            ClusterError::Mysql { source, .. } => kind_of(source),
            _ => ErrorKind::Failed,
        };
        SystemError::new(kind, error)
    }
}

impl From<mysql_async::Error> for SystemError {
    fn from(error: mysql_async::Error) -> SystemError {
        SystemError::new(kind_of(&error), error)
    }
}

fn kind_of(error: &mysql_async::Error) -> ErrorKind {
    match error {
        mysql_async::Error::Server(server)
            if matches!(server.code, NO_SUCH_DATABASE | NO_SUCH_TABLE) =>
        {
            ErrorKind::NoTable
        }
        _ => ErrorKind::Failed,
    }
}
