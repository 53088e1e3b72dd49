//! Oracles: pure functions from a journal to a judgement, each a file and a line in the list. They never look at
//! a clock, Docker or MySQL, so a saved journal is judged the same again.
//!
//! Three rules hold for all of them. Evidence that is missing makes a judgement `inconclusive`,
//! never `pass`, and only the judgements that rest on it. What a journal shows to be broken is
//! `fail`, whatever else is missing. A `pass` counts the checks it made; an invariant that the
//! trial could not test is marked not applicable.

use records::journal::Record;
use records::verdict::{Invariant, Judgement, Verdict};

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
mod one_story;
mod oracle;
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

use oracle::Oracle;
pub use resources::growth_is_bounded as held_growth_is_bounded;
use view::View;

/// The oracles, by invariant.
const ORACLES: [Oracle; 12] = [
    comes_back::ORACLE,
    no_panic::ORACLE,
    outcome::ORACLE,
    exact::ORACLE,
    one_story::ORACLE,
    little_lost::ORACLE,
    workflow_restored::ORACLE,
    no_residue::ORACLE,
    legal_history::ORACLE,
    bounded::ORACLE,
    prompt_cancel::ORACLE,
    acknowledged::ORACLE,
];

/// Judges a trial by its journal: one judgement for each invariant, in order.
#[must_use]
pub fn judge(records: &[Record]) -> Vec<Judgement> {
    let view = View::new(records);
    let of = |invariant: Invariant| {
        let watching = ORACLES.iter().filter(move |oracle| oracle.invariant == invariant);
        watching.map(|oracle| (oracle.judge)(&view)).reduce(oracle::joined)
    };
    let judgements = Invariant::ALL.into_iter().filter_map(of).collect();
    scenario::weigh(&view, judgements)
}

/// The worst of the judgements that apply; `inconclusive` when none does.
#[must_use]
pub fn trial_verdict(judgements: &[Judgement]) -> Verdict {
    Judgement::worst(judgements)
}
