//! A link of the target tablet is disturbed, in the wire proxy: it is cut for a while, slow for a while,
//! or all its connections are reset.

use std::time::{Duration, Instant};

use records::journal::{Evidence, Hit, HitKind};
use records::schedule::{Fault, Link};

use super::{Strike, Struck, effect};
use crate::stage::{ActError, During, Stage};
use wire::{Direction, Open, Way, waiting_bytes};

/// Of a partition whose schedule gives no length: longer than a lease of five seconds.
const CUT_FOR: Duration = Duration::from_secs(7);
/// Of a slow link whose schedule gives no length.
const SLOW_FOR: Duration = Duration::from_secs(3);
/// Every byte comes so much later, each way.
const SLOWER_BY: Duration = Duration::from_millis(150);
/// The tablet says something on each of its links in this time: the rarest is the lease's renewal.
const SEEN_WITHIN: Duration = Duration::from_secs(6);
const LOOK: Duration = Duration::from_millis(10);
/// A diff under way uses its links within some checkpoints of 100 ms.
const USED_WITHIN: Duration = Duration::from_secs(1);
/// Shorter than an exchange.
const LOOK_FOR_USE: Duration = Duration::from_millis(1);

pub(super) async fn inject(strike: &Strike<'_>) -> Result<Struck, ActError> {
    let link = strike.link.unwrap_or(Link::Mysql);
    let before = strike.look().await?;
    let (found, until) = match strike.fault {
        Fault::Partition => {
            let lasts = strike.lasts.unwrap_or(CUT_FOR);
            (partition(strike, link, lasts).await?, Some(Instant::now() + lasts))
        }
        Fault::Latency => {
            let lasts = strike.lasts.unwrap_or(SLOW_FOR);
            (latency(strike, link, lasts).await?, Some(Instant::now() + lasts))
        }
        _ => (reset(strike, link).await?, None),
    };
    let struck = match found {
        Some((what, hits)) => {
            strike.proven(Evidence::Observed { what }, strike.interrupted(&before), hits)
        }
        None => strike.missed(format!("nothing was seen on {link} within {SEEN_WITHIN:?}"), false),
    };
    Ok(match until {
        Some(until) => struck.lasting_until(until),
        None => struck,
    })
}

/// What was seen of a fault's effect, and what it hit.
type Seen = Option<(String, Vec<Hit>)>;

async fn partition(strike: &Strike<'_>, link: Link, lasts: Duration) -> Result<Seen, ActError> {
    let stage = strike.stage;
    let conditions = stage.conditions(link)?;
    strike.injected(format!("the proxy passes no byte to {link} or back, for {lasts:?}"));
    let open = open_on(stage, link);
    conditions.partition(true);
    let port = stage.proxy_port(link)?;
    let seen = seen(|| {
        let bytes = waiting_bytes(port)?;
        Ok((bytes > 0).then(|| format!("{bytes} bytes to {link} wait at the proxy")))
    });
    Ok(seen.await?.map(|what| {
        // MySQL's client says nothing but requests: bytes that wait are one that was begun.
        let request = || effect::hit(HitKind::Exchange, format!("a request: {what}"));
        let hits = if open.is_empty() && link == Link::Mysql { vec![request()] } else { open };
        (what, hits)
    }))
}

async fn reset(strike: &Strike<'_>, link: Link) -> Result<Seen, ActError> {
    let stage = strike.stage;
    let open = in_use(stage, link).await;
    let heard = stage.switchboard().last_on(link);
    strike.injected(format!("every connection on {link} is reset"));
    stage.conditions(link)?.reset();
    let known = heard.map_or(0, |heard| heard.connection);
    let seen = seen(|| {
        let anew = stage.switchboard().last_on(link).filter(|now| now.connection > known);
        Ok(anew.map(|now| format!("connection {} followed {known}", now.connection)))
    });
    Ok(seen.await?.map(|what| (what, open)))
}

async fn latency(strike: &Strike<'_>, link: Link, lasts: Duration) -> Result<Seen, ActError> {
    let stage = strike.stage;
    let conditions = stage.conditions(link)?;
    strike.injected(format!("{SLOWER_BY:?} more each way on {link}, for {lasts:?}"));
    let usual = usual(&delays(stage, link));
    let since = Instant::now();
    for direction in [Direction::ToServer, Direction::ToClient] {
        conditions.set(direction, Way { latency: SLOWER_BY, ..Way::FINE });
    }
    let seen = seen(|| {
        let delays = delays(stage, link);
        Ok(delays.into_iter().find(|delay| delay.is_slow_since(since)))
    });
    Ok(seen.await?.map(|slow| {
        let (took, usual) = (slow.took.as_millis(), usual.as_millis());
        let text = format!("{}: {took} ms on {link}, usually {usual} ms", slow.name);
        (format!("a slow exchange: {text}"), vec![effect::hit(HitKind::Delay, text)])
    }))
}

/// How long something took, or was waited for.
struct Delay {
    name: String,
    began: Instant,
    took: Duration,
}

impl Delay {
    /// Begun in the slow conditions, and as slow as one way of it.
    fn is_slow_since(&self, since: Instant) -> bool {
        self.began >= since && self.took >= SLOWER_BY
    }
}

/// The time to each answer; of the source's stream, which is answers alone, between two packets: the next
/// one is sent when the tablet has asked for more.
fn delays(stage: &Stage, link: Link) -> Vec<Delay> {
    if link != Link::SourceTablet {
        let answers = stage.switchboard().answers_on(link).into_iter();
        return answers
            .map(|it| Delay { name: it.fingerprint.to_string(), began: it.began, took: it.took })
            .collect();
    }
    let said = stage.switchboard().conversation();
    let on_link: Vec<_> = said.iter().filter(|said| said.link == link).collect();
    let pairs = on_link.windows(2).filter(|pair| pair[0].connection == pair[1].connection);
    pairs
        .map(|pair| Delay {
            name: format!("the wait for {}", pair[1].fingerprint),
            began: pair[0].at,
            took: pair[1].at - pair[0].at,
        })
        .collect()
}

/// The middle one.
fn usual(delays: &[Delay]) -> Duration {
    let mut took: Vec<Duration> = delays.iter().map(|delay| delay.took).collect();
    took.sort_unstable();
    took.get(took.len() / 2).copied().unwrap_or_default()
}

/// What is under way on a link, as soon as something is: right after a checkpoint, where a strike by
/// progress comes, MySQL's connections are idle.
async fn in_use(stage: &Stage, link: Link) -> Vec<Hit> {
    let began = Instant::now();
    let mut tick = tokio::time::interval(LOOK_FOR_USE);
    loop {
        let open = open_on(stage, link);
        if !open.is_empty() || began.elapsed() >= USED_WITHIN {
            return open;
        }
        tick.tick().await;
    }
}

/// What is under way on a link.
fn open_on(stage: &Stage, link: Link) -> Vec<Hit> {
    let open = stage.switchboard().open_on(link).into_iter();
    let name = |open: Open| {
        let text = effect::words(&open.fingerprint);
        effect::hit(HitKind::Exchange, format!("connection {} on {link}: {text}", open.connection))
    };
    open.map(name).collect()
}

/// Every link undisturbed.
pub(super) fn heal(stage: &Stage) -> Result<(), ActError> {
    for link in Link::ALL {
        stage.conditions(link)?.clear();
    }
    Ok(())
}

async fn seen<T>(look: impl Fn() -> std::io::Result<Option<T>>) -> Result<Option<T>, ActError> {
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
