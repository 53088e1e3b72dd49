//! The container's memory is filled slowly, and released again: the tablet must see it coming.

use std::time::{Duration, Instant};

use reports::journal::Evidence;

use super::{Strike, Struck};
use crate::observer::{ProcessState, Progress};
use crate::trial::{ActError, During, Stage};

/// The memory is filled in steps of this many percent of the limit…
const STEP_PERCENT: u64 = 4;
/// …one each so many milliseconds…
const STEP_EVERY: Duration = Duration::from_millis(150);
/// …up to this, which is under what the kernel kills at.
const UP_TO_PERCENT: u64 = 92;
/// The diff must have given way in this time after the last step.
const GIVES_WAY_WITHIN: Duration = Duration::from_secs(10);

pub(super) async fn inject(strike: &Strike<'_>) -> Result<Struck, ActError> {
    let stage = strike.stage;
    let tablet = stage.target().tablet();
    let before = stage.progress().await?;
    let interrupted = strike.interrupted(&before);
    let limit = stage.schedule().pace.memory_limit_bytes;
    strike.injected(format!(
        "the container's memory is filled up to {UP_TO_PERCENT} % of {} MiB, {STEP_PERCENT} % each {} ms",
        limit >> 20,
        STEP_EVERY.as_millis()
    ));
    let began = Instant::now();
    let mut percent = 40;
    let mut filled_at = None;
    let mut tick = tokio::time::interval(STEP_EVERY);
    loop {
        tick.tick().await;
        let progress = stage.progress().await?;
        if gave_way(&progress) {
            let after = format!(
                "error (memory pressure) after {} ms at {percent} % of the limit",
                began.elapsed().as_millis()
            );
            let evidence = Evidence::State { before: interrupted.state.clone(), after };
            return Ok(strike.proven(evidence, interrupted));
        }
        if progress.is_completed() {
            return Ok(strike.missed("the diff completed under the squeeze".to_owned(), true));
        }
        if !matches!(stage.target().state_now(), ProcessState::Running { .. }) {
            let reason = "the tablet died under the squeeze instead of giving way".to_owned();
            return Ok(strike.missed(reason, false));
        }
        if percent < UP_TO_PERCENT {
            percent += STEP_PERCENT;
            let bytes = limit / 100 * percent;
            tablet.squeeze(bytes).await.during("filling the container's memory")?;
        } else if filled_at.get_or_insert_with(Instant::now).elapsed() > GIVES_WAY_WITHIN {
            let reason = format!("the diff did not give way at {percent} % of the limit");
            return Ok(strike.missed(reason, false));
        }
    }
}

pub(super) async fn heal(stage: &Stage) -> Result<(), ActError> {
    stage.target().tablet().release_squeeze().await.during("releasing the container's memory")
}

fn gave_way(progress: &Progress) -> bool {
    progress.state.as_deref() == Some("error")
        && progress.error_kind.as_deref() == Some("ephemeral")
}
