//! Errors as gRPC statuses, and statuses as errors: nowhere else.

use tonic::{Code, Status};

use super::error::{DiffError, SideName};
use crate::mysql::{DbError, truncate_chars};
use crate::vreplication::ExecError;
use crate::vstreamer::StreamError;

const TEXT_MAX: usize = 1024;

/// Why a VDiff action was refused or failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum ActionError {
    #[error("the VDiff engine is closed")]
    Closed,
    #[error("{0}")]
    Invalid(String),
    #[error("no vdiff found for uuid {0}")]
    NotFound(String),
    #[error("a vdiff with uuid {0} exists already")]
    Exists(String),
    #[error("{0}")]
    State(String),
    #[error("another action on the vdiff {0} is still under way")]
    Busy(String),
    #[error(transparent)]
    Diff(#[from] DiffError),
}

impl From<DbError> for ActionError {
    fn from(error: DbError) -> ActionError {
        ActionError::Diff(DiffError::Db(error))
    }
}

impl From<ActionError> for Status {
    fn from(error: ActionError) -> Status {
        let text = match &error {
            ActionError::Diff(error) => error.text(),
            other => other.to_string(),
        };
        let code = match &error {
            ActionError::Closed | ActionError::Busy(_) => Code::Unavailable,
            ActionError::Invalid(_) => Code::InvalidArgument,
            ActionError::NotFound(_) => Code::NotFound,
            ActionError::Exists(_) => Code::AlreadyExists,
            ActionError::State(_) => Code::FailedPrecondition,
            ActionError::Diff(DiffError::Gone) => Code::NotFound,
            ActionError::Diff(DiffError::TakenOver(_)) => Code::Aborted,
            ActionError::Diff(error) if error.is_ephemeral() => Code::Unavailable,
            ActionError::Diff(_) => Code::Internal,
        };
        Status::new(code, truncate_chars(&text, TEXT_MAX))
    }
}

/// The answer to a refused row stream, and the last item of one that failed.
pub(super) fn of_stream(error: &StreamError) -> Status {
    let code = match error {
        StreamError::Db(error) if error.is_ephemeral() => Code::Unavailable,
        StreamError::Db(_) | StreamError::KeyType { .. } | StreamError::NoKey(_) => {
            Code::FailedPrecondition
        }
        StreamError::Ended => Code::Unavailable,
        StreamError::NoTable(_) | StreamError::NoColumn { .. } => Code::NotFound,
        StreamError::Query(_) | StreamError::LastKey { .. } => Code::InvalidArgument,
    };
    Status::new(code, truncate_chars(&error.to_string(), TEXT_MAX))
}

/// The answer to a refused or failed statement.
pub(super) fn of_exec(error: &ExecError) -> Status {
    Status::invalid_argument(error.to_string())
}

/// The answer to a statement that MySQL refused.
pub(super) fn of_db(error: &DbError) -> Status {
    let code = if error.is_ephemeral() { Code::Unavailable } else { Code::InvalidArgument };
    Status::new(code, truncate_chars(&error.to_string(), TEXT_MAX))
}

/// What the source tablet answered. Only what it says of the request itself is lasting; everything
/// else (it restarts, the network) may pass.
pub(super) fn to_diff_error(status: &Status, side: SideName, table: &str) -> DiffError {
    let ephemeral = match status.code() {
        Code::NotFound
        | Code::FailedPrecondition
        | Code::InvalidArgument
        | Code::Unimplemented
        | Code::PermissionDenied
        | Code::Unauthenticated
        | Code::OutOfRange
        | Code::AlreadyExists => false,
        Code::Ok
        | Code::Cancelled
        | Code::Unknown
        | Code::DeadlineExceeded
        | Code::ResourceExhausted
        | Code::Aborted
        | Code::Internal
        | Code::Unavailable
        | Code::DataLoss => true,
    };
    let reason = match status.message() {
        "" => status.code().to_string(),
        text => text.to_owned(),
    };
    DiffError::Remote { side, table: table.to_owned(), reason, ephemeral }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_table_is_lasting_on_both_ends_of_the_wire() {
        let status = of_stream(&StreamError::NoTable("corder".to_owned()));
        let error = to_diff_error(&status, SideName::Source, "corder");
        assert!(!error.is_ephemeral() && error.text().contains("'corder'"), "{}", error.text());
    }

    #[test]
    fn a_tablet_that_goes_away_is_ephemeral() {
        for status in [of_stream(&StreamError::Ended), Status::unknown("h2 protocol error")] {
            assert!(to_diff_error(&status, SideName::Source, "t").is_ephemeral());
        }
    }
}
