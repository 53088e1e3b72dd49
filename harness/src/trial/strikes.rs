//! Faults as acts on a stage: what a scenario says in one line.

use records::journal::{Event, MissKind};
use records::schedule::Step;

use crate::fault::{self, Struck};
use crate::stage::{ActError, Stage};
use crate::trigger::{self, Fired};

/// Why a crash point missed that the trial never came to.
pub(crate) const NEVER_REACHED: &str = "the trial ended without reaching the point";

impl Stage {
    /// Adds a step to the trial, waits for its trigger and injects its fault. The harm goes on until
    /// [`Stage::heal`]; a killed tablet stays down until then.
    ///
    /// # Errors
    /// When the harness fails; a fault that missed says so in the result and in the journal.
    pub async fn strike(&self, step: Step) -> Result<Struck, ActError> {
        let fault = step.fault;
        let index = self.add_step(step.clone());
        self.attempt(index, &step).await.inspect(|struck| {
            if !struck.landed {
                tracing::debug!(fault = fault.name(), "missed");
            }
        })
    }

    /// Ends the harm of a fault: restarts, resumes, releases, or creates the diff that follows a
    /// deleted one.
    ///
    /// # Errors
    /// When the harness fails.
    pub async fn heal(&self, struck: &Struck) -> Result<(), ActError> {
        fault::heal(self, struck).await
    }

    /// Waits for a step's trigger and injects its fault, which `index` names in the journal.
    pub(super) async fn attempt(&self, index: usize, step: &Step) -> Result<Struck, ActError> {
        let fired = trigger::wait_for(self, index, &step.trigger).await?;
        self.strike_fired(index, step, Some(fired)).await
    }

    /// Injects a step's fault after its trigger fired; none: the trial ended without it.
    pub(super) async fn strike_fired(
        &self,
        index: usize,
        step: &Step,
        fired: Option<Fired>,
    ) -> Result<Struck, ActError> {
        let (reason, diff_ended) = match fired {
            Some(Fired::Now { hold }) => {
                // On the heap: all faults' futures in one are too much for a worker's stack, unoptimised.
                return Box::pin(fault::inject(self, index, step.fault, hold)).await;
            }
            Some(Fired::Gone { reason, diff_ended }) => (reason, diff_ended),
            None => (NEVER_REACHED.to_owned(), true),
        };
        let (step, fault) = (index, step.fault);
        let kind = MissKind::of(diff_ended);
        self.journal().record(Event::FaultMissed { step, fault, reason, kind });
        Ok(Struck::missed(step, fault, diff_ended))
    }
}
