//! The operator's verbs.

use async_trait::async_trait;
use records::journal::FinalReport;

use super::SystemError;

/// What an operator does to a VDiff.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Create.
    Create,
    /// Stop.
    Stop,
    /// Resume.
    Resume,
    /// Delete.
    Delete,
}

impl Action {
    /// Its name in the journal.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Action::Create => "create",
            Action::Stop => "stop",
            Action::Resume => "resume",
            Action::Delete => "delete",
        }
    }
}

/// How an operator speaks to the system.
#[async_trait]
pub trait Operator: Send + Sync {
    /// Does an action on the VDiff of the trial's workflow, once.
    async fn act(&self, action: Action, uuid: &str) -> Result<(), SystemError>;

    /// Asks for a VDiff, and whether there is an answer.
    async fn show(&self, uuid: &str) -> Result<(), SystemError>;

    /// What the system reports of a VDiff; none when it says nothing.
    async fn report(&self, uuid: &str) -> Result<Option<FinalReport>, SystemError>;

    /// Makes the workflow that is compared, running, from the source's present position on.
    async fn create_workflow(&self) -> Result<(), SystemError>;

    /// Stops or freezes the workflow, as an operator would who wants it to rest.
    async fn rest_workflow(&self, freeze: bool) -> Result<(), SystemError>;
}
