//! How busy the machine is.

/// Tasks that run or wait for a core, on each core of the machine; none where the kernel does not tell.
pub(super) fn runnable_per_core() -> Option<f64> {
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
        assert!(runnable_per_core().is_some_and(|load| load > 0.0));
    }
}
