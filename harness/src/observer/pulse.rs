//! An observer's sign of life in the journal.

use std::time::{Duration, Instant};

use records::journal::Event;

use crate::journal::Journal;

/// Longer without an observation, and the evidence has a gap.
const GAP: Duration = Duration::from_secs(1);

/// Counts an observer's observations and tells its gaps. Ends in order with [`Pulse::stop`]; one that
/// is dropped without leaves no end in the journal, which is how a dead observer is known.
#[derive(Debug)]
pub(super) struct Pulse {
    journal: Journal,
    observer: String,
    last: Instant,
    observations: u64,
}

impl Pulse {
    pub(super) fn start(journal: &Journal, observer: String) -> Pulse {
        journal.record(Event::ObserverStarted { observer: observer.clone() });
        Pulse { journal: journal.clone(), observer, last: Instant::now(), observations: 0 }
    }

    /// An observation was made.
    pub(super) fn beat(&mut self) {
        self.gap();
        self.last = Instant::now();
        self.observations += 1;
    }

    pub(super) fn stop(self) {
        self.gap();
        let Pulse { journal, observer, observations, .. } = self;
        journal.record(Event::ObserverStopped { observer, observations });
    }

    fn gap(&self) {
        let gap = self.last.elapsed();
        if gap > GAP {
            let gap_ms = records::millis(gap);
            self.journal.record(Event::ObserverGap { observer: self.observer.clone(), gap_ms });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // A gap that is not told would let an oracle pass on evidence nobody took.
    #[test]
    fn a_gap_is_told_and_a_quick_observer_has_none() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::create(&dir.path().join("j")).unwrap();
        let mut pulse = Pulse::start(&journal, "readiness/target".to_owned());
        pulse.beat();
        pulse.last -= Duration::from_millis(1_500);
        pulse.beat();
        pulse.stop();
        let gaps = journal.inspect(|records| {
            records.iter().filter(|r| matches!(r.event, Event::ObserverGap { .. })).count()
        });
        assert_eq!(gaps, 1);
        let last = journal.records().pop().unwrap().event;
        assert!(matches!(last, Event::ObserverStopped { observations: 2, .. }));
    }
}
