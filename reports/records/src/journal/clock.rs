//! The clock of the target's MySQL, by which the history is told, against the journal's own.

use super::{Event, Record};

/// A look at MySQL's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockLook {
    /// Its place in the journal.
    pub seq: u64,
    /// The trial's begin by that clock, microseconds since the Unix epoch.
    pub begin_us: u64,
    /// How far it may be off, milliseconds: the clock was read at some moment of the question.
    pub within_ms: u64,
}

/// All looks, in order.
#[must_use]
pub fn clock_looks(records: &[Record]) -> Vec<ClockLook> {
    let look = |record: &Record| match record.event {
        Event::ServerClock { now_us, took_ms } => Some(ClockLook {
            seq: record.seq,
            begin_us: now_us.saturating_sub((record.at_ms * 1_000).saturating_sub(took_ms * 500)),
            within_ms: took_ms.div_ceil(2),
        }),
        _ => None,
    };
    records.iter().filter_map(look).collect()
}

/// The trial's begin by the clock in which commits are told, microseconds since the Unix epoch. A journal
/// without a look has the harness's own clock.
#[must_use]
pub fn begin_us(records: &[Record]) -> u64 {
    let head = |record: &Record| match &record.event {
        Event::TrialStarted(head) => Some(head.wall_ms * 1_000),
        _ => None,
    };
    let looked = clock_looks(records).first().map(|look| look.begin_us);
    looked.or_else(|| records.iter().find_map(head)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    // A server whose clock is ahead would have all its commits after the faults that they came before.
    #[test]
    fn the_begin_is_told_by_the_clock_of_the_history() {
        let clock = |seq, at_ms, now_us, took_ms| Record {
            seq,
            at_ms,
            event: Event::ServerClock { now_us, took_ms },
        };
        let records = [clock(3, 40, 1_000_000_000, 20), clock(9, 8_000, 1_007_990_000, 1)];
        let looks = clock_looks(&records);
        assert_eq!((looks[0].begin_us, looks[0].within_ms), (999_970_000, 10));
        assert_eq!((looks[1].begin_us, looks[1].within_ms), (999_990_500, 1));
        assert_eq!(begin_us(&records), 999_970_000);
        assert_eq!(begin_us(&[]), 0);
    }
}
