//! Polls a tablet's readiness, all four parts of it, and records each change.

use std::sync::Arc;
use std::time::{Duration, Instant};

use records::journal::Event;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::process::{ProcessState, Supervised};
use super::{name, pulse::Pulse};

const EVERY: Duration = Duration::from_millis(50);
/// No answer in this time is an answer: not ready.
const PATIENCE: Duration = Duration::from_millis(700);

/// The latest observation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ready {
    /// All four parts hold.
    pub ready: bool,
    /// Of which incarnation.
    pub incarnation: u32,
    /// Why not.
    pub reasons: Vec<String>,
    /// Since when it is as it is.
    pub since: Option<Instant>,
    /// So many times it was looked at.
    pub looks: u64,
}

impl Ready {
    fn not(incarnation: u32, reason: String) -> Ready {
        Ready { incarnation, reasons: vec![reason], ..Ready::default() }
    }
}

/// Ends when told to.
pub(super) async fn poll(
    supervised: Arc<Supervised>,
    latest: watch::Sender<Ready>,
    stop: CancellationToken,
) {
    let mut pulse = Pulse::start(supervised.journal(), name("readiness", supervised.side()));
    stop.run_until_cancelled(async {
        let mut tick = tokio::time::interval(EVERY);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            if supervised.is_unwatched() && is_known_ready(&supervised, &latest) {
                pulse.beat();
                continue;
            }
            let observed = observe(&supervised).await;
            pulse.beat();
            tell(&supervised, &latest, observed);
        }
    })
    .await;
    pulse.stop();
}

/// Its present process has been seen ready.
fn is_known_ready(supervised: &Supervised, latest: &watch::Sender<Ready>) -> bool {
    let known = latest.borrow();
    let state = supervised.state_now();
    let runs = matches!(state, ProcessState::Running { .. });
    runs && known.ready && known.incarnation == state.incarnation()
}

async fn observe(supervised: &Supervised) -> Ready {
    let state = supervised.state_now();
    let not = |reason: String| Ready::not(state.incarnation(), reason);
    match state {
        ProcessState::Running { incarnation, .. } => {
            match tokio::time::timeout(PATIENCE, supervised.tablet().readiness()).await {
                // Replaced meanwhile: nobody knows which of the two has answered.
                Ok(_) if supervised.state_now().incarnation() != incarnation => {
                    not("another incarnation was started".to_owned())
                }
                Ok(found) => Ready {
                    ready: found.ready,
                    incarnation,
                    reasons: found.reasons,
                    ..Ready::default()
                },
                Err(_) => not(format!("no answer within {} ms", PATIENCE.as_millis())),
            }
        }
        ProcessState::New => not("not started".to_owned()),
        ProcessState::Exited { exit_code, .. } => not(format!("exited with code {exit_code}")),
        ProcessState::CrashLoop { .. } => not("crash loop".to_owned()),
    }
}

/// Records a change of readiness or incarnation; other reasons for the same "no" only update what
/// waits see, or a flapping text would fill the journal.
fn tell(supervised: &Supervised, latest: &watch::Sender<Ready>, observed: Ready) {
    latest.send_if_modified(|known| {
        known.looks += 1;
        let looks = known.looks;
        let first = known.since.is_none();
        let moved = known.ready != observed.ready || known.incarnation != observed.incarnation;
        if first || moved {
            supervised.journal().record(Event::Readiness {
                side: supervised.side(),
                incarnation: observed.incarnation,
                ready: observed.ready,
                reasons: observed.reasons.clone(),
            });
            *known = Ready { since: Some(Instant::now()), looks, ..observed };
            return true;
        }
        let changed = known.reasons != observed.reasons;
        known.reasons = observed.reasons;
        changed
    });
}
