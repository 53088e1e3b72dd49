//! Missing evidence: which invariants it silences, and which it does not.

use records::journal::Event;
use records::schedule::Fault;
use records::verdict::{Cause, Invariant, Verdict};

use crate::sample::{JournalBuilder, WALL_MS};

/// Judges a good journal after a loss: exactly these invariants become inconclusive, the others
/// pass as before.
fn silences(name: &str, lose: impl Fn(&mut JournalBuilder), silenced: &[Invariant]) {
    let good = JournalBuilder::good(Fault::Sigkill);
    let mut journal = good.clone();
    lose(&mut journal);
    for (before, after) in good.judgements().iter().zip(journal.judgements()) {
        let expected = if silenced.contains(&before.invariant) {
            Verdict::Inconclusive
        } else {
            before.verdict
        };
        assert_eq!(after.verdict, expected, "{name}: {after:#?}");
    }
    assert_eq!(journal.verdict(), Verdict::Inconclusive, "{name}");
}

#[test]
fn each_loss_silences_what_rests_on_it_and_nothing_else() {
    use Invariant::{I1, I2, I3, I4, I5, I6, I8, I9, I11};
    let gap = |observer: &str| Event::ObserverGap { observer: observer.to_owned(), gap_ms: 1_500 };
    silences("a gap in readiness", |j| j.insert(5_000, gap("readiness/target")), &[I1]);
    silences("a gap in the logs", |j| j.insert(5_000, gap("logs/target")), &[I2]);
    silences("a gap in the processes", |j| j.insert(5_000, gap("process/target")), &[I2, I9]);
    silences("a gap in the memory", |j| j.insert(5_000, gap("memory/target")), &[I9]);
    silences(
        "a log observer that never ended",
        |j| {
            j.without(|e| matches!(e, Event::ObserverStopped { observer, .. } if observer.starts_with("logs")))
        },
        &[I2],
    );
    silences(
        "the target's tablet was not watched, another was",
        |j| {
            j.edit(|_, e| {
                if let Event::ObserverStarted { observer }
                | Event::ObserverStopped { observer, .. } = e
                {
                    *observer = observer.replace("/target", "/source");
                }
            })
        },
        &[I1, I2, I9],
    );
    silences(
        "the binlog was not read",
        |j| j.without(|e| matches!(e, Event::HistoryRead { .. })),
        &[I3, I4, I5, I6, I8, I11],
    );
    silences(
        "a change of the history is missing",
        |j| {
            j.edit(|_, e| {
                if let Event::HistoryRead { changes } = e {
                    *changes += 1
                }
            })
        },
        &[I3, I4, I5, I6, I8, I11],
    );
    silences(
        "every observer's events",
        |j| {
            j.without(|e| {
                matches!(e, Event::ObserverStarted { .. } | Event::ObserverStopped { .. })
            })
        },
        &[I1, I2, I9],
    );
}

#[test]
fn a_trial_that_did_not_end_or_was_in_trouble_is_inconclusive_throughout() {
    let lose: [fn(&mut JournalBuilder); 2] = [
        |j| j.without(|e| matches!(e, Event::TrialEnded)),
        |j| j.insert(5_000, Event::HarnessTrouble { what: "no disk".into() }),
    ];
    for change in lose {
        let mut journal = JournalBuilder::good(Fault::Sigkill);
        change(&mut journal);
        for judgement in journal.judgements().iter().filter(|j| !j.not_applicable) {
            assert_eq!(judgement.verdict, Verdict::Inconclusive, "{judgement:#?}");
        }
    }
}

/// Records carry numbers without gaps: whoever takes some out of a saved journal is found.
#[test]
fn a_journal_with_records_taken_out_is_inconclusive() {
    let mut records = JournalBuilder::good(Fault::Sigkill).records();
    records.retain(|record| !matches!(record.event, Event::Sample(_)));
    let verdict = crate::trial_verdict(&crate::judge(&records));
    assert_eq!(verdict, Verdict::Inconclusive);
}

#[test]
fn observers_of_unknown_names_must_all_be_whole() {
    let rename = |j: &mut JournalBuilder| {
        j.edit(|_, e| {
            if let Event::ObserverStarted { observer }
            | Event::ObserverGap { observer, .. }
            | Event::ObserverStopped { observer, .. } = e
            {
                *observer = format!("watcher of {observer}");
            }
        });
    };
    let mut journal = JournalBuilder::good(Fault::Sigkill);
    rename(&mut journal);
    assert_eq!(journal.verdict(), Verdict::Pass);
    journal.insert(5_000, Event::ObserverGap { observer: "watcher of x".into(), gap_ms: 1_500 });
    assert_eq!(journal.verdict(), Verdict::Inconclusive);
}

#[test]
fn an_empty_journal_is_inconclusive() {
    assert_eq!(crate::trial_verdict(&crate::judge(&[])), Verdict::Inconclusive);
    assert_eq!(crate::trial_verdict(&[]), Verdict::Inconclusive);
}

/// MySQL's clock, `ahead_ms` before the harness's, as it is read when this is the time.
fn clock(at_ms: u64, ahead_ms: u64) -> (u64, Event) {
    let now_us = (WALL_MS + at_ms + ahead_ms) * 1_000;
    (at_ms, Event::ServerClock { now_us, took_ms: 2 })
}

// A server on another machine, or a step of its clock, would move its commits out of the faults' windows.
#[test]
fn a_clock_that_differs_is_reckoned_with_and_one_that_steps_is_told() {
    let good = JournalBuilder::good(Fault::Sigkill);
    let told = |ahead_ms: [u64; 2]| {
        let mut journal = good.clone();
        journal.edit(|_, event| {
            if let Event::SidecarChange(change) = event {
                change.commit_us += ahead_ms[0] * 1_000;
            }
        });
        for (at_ms, event) in [clock(20, ahead_ms[0]), clock(15_800, ahead_ms[1])] {
            journal.insert(at_ms, event);
        }
        journal
    };
    assert_eq!(told([30_000, 30_000]).judgements(), good.judgements());
    assert_eq!(told([30_000, 30_090]).verdict(), Verdict::Pass);
    let stepped = told([30_000, 30_200]);
    assert_eq!(stepped.verdict(), Verdict::Inconclusive);
    let causes = stepped.judgements().into_iter().flat_map(|one| one.reasons).map(|one| one.cause);
    assert!(
        causes.clone().count() > 0 && causes.into_iter().all(|cause| cause == Some(Cause::Clock))
    );
}
