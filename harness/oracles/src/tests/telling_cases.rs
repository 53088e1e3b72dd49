//! A system that does not tell a thing: what is judged by it is not judged, and all else is.

use records::journal::facts::{Fact, Retry};
use records::journal::{Event, SidecarChange};
use records::schedule::Fault;
use records::tellings::Telling;
use records::verdict::Invariant::{self, I1, I2, I3, I5, I7, I8, I9};
use records::verdict::Verdict;
use records::verdict::Verdict::{Fail, Inconclusive, Pass};

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

/// A promise, how it is broken, and by which invariant and verdict that is told of a system that made it.
type Broken = (Telling, fn(&mut Event), Invariant, Verdict);

// Each excuse is one telling's: with it the broken promise is no finding, without it the same journal is.
#[test]
fn a_promise_that_nobody_made_cannot_be_broken() {
    let cases: [Broken; 4] = [
        (
            Telling::LogVolume,
            |event| {
                if let Event::LogVolume { busiest_second, .. } = event {
                    *busiest_second = 500;
                }
            },
            I8,
            Fail,
        ),
        (
            Telling::Sweeping,
            |event| {
                if let Event::Verbs(verbs) = event {
                    verbs.orphans.insert("vdiff_log".to_owned(), 3);
                }
            },
            I7,
            Fail,
        ),
        (
            Telling::Resources,
            |event| {
                if let Event::Sample(sample) = event {
                    sample.rss_bytes = Some(u64::MAX);
                }
            },
            I9,
            Fail,
        ),
        (
            Telling::Demotion,
            |event| {
                if let Event::TermProbe { .. } = event {
                    *event = Event::Note { text: "no term was tried".to_owned() };
                }
            },
            I1,
            Inconclusive,
        ),
    ];
    for (telling, breaks, invariant, verdict) in cases {
        let mut journal = JournalBuilder::good(Fault::Sigkill);
        journal.edit(|_, event| breaks(event));
        let told = journal.judgement(invariant);
        assert_eq!(told.verdict, verdict, "{telling:?}: {told:#?}");
        journal.edit_head(|head| head.untold = vec![telling]);
        let untold = journal.judgement(invariant);
        assert!(untold.is_pass() || untold.not_applicable, "{telling:?}: {untold:#?}");
    }
}

#[test]
fn a_start_without_servers_may_end_by_itself_where_nobody_promised_patience() {
    let is_told = |untold: &[Telling], code: i64, late_ms: u64| {
        let mut journal = JournalBuilder::good(Fault::EtcdKill);
        let healed = |(at_ms, event): &(u64, Event)| {
            matches!(event, Event::FaultHealed { .. }).then_some(*at_ms)
        };
        let healed_ms = journal.events.iter().find_map(healed).unwrap();
        let at_ms = healed_ms - 1 + late_ms;
        journal.exit(at_ms, 1, code, None);
        journal.start(at_ms, 2);
        if !untold.is_empty() {
            journal.edit_head(|head| head.untold = untold.to_vec());
        }
        let judged = journal.judgement(I2);
        judged.reasons.iter().any(|reason| reason.text.contains("no unscheduled exit"))
    };
    assert!(!is_told(&[Telling::Patience], 1, 0), "it gave up while etcd was away");
    assert!(is_told(&[], 1, 0), "patience was promised");
    assert!(is_told(&[Telling::Patience], 2, 0), "a panic is none");
    assert!(is_told(&[Telling::Patience], 1, 500), "etcd was back");
}
