//! Samples the diff's progress and the tablet's memory, for triggers and pictures.

use std::sync::Arc;
use std::time::Duration;

use records::journal::{Event, Sample};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::process::{ProcessState, Supervised};
use super::{load, name, pulse::Pulse};
use crate::journal::Journal;
use system::{Deployment, Progress};

const EVERY: Duration = Duration::from_millis(50);
/// A query that takes longer is given up; the next one may do better.
const PATIENCE: Duration = Duration::from_millis(800);

/// What is sampled.
#[derive(Clone)]
pub struct SamplerOptions {
    /// Whose sidecar.
    pub deployment: Arc<dyn Deployment>,
    /// Rows an exact diff processes.
    pub rows_total: u64,
    /// Which VDiff: the newest one that the trial has created.
    pub uuid: watch::Receiver<Option<String>>,
}

/// Keeps the latest progress known. Ends when told to.
pub(super) async fn poll_sidecar(
    options: SamplerOptions,
    latest: watch::Sender<Progress>,
    journal: Journal,
    stop: CancellationToken,
) {
    let mut pulse = Pulse::start(&journal, name("sidecar", records::journal::Side::Target));
    stop.run_until_cancelled(async {
        let mut tick = tokio::time::interval(EVERY);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            let uuid = options.uuid.borrow().clone();
            let Some(uuid) = uuid else {
                pulse.beat();
                continue;
            };
            let read = options.deployment.sidecar().progress(&uuid);
            // The database may be down: that was looked at, too.
            if let Ok(Ok(progress)) = tokio::time::timeout(PATIENCE, read).await {
                latest.send_replace(progress);
            }
            pulse.beat();
        }
    })
    .await;
    pulse.stop();
}

/// Samples memory, and records it with the latest progress. Ends when told to.
pub(super) async fn poll_memory(
    supervised: Arc<Supervised>,
    options: SamplerOptions,
    latest: watch::Receiver<Progress>,
    stop: CancellationToken,
) {
    let mut pulse = Pulse::start(supervised.journal(), name("memory", supervised.side()));
    stop.run_until_cancelled(async {
        let mut tick = tokio::time::interval(EVERY);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut machine = load::Machine::default();
        loop {
            let lag_ms = load::lag_ms(tick.tick().await);
            let up = matches!(supervised.state_now(), ProcessState::Running { .. });
            let tablet = supervised.tablet();
            let progress = latest.borrow().clone();
            let load = machine.look(if up { tablet.pressure_file() } else { None });
            pulse.beat();
            supervised.journal().record(Event::Sample(Sample {
                rss_bytes: if up { tablet.rss_bytes() } else { None },
                cgroup_bytes: if up { tablet.charged_bytes() } else { None },
                state: progress.state,
                rows_compared: progress.rows_compared,
                rows_total: options.rows_total,
                runnable_per_core: load.runnable_per_core,
                timer_lag_ms: Some(lag_ms),
                cpu_stalled: load.cpu_stalled,
                throttled: load.throttled,
            }));
        }
    })
    .await;
    pulse.stop();
}
