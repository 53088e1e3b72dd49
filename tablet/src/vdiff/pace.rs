//! The pace of a diff: a live-changeable number of rows a second, smooth enough that also a small
//! diff at a small pace advances evenly.

use std::time::{Duration, Instant};

use crate::engine::{LiveSettings, Pressure};

/// Shorter waits are saved up.
const GRAIN: Duration = Duration::from_millis(5);
/// A wait is cut into pieces, so that a changed limit is felt at once.
const PIECE: Duration = Duration::from_millis(100);
/// What may be caught up after a pause.
const BURST: Duration = Duration::from_millis(20);
/// The pace under slow pressure, where there is no limit.
const SLOW_ROWS_PER_SECOND: u64 = 5_000;

/// When the next row is due.
#[derive(Debug)]
pub(super) struct Pace {
    due: Instant,
}

impl Pace {
    pub(super) fn new(now: Instant) -> Pace {
        Pace { due: now }
    }

    /// Accounts for one processed row; returns how long to wait before the next.
    pub(super) fn row(
        &mut self,
        now: Instant,
        settings: &LiveSettings,
        pressure: Pressure,
    ) -> Option<Duration> {
        let Some(rows) = limit(settings.rows_per_second(), pressure) else {
            self.due = now;
            return None;
        };
        let earliest = now.checked_sub(BURST).unwrap_or(now);
        self.due = self.due.max(earliest) + Duration::from_secs(1).div_f64(rows as f64);
        self.wait(now)
    }

    /// How long is still to wait.
    pub(super) fn wait(&self, now: Instant) -> Option<Duration> {
        let wait = self.due.saturating_duration_since(now);
        (wait >= GRAIN).then(|| wait.min(PIECE))
    }
}

fn limit(rows_per_second: u64, pressure: Pressure) -> Option<u64> {
    match (rows_per_second, pressure) {
        (0, Pressure::None) => None,
        (0, Pressure::Slow | Pressure::High) => Some(SLOW_ROWS_PER_SECOND),
        (rows, Pressure::None) => Some(rows),
        (rows, Pressure::Slow | Pressure::High) => Some((rows / 4).clamp(1, SLOW_ROWS_PER_SECOND)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows that are processed within `span` when nothing but the pace takes time.
    fn rows_within(span: Duration, settings: &LiveSettings, pressure: Pressure) -> u64 {
        let begin = Instant::now();
        let (mut now, mut pace, mut rows) = (begin, Pace::new(begin), 0);
        while now < begin + span && rows < 1_000_000 {
            rows += 1;
            let mut wait = pace.row(now, settings, pressure);
            while let Some(piece) = wait {
                now += piece;
                wait = pace.wait(now);
            }
        }
        rows
    }

    #[test]
    fn the_pace_is_the_limit() {
        for limit in [3, 500, 20_000] {
            let rows =
                rows_within(Duration::from_secs(4), &LiveSettings::new(limit), Pressure::None);
            assert!(rows >= limit * 4 - 1 && rows <= limit * 4 + limit / 10 + 2, "{limit}: {rows}");
        }
    }

    #[test]
    fn no_limit_never_waits_and_pressure_slows() {
        let second = Duration::from_secs(1);
        assert_eq!(rows_within(second, &LiveSettings::new(0), Pressure::None), 1_000_000);
        let slow = rows_within(second, &LiveSettings::new(0), Pressure::Slow);
        assert!(slow < SLOW_ROWS_PER_SECOND + 200, "{slow}");
    }

    /// A diff that waited for the network must not then run without any limit.
    #[test]
    fn a_pause_is_not_caught_up() {
        let begin = Instant::now();
        let mut pace = Pace::new(begin);
        let later = begin + Duration::from_secs(60);
        let settings = LiveSettings::new(100);
        let free = (0..100).take_while(|_| pace.row(later, &settings, Pressure::None).is_none());
        assert!(free.count() <= 3);
    }
}
