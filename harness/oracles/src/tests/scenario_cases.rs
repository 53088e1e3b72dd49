//! What a scenario's journal has and a campaign's has not: steps that were added on the way, tags that
//! excuse, steps that failed.

use records::journal::{Event, Scenario};
use records::schedule::Fault;
use records::verdict::{Invariant, Verdict};

use crate::sample::JournalBuilder;

/// The journal as a scenario writes it: the head has no steps, they are told on the way.
fn told_on_the_way(mut journal: JournalBuilder) -> JournalBuilder {
    let records = journal.records();
    let Event::TrialStarted(head) = &records[0].event else { panic!("no head") };
    let steps = head.schedule.steps.clone();
    journal.edit_head(|head| head.schedule.steps.clear());
    for (step, added) in steps.into_iter().enumerate() {
        journal.insert(2_900, Event::StepAdded { step, added });
    }
    journal
}

fn scenario(allows: Vec<Invariant>) -> Event {
    Event::Scenario(Scenario { name: "f: s".into(), place: "f.feature:3".into(), allows })
}

// Else `judge` says of a saved feature run something else than the run said.
#[test]
fn steps_that_were_added_are_judged_as_if_they_had_been_planned() {
    for fault in Fault::ALL {
        let planned = JournalBuilder::good(fault);
        let added = told_on_the_way(planned.clone());
        let verdicts = |journal: &JournalBuilder| {
            journal
                .judgements()
                .into_iter()
                .map(|it| (it.invariant, it.verdict, it.checks, it.not_applicable))
                .collect::<Vec<_>>()
        };
        assert_eq!(verdicts(&added), verdicts(&planned), "{fault}");
    }
}

#[test]
fn a_landing_of_a_step_that_nobody_told_is_not_judged_as_if_it_were_told() {
    let mut journal = told_on_the_way(JournalBuilder::good(Fault::Sigkill));
    journal.without(|event| matches!(event, Event::StepAdded { .. }));
    assert_ne!(journal.verdict(), Verdict::Pass);
}

#[test]
fn a_tag_excuses_the_invariant_that_it_names_and_no_other() {
    let mut journal = JournalBuilder::good(Fault::Sigkill);
    journal.edit_report(|report| drop(report.tables.get_mut("t").unwrap().differences.remove(0)));
    assert_eq!(journal.verdict(), Verdict::Fail);
    for (allows, verdict) in [
        (vec![Invariant::I4], Verdict::Pass),
        (vec![Invariant::I3], Verdict::Fail),
        (vec![], Verdict::Fail),
    ] {
        let mut tagged = journal.clone();
        tagged.insert(1, scenario(allows.clone()));
        assert_eq!(tagged.verdict(), verdict, "{allows:?}");
        let exact = tagged.judgement(Invariant::I4);
        assert_eq!(exact.excused, allows == [Invariant::I4]);
        // Excused is told, not forgotten.
        assert!(exact.verdict == Verdict::Fail && !exact.reasons.is_empty());
    }
}

#[test]
fn a_tag_excuses_nothing_that_held() {
    let mut journal = JournalBuilder::good(Fault::Sigkill);
    journal.insert(1, scenario(Invariant::ALL.to_vec()));
    assert!(journal.judgements().iter().all(|it| !it.excused));
}

#[test]
fn a_step_that_did_not_hold_fails_the_trial_whatever_a_tag_excuses() {
    let mut journal = JournalBuilder::good(Fault::Sigkill);
    journal.insert(1, scenario(Invariant::ALL.to_vec()));
    journal.insert(14_000, Event::ScenarioFailed { why: "expected it gone".into() });
    assert_eq!(journal.verdict(), Verdict::Fail);
    let told = journal.judgement(Invariant::I3);
    assert!(told.reasons[0].text.contains("expected it gone"), "{told:#?}");
}
