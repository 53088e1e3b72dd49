//! The reader of a row stream goes away after some packets.
//!
//! The harness is that reader. The source tablet holds a snapshot transaction for it, which must be
//! gone soon after the reader is, seen in MySQL.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use mysql_async::prelude::Queryable;
use reports::journal::{Event, Evidence};

use super::{Strike, Struck};
use crate::trial::{ActError, During};

/// Packets that are read before the reader goes away.
const PACKETS: usize = 2;
/// The snapshot transaction must be gone in this time.
const GONE_WITHIN: Duration = Duration::from_secs(5);
/// Not more often: the server refreshes its list of transactions only when it is left alone for 100 ms.
const LOOK: Duration = Duration::from_millis(150);

pub(super) async fn inject(strike: &Strike<'_>) -> Result<Struck, ActError> {
    let stage = strike.stage;
    let source = stage.source().tablet();
    let table = stage.environment().dataset.tables().into_iter().next_back().unwrap_or_default();
    let before_diff = stage.progress().await?;
    let before = transactions(strike).await?;
    let query = format!("select * from {table}");
    let mut stream = source.vstream_rows(&query).await.during("opening a row stream")?;
    strike.injected(format!("a reader of {table} goes away after {PACKETS} packets"));
    for _ in 0..PACKETS {
        if stream.next_packet().await.during("reading a row stream")?.is_none() {
            return Ok(strike.missed("the stream ended before its reader went".to_owned(), false));
        }
    }
    let open = transactions(strike).await?;
    let ours: BTreeSet<u64> = open.difference(&before).copied().collect();
    if ours.is_empty() {
        let reason = "the snapshot transaction was over before the reader went".to_owned();
        return Ok(strike.missed(reason, false));
    }
    drop(stream);
    let began = Instant::now();
    let mut tick = tokio::time::interval(LOOK);
    let what = loop {
        tick.tick().await;
        let left: Vec<u64> = transactions(strike).await?.intersection(&ours).copied().collect();
        let after = began.elapsed().as_millis();
        if left.is_empty() {
            break format!(
                "its snapshot transaction (connections {ours:?}) was gone after {after} ms"
            );
        }
        if began.elapsed() >= GONE_WITHIN {
            stage.journal().record(Event::DeadlinePassed {
                waiting_for: format!("the snapshot transaction of a gone reader to end ({left:?})"),
                after_ms: u64::try_from(after).unwrap_or(u64::MAX),
            });
            break format!("its snapshot transaction {left:?} was still there after {after} ms");
        }
    };
    Ok(strike.proven(Evidence::Observed { what }, strike.interrupted(&before_diff)))
}

/// Connections of the source tablet with an open transaction.
async fn transactions(strike: &Strike<'_>) -> Result<BTreeSet<u64>, ActError> {
    let what = "listing the source tablet's transactions";
    let stage = strike.stage;
    let user = stage.source().tablet().user_names().pop().unwrap_or_default();
    let mut conn = stage.environment().servers.source.pool().get_conn().await.during(what)?;
    let ids: Vec<u64> = conn
        .exec(
            "select p.id from information_schema.innodb_trx t \
             join information_schema.processlist p on p.id = t.trx_mysql_thread_id \
             where p.user = ?",
            (user,),
        )
        .await
        .during(what)?;
    Ok(ids.into_iter().collect())
}
