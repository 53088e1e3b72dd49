//! The memory guard: how near the process is to the limit at which the kernel kills it.
//!
//! Measured is what the kernel charges to the cgroup, less the page cache that it can drop without
//! asking anybody. Counting the cache would make a tablet slow down for files it once read; leaving
//! out the rest (other processes, tmpfs) would let the kernel strike unannounced. Without a cgroup
//! of its own the process's resident memory stands in.

mod cgroup;

use std::path::Path;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use self::cgroup::Cgroup;
use crate::engine::Pressure;

const POLL: Duration = Duration::from_millis(50);
/// How far memory must fall below a mark before the pressure counts as gone: without a gap a diff
/// would stop and start at the mark.
const HYSTERESIS_PERCENT: u64 = 5;

/// What the guard is to go by.
#[derive(Clone, Debug)]
pub(crate) struct GuardSettings {
    /// The limit in bytes; none: the cgroup's.
    pub(crate) limit_bytes: Option<u64>,
    /// From here on: slow.
    pub(crate) slow_percent: u64,
    /// From here on: high.
    pub(crate) high_percent: u64,
}

/// One look at the memory, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryReading {
    /// Resident memory of this process.
    pub rss: u64,
    /// Charged to the cgroup, less reclaimable page cache.
    pub charged: u64,
    /// At this much the kernel kills; none: no limit.
    pub limit: Option<u64>,
    /// What follows.
    pub pressure: Pressure,
}

impl MemoryReading {
    const NOTHING: MemoryReading =
        MemoryReading { rss: 0, charged: 0, limit: None, pressure: Pressure::None };
}

/// Reads, judges, tells.
pub(crate) struct MemoryGuard {
    settings: GuardSettings,
    cgroup: Option<Cgroup>,
    readings: watch::Sender<MemoryReading>,
    pressure: watch::Sender<Pressure>,
}

impl MemoryGuard {
    /// A guard of this process, with a first reading done.
    pub(crate) fn new(settings: GuardSettings) -> MemoryGuard {
        let guard = MemoryGuard {
            settings,
            cgroup: Cgroup::of_this_process(),
            readings: watch::Sender::new(MemoryReading::NOTHING),
            pressure: watch::Sender::new(Pressure::None),
        };
        guard.look();
        let reading = *guard.readings.borrow();
        let cgroup = guard.cgroup.as_ref().map(Cgroup::name);
        tracing::info!(limit = reading.limit, rss = reading.rss, cgroup, "the memory guard is on");
        guard
    }

    /// The readings.
    pub(crate) fn readings(&self) -> watch::Receiver<MemoryReading> {
        self.readings.subscribe()
    }

    /// The pressure alone.
    pub(crate) fn pressure(&self) -> watch::Receiver<Pressure> {
        self.pressure.subscribe()
    }

    /// Looks every 50 ms until `stop`.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(POLL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => self.look(),
            }
        }
    }

    fn look(&self) {
        let rss = resident_bytes(Path::new("/proc/self/status"));
        let usage = self.cgroup.as_ref().and_then(Cgroup::read);
        // A cgroup without a limit is shared with strangers, whose memory is no concern of ours.
        let limit = self.settings.limit_bytes.or(usage.and_then(|usage| usage.limit));
        let charged = match usage {
            Some(usage) if usage.limit.is_some() => usage.charged,
            Some(_) | None => rss,
        };
        let before = *self.pressure.borrow();
        let percent = limit.map_or(0, |limit| percent_of(charged, limit));
        let pressure =
            step(before, percent, self.settings.slow_percent, self.settings.high_percent);
        self.readings.send_replace(MemoryReading { rss, charged, limit, pressure });
        if pressure != before {
            tracing::info!(
                from = before.name(),
                to = pressure.name(),
                charged,
                limit,
                rss,
                "memory pressure has changed"
            );
            self.pressure.send_replace(pressure);
        }
    }
}

fn percent_of(charged: u64, limit: u64) -> u64 {
    let percent = u128::from(charged) * 100 / u128::from(limit.max(1));
    u64::try_from(percent).unwrap_or(u64::MAX)
}

/// The pressure at `percent`: it rises at once, and falls only when well below the mark.
fn step(before: Pressure, percent: u64, slow: u64, high: u64) -> Pressure {
    let above = |mark: u64, mark_of: Pressure| {
        let held = if before >= mark_of { HYSTERESIS_PERCENT } else { 0 };
        percent >= mark.saturating_sub(held)
    };
    if above(high, Pressure::High) {
        Pressure::High
    } else if above(slow, Pressure::Slow) {
        Pressure::Slow
    } else {
        Pressure::None
    }
}

/// `VmRSS` of a `/proc/<pid>/status` file, in bytes; 0 where it cannot be read.
fn resident_bytes(status: &Path) -> u64 {
    let text = std::fs::read_to_string(status).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|rest| rest.trim().trim_end_matches("kB").trim().parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pressure_rises_at_the_mark_and_falls_five_points_below_it() {
        let readings = [
            (74, Pressure::None),
            (75, Pressure::Slow),
            (71, Pressure::Slow),
            (69, Pressure::None),
            (90, Pressure::High),
            (81, Pressure::High),
            (79, Pressure::Slow),
            (72, Pressure::Slow),
            (10, Pressure::None),
        ];
        let mut pressure = Pressure::None;
        for (percent, expected) in readings {
            pressure = step(pressure, percent, 75, 85);
            assert_eq!(pressure, expected, "at {percent} %");
        }
    }

    #[test]
    fn percentages_do_not_overflow() {
        assert_eq!(percent_of(u64::MAX, u64::MAX), 100);
        assert_eq!(percent_of(5, 0), 500);
    }

    #[test]
    fn this_process_has_resident_memory() {
        assert!(resident_bytes(Path::new("/proc/self/status")) > 100_000);
        assert_eq!(resident_bytes(Path::new("/nowhere")), 0);
    }
}
