//! How the work on a diff can end before it is complete.

use crate::mysql::{DbError, truncate_chars};
use crate::vreplication::WorkflowError;
use crate::vstreamer::StreamError;

/// The longest text in `vdiff.last_error`, in bytes.
const TEXT_MAX: usize = 1024;

/// Why the work on a diff ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum DiffError {
    /// It was told to end; whoever told it cares for the state.
    #[error("cancelled")]
    Cancelled,
    /// Its row was deleted: an operator's surgery. There is nothing to write any more.
    #[error("the diff's row was deleted")]
    Gone,
    /// Its row belongs to a newer incarnation, or is no longer in the state it was in.
    #[error("the diff's row was taken over: {0}")]
    TakenOver(String),
    #[error(
        "memory pressure: the tablet is near its memory limit; the diff waits until memory is free"
    )]
    MemoryPressure,
    #[error(transparent)]
    Db(#[from] DbError),
    #[error(transparent)]
    Workflow(#[from] WorkflowError),
    #[error("{side} of table '{table}'")]
    Stream {
        side: SideName,
        table: String,
        #[source]
        source: StreamError,
    },
    /// The source tablet's answer.
    #[error("{side} of table '{table}': {reason}")]
    Remote { side: SideName, table: String, reason: String, ephemeral: bool },
    /// It may pass.
    #[error("{0}")]
    Ephemeral(String),
    /// Somebody has to change something.
    #[error("{0}")]
    Lasting(String),
    #[error(transparent)]
    Panicked(#[from] crate::panics::Panicked),
}

/// One of the two sides of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SideName {
    Source,
    Target,
}

impl std::fmt::Display for SideName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            SideName::Source => "source",
            SideName::Target => "target",
        })
    }
}

impl DiffError {
    /// Whether the diff is to be tried again by itself.
    pub(super) fn is_ephemeral(&self) -> bool {
        match self {
            DiffError::MemoryPressure | DiffError::Ephemeral(_) => true,
            DiffError::Db(error) => error.is_ephemeral(),
            DiffError::Workflow(error) => error.is_ephemeral(),
            DiffError::Stream { source, .. } => source.is_ephemeral(),
            DiffError::Remote { ephemeral, .. } => *ephemeral,
            DiffError::Cancelled
            | DiffError::Gone
            | DiffError::TakenOver(_)
            | DiffError::Lasting(_)
            | DiffError::Panicked(_) => false,
        }
    }

    /// Whether it is this diff's error, to be written into its row.
    pub(super) fn is_recorded(&self) -> bool {
        !matches!(self, DiffError::Cancelled | DiffError::Gone | DiffError::TakenOver(_))
    }

    /// The whole chain of causes in one text that fits its column.
    pub(super) fn text(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            let next = error.to_string();
            if !text.ends_with(&next) {
                text = format!("{text}: {next}");
            }
            cause = error.source();
        }
        truncate_chars(&text, TEXT_MAX).to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_names_side_table_and_cause_once() {
        let error = DiffError::Stream {
            side: SideName::Source,
            table: "corder".to_owned(),
            source: StreamError::NoTable("corder".to_owned()),
        };
        assert_eq!(error.text(), "source of table 'corder': table 'corder' does not exist");
        assert!(!error.is_ephemeral());
    }

    #[test]
    fn a_text_that_is_too_long_is_cut_between_characters() {
        let text = DiffError::Lasting("é".repeat(2000)).text();
        assert_eq!(text.len(), 1024);
    }
}
