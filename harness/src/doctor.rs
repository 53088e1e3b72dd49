//! What this host can and cannot do: one line a check, with what follows from it.

use std::fmt;
use std::path::Path;

use sysinfo::Disks;
use tokio::net::TcpListener;

use crate::docker::{Engine, EngineFacts};
use crate::images::{self, Recipe};
use crate::tablet::CgroupPaths;

/// Disk space that images, MySQL's data and a run's output need.
const DISK_BYTES: u64 = 5 << 30;
/// Memory of two MySQL servers, etcd and two tablets, with room.
const MEMORY_BYTES: u64 = 2 << 30;
/// The oldest API with which everything works.
const API_MIN: (u32, u32) = (1, 41);

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// As it should be.
    Ok,
    /// Works in another way.
    FallsBack,
    /// Something is left out.
    Skipped,
    /// Runs are not possible.
    Failed,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What was looked at.
    pub name: &'static str,
    /// How it came out.
    pub outcome: Outcome,
    /// What was found, and what follows.
    pub found: String,
}

/// All checks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DoctorReport {
    /// In the order in which they are shown.
    pub checks: Vec<Check>,
}

impl DoctorReport {
    /// The worst outcome.
    #[must_use]
    pub fn worst(&self) -> Outcome {
        self.checks.iter().map(|check| check.outcome).max().unwrap_or(Outcome::Ok)
    }

    /// Whether runs are possible.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        self.worst() < Outcome::Failed
    }

    fn add(&mut self, name: &'static str, outcome: Outcome, found: impl Into<String>) {
        self.checks.push(Check { name, outcome, found: found.into() });
    }
}

impl fmt::Display for DoctorReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for check in &self.checks {
            let outcome = match check.outcome {
                Outcome::Ok => "ok",
                Outcome::FallsBack => "falls back",
                Outcome::Skipped => "skipped",
                Outcome::Failed => "FAILED",
            };
            writeln!(f, "{:<16} {:<11} {}", check.name, outcome, check.found)?;
        }
        let verdict = if self.is_usable() { "runs are possible" } else { "runs are not possible" };
        writeln!(f, "{verdict}")
    }
}

/// Examines the host. Never fails: what cannot be found out is a check that says so.
pub async fn examine() -> DoctorReport {
    let mut report = DoctorReport::default();
    let engine = match Engine::connect().await {
        Ok(engine) => engine,
        Err(error) => {
            let why = "no container engine answers: start Docker, or set DOCKER_HOST";
            report.add("engine", Outcome::Failed, format!("{why} ({})", innermost(&error)));
            machine(&mut report, None);
            return report;
        }
    };
    let facts = engine.facts().await.unwrap_or_default();
    engine_itself(&mut report, &facts);
    processes(&mut report, &engine, &facts).await;
    wire_proxy(&mut report, &engine).await;
    machine(&mut report, Some(&facts));
    packages(&mut report);
    local_images(&mut report, &engine).await;
    report
}

fn engine_itself(report: &mut DoctorReport, facts: &EngineFacts) {
    let found = format!("version {}, API {}", facts.version, facts.api);
    let mut numbers = facts.api.split('.').map(|part| part.parse().unwrap_or(0));
    let api = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    match api >= API_MIN {
        true => report.add("engine", Outcome::Ok, found),
        false => report.add(
            "engine",
            Outcome::FallsBack,
            format!("{found}: older than API {}.{}, never tried", API_MIN.0, API_MIN.1),
        ),
    }
    let mine = std::env::consts::ARCH;
    match facts.arch == mine {
        true => report.add("architecture", Outcome::Ok, mine),
        false => report.add(
            "architecture",
            Outcome::Skipped,
            format!("engine {}, program {mine}: images are not built, name them", facts.arch),
        ),
    }
    match (facts.cgroup_version.as_str(), facts.rootless) {
        ("1" | "2", false) => {
            report.add("cgroup", Outcome::Ok, format!("version {}", facts.cgroup_version));
        }
        (version, rootless) => report.add(
            "cgroup",
            Outcome::FallsBack,
            format!("version {version:?}, rootless: {rootless}; memory limits may not hold"),
        ),
    }
    let swap = swap_devices();
    match (facts.swap_limit, swap) {
        (true, _) => report.add("swap", Outcome::Ok, "limited together with memory"),
        (false, false) => {
            report.add("swap", Outcome::Ok, "not accounted by the kernel, but there is none");
        }
        (false, true) => report.add(
            "swap",
            Outcome::FallsBack,
            "the kernel does not account it: a tablet may swap before it is OOM-killed, \
             `oom` takes longer and may be missed",
        ),
    }
}

/// Whether processes in containers can be signalled and accounted from here: tried on this process
/// and on the engine's own view of a container where there is one.
async fn processes(report: &mut DoctorReport, engine: &Engine, facts: &EngineFacts) {
    let local = facts.data_dir.is_empty() || Path::new(&facts.data_dir).exists();
    let root = nix::unistd::geteuid().is_root();
    match (root, local) {
        (true, true) => report.add("signals", Outcome::Ok, "by host PID"),
        (true, false) => report.add(
            "signals",
            Outcome::FallsBack,
            "through the engine, if its processes are not seen from here (remote, or nested)",
        ),
        (false, _) => report.add(
            "signals",
            Outcome::FallsBack,
            "through the engine: not root, so other users' processes cannot be signalled",
        ),
    }
    let own = i32::try_from(std::process::id()).ok().and_then(CgroupPaths::of_process);
    let counter = cgroup_of_some_container(engine).await.or(own);
    match counter.and_then(|cgroup| cgroup.oom_kill_count()) {
        Some(_) if local => report.add("oom counter", Outcome::Ok, "the kernel's, per container"),
        _ => report.add(
            "oom counter",
            Outcome::FallsBack,
            "not readable from here: the kernel's log or the engine's event is the evidence",
        ),
    }
    let readable = std::fs::File::open("/dev/kmsg").is_ok();
    match readable {
        true => report.add("kernel log", Outcome::Ok, "readable, the second witness"),
        false => report.add("kernel log", Outcome::FallsBack, "not readable: one witness less"),
    }
}

/// The wire proxy listens on the gateway of a trial's network, which is an address of this host only
/// if the engine runs on it: tried on the engine's default network.
async fn wire_proxy(report: &mut DoctorReport, engine: &Engine) {
    let tried = match engine.network_gateway("bridge").await {
        Ok(gateway) => match TcpListener::bind((gateway, 0)).await {
            Ok(_listening) => {
                Ok(format!("listens on {gateway}, the gateway of the engine's network"))
            }
            Err(error) => Err(format!("{gateway} is no address of this host ({error})")),
        },
        Err(error) => Err(innermost(&error)),
    };
    match tried {
        Ok(found) => report.add("wire proxy", Outcome::Ok, found),
        Err(why) => report.add(
            "wire proxy",
            Outcome::Skipped,
            format!("{why}: crash points and faults of links need the engine on this host"),
        ),
    }
}

async fn cgroup_of_some_container(engine: &Engine) -> Option<CgroupPaths> {
    let things = engine.labelled(crate::docker::LABEL_RUN).await.ok()?;
    for thing in things {
        let state = engine.inspect(&thing.id).await.ok();
        let pid = state.filter(|state| state.running).and_then(|state| state.pid);
        if let Some(paths) = pid.and_then(CgroupPaths::of_process) {
            return Some(paths);
        }
    }
    None
}

fn machine(report: &mut DoctorReport, facts: Option<&EngineFacts>) {
    let system = sysinfo::System::new().map(|mut system| {
        system.refresh_memory();
        system
    });
    let memory = system.map(|system| system.available_memory()).unwrap_or(0);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let found = format!("{} available, {cores} cores", gib(memory));
    match memory >= MEMORY_BYTES {
        true => report.add("memory", Outcome::Ok, found),
        false => report.add(
            "memory",
            Outcome::FallsBack,
            format!("{found}: less than {}; use --jobs 1", gib(MEMORY_BYTES)),
        ),
    }
    let data = facts.map(|facts| facts.data_dir.as_str()).filter(|dir| !dir.is_empty());
    let here = std::env::current_dir().unwrap_or_default();
    let places = [("disk (output)", Some(here.as_path())), ("disk (engine)", data.map(Path::new))];
    for (name, place) in places {
        let Some(place) = place else { continue };
        match free_bytes(place) {
            Some(free) if free >= DISK_BYTES => {
                report.add(name, Outcome::Ok, format!("{} free", gib(free)));
            }
            Some(free) => report.add(
                name,
                Outcome::FallsBack,
                format!(
                    "{} free at {}: {} are wanted",
                    gib(free),
                    place.display(),
                    gib(DISK_BYTES)
                ),
            ),
            None => report.add(name, Outcome::FallsBack, "unknown (not on this host)"),
        }
    }
}

fn packages(report: &mut DoctorReport) {
    match images::packages_possible() {
        Ok(mirror) => report.add("packages", Outcome::Ok, format!("apt, signed, from {mirror}")),
        Err(error) => report.add(
            "packages",
            Outcome::FallsBack,
            format!("{error}: MySQL and etcd come from a registry, or by --*-image"),
        ),
    }
    match images::workspace_root() {
        Ok(_) => report.add("tablet sources", Outcome::Ok, "this checkout"),
        Err(_) => report.add("tablet sources", Outcome::FallsBack, "none: name --tablet-image"),
    }
}

async fn local_images(report: &mut DoctorReport, engine: &Engine) {
    for (name, recipe) in [("image mysql", Recipe::mysql()), ("image etcd", Recipe::etcd())] {
        let reference = recipe.reference();
        match engine.image_id(&reference).await {
            Ok(Some(_)) => report.add(name, Outcome::Ok, reference),
            Ok(None) => report.add(name, Outcome::FallsBack, "made by the first run"),
            Err(error) => report.add(name, Outcome::FallsBack, innermost(&error)),
        }
    }
    match images::tablet_reference(false) {
        Ok(reference) => match engine.image_id(&reference).await {
            Ok(Some(_)) => report.add("image tablet", Outcome::Ok, reference),
            _ => report.add("image tablet", Outcome::FallsBack, "compiled by the first run"),
        },
        Err(_) => report.add("image tablet", Outcome::FallsBack, "name --tablet-image"),
    }
}

/// Whether any swap is in use by the kernel.
fn swap_devices() -> bool {
    std::fs::read_to_string("/proc/swaps").is_ok_and(|swaps| swaps.lines().count() > 1)
}

/// Free space on the file system of a path; none when it is not on this host.
fn free_bytes(path: &Path) -> Option<u64> {
    let path = path.canonicalize().ok()?;
    let disks = Disks::new_with_refreshed_list().ok()?;
    let holders = disks.iter().filter(|disk| path.starts_with(disk.mount_point()));
    holders.max_by_key(|disk| disk.mount_point().as_os_str().len()).map(|d| d.available_space())
}

fn gib(bytes: u64) -> String {
    format!("{:.1} GiB", bytes as f64 / (1_u64 << 30) as f64)
}

fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failed_check_makes_runs_impossible_and_a_fall_back_does_not() {
        let mut report = DoctorReport::default();
        report.add("a", Outcome::Ok, "");
        report.add("b", Outcome::FallsBack, "in another way");
        assert!(report.is_usable());
        report.add("c", Outcome::Failed, "");
        assert!(!report.is_usable());
        assert!(report.to_string().ends_with("runs are not possible\n"));
    }

    /// On whatever host this runs: an answer within the deadlines, and no panic.
    #[tokio::test]
    async fn every_host_gets_a_report() {
        let report = examine().await;
        println!("{report}");
        assert!(report.checks.iter().any(|check| check.name == "engine"));
        assert!(report.checks.iter().any(|check| check.name == "memory"));
    }
}
