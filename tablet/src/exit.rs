//! How the process ends.

use std::process::ExitCode;

/// Why the process ends; each reason has its exit code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Asked by SIGTERM or SIGINT; in order.
    Stopped,
    /// Something that cannot be waited out.
    Fatal(String),
    /// A newer incarnation of the same alias runs.
    Superseded(String),
    /// The options cannot be used.
    Usage(String),
    /// A task panicked.
    Panicked,
}

impl Exit {
    /// The exit code.
    pub fn code(&self) -> u8 {
        match self {
            Exit::Stopped => 0,
            Exit::Fatal(_) => 1,
            Exit::Superseded(_) => 3,
            Exit::Usage(_) => 64,
            Exit::Panicked => crate::panics::EXIT_CODE,
        }
    }

    /// Writes the last record and gives what `main` returns.
    pub fn report(self) -> ExitCode {
        let code = self.code();
        match &self {
            Exit::Stopped => tracing::info!(event = "exit", code, reason = "asked to stop", "exit"),
            Exit::Fatal(reason) | Exit::Superseded(reason) | Exit::Usage(reason) => {
                tracing::error!(event = "exit", code, reason, "exit");
            }
            Exit::Panicked => tracing::error!(event = "exit", code, reason = "a panic", "exit"),
        }
        ExitCode::from(code)
    }
}
