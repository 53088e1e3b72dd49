//! The source tablet dies, and a supervisor starts it again.

use std::time::Duration;

use records::journal::{Evidence, Side};

use super::{Strike, Struck, effect};
use crate::observer::ProcessState;
use crate::stage::{ActError, During, Stage};
use system::Signal;

const KILLED: i64 = 137;
const KILL_WITHIN: Duration = Duration::from_secs(10);

pub(super) async fn inject(strike: &Strike<'_>) -> Result<Struck, ActError> {
    let source = strike.stage.source();
    let ProcessState::Running { incarnation, .. } = source.state_now() else {
        return Ok(strike.missed("the source tablet does not run".to_owned(), false));
    };
    let before = strike.look().await?;
    let mut effect = match strike.on_top {
        // Its MySQL may be away.
        true => effect::of_source(strike.stage).await.unwrap_or_default(),
        false => effect::of_source(strike.stage).await?,
    };
    source.expect_exit(strike.step, KILLED);
    let means = source.tablet().kill(Signal::SIGKILL).await.during("killing the source tablet")?;
    strike.injected(format!("SIGKILL {means}"));
    match source.wait_exited(incarnation, KILL_WITHIN).await {
        Some(ProcessState::Exited { exit_code, scheduled_by, .. })
            if scheduled_by == Some(strike.step) =>
        {
            if effect.hits.is_empty() {
                effect.hits = effect::call_to_source(strike).await?;
            }
            Ok(strike.proven(Evidence::Exit { exit_code }, strike.interrupted(&before), effect))
        }
        other => {
            source.expect_no_exit(strike.step);
            Ok(strike.missed(format!("the source tablet did not end: {other:?}"), false))
        }
    }
}

pub(super) async fn heal(stage: &Stage) -> Result<(), ActError> {
    stage.start(Side::Source).await
}
