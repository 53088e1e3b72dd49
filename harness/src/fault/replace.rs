//! Two tablets with one alias: the target tablet is frozen, a new container takes its alias, and the
//! old one is thawed later. It must see that it was superseded, and end.

use std::time::{Duration, Instant};

use records::journal::{Event, Evidence, Side, TabletExited};

use super::{Strike, Struck, freeze};
use crate::stage::{ActError, During, Stage};
use system::{Predecessor, Signal};

/// The new one is ready, and at work on the diff, when the old one comes back.
const READY_WITHIN: Duration = Duration::from_secs(15);
/// An orderly end, and the harness's lag.
const ENDS_WITHIN: Duration = Duration::from_secs(12);

pub(super) async fn inject(strike: &Strike<'_>) -> Result<Struck, ActError> {
    let stage = strike.stage;
    let before = stage.progress().await?;
    if freeze::stop(strike).await?.is_none() {
        return Ok(strike.missed("the target tablet does not run".to_owned(), false));
    }
    if !freeze::is_seen(stage).await? {
        freeze::heal(stage).await?;
        return Ok(strike.missed("the process was not seen stopped".to_owned(), false));
    }
    let Some(process) = freeze::standing_still(strike).await? else {
        freeze::heal(stage).await?;
        return Ok(strike.missed("the diff moved while its process was stopped".to_owned(), false));
    };
    let progress = stage.progress().await?;
    let mut interrupted = strike.interrupted(&progress);
    interrupted.phase = interrupted.phase.or(strike.interrupted(&before).phase);
    let predecessor = stage.target().replace().await.during("replacing the target tablet")?;
    let what = format!(
        "incarnation {} is frozen, the next one was started beside it",
        predecessor.incarnation
    );
    let mut struck = strike.proven(Evidence::Observed { what }, interrupted, process);
    struck.harm.predecessor = Some(predecessor);
    Ok(struck)
}

/// Thaws the old one and sees to its end; one that does not end is killed, which the oracles see by its
/// exit code.
pub(super) async fn heal(
    stage: &Stage,
    step: usize,
    predecessor: Option<&Predecessor>,
) -> Result<(), ActError> {
    let Some(predecessor) = predecessor else { return Ok(()) };
    let tablet = stage.target().tablet();
    stage.wait_ready(Side::Target, READY_WITHIN, Duration::ZERO).await;
    let thawed = Instant::now();
    let what = "thawing the replaced tablet";
    tablet.signal_predecessor(predecessor, Signal::SIGCONT).await.during(what)?;
    let what = "waiting for the replaced tablet's end";
    let mut ended = tablet.predecessor_exit(predecessor, ENDS_WITHIN).await.during(what)?;
    if ended.is_none() {
        stage.journal().record(Event::DeadlinePassed {
            waiting_for: "the replaced tablet to end by itself".to_owned(),
            after_ms: records::millis(thawed.elapsed()),
        });
        tablet.signal_predecessor(predecessor, Signal::SIGKILL).await.during(what)?;
        ended = tablet.predecessor_exit(predecessor, ENDS_WITHIN).await.during(what)?;
    }
    let Some((exit_code, last_log)) = ended else {
        return Err(ActError::new("the replaced tablet does not end"));
    };
    stage.journal().record(Event::TabletExited(TabletExited {
        side: Side::Target,
        incarnation: predecessor.incarnation,
        exit_code,
        scheduled_by: Some(step),
        at_end: false,
        took_ms: Some(records::millis(thawed.elapsed())),
        last_log,
    }));
    Ok(())
}
