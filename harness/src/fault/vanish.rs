//! The source's MySQL vanishes: its container is taken off the network before it is killed, so that nobody who
//! is connected to it hears of its end. Later it is plugged in again, perhaps at another address, and started.

use std::time::{Duration, Instant};

use records::journal::Evidence;

use super::{Strike, Struck, effect};
use crate::stage::{ActError, During, Stage};

/// Longer than the first keepalive of the tablet's connections, of ten seconds: it finds nobody, and the kernel
/// sends the next one 75 s later.
const AWAY_FOR: Duration = Duration::from_secs(12);
const READY_WITHIN: Duration = Duration::from_secs(30);

pub(super) async fn inject(strike: &Strike<'_>) -> Result<Struck, ActError> {
    let mysql = &strike.stage.servers()?.source;
    let before = strike.look().await?;
    let interrupted = strike.interrupted(&before);
    let effect = effect::of_source(strike.stage).await?;
    strike.injected("the source's MySQL taken off its network, then SIGKILL through the engine");
    mysql.unplug().await.during("taking the source's MySQL off its network")?;
    let until = Instant::now() + AWAY_FOR;
    let exit_code = mysql.kill().await.during("killing the source's MySQL")?;
    let what = format!(
        "the source's MySQL was off the network when it ended with {exit_code}, and stays away for {} ms",
        AWAY_FOR.as_millis()
    );
    Ok(strike.proven(Evidence::Observed { what }, interrupted, effect).lasting_until(until))
}

pub(super) async fn heal(stage: &Stage) -> Result<(), ActError> {
    let mysql = &stage.servers()?.source;
    mysql.plug_in().await.during("putting the source's MySQL on its network")?;
    mysql.start().await.during("starting the source's MySQL")?;
    mysql.wait_ready(READY_WITHIN).await.during("waiting for the source's MySQL")
}
