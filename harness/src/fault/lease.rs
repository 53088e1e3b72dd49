//! The target tablet's lease ends in etcd while the tablet lives. The harness revokes it: to the
//! tablet that is the same as one that has run out. Its key is gone, and a renewal is refused.

use std::time::{Duration, Instant};

use records::journal::{Event, Evidence, Hit, HitKind, Interrupted};

use super::{Strike, Struck, effect, release};
use crate::stage::{ActError, During, Stage};
use crate::trigger::Hold;
use system::HeldLease;

/// The tablet looks after its registration each second.
const AGAIN_WITHIN: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(20);
/// What stands for a lease that is not there.
const NONE: &str = "none";

pub(super) async fn inject(
    strike: &Strike<'_>,
    hold: Option<Box<Hold>>,
) -> Result<Struck, ActError> {
    let revoked = revoke(strike).await;
    release(hold).await?;
    let Some((lease, struck, hits)) = revoked? else {
        return Ok(strike.missed("the target tablet holds no lease".to_owned(), false));
    };
    let stage = strike.stage;
    let began = Instant::now();
    let mut tick = tokio::time::interval(LOOK);
    let after = loop {
        tick.tick().await;
        match lease_of(stage).await? {
            Some(now) if now != lease => break lease_text(Some(now)),
            found if began.elapsed() >= AGAIN_WITHIN => {
                let after_ms = records::millis(began.elapsed());
                let waiting_for = "the target tablet to register under a new lease".to_owned();
                stage.journal().record(Event::DeadlinePassed { waiting_for, after_ms });
                break lease_text(found.filter(|now| *now != lease));
            }
            Some(_) | None => {}
        }
    };
    let evidence = Evidence::State { before: lease_text(Some(lease)), after };
    Ok(strike.proven(evidence, struck, hits))
}

async fn revoke(strike: &Strike<'_>) -> Result<Option<(i64, Interrupted, Vec<Hit>)>, ActError> {
    let stage = strike.stage;
    let before = stage.progress().await?;
    let Some(held) = held(stage).await? else { return Ok(None) };
    let lease = held.id;
    strike.injected(format!("{} revoked in etcd", lease_text(Some(lease))));
    let revoked = stage.topology().revoke(lease).await;
    revoked.during("revoking the target tablet's lease")?;
    // A key that outlives its lease was not relied upon.
    let is_gone = lease_of(stage).await? != Some(lease);
    let text = format!("{}, and {} with it", lease_text(Some(lease)), held.key);
    let hits = if is_gone { vec![effect::hit(HitKind::Lease, text)] } else { Vec::new() };
    Ok(Some((lease, strike.interrupted(&before), hits)))
}

/// The lease that the target tablet relies on, and the key that it keeps.
pub(super) async fn held(stage: &Stage) -> Result<Option<HeldLease>, ActError> {
    stage.topology().lease().await.during("looking for the target tablet's lease")
}

async fn lease_of(stage: &Stage) -> Result<Option<i64>, ActError> {
    Ok(held(stage).await?.map(|held| held.id))
}

fn lease_text(lease: Option<i64>) -> String {
    lease.map_or_else(|| NONE.to_owned(), |lease| format!("lease {lease:x}"))
}
