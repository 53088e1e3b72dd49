//! Could the harness itself look? How busy the machine is, how late the harness's own timer comes, and
//! how long the kernel let tasks wait for a core: what a check of times needs to know before it blames
//! a tablet.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use engine::process::held_back_count;

/// The machine's account of pressure, where no cgroup has one of its own.
const PRESSURE_OF_ALL: &str = "/proc/pressure/cpu";

/// What was seen at one sample, and since the one before.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Load {
    /// Tasks that run or wait for a core, on each core of the machine.
    pub(super) runnable_per_core: Option<f64>,
    /// The share of the time since the last look in which a task waited for a core.
    pub(super) cpu_stalled: Option<f64>,
    /// How often since then the harness's own quota of time was used up.
    pub(super) throttled: Option<u64>,
}

/// Looks at the machine again and again; its counters only grow, so a look is compared with the last.
#[derive(Debug, Default)]
pub(super) struct Machine {
    stalled: Option<(Instant, u64)>,
    throttled: Option<u64>,
}

impl Machine {
    /// Now; `pressure` is the tablet's own account, where it can be seen.
    pub(super) fn look(&mut self, pressure: Option<PathBuf>) -> Load {
        let pressure = pressure.unwrap_or_else(|| PRESSURE_OF_ALL.into());
        let stalled_us = std::fs::read_to_string(pressure).ok().and_then(|text| stalled_us(&text));
        let throttled = held_back_count();
        let load = Load {
            runnable_per_core: runnable_per_core(),
            cpu_stalled: self.share(Instant::now(), stalled_us),
            throttled: throttled.zip(self.throttled).map(|(now, then)| now.saturating_sub(then)),
        };
        self.throttled = throttled;
        load
    }

    /// A counter that fell is another cgroup's: the next look has something to compare with again.
    fn share(&mut self, now: Instant, stalled_us: Option<u64>) -> Option<f64> {
        let last = std::mem::replace(&mut self.stalled, stalled_us.map(|us| (now, us)));
        let ((then, before), after) = last.zip(stalled_us)?;
        let passed = now.duration_since(then).as_micros();
        let stalled = after.checked_sub(before)?;
        (passed > 0).then(|| (stalled as f64 / passed as f64).min(1.0))
    }
}

/// How late a tick came that was due at a time.
pub(super) fn lag_ms(due: tokio::time::Instant) -> u64 {
    let lag: Duration = due.elapsed();
    records::millis(lag)
}

fn runnable_per_core() -> Option<f64> {
    of(&std::fs::read_to_string("/proc/stat").ok()?)
}

/// From the text of `/proc/stat`, proc(5): a line `cpuN` for each core, and `procs_running`.
fn of(stat: &str) -> Option<f64> {
    let runnable = stat.lines().find_map(|line| line.strip_prefix("procs_running "))?;
    let runnable: u32 = runnable.trim().parse().ok()?;
    let is_core = |line: &&str| {
        line.strip_prefix("cpu").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    };
    let cores = stat.lines().filter(is_core).count();
    (cores > 0).then(|| f64::from(runnable) / cores as f64)
}

/// From an account of pressure: microseconds in which some task waited, since the beginning.
fn stalled_us(pressure: &str) -> Option<u64> {
    let some = pressure.lines().find_map(|line| line.strip_prefix("some "))?;
    some.split(' ').find_map(|part| part.strip_prefix("total="))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "cpu  9 0 9 9\ncpu0 5 0 5 5\ncpu1 4 0 4 4\nintr 12 0\nprocs_running 7\n";

    #[test]
    fn the_runnable_are_shared_out_among_the_cores() {
        assert_eq!(of(STAT), Some(3.5));
        assert_eq!(of(&STAT.replace("procs_running", "running")), None);
        assert_eq!(of("cpu 1 2\nprocs_running 7\n"), None);
    }

    // Linux is what the harness runs on: a figure that is never there would excuse nothing.
    #[test]
    fn this_machine_tells() {
        let load = Machine::default().look(None);
        assert!(load.runnable_per_core.is_some_and(|load| load > 0.0));
        assert_eq!((load.cpu_stalled, load.throttled), (None, None), "nothing to compare with yet");
    }

    #[test]
    fn pressure_is_a_share_of_the_time_between_two_looks() {
        let text =
            "some avg10=1.00 avg60=2.00 avg300=0.00 total=469442617\nfull avg10=0.00 total=7\n";
        assert_eq!(stalled_us(text), Some(469_442_617));
        assert_eq!(stalled_us("full avg10=0.00 total=7\n"), None);
        let (mut machine, start) = (Machine::default(), Instant::now());
        let mut at = |ms, us| machine.share(start + Duration::from_millis(ms), us);
        assert_eq!(at(0, Some(1_000)), None);
        assert_eq!(at(50, Some(26_000)), Some(0.5));
        // Another container's account begins anew; what cannot be read is no calm.
        assert_eq!(at(100, Some(10)), None);
        assert_eq!(at(150, None), None);
        assert_eq!(at(200, Some(20)), None);
        assert_eq!(at(250, Some(99_000)), Some(1.0));
    }

    // A harness that was not let run would blame the tablet for the time.
    #[tokio::test]
    #[expect(clippy::disallowed_methods, reason = "a thread that does not yield is what is tried")]
    async fn a_timer_that_was_held_up_says_for_how_long() {
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        tick.tick().await;
        std::thread::sleep(Duration::from_millis(250));
        assert!(lag_ms(tick.tick().await) >= 200);
    }
}
