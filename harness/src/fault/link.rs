//! A link of the target tablet is disturbed, in the wire proxy: it is cut for a while, slow for a while,
//! or all its connections are reset.

use std::time::{Duration, Instant};

use reports::journal::Evidence;
use reports::schedule::{Fault, Link};

use super::{Strike, Struck};
use crate::proxy::{Direction, Way, waiting_bytes};
use crate::trial::{ActError, During, Stage};

/// Of a partition whose schedule gives no length: longer than a lease of five seconds.
const CUT_FOR: Duration = Duration::from_secs(7);
/// Of a slow link whose schedule gives no length.
const SLOW_FOR: Duration = Duration::from_secs(3);
/// Every byte comes so much later, each way.
const SLOWER_BY: Duration = Duration::from_millis(150);
/// The tablet says something on each of its links in this time: the rarest is the lease's renewal.
const SEEN_WITHIN: Duration = Duration::from_secs(6);
const LOOK: Duration = Duration::from_millis(10);

pub(super) async fn inject(strike: &Strike<'_>) -> Result<Struck, ActError> {
    let stage = strike.stage;
    let link = strike.link.unwrap_or(Link::Mysql);
    let before = strike.look().await?;
    let heard = stage.switchboard().last_on(link);
    let weather = stage.weather(link)?;
    let (what, until) = match strike.fault {
        Fault::Partition => {
            let lasts = strike.lasts.unwrap_or(CUT_FOR);
            strike.injected(format!("the proxy passes no byte to {link} or back, for {lasts:?}"));
            weather.partition(true);
            let port = stage.proxy_port(link)?;
            let what = seen(|| {
                let bytes = waiting_bytes(port)?;
                Ok((bytes > 0).then(|| format!("{bytes} bytes to {link} wait at the proxy")))
            });
            (what.await?, Some(Instant::now() + lasts))
        }
        Fault::Latency => {
            let lasts = strike.lasts.unwrap_or(SLOW_FOR);
            strike.injected(format!("{SLOWER_BY:?} more each way on {link}, for {lasts:?}"));
            for direction in [Direction::ToServer, Direction::ToClient] {
                weather.set(direction, Way { latency: SLOWER_BY, ..Way::FINE });
            }
            let what = seen(|| {
                let later = stage
                    .switchboard()
                    .last_on(link)
                    .filter(|now| Some(now.at) != heard.as_ref().map(|h| h.at));
                Ok(later.map(|now| format!("a slow exchange: {}", now.fingerprint)))
            });
            (what.await?, Some(Instant::now() + lasts))
        }
        _ => {
            strike.injected(format!("every connection on {link} is reset"));
            weather.reset();
            let known = heard.as_ref().map_or(0, |heard| heard.connection);
            let what = seen(|| {
                let anew = stage.switchboard().last_on(link).filter(|now| now.connection > known);
                Ok(anew.map(|now| format!("connection {} followed {known}", now.connection)))
            });
            (what.await?, None)
        }
    };
    let struck = match what {
        Some(what) => strike.proven(Evidence::Observed { what }, strike.interrupted(&before)),
        None => strike.missed(format!("nothing was seen on {link} within {SEEN_WITHIN:?}"), false),
    };
    Ok(match until {
        Some(until) => struck.lasting_until(until),
        None => struck,
    })
}

/// Fine weather on every link.
pub(super) fn heal(stage: &Stage) -> Result<(), ActError> {
    for link in Link::ALL {
        stage.weather(link)?.clear();
    }
    Ok(())
}

async fn seen(
    look: impl Fn() -> std::io::Result<Option<String>>,
) -> Result<Option<String>, ActError> {
    let began = Instant::now();
    let mut tick = tokio::time::interval(LOOK);
    loop {
        tick.tick().await;
        let found = look().during("looking at the proxy's sockets")?;
        if found.is_some() || began.elapsed() >= SEEN_WITHIN {
            return Ok(found);
        }
    }
}
