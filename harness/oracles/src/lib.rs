//! Oracles: pure functions from a journal to a judgement, one file an invariant. They never look at
//! a clock, Docker or MySQL, so a saved journal is judged the same again.
//!
//! Three rules hold for all of them. Evidence that is missing makes a judgement `inconclusive`,
//! never `pass`, and only the judgements that rest on it. What a journal shows to be broken is
//! `fail`, whatever else is missing. A `pass` counts the checks it made; an invariant that the
//! trial could not test is marked not applicable.

use records::journal::Record;
use records::verdict::{Judgement, Verdict};

mod acknowledged;
mod bounded;
mod comes_back;
mod exact;
mod examination;
mod history;
mod legal_history;
mod little_lost;
mod no_panic;
mod no_residue;
mod outcome;
mod progress;
mod prompt_cancel;
mod refusals;
mod resources;
mod scenario;
mod serves;
mod storms;
mod verbs;
mod view;
mod windows;
mod workflow_restored;

#[cfg(any(test, feature = "sample"))]
#[allow(clippy::unwrap_used)]
#[cfg_attr(not(test), allow(dead_code, unused_imports))]
mod sample;
#[cfg(test)]
mod tests;

#[cfg(any(test, feature = "sample"))]
pub use sample::good_records;

pub use resources::growth_is_bounded as held_growth_is_bounded;
use view::View;

/// Judges a trial by its journal: one judgement for each invariant, in order.
#[must_use]
pub fn judge(records: &[Record]) -> Vec<Judgement> {
    let view = View::new(records);
    let oracles: [fn(&View<'_>) -> Judgement; 11] = [
        comes_back::judge,
        no_panic::judge,
        outcome::judge,
        exact::judge,
        little_lost::judge,
        workflow_restored::judge,
        no_residue::judge,
        legal_history::judge,
        bounded::judge,
        prompt_cancel::judge,
        acknowledged::judge,
    ];
    let judgements = oracles.iter().map(|oracle| oracle(&view)).collect();
    scenario::weigh(&view, judgements)
}

/// The worst of the judgements that apply; `inconclusive` when none does.
#[must_use]
pub fn trial_verdict(judgements: &[Judgement]) -> Verdict {
    Judgement::worst(judgements)
}
