//! Faults: each one is injected, proven and healed.
//!
//! [`inject`] does the harm, waits until it took effect, and records either that it landed (with the
//! evidence that ARCHITECTURE.md's definition asks for) or that it missed. [`heal`] ends the harm: it
//! restarts, resumes, releases, or creates the diff that follows a deleted one. Nothing here judges.

mod kill;
mod operator;
mod servers;
mod squeeze;
mod stream;

use std::time::Duration;

use reports::journal::{Event, Evidence, FaultLanded, Interrupted};
use reports::schedule::{Fault, Phase};

use crate::observer::Progress;
use crate::trial::{ActError, Stage};
use crate::trigger::{Hold, phase_of};

/// A phase's lock is held so long after the call, when the tablet is to live on: the call is under
/// way by then, and finds the diff in its phase.
const LATCH_AFTER_CALL: Duration = Duration::from_millis(150);

/// A fault that was injected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Struck {
    /// Index of the schedule's step.
    pub step: usize,
    /// The fault.
    pub fault: Fault,
    /// The evidence came.
    pub landed: bool,
    /// It missed because the diff had ended: a new diff may be aimed at again.
    pub diff_ended: bool,
}

/// Injects a fault now. A hold, where the trigger was an exact one, is released in any case.
///
/// # Errors
/// When the harness cannot do it; a fault that misses its aim is [`Struck::landed`] false.
pub async fn inject(
    stage: &Stage,
    step: usize,
    fault: Fault,
    hold: Option<Box<Hold>>,
) -> Result<Struck, ActError> {
    let strike = Strike {
        stage,
        step,
        fault,
        phase: hold.as_ref().and_then(|hold| hold.phase()),
        at_point: hold.as_ref().is_some_and(|hold| hold.is_point()),
    };
    match fault {
        Fault::Sigkill | Fault::Sigterm | Fault::Oom | Fault::RowSurgery | Fault::HostCrash => {
            kill::inject(&strike, hold).await
        }
        Fault::MemorySqueeze => squeeze::inject(&strike).await,
        Fault::Cancel | Fault::Delete => operator::inject(&strike, hold).await,
        Fault::RpcDrop => stream::inject(&strike).await,
        Fault::EtcdRestart => servers::inject(&strike).await,
    }
}

/// Ends the harm of a fault, and records it. A tablet that was killed is started, not awaited.
///
/// # Errors
/// When the harness cannot do it.
pub async fn heal(stage: &Stage, struck: &Struck) -> Result<(), ActError> {
    match struck.fault {
        Fault::Sigkill | Fault::Sigterm | Fault::Oom | Fault::RowSurgery | Fault::HostCrash => {
            kill::heal(stage, struck).await?;
        }
        Fault::MemorySqueeze => squeeze::heal(stage).await?,
        Fault::Cancel | Fault::Delete => operator::heal(stage, struck).await?,
        Fault::RpcDrop | Fault::EtcdRestart => {}
    }
    stage.journal().record(Event::FaultHealed { step: struck.step, fault: struck.fault });
    Ok(())
}

/// One injection under way.
struct Strike<'a> {
    stage: &'a Stage,
    step: usize,
    fault: Fault,
    phase: Option<Phase>,
    /// The tablet is held at a crash point, which is the aim then.
    at_point: bool,
}

impl Strike<'_> {
    fn injected(&self, means: impl Into<String>) {
        self.stage.journal().record(Event::FaultInjected {
            step: self.step,
            fault: self.fault,
            means: means.into(),
        });
    }

    /// Lands if the diff was hit where it was aimed at, or else misses.
    fn proven(&self, evidence: Evidence, interrupted: Interrupted) -> Struck {
        match self.aim_error(&interrupted) {
            None => self.landed(evidence, Some(interrupted)),
            Some(reason) => {
                let ended = interrupted.state == "completed";
                self.missed(reason, ended)
            }
        }
    }

    fn landed(&self, evidence: Evidence, interrupted: Option<Interrupted>) -> Struck {
        self.stage.journal().record(Event::FaultLanded(FaultLanded {
            step: self.step,
            fault: self.fault,
            evidence,
            interrupted,
        }));
        Struck { step: self.step, fault: self.fault, landed: true, diff_ended: false }
    }

    fn missed(&self, reason: String, diff_ended: bool) -> Struck {
        let (step, fault) = (self.step, self.fault);
        self.stage.journal().record(Event::FaultMissed { step, fault, reason });
        Struck { step, fault, landed: false, diff_ended }
    }

    /// Why the diff was not hit in its middle. In the completing phase all rows are compared, and the
    /// statement that was seen waiting is the proof of the aim.
    fn aim_error(&self, interrupted: &Interrupted) -> Option<String> {
        if self.at_point {
            return None;
        }
        let completing = self.phase == Some(Phase::Completing);
        let open = matches!(interrupted.state.as_str(), "pending" | "started");
        if interrupted.is_mid_diff() || (completing && open && interrupted.rows_compared > 0) {
            return None;
        }
        Some(format!(
            "the diff was not in its middle: state {}, {} of {} rows compared",
            interrupted.state, interrupted.rows_compared, interrupted.rows_total
        ))
    }

    fn interrupted(&self, progress: &Progress) -> Interrupted {
        let at_work = progress.at_work().and_then(|table| phase_of(table.phase.as_deref()?));
        Interrupted {
            state: progress.state.clone().unwrap_or_else(|| "gone".to_owned()),
            rows_compared: progress.rows_compared,
            rows_total: self.stage.rows_total(),
            phase: self.phase.or(at_work),
        }
    }
}
