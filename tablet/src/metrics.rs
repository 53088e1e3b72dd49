//! `/metrics`: the same numbers as `/debug/vars`, in Prometheus's text format.
//!
//! Built anew for each scrape from the state, so that no number is kept in two places.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::{Registry, Unit};
use tokio::sync::watch;

use crate::engine::{LiveSettings, Pressure, VdiffStats};
use crate::memory_guard::MemoryReading;
use crate::tabletmanager::state::StateCell;

type Labels = Vec<(&'static str, String)>;

/// What is shown.
#[derive(Clone)]
pub(crate) struct Shown {
    pub(crate) state: StateCell,
    pub(crate) memory: watch::Receiver<MemoryReading>,
    pub(crate) stats: Arc<VdiffStats>,
    pub(crate) limits: Arc<LiveSettings>,
}

/// The whole page.
///
/// # Errors
/// The encoder failed, which only a formatter out of memory does.
pub(crate) fn render(shown: &Shown) -> Result<String, std::fmt::Error> {
    let mut registry = Registry::with_prefix("tablet");
    register_process(&mut registry, shown);
    register_vdiff(&mut registry, shown);
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

/// Tasks of this runtime that were spawned and have not ended, whoever spawned them; 0 outside one.
pub(crate) fn tasks_alive() -> usize {
    tokio::runtime::Handle::try_current().map_or(0, |handle| handle.metrics().num_alive_tasks())
}

fn register_process(registry: &mut Registry, shown: &Shown) {
    let state = shown.state.snapshot();
    let memory = *shown.memory.borrow();
    let ready = state.reasons().is_empty();
    gauge(registry, "ready", "1 when /readyz says so", i64::from(ready));
    gauge(registry, "serving", "1 when VDiff is served", i64::from(state.serving()));
    let epoch = state.epoch().map_or(0, |epoch| epoch.0);
    gauge(registry, "epoch", "The incarnation's epoch; 0 before registration", epoch);
    gauge(registry, "type", "Vitess's tablet type (1 primary, 2 replica)", {
        i64::from(i32::from(state.tablet_type()))
    });
    let bytes = [
        ("resident_memory", "Resident memory of the process", memory.rss),
        ("memory_charged", "Charged to the cgroup, without reclaimable cache", memory.charged),
        ("memory_limit", "The memory limit; 0 without one", memory.limit.unwrap_or(0)),
    ];
    for (name, help, value) in bytes {
        let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
        registry.register_with_unit(name, help, Unit::Bytes, gauge);
    }
    let pressure = match memory.pressure {
        Pressure::None => 0,
        Pressure::Slow => 1,
        Pressure::High => 2,
    };
    let tasks = i64::try_from(tasks_alive()).unwrap_or(i64::MAX);
    gauge(registry, "tasks_alive", "Spawned tasks that have not ended", tasks);
    gauge(registry, "memory_pressure", "0 none, 1 slow, 2 high", pressure);
}

fn register_vdiff(registry: &mut Registry, shown: &Shown) {
    let stats = &shown.stats;
    let open = stats.controllers.load(Ordering::Relaxed);
    gauge(registry, "vdiff_controllers", "VDiffs that the engine works on", open);
    let streams = stats.row_streams_open.load(Ordering::Relaxed);
    gauge(registry, "row_streams_open", "Row streams being served", streams);
    let limit = i64::try_from(shown.limits.rows_per_second()).unwrap_or(i64::MAX);
    gauge(registry, "vdiff_rows_per_second", "The limit of a diff; 0 is none", limit);
    let counters = [
        ("vdiff_actions", "Actions that have arrived", &stats.actions_total),
        ("vdiff_errors", "Failed actions and diffs", &stats.errors_total),
        ("vdiff_rows_compared", "Rows processed", &stats.rows_compared_total),
        ("vdiff_checkpoints", "Committed checkpoints", &stats.checkpoints_total),
    ];
    for (name, help, value) in counters {
        registry.register(name, help, ConstCounter::new(value.load(Ordering::Relaxed)));
    }
    let rows = Family::<Labels, Gauge>::default();
    for (uuid, progress) in stats.snapshot() {
        let phase = progress.phase.name().to_owned();
        let labels = vec![("uuid", uuid), ("table", progress.table), ("phase", phase)];
        let value = i64::try_from(progress.rows_compared).unwrap_or(i64::MAX);
        rows.get_or_create(&labels).set(value);
    }
    registry.register("vdiff_table_rows_compared", "Rows processed of the present table", rows);
}

fn gauge(registry: &mut Registry, name: &str, help: &str, value: i64) {
    registry.register(name, help, ConstGauge::new(value));
}
