//! Laws that hold for any journal.

use proptest::prelude::*;
use records::journal::{Event, Side};
use records::schedule::Fault;
use records::verdict::Verdict;

use crate::sample::JournalBuilder;

fn any_fault() -> impl Strategy<Value = Fault> {
    prop::sample::select(Fault::ALL.to_vec())
}

#[test]
fn a_good_trial_of_every_fault_passes() {
    for fault in Fault::ALL {
        let journal = JournalBuilder::good(fault);
        assert_eq!(journal.verdict(), Verdict::Pass, "{fault}: {:#?}", journal.judgements());
    }
}

proptest! {
    /// Records lost from a saved journal never leave a pass.
    #[test]
    fn a_journal_that_lost_a_record_never_passes(fault in any_fault(), place in any::<prop::sample::Index>()) {
        let mut records = JournalBuilder::good(fault).records();
        records.remove(place.index(records.len()));
        let verdict = crate::trial_verdict(&crate::judge(&records));
        prop_assert_ne!(verdict, Verdict::Pass);
    }

    /// What a journal shows to be broken stays broken, whatever evidence is lost beside it.
    #[test]
    fn losing_other_evidence_never_heals_a_failure(fault in any_fault(), place in any::<prop::sample::Index>()) {
        let mut journal = JournalBuilder::good(fault);
        let message = "index out of bounds".to_owned();
        journal.insert(5_000, Event::Panicked { side: Side::Target, incarnation: 1, caught: false, message });
        let mut records = journal.records();
        let lost = place.index(records.len());
        prop_assume!(!matches!(records[lost].event, Event::Panicked { .. }));
        records.remove(lost);
        let verdict = crate::trial_verdict(&crate::judge(&records));
        prop_assert_eq!(verdict, Verdict::Fail);
    }

    /// A journal cut off anywhere is no pass: a killed harness leaves one.
    #[test]
    fn a_journal_cut_off_anywhere_never_passes(fault in any_fault(), place in any::<prop::sample::Index>()) {
        let mut records = JournalBuilder::good(fault).records();
        records.truncate(place.index(records.len()));
        let verdict = crate::trial_verdict(&crate::judge(&records));
        prop_assert_ne!(verdict, Verdict::Pass);
    }

    /// Judging is pure: the same journal, the same judgements.
    #[test]
    fn judging_twice_says_the_same(fault in any_fault()) {
        let journal = JournalBuilder::good(fault);
        prop_assert_eq!(journal.judgements(), journal.judgements());
    }
}
