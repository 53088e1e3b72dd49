//! The target tablet's container gets next to nothing of a core for a while, as beside a greedy neighbour: all
//! of its deadlines are at stake, and none of its connections breaks.

use std::time::{Duration, Instant};

use records::journal::{Evidence, HitKind};

use super::{Strike, Struck, effect};
use crate::observer::ProcessState;
use crate::stage::{ActError, During, Stage};

/// In each tenth of a second: a hundredth of a core, the least that the kernel takes.
const QUOTA: Duration = Duration::from_millis(1);
/// Of a starving whose schedule gives no length: longer than a checkpoint's interval, shorter than a lease.
const USUAL: Duration = Duration::from_secs(3);
/// A process at work uses its quota up in this time.
const HELD_BACK_WITHIN: Duration = Duration::from_secs(2);
/// So many tenths of a second in which it had nothing left are no accident of its begin.
const TIMES_MIN: u64 = 3;
const LOOK: Duration = Duration::from_millis(20);

pub(super) async fn inject(strike: &Strike<'_>) -> Result<Struck, ActError> {
    let what = "bounding the tablet's processor time";
    let before = strike.look().await?;
    let target = strike.stage.target();
    if !matches!(target.state_now(), ProcessState::Running { .. }) {
        return Ok(strike.missed("the target tablet does not run".to_owned(), false));
    }
    let Some(at_first) = target.tablet().throttled_count().during(what)? else {
        let reason = "the kernel does not tell how often the tablet had used up its quota";
        return Ok(strike.missed(reason.to_owned(), false));
    };
    let until = Instant::now() + strike.lasts.unwrap_or(USUAL);
    target.tablet().limit_cpu(Some(QUOTA)).await.during(what)?;
    strike.injected(format!("{} ms of a core in each tenth of a second", QUOTA.as_millis()));
    let mut times = 0;
    let began = Instant::now();
    let mut tick = tokio::time::interval(LOOK);
    while times < TIMES_MIN && began.elapsed() < HELD_BACK_WITHIN {
        tick.tick().await;
        let count = target.tablet().throttled_count().during(what)?.unwrap_or(at_first);
        times = count.saturating_sub(at_first);
    }
    let incarnation = target.state_now().incarnation();
    let text = format!("the process of incarnation {incarnation}, held back {times} times");
    let hits = if times < TIMES_MIN {
        Vec::new()
    } else {
        vec![effect::hit(HitKind::Processor, text.clone())]
    };
    let interrupted = strike.interrupted(&before);
    Ok(strike.proven(Evidence::Observed { what: text }, interrupted, hits).lasting_until(until))
}

/// No bound any more. It is the container's, and outlives a process that a fault on top has ended.
pub(super) async fn heal(stage: &Stage) -> Result<(), ActError> {
    let unbound = stage.target().tablet().limit_cpu(None).await;
    unbound.during("giving the tablet its processor time back")
}
