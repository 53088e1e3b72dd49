//! What a fault goes together with, and how it is said.

use crate::schedule::{Fault, Phase, Trigger};

/// With which triggers a fault goes together; the reason where it does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// The phases in which it may strike.
    pub phases: &'static [Phase],
    /// Why not in the other phases.
    pub no_phase: &'static str,
    /// While the tablet recovers from the fault before it.
    pub in_recovery: Result<(), &'static str>,
    /// On top of another fault.
    pub on_top: Result<(), &'static str>,
    /// At a crash point.
    pub at_point: Result<(), &'static str>,
}

/// Whether a schedule says how long a fault lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// It lasts as long as it does.
    ItsOwn,
    /// A schedule may say it.
    Told,
    /// A schedule may say it, and a drawn one does: shorter than a lease, or longer.
    Drawn,
}

/// A fault in the words of a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sentence {
    /// What strikes, with `{}` for the moment.
    pub strikes: &'static str,
    /// What ends it.
    pub ends: Ends,
}

/// What ends a fault in a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ends {
    /// Nothing: it is over when it has struck.
    Itself,
    /// The step that ends whatever goes on, [`Ends::OVER`]. Such a fault needs no step of its own to be written:
    /// its words, with the moment behind them, are one.
    Over,
    /// A step of its own.
    Step(&'static str),
}

impl Ends {
    /// Ends whatever goes on.
    pub const OVER: &'static str = "that is over";
}

impl Sentence {
    /// The words before the moment, where they are a step as they stand.
    #[must_use]
    pub const fn phrase(self) -> Option<&'static str> {
        match self.ends {
            Ends::Over => Some(self.strikes.split_at(self.strikes.len() - " {}".len()).0),
            Ends::Itself | Ends::Step(_) => None,
        }
    }
}

impl Fault {
    /// Whether it can be injected by a trigger.
    ///
    /// # Errors
    /// Why not.
    pub fn works_with(self, trigger: &Trigger) -> Result<(), &'static str> {
        let rules = self.facts().rules;
        match trigger {
            Trigger::Time { .. } | Trigger::Progress { .. } => Ok(()),
            Trigger::Phase { phase } if rules.phases.contains(phase) => Ok(()),
            Trigger::Phase { .. } => Err(rules.no_phase),
            Trigger::DuringRecovery { .. } => rules.in_recovery,
            Trigger::DuringFault { .. } => rules.on_top,
            Trigger::CrashPoint { .. } => rules.at_point,
        }
    }
}
