//! The machine a campaign runs on, for its reports.

use reports::Host;

use crate::docker::Engine;

/// What engine and machine say of themselves; what they do not say stays empty.
pub(super) async fn describe(engine: &Engine) -> Host {
    let facts = engine.facts().await.unwrap_or_default();
    let memory_bytes = sysinfo::System::new().map_or(0, |mut system| {
        system.refresh_memory();
        system.total_memory()
    });
    Host {
        engine: format!("Docker {}", facts.version),
        cgroup: format!("cgroup v{}", facts.cgroup_version),
        cores: std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64),
        memory_bytes,
    }
}
