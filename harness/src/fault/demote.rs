//! Another tablet becomes primary of the target's shard by a newer term, as a reparent elsewhere would
//! have it; later the target tablet by a yet newer one.

use std::time::{Duration, Instant};

use records::journal::{Event, Evidence, HitKind};

use super::{Strike, Struck, effect};
use crate::stage::{ActError, During, Stage};

/// A tablet that is still primary after this time will not follow.
const DEMOTED_WITHIN: Duration = Duration::from_secs(8);
/// The tablet stays a replica for so long: its engines are closed by then.
const REPLICA_FOR: Duration = Duration::from_millis(1_500);
const LOOK: Duration = Duration::from_millis(20);

pub(super) async fn inject(strike: &Strike<'_>) -> Result<Struck, ActError> {
    let stage = strike.stage;
    let before = stage.progress().await?;
    let was = tablet_type(stage).await;
    if was != "PRIMARY" {
        let reason = format!("the target tablet is no primary: {was:?}");
        return Ok(strike.missed(reason, false));
    }
    strike.injected("a newer term of another tablet in the shard record");
    let usurper = stage.topology().usurp().await;
    let usurper = usurper.during("writing a newer term into the shard record")?;
    let began = Instant::now();
    let mut tick = tokio::time::interval(LOOK);
    let after = loop {
        tick.tick().await;
        let now = tablet_type(stage).await;
        if now == "REPLICA" {
            break now;
        }
        if began.elapsed() >= DEMOTED_WITHIN {
            let after_ms = records::millis(began.elapsed());
            let waiting_for = format!("the target tablet to step back for {usurper}");
            stage.journal().record(Event::DeadlinePassed { waiting_for, after_ms });
            break now;
        }
    };
    let interrupted = strike.interrupted(&before);
    let role =
        format!("the role {was} of the target tablet, when the shard record named {usurper}");
    let role = effect::hit(HitKind::Role, role);
    let struck = strike.proven(Evidence::State { before: was, after }, interrupted, role);
    Ok(struck.lasting_until(Instant::now() + REPLICA_FOR))
}

pub(super) async fn heal(stage: &Stage) -> Result<(), ActError> {
    stage.topology().give_back().await.during("making the target tablet primary again")
}

/// What the target tablet says it is; empty when it does not answer.
async fn tablet_type(stage: &Stage) -> String {
    stage.target().tablet().role().await.unwrap_or_default()
}
