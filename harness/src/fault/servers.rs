//! Faults of the servers that the tablets lean on: etcd restarts, and every watch ends.

use std::time::{Duration, Instant};

use reports::journal::Evidence;

use super::{Strike, Struck};
use crate::trial::{ActError, During};

const READY_WITHIN: Duration = Duration::from_secs(20);

pub(super) async fn inject(strike: &Strike<'_>) -> Result<Struck, ActError> {
    let etcd = &strike.stage.environment().servers.etcd;
    let before = strike.stage.progress().await?;
    let interrupted = strike.interrupted(&before);
    let began = Instant::now();
    strike.injected("etcd's container restarted through the engine");
    etcd.restart().await.during("restarting etcd")?;
    etcd.wait_ready(READY_WITHIN).await.during("waiting for etcd")?;
    let what = format!(
        "etcd's process was replaced; it answers again after {} ms",
        began.elapsed().as_millis()
    );
    Ok(strike.proven(Evidence::Observed { what }, interrupted))
}
