//! A system that does not tell a thing: what is judged by it is not judged, and all else is.

use records::journal::facts::{Fact, Retry};
use records::journal::{Event, SidecarChange};
use records::schedule::Fault;
use records::tellings::Telling;
use records::verdict::Invariant::{I3, I5, I8};
use records::verdict::Verdict::{Fail, Pass};

use crate::sample::{JournalBuilder, UUID, falls, table, vdiff};

/// Takes away what a system that does not tell this would not have told.
fn silenced(change: &mut SidecarChange, telling: Telling) {
    change.facts.retain(|fact| telling != Telling::Story || !matches!(fact, Fact::Entry(_)));
    for fact in &mut change.facts {
        match (fact, telling) {
            (Fact::Diff(diff), Telling::Owners) => {
                diff.before.iter_mut().chain(&mut diff.after).for_each(|it| it.owner = None);
            }
            (Fact::Table(table), Telling::Owners) => {
                table.before.iter_mut().chain(&mut table.after).for_each(|it| it.owner = None);
            }
            (Fact::Diff(diff), Telling::Retries) => {
                diff.before.iter_mut().chain(&mut diff.after).for_each(|it| it.retry = None);
            }
            _ => {}
        }
    }
}

fn without(fault: Fault, telling: Telling) -> JournalBuilder {
    let mut journal = JournalBuilder::good(fault);
    // A journal without an error says nothing of retries anyhow.
    for (_, event) in &mut journal.events {
        if let Event::SidecarChange(change) = event {
            silenced(change, telling);
        }
    }
    journal.edit_head(|head| head.untold = vec![telling]);
    journal
}

#[test]
fn what_a_system_does_not_tell_is_no_finding() {
    for fault in Fault::ALL {
        for telling in Telling::ALL {
            let journal = without(fault, telling);
            assert_eq!(
                journal.verdict(),
                Pass,
                "{fault}, {telling:?}: {:#?}",
                journal.judgements()
            );
        }
    }
}

// Silence that nobody has declared is a broken promise.
#[test]
fn a_system_that_says_it_tells_its_story_must_tell_it() {
    let mut journal = without(Fault::Sigkill, Telling::Story);
    journal.edit_head(|head| head.untold.clear());
    assert_eq!([I5, I8].map(|it| journal.judgement(it).verdict), [Fail, Fail]);
}

#[test]
fn what_is_told_is_judged_as_before() {
    for telling in Telling::ALL {
        let mut journal = without(Fault::Sigkill, telling);
        journal.append(vec![table(1, Some(("completed", 3)), Some(("completed", 2)), 2, 9_000)]);
        // What nobody has promised is no finding, and the invariant is not among those that were judged.
        let promised = telling != Telling::Checkpoints;
        let i5 = journal.judgement(I5);
        assert_eq!(i5.verdict == Fail, promised, "the cursor falls, {telling:?}");
        assert_eq!(i5.not_applicable, !promised, "{telling:?}");
        let good = JournalBuilder::good(Fault::Sigkill);
        let (with, without) = (good.judgements(), without(Fault::Sigkill, telling).judgements());
        for (with, without) in with.iter().zip(&without) {
            assert!(without.checks <= with.checks, "{telling:?}");
        }
    }
}

#[test]
fn an_error_whose_retry_is_not_told_is_no_finding() {
    let verdict = |untold: &[Telling]| {
        let mut journal = JournalBuilder::good(Fault::Sigkill);
        journal.append(vec![falls("lost connection", Retry::Operator, 2, 8_000)]);
        journal.append(vec![vdiff(1, UUID, Some("error"), Some("pending"), 2, 8_000)]);
        journal.append(vec![vdiff(1, UUID, Some("pending"), Some("started"), 2, 8_000)]);
        journal.append(vec![vdiff(1, UUID, Some("started"), Some("completed"), 2, 8_000)]);
        journal.edit_head(|head| head.untold = [&head.untold[..], untold].concat());
        journal.judgement(I3).verdict
    };
    assert_eq!(verdict(&[Telling::Story, Telling::Retries]), Pass);
    assert_eq!(verdict(&[Telling::Story]), Fail);
}
