//! The container's memory is filled slowly, and released again: the tablet must see it coming.

use std::time::{Duration, Instant};

use records::journal::{Evidence, Hit, HitKind};

use super::{Strike, Struck, effect};
use crate::observer::ProcessState;
use crate::stage::{ActError, During, Stage};
use system::Progress;

/// The memory is filled from here on: the first step ends at 72 %, under the tablet's first mark of 75 %…
const FROM_PERCENT: u64 = 68;
/// …in steps of this many percent of the limit…
const STEP_PERCENT: u64 = 4;
/// …one each so many milliseconds…
const STEP_EVERY: Duration = Duration::from_millis(150);
/// …up to this, which is under what the kernel kills at.
const UP_TO_PERCENT: u64 = 92;
/// The tablet promises to step back before this: its own mark is 85 %…
const NEAR_PERCENT: u64 = 90;
/// …and looks 20 times a second: a diff that works on for so long does not heed it.
const NOTICED_WITHIN: Duration = Duration::from_secs(1);
/// The diff must have given way in this time after the last step.
const GIVES_WAY_WITHIN: Duration = Duration::from_secs(10);

pub(super) async fn inject(strike: &Strike<'_>) -> Result<Struck, ActError> {
    let stage = strike.stage;
    let tablet = stage.target().tablet();
    let before = stage.progress().await?;
    let interrupted = strike.interrupted(&before);
    let limit = stage.schedule().pace.memory_limit_bytes;
    strike.injected(format!(
        "the container's memory is filled from {FROM_PERCENT} to {UP_TO_PERCENT} % of {} MiB, {STEP_PERCENT} % each {} ms",
        limit >> 20,
        STEP_EVERY.as_millis()
    ));
    let began = Instant::now();
    let mut percent = FROM_PERCENT;
    let mut short_since = None;
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
            let memory = short(stage, limit, "the diff gave way");
            return Ok(strike.proven(evidence, interrupted, memory));
        }
        if tablet.charged_bytes().is_some_and(|charged| charged >= limit / 100 * NEAR_PERCENT) {
            short_since.get_or_insert_with(Instant::now);
        }
        let was_short = short_since.is_some_and(|since| since.elapsed() >= NOTICED_WITHIN);
        if progress.is_completed() && !was_short {
            return Ok(strike.missed("the diff completed under the squeeze".to_owned(), true));
        }
        if !matches!(stage.target().state_now(), ProcessState::Running { .. }) {
            let reason = "the tablet died under the squeeze instead of giving way".to_owned();
            return Ok(strike.missed(reason, false));
        }
        let is_full = percent >= UP_TO_PERCENT;
        if is_full && filled_at.get_or_insert_with(Instant::now).elapsed() > GIVES_WAY_WITHIN
            || progress.is_completed()
        {
            // Where memory was short all the same, that the tablet did nothing is for the oracle.
            let state = progress.state.unwrap_or_else(|| "gone".to_owned());
            let after = format!("{state}: it did not give way at {percent} % of the limit");
            let evidence = Evidence::State { before: interrupted.state.clone(), after };
            let memory = was_short.then(|| short(stage, limit, "the diff did not give way"));
            return Ok(strike.proven(evidence, interrupted, Vec::from_iter(memory)));
        }
        if !is_full {
            percent += STEP_PERCENT;
            let bytes = limit / 100 * percent;
            tablet.squeeze(bytes).await.during("filling the container's memory")?;
        }
    }
}

/// What was charged when the tablet gave way, or did not.
fn short(stage: &Stage, limit: u64, how: &str) -> Hit {
    let charged = stage.target().tablet().charged_bytes();
    let charged = charged.map_or_else(|| "?".to_owned(), |bytes| (bytes >> 20).to_string());
    let text = format!("the tablet's memory: {charged} of {} MiB charged, {how}", limit >> 20);
    effect::hit(HitKind::Memory, text)
}

pub(super) async fn heal(stage: &Stage) -> Result<(), ActError> {
    stage.target().tablet().release_squeeze().await.during("releasing the container's memory")
}

fn gave_way(progress: &Progress) -> bool {
    progress.state.as_deref() == Some("error") && progress.will_retry
}
