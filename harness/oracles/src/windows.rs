//! The times in which the schedule itself kept things from moving.

use std::collections::BTreeMap;

use records::journal::{Event, Sample, Side, TabletExited};
use records::schedule::{Fault, Hurts};
use records::tellings::Telling;

use super::view::View;

/// With more runnable tasks on each core than this, what is late says nothing of the tablet: it had less
/// than a twelfth of a core. Four trials at a time on two cores make 6 to 10, eight make 16 to 20.
pub(super) const LOAD_MAX: f64 = 12.0;
/// The harness is no busier than a tablet: what holds its timer up so long holds up a tablet's answer.
const LAG_MS_MAX: u64 = 500;
/// The exit code of a program that says why it gives up.
const GAVE_UP: i64 = 1;
/// Samples are taken more often than this.
const NEAR_MS: u64 = 500;

/// From and to, milliseconds of the journal.
pub(super) type Window = (u64, u64);

impl View<'_> {
    /// From the moment a step's trigger fired to the end of its harm; of one that missed without harm,
    /// to the miss.
    pub(super) fn harm(&self) -> Vec<Window> {
        let mut open: BTreeMap<usize, (u64, bool)> = BTreeMap::new();
        let mut windows = Vec::new();
        for record in self.records {
            let at_ms = record.at_ms;
            match &record.event {
                Event::TriggerFired { step, .. } => {
                    open.entry(*step).or_insert((at_ms, false));
                }
                Event::FaultInjected { step, .. } => {
                    open.entry(*step).or_insert((at_ms, true)).1 = true
                }
                Event::FaultMissed { step, .. }
                    if open.get(step).is_some_and(|(_, hurt)| !hurt) =>
                {
                    windows.extend(open.remove(step).map(|(from, _)| (from, at_ms)));
                }
                Event::FaultHealed { step, .. } => {
                    windows.extend(open.remove(step).map(|(from, _)| (from, at_ms)));
                }
                _ => {}
            }
        }
        windows.extend(open.into_values().map(|(from, _)| (from, self.end_ms)));
        windows
    }

    /// Whether a process ended by itself because a fault had taken its servers away, where nobody promised that it
    /// waits for them.
    pub(super) fn lost_its_servers(&self, exit: &TabletExited, at_ms: u64) -> bool {
        if self.tells(Telling::Patience) || exit.exit_code != GAVE_UP {
            return false;
        }
        let healed = self.healed();
        let hurts = |fault: Fault| fault.facts().hurts != Hurts::NobodyElse;
        self.injected().iter().filter(|begun| hurts(begun.what.1)).any(|begun| {
            let end = healed.iter().find(|end| end.what == begun.what && end.seq > begun.seq);
            (begun.at_ms..=end.map_or(self.end_ms, |end| end.at_ms)).contains(&at_ms)
        })
    }

    /// Why what happened in a time says nothing of the tablet: the machine had more runnable tasks on each
    /// core than [`LOAD_MAX`], on average, or the harness's own timer came later than [`LAG_MS_MAX`].
    /// None: it was not so, or nobody looked.
    pub(super) fn slow_machine(&self, window: Window) -> Option<String> {
        let lag_ms = self.samples_near(window).filter_map(|sample| sample.timer_lag_ms).max();
        if let Some(lag_ms) = lag_ms.filter(|lag_ms| *lag_ms > LAG_MS_MAX) {
            return Some(format!("while the harness's own timer came {lag_ms} ms late"));
        }
        self.load(window)
            .filter(|load| *load > LOAD_MAX)
            .map(|load| format!("with {load:.0} runnable tasks on each core of the machine"))
    }

    /// Runnable tasks on each core of the machine, on average. None: nobody looked.
    pub(super) fn load(&self, window: Window) -> Option<f64> {
        let loads: Vec<f64> =
            self.samples_near(window).filter_map(|sample| sample.runnable_per_core).collect();
        (!loads.is_empty()).then(|| loads.iter().sum::<f64>() / loads.len() as f64)
    }

    /// A short time has no sample of its own: those around it tell.
    fn samples_near(&self, (from, to): Window) -> impl Iterator<Item = &Sample> {
        let near = from.saturating_sub(NEAR_MS)..=to + NEAR_MS;
        self.records.iter().filter(move |record| near.contains(&record.at_ms)).filter_map(
            |record| match &record.event {
                Event::Sample(sample) => Some(sample),
                _ => None,
            },
        )
    }

    /// From each end of a tablet's process to its next readiness.
    pub(super) fn down(&self, side: Side) -> Vec<Window> {
        let exits = self.lives.iter().filter(|life| life.side == side).filter_map(|life| life.exit);
        let next_ready = |from: u64| {
            self.records.iter().find_map(|record| match &record.event {
                Event::Readiness { side: of, ready: true, .. }
                    if *of == side && record.at_ms >= from =>
                {
                    Some(record.at_ms)
                }
                _ => None,
            })
        };
        exits.map(|exit| (exit.at_ms, next_ready(exit.at_ms).unwrap_or(self.end_ms))).collect()
    }
}

/// How much of a time lies in none of the windows.
pub(super) fn outside((from, to): Window, windows: &[Window]) -> u64 {
    let mut windows: Vec<Window> = windows.to_vec();
    windows.sort_unstable();
    let (mut outside, mut at) = (0, from);
    for (begin, end) in windows {
        if begin >= to {
            break;
        }
        outside += begin.saturating_sub(at);
        at = at.max(end);
    }
    outside + to.saturating_sub(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_windows_cover_is_counted_once() {
        let table: [(Window, &[Window], u64); 7] = [
            ((10, 20), &[], 10),
            ((10, 20), &[(0, 5)], 10),
            ((10, 20), &[(20, 30)], 10),
            ((10, 20), &[(0, 30)], 0),
            ((10, 20), &[(12, 15), (14, 16)], 6),
            ((10, 20), &[(18, 40), (0, 11)], 7),
            ((10, 20), &[(12, 18), (13, 14)], 4),
        ];
        for (time, windows, expected) in table {
            assert_eq!(outside(time, windows), expected, "{time:?} {windows:?}");
        }
    }
}
