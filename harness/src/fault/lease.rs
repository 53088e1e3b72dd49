//! The target tablet's lease ends in etcd while the tablet lives. The harness revokes it: to the
//! tablet that is the same as one that has run out. Its key is gone, and a renewal is refused.

use std::time::{Duration, Instant};

use records::journal::{Event, Evidence, Hit, HitKind, Interrupted};

use super::{Strike, Struck, effect, release};
use crate::stage::{ActError, During, Stage};
use crate::trigger::Hold;

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
    let Some(lease) = lease_of(stage).await? else { return Ok(None) };
    strike.injected(format!("{} revoked in etcd", lease_text(Some(lease))));
    let etcd = &stage.environment().servers.etcd;
    etcd.revoke(lease).await.during("revoking the target tablet's lease")?;
    // A key that outlives its lease was not relied upon.
    let is_gone = lease_of(stage).await? != Some(lease);
    let text = format!("{}, and {} with it", lease_text(Some(lease)), key_of(stage));
    let hits = if is_gone { vec![effect::hit(HitKind::Lease, text)] } else { Vec::new() };
    Ok(Some((lease, strike.interrupted(&before), hits)))
}

/// The key of the target tablet's incarnation.
pub(super) fn key_of(stage: &Stage) -> String {
    let alias = &stage.target().tablet().spec().alias;
    let cell = alias.split('-').next().unwrap_or_default();
    format!("{}/{cell}/tablets/{alias}/incarnation", stage.topo_root())
}

/// The lease that the key of the target tablet's incarnation is bound to.
async fn lease_of(stage: &Stage) -> Result<Option<i64>, ActError> {
    let found = stage.environment().servers.etcd.get(&key_of(stage)).await;
    let found = found.during("reading the target tablet's incarnation in etcd")?;
    Ok(found.map(|found| found.lease).filter(|lease| *lease != 0))
}

fn lease_text(lease: Option<i64>) -> String {
    lease.map_or_else(|| NONE.to_owned(), |lease| format!("lease {lease:x}"))
}
