//! Every connection of the target tablet is killed in its MySQL: statements and streams break off.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use records::journal::{Evidence, Hit, HitKind};

use super::{Strike, Struck, effect};
use crate::stage::{ActError, During};

const WHAT: &str = "killing the target tablet's connections";
/// A killed connection is gone in this time.
const GONE_WITHIN: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(10);
/// MySQL's "unknown thread": it went by itself meanwhile.
const NO_SUCH_THREAD: u16 = 1094;

pub(super) async fn inject(strike: &Strike<'_>) -> Result<Struck, ActError> {
    let stage = strike.stage;
    let before = stage.progress().await?;
    let user = stage.target().tablet().mysql_users().pop().unwrap_or_default();
    let pool = stage.servers()?.target.pool();
    let mut conn = pool.get_conn().await.during(WHAT)?;
    let used = effect::in_use(&mut conn, &user).await?;
    let killed = connections_of(&mut conn, &user).await?;
    if killed.is_empty() {
        return Ok(strike.missed(format!("{user} has no connection"), false));
    }
    strike.injected(format!("KILL of {} connections of {user}", killed.len()));
    for id in &killed {
        match conn.query_drop(format!("kill {id}")).await {
            Ok(()) => {}
            Err(mysql_async::Error::Server(error)) if error.code == NO_SUCH_THREAD => {}
            Err(error) => return Err(error).during(WHAT),
        }
    }
    let began = Instant::now();
    let mut tick = tokio::time::interval(LOOK);
    loop {
        tick.tick().await;
        let left = connections_of(&mut conn, &user).await?;
        if left.is_disjoint(&killed) {
            break;
        }
        if began.elapsed() >= GONE_WITHIN {
            let reason = format!("killed connections are still there: {left:?}");
            return Ok(strike.missed(reason, false));
        }
    }
    let what = format!("connections {killed:?} of {user} were killed, and are gone");
    let in_use = used.into_iter().filter(|(id, _)| killed.contains(id));
    let hits: Vec<Hit> = in_use.map(|(_, name)| effect::hit(HitKind::Connection, name)).collect();
    Ok(strike.proven(Evidence::Observed { what }, strike.interrupted(&before), hits))
}

async fn connections_of(conn: &mut Conn, user: &str) -> Result<BTreeSet<u64>, ActError> {
    let query = "select id from information_schema.processlist where user = ?";
    let ids: Vec<u64> = conn.exec(query, (user,)).await.during(WHAT)?;
    Ok(ids.into_iter().collect())
}
