//! What this host can and cannot do: one line a check, with what follows from it.

use std::fmt;
use std::path::Path;

use records::schedule::Capability;
use sysinfo::Disks;
use tokio_util::sync::CancellationToken;

use crate::survey::Survey;
use engine::docker::{Engine, EngineFacts};
use engine::images::{self, Recipe};

/// Disk space that images, MySQL's data and a run's output need.
const DISK_BYTES: u64 = 5 << 30;
/// Memory of two MySQL servers, etcd and two tablets, with room.
const MEMORY_BYTES: u64 = 2 << 30;
/// The oldest API with which everything works.
const API_MIN: (u32, u32) = (1, 41);

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CheckResult {
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
    pub outcome: CheckResult,
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
    pub fn worst(&self) -> CheckResult {
        self.checks.iter().map(|check| check.outcome).max().unwrap_or(CheckResult::Ok)
    }

    /// Whether runs are possible.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        self.worst() < CheckResult::Failed
    }

    fn add(&mut self, name: &'static str, outcome: CheckResult, found: impl Into<String>) {
        self.checks.push(Check { name, outcome, found: found.into() });
    }
}

impl fmt::Display for DoctorReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for check in &self.checks {
            let outcome = match check.outcome {
                CheckResult::Ok => "ok",
                CheckResult::FallsBack => "falls back",
                CheckResult::Skipped => "skipped",
                CheckResult::Failed => "FAILED",
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
            report.add(
                "engine",
                CheckResult::Failed,
                no_engine(&engine::errors::innermost(&error)),
            );
            machine(&mut report, None);
            return report;
        }
    };
    let facts = match engine.facts().await {
        Ok(facts) => {
            engine_itself(&mut report, &facts);
            Some(facts)
        }
        Err(error) => {
            let found = format!("does not say what it is: {}", engine::errors::innermost(&error));
            report.add("engine", CheckResult::FallsBack, found);
            None
        }
    };
    match survey(&engine).await {
        Ok(survey) => surveyed(&mut report, &survey),
        Err(why) => report.add("containers", CheckResult::FallsBack, format!("not tried: {why}")),
    }
    machine(&mut report, facts.as_ref());
    packages(&mut report);
    local_images(&mut report, &engine).await;
    report
}

fn engine_itself(report: &mut DoctorReport, facts: &EngineFacts) {
    let found = format!("{}, API {}", facts.name_and_version(), facts.api);
    let mut numbers = facts.api.split('.').map(|part| part.parse().unwrap_or(0));
    let api = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    match api >= API_MIN {
        true => report.add("engine", CheckResult::Ok, found),
        false => report.add(
            "engine",
            CheckResult::FallsBack,
            format!("{found}: older than API {}.{}, never tried", API_MIN.0, API_MIN.1),
        ),
    }
    let mine = std::env::consts::ARCH;
    match facts.arch == mine {
        true => report.add("architecture", CheckResult::Ok, mine),
        false => report.add(
            "architecture",
            CheckResult::Skipped,
            format!("engine {}, program {mine}: images are not built, name them", facts.arch),
        ),
    }
    match (facts.cgroup_version.as_str(), facts.rootless) {
        ("1" | "2", false) => {
            report.add("cgroup", CheckResult::Ok, format!("version {}", facts.cgroup_version));
        }
        (version, rootless) => report.add(
            "cgroup",
            CheckResult::FallsBack,
            format!("version {version:?}, rootless: {rootless}; memory limits may not hold"),
        ),
    }
    let swap = swap_devices();
    match (facts.swap_limit, swap) {
        (true, _) => report.add("swap", CheckResult::Ok, "limited together with memory"),
        (false, false) => {
            report.add("swap", CheckResult::Ok, "not accounted by the kernel, but there is none");
        }
        (false, true) => report.add(
            "swap",
            CheckResult::FallsBack,
            "the kernel does not account it: a tablet may swap before it is OOM-killed, \
             `oom` takes longer and may be missed",
        ),
    }
}

fn no_engine(why: &str) -> String {
    match why.contains("ermission denied") {
        true => format!(
            "you may not use the engine's socket: join its group (`docker`), and log in again ({why})"
        ),
        false => format!("no container engine answers: start Docker, or set DOCKER_HOST ({why})"),
    }
}

/// Tries a container, where the servers' images are here already.
async fn survey(engine: &Engine) -> Result<Survey, String> {
    let here = async |recipe: Recipe| {
        let image = images::server_here(engine, &recipe).await;
        let image = image.map_err(|error| engine::errors::chain(&error))?;
        image.ok_or("the images are not here yet; `vdiff-chaos images` makes them".to_owned())
    };
    let (mysql, etcd) = (here(Recipe::mysql()).await?, here(Recipe::etcd()).await?);
    let survey = Survey::of(engine, &mysql, &etcd, &CancellationToken::new()).await;
    survey.map_err(|error| engine::errors::chain(&error))
}

/// What a container of a run's network showed.
fn surveyed(report: &mut DoctorReport, survey: &Survey) {
    let mut told = |name, there: bool, good: &str, else_: &str| match there {
        true => report.add(name, CheckResult::Ok, good),
        false => report.add(name, CheckResult::FallsBack, else_),
    };
    let by_engine = "through the engine: this user may not signal a container's process";
    told("signals", survey.signals, "by host PID", by_engine);
    if let Some(seen) = survey.witnesses {
        let events = "not readable: the kernel's log or the engine's event is the evidence";
        told("oom counter", seen.cgroup, "the kernel's, per container", events);
        let without = "not to be seen by this user: I7 is judged without them";
        told("descriptors", seen.descriptors, "counted", without);
        let less = "not readable: one witness less";
        told("kernel log", seen.kernel_log, "readable, the second witness", less);
    }
    if survey.lacks(Capability::MemoryLimit).or(survey.lacks(Capability::MemoryAccount)).is_none() {
        report.add("memory limit", CheckResult::Ok, "holds: a container was tried");
    }
    match survey.gateway {
        Some(gateway) => report.add(
            "wire proxy",
            CheckResult::Ok,
            format!("a container connected to {gateway}, its network's gateway"),
        ),
        None if survey.lacks(Capability::WireProxy).is_none() => {
            report.add("wire proxy", CheckResult::FallsBack, "could not be tried");
        }
        None => {}
    }
    for left_out in survey.not_possible() {
        report.add("left out", CheckResult::Skipped, left_out.to_string());
    }
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
        true => report.add("memory", CheckResult::Ok, found),
        false => report.add(
            "memory",
            CheckResult::FallsBack,
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
                report.add(name, CheckResult::Ok, format!("{} free", gib(free)));
            }
            Some(free) => report.add(
                name,
                CheckResult::FallsBack,
                format!(
                    "{} free at {}: {} are wanted",
                    gib(free),
                    place.display(),
                    gib(DISK_BYTES)
                ),
            ),
            None => report.add(name, CheckResult::FallsBack, "unknown (not on this host)"),
        }
    }
}

fn packages(report: &mut DoctorReport) {
    match images::packages_possible() {
        Ok(mirror) => {
            report.add("packages", CheckResult::Ok, format!("apt, signed, from {mirror}"))
        }
        Err(error) => report.add(
            "packages",
            CheckResult::FallsBack,
            format!("{error}: MySQL and etcd come from a registry, or by --*-image"),
        ),
    }
    match images::workspace_root() {
        Ok(_) => report.add("tablet sources", CheckResult::Ok, "this checkout"),
        Err(_) => report.add("tablet sources", CheckResult::FallsBack, "none: name --tablet-image"),
    }
}

async fn local_images(report: &mut DoctorReport, engine: &Engine) {
    for (name, recipe) in [("image mysql", Recipe::mysql()), ("image etcd", Recipe::etcd())] {
        let reference = recipe.reference();
        match engine.image_id(&reference).await {
            Ok(Some(_)) => report.add(name, CheckResult::Ok, reference),
            Ok(None) => {
                match (engine.image_id(&recipe.official).await, images::packages_possible()) {
                    (Ok(Some(_)), _) => report.add(name, CheckResult::Ok, recipe.official.clone()),
                    (_, Ok(_)) => report.add(name, CheckResult::FallsBack, "made by the first run"),
                    (_, Err(_)) => report.add(
                        name,
                        CheckResult::FallsBack,
                        format!("pulled by the first run: {}", recipe.official),
                    ),
                }
            }
            Err(error) => {
                report.add(name, CheckResult::FallsBack, engine::errors::innermost(&error))
            }
        }
    }
    match images::tablet_reference(false) {
        Ok(reference) => match engine.image_id(&reference).await {
            Ok(Some(_)) => report.add("image tablet", CheckResult::Ok, reference),
            _ => report.add("image tablet", CheckResult::FallsBack, "compiled by the first run"),
        },
        Err(_) => report.add("image tablet", CheckResult::FallsBack, "name --tablet-image"),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failed_check_makes_runs_impossible_and_a_fall_back_does_not() {
        let mut report = DoctorReport::default();
        report.add("a", CheckResult::Ok, "");
        report.add("b", CheckResult::FallsBack, "in another way");
        assert!(report.is_usable());
        report.add("c", CheckResult::Failed, "");
        assert!(!report.is_usable());
        assert!(report.to_string().ends_with("runs are not possible\n"));
    }

    // Who starts Docker again and again because it "does not answer" only lacks a group.
    #[test]
    fn a_socket_that_may_not_be_used_is_told_from_an_engine_that_is_not_there() {
        assert!(no_engine("Permission denied (os error 13)").contains("join its group"));
        assert!(no_engine("No such file or directory").contains("start Docker"));
    }

    #[test]
    fn what_is_left_out_is_said_once_and_runs_are_possible_all_the_same() {
        let mut report = DoctorReport::default();
        surveyed(
            &mut report,
            &Survey::default().lacking(Capability::WireProxy, "a firewall drops it"),
        );
        let text = report.to_string();
        assert_eq!(text.matches("a firewall drops it").count(), 1, "{text}");
        assert!(text.contains("partition, latency, reset, crash points"), "{text}");
        assert!(report.is_usable());
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
