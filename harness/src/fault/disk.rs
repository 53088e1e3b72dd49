//! The disk of the target's MySQL is full for a while.

use std::time::{Duration, Instant};

use mysql_async::prelude::Queryable;
use records::journal::{Evidence, Hit, HitKind};

use super::{Strike, Struck, effect};
use crate::stage::{ActError, During, Stage};
use system::Progress;

/// Long enough for the tablet to fail and to try again.
const FULL_FOR: Duration = Duration::from_secs(4);
/// A diff that writes a checkpoint each 100 ms and has written none for so long cannot write.
const STANDS_STILL: Duration = Duration::from_secs(1);
const HIT_WITHIN: Duration = Duration::from_secs(6);
const LOOK: Duration = Duration::from_millis(50);
/// MySQL itself may wait a minute for space before it tries again.
const WRITES_WITHIN: Duration = Duration::from_secs(75);
const LOOK_AGAIN: Duration = Duration::from_secs(3);

pub(super) async fn inject(strike: &Strike<'_>) -> Result<Struck, ActError> {
    let stage = strike.stage;
    let before = stage.progress().await?;
    let interrupted = strike.interrupted(&before);
    strike.injected("the volume of the target's MySQL is filled up");
    stage.servers()?.target.fill_disk().await.during("filling the disk")?;
    let full = Instant::now();
    let until = full + FULL_FOR;
    let mut still = (Instant::now(), stage.sampled());
    let mut tick = tokio::time::interval(LOOK);
    loop {
        tick.tick().await;
        // Samples: MySQL may not answer any more.
        let now = stage.sampled();
        if now.is_completed() {
            let reason = "the diff completed before the disk was full".to_owned();
            return Ok(strike.missed(reason, true).lasting_until(until));
        }
        if moved(&still.1, &now) {
            still = (Instant::now(), now);
        }
        if still.0.elapsed() >= STANDS_STILL {
            let write = stopped_write(stage, &still.1).await;
            // Between two tries of the tablet no write is to be seen, and a MySQL that ends answers nobody.
            if !matches!(write, Ok(Some(_))) && full.elapsed() < HIT_WITHIN {
                continue;
            }
            let what = format!(
                "the disk has no room for another byte; the diff stands still at {} rows",
                still.1.rows_compared
            );
            let hits: Vec<Hit> =
                write?.into_iter().map(|what| effect::hit(HitKind::Write, what)).collect();
            let struck = strike.proven(Evidence::Observed { what }, interrupted, hits);
            return Ok(struck.lasting_until(until));
        }
        if full.elapsed() >= HIT_WITHIN {
            let reason = "the diff went on for a while with a full disk".to_owned();
            return Ok(strike.missed(reason, false).lasting_until(until));
        }
    }
}

/// A write of the tablet that waits for room, or that was refused for want of it; or MySQL has ended with
/// it: a write to the binlog that is killed while it waits for room is not to be lost.
async fn stopped_write(stage: &Stage, now: &Progress) -> Result<Option<String>, ActError> {
    if now.state.as_deref() == Some("error") {
        return Ok(Some("a write of the diff, which failed: it is in state error".to_owned()));
    }
    let what = "looking for a write that waits for room";
    let user = stage.target().tablet().mysql_users().pop().unwrap_or_default();
    // Of the performance schema: other lists of connections need a temporary table, and so room.
    let query = "select processlist_id, left(processlist_info, 80), coalesce(processlist_state, '') \
         from performance_schema.threads where processlist_user = ? and processlist_info is not null";
    let mysql = &stage.servers()?.target;
    let look = async {
        let mut conn = mysql.connect().await.during(what)?;
        let rows: Vec<(u64, String, String)> = conn.exec(query, (user,)).await.during(what)?;
        Ok::<_, ActError>(rows)
    };
    let looked = tokio::time::timeout(LOOK_AGAIN, look).await;
    if !matches!(looked, Ok(Ok(_)))
        && !mysql.is_running().await.during("looking at the target's MySQL")?
    {
        return Ok(Some("MySQL, which ended for want of room for a write".to_owned()));
    }
    let Ok(found) = looked else { return Ok(None) };
    let writes = ["update ", "insert ", "delete ", "commit"];
    let writes = |(_, statement, _): &&(u64, String, String)| {
        let statement = statement.to_lowercase();
        writes.iter().any(|word| statement.starts_with(word))
    };
    let name = |(id, statement, state): &(u64, String, String)| {
        format!("a write that waits: connection {id}: {statement} ({state})")
    };
    Ok(found?.iter().find(writes).map(name))
}

fn moved(before: &Progress, now: &Progress) -> bool {
    before.rows_compared != now.rows_compared || before.state != now.state
}

/// Frees the disk, and waits until MySQL writes again. A write that found no room for the binlog waits
/// in MySQL for a minute before it tries again; if it is killed meanwhile, MySQL ends rather than lose
/// it, and its supervisor starts it again.
pub(super) async fn heal(stage: &Stage) -> Result<(), ActError> {
    let mysql = &stage.servers()?.target;
    mysql.free_disk().await.during("freeing the disk")?;
    let freed = Instant::now();
    loop {
        let Err(error) = mysql.wait_writable(LOOK_AGAIN).await else { return Ok(()) };
        if freed.elapsed() >= WRITES_WITHIN {
            let what = format!("MySQL did not write again within {WRITES_WITHIN:?}; the last look");
            return Err(error).during(what);
        }
        if !mysql.is_running().await.during("looking at the target's MySQL")? {
            stage.journal().note("the target's MySQL ended for want of space: it is started again");
            mysql.start().await.during("starting the target's MySQL")?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // A diff that still moves has not met the full disk.
    #[test]
    fn a_diff_stands_still_when_neither_rows_nor_state_move() {
        let at = |rows_compared, state: &str| Progress {
            rows_compared,
            state: Some(state.to_owned()),
            ..Progress::default()
        };
        assert!(!moved(&at(5, "started"), &at(5, "started")));
        assert!(moved(&at(5, "started"), &at(6, "started")));
        assert!(moved(&at(5, "started"), &at(5, "error")));
    }
}
