//! What a scenario adds to the judgement of its trial: a step that found something else than it says is
//! a failure, and a tag `@allows:I3` excuses one invariant.

use records::journal::Event;
use records::verdict::{Invariant, Judgement, Reason, Verdict};

use super::view::View;

/// The judgements with what the scenario says. A scenario whose own step failed is excused nothing.
pub(super) fn weigh(view: &View<'_>, mut judgements: Vec<Judgement>) -> Vec<Judgement> {
    let failures = view.events(|event| match event {
        Event::ScenarioFailed { why } => Some(why),
        _ => None,
    });
    for judgement in judgements.iter_mut().filter(|it| it.invariant == Invariant::I3) {
        for failure in &failures {
            let text = format!("a step of the scenario did not hold: {}", failure.what);
            judgement.reasons.insert(0, Reason::new(Some(failure.seq), text));
            judgement.checks += 1;
            judgement.verdict = Verdict::Fail;
            judgement.not_applicable = false;
        }
    }
    if !failures.is_empty() {
        return judgements;
    }
    let scenarios = view.events(|event| match event {
        Event::Scenario(scenario) => Some(&scenario.allows),
        _ => None,
    });
    for judgement in &mut judgements {
        let allowed = scenarios.iter().any(|it| it.what.contains(&judgement.invariant));
        judgement.excused =
            allowed && !judgement.not_applicable && judgement.verdict != Verdict::Pass;
    }
    judgements
}
