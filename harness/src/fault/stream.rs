//! The reader of a row stream goes away after some packets.
//!
//! The harness is that reader. The source tablet holds a snapshot transaction for it, which must be
//! gone soon after the reader is, seen in MySQL. It reads a table of its own, which is larger than all
//! the buffers on the way: a small table is sent whole before its reader could go.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use mysql_async::prelude::Queryable;
use records::journal::{Event, Evidence, Hit, HitKind, SNAPSHOT_GONE};

use super::{Strike, Struck, effect};
use crate::stage::{ActError, During};
use system::SOURCE_DB;

/// The table that the reader reads, in the source's database; no workflow has it.
pub(super) const TABLE: &str = "chaos_reader";
/// Packets that are read before the reader goes away.
const PACKETS: usize = 2;
/// The snapshot transaction must be gone in this time.
const GONE_WITHIN: Duration = Duration::from_secs(5);
/// Not more often: the server refreshes its list of transactions only when it is left alone for 100 ms.
const LOOK: Duration = Duration::from_millis(150);

pub(super) async fn inject(strike: &Strike<'_>) -> Result<Struck, ActError> {
    let stage = strike.stage;
    let source = stage.source().tablet();
    make_table(strike).await?;
    let before_diff = stage.progress().await?;
    let mut stream = source.read_rows(TABLE).await.during("opening a row stream")?;
    strike.injected(format!("a reader of {TABLE} goes away after {PACKETS} packets"));
    for _ in 0..PACKETS {
        if !stream.next_packet().await.during("reading a row stream")? {
            return Ok(strike.missed("the stream ended before its reader went".to_owned(), false));
        }
    }
    let ours = snapshots(strike, &BTreeSet::new()).await?;
    if ours.is_empty() {
        let reason = "the snapshot transaction was over before the reader went".to_owned();
        return Ok(strike.missed(reason, false));
    }
    let user = stage.source().tablet().mysql_users().pop().unwrap_or_default();
    let stream_of = |id: &u64| {
        let text =
            format!("the row stream of {TABLE}: MySQL still sends on connection {id} of {user}");
        effect::hit(HitKind::RowStream, text)
    };
    let hits: Vec<Hit> = ours.iter().map(stream_of).collect();
    drop(stream);
    let began = Instant::now();
    let mut tick = tokio::time::interval(LOOK);
    let after = loop {
        tick.tick().await;
        let left = snapshots(strike, &ours).await?;
        let after = began.elapsed().as_millis();
        if left.is_empty() {
            break format!("{SNAPSHOT_GONE} after {after} ms");
        }
        if began.elapsed() >= GONE_WITHIN {
            stage.journal().record(Event::DeadlinePassed {
                waiting_for: format!("the snapshot transaction of a gone reader to end ({left:?})"),
                after_ms: u64::try_from(after).unwrap_or(u64::MAX),
            });
            break format!("still there after {after} ms: {left:?}");
        }
    };
    let before = "a snapshot for a reader".to_owned();
    let evidence = Evidence::State { before, after };
    Ok(strike.proven(evidence, strike.interrupted(&before_diff), hits))
}

/// 64 rows of 256 KiB: 16 MiB, where buffers on the way hold about one.
async fn make_table(strike: &Strike<'_>) -> Result<(), ActError> {
    let what = "making the table of the reader that goes away";
    let pool = strike.stage.servers()?.source.pool();
    let mut conn = pool.get_conn().await.during(what)?;
    for statement in [
        "set sql_log_bin = 0".to_owned(),
        format!(
            "create table if not exists {SOURCE_DB}.{TABLE} \
             (id int primary key, filler longblob not null)"
        ),
        format!(
            "insert ignore into {SOURCE_DB}.{TABLE} with recursive numbers (n) as \
             (select 1 union all select n + 1 from numbers where n < 64) \
             select n, repeat('x', 262144) from numbers"
        ),
        "set sql_log_bin = 1".to_owned(),
    ] {
        conn.query_drop(statement).await.during(what)?;
    }
    Ok(())
}

/// Connections of the source tablet that read the reader's table, and those of `known` that still have
/// a transaction.
async fn snapshots(strike: &Strike<'_>, known: &BTreeSet<u64>) -> Result<BTreeSet<u64>, ActError> {
    let what = "listing the source tablet's snapshots";
    let stage = strike.stage;
    let user = stage.source().tablet().mysql_users().pop().unwrap_or_default();
    let mut conn = stage.servers()?.source.pool().get_conn().await.during(what)?;
    let reading: Vec<u64> = conn
        .exec(
            "select id from information_schema.processlist where user = ? and info like ?",
            (user, format!("%{TABLE}%")),
        )
        .await
        .during(what)?;
    let open: Vec<u64> = conn
        .query("select trx_mysql_thread_id from information_schema.innodb_trx")
        .await
        .during(what)?;
    Ok(reading.into_iter().chain(open.into_iter().filter(|id| known.contains(id))).collect())
}
