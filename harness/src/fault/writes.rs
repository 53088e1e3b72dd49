//! MySQL answers and takes no writes for a while: it is read-only, or a table is locked.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use records::journal::{Evidence, HitKind};
use records::schedule::Fault;

use super::{Strike, Struck, effect};
use crate::stage::{ActError, During, Stage};

/// Longer than the tablet's longest pause between two tries, of two seconds.
const READONLY_FOR: Duration = Duration::from_secs(4);
/// Longer than a statement of the tablet waits for a lock, of five seconds: it has to give up.
const LOCKED_FOR: Duration = Duration::from_secs(7);
/// The tablet writes a checkpoint each 100 ms or so: one of them is hit in this time.
const HIT_WITHIN: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(20);
/// MySQL's "running with the --super-read-only option".
const READ_ONLY: u16 = 1290;

pub(super) async fn inject(strike: &Strike<'_>) -> Result<Struck, ActError> {
    let before = strike.stage.progress().await?;
    let interrupted = strike.interrupted(&before);
    let server = &strike.stage.servers()?.target;
    let user = strike.stage.target().tablet().mysql_users().pop().unwrap_or_default();
    let mut witness = server.connect().await.during("connecting to the target's MySQL")?;
    let mut holder = None;
    let counted = refused(&mut witness, &user).await?;
    let lasts = if strike.fault == Fault::MysqlReadonly {
        strike.injected("set global super_read_only = on");
        witness
            .query_drop("set global super_read_only = on")
            .await
            .during("making the target's MySQL read-only")?;
        READONLY_FOR
    } else {
        let none = || ActError::new("the system has no table of checkpoints");
        let table = strike.stage.sidecar().checkpoint_table().ok_or_else(none)?;
        strike.injected(format!("lock tables {table} read"));
        let mut conn = server.connect().await.during("connecting to the target's MySQL")?;
        conn.query_drop(format!("lock tables {table} read"))
            .await
            .during("locking a table of the sidecar")?;
        holder = Some(Arc::new(tokio::sync::Mutex::new(conn)));
        LOCKED_FOR
    };
    let began = Instant::now();
    let mut tick = tokio::time::interval(LOOK);
    let hit = loop {
        tick.tick().await;
        let hit = match strike.fault {
            Fault::MysqlReadonly => {
                let refused = refused(&mut witness, &user).await?;
                (refused > counted).then(|| format!("MySQL refused a write of {user}"))
            }
            _ => waiting(&mut witness, &user).await?,
        };
        if hit.is_some() || began.elapsed() >= HIT_WITHIN {
            break hit;
        }
    };
    let mut struck = match hit {
        Some(what) => {
            let write = effect::hit(HitKind::Write, what.clone());
            let what = format!("{what}, {} ms after it began", began.elapsed().as_millis());
            strike.proven(Evidence::Observed { what }, interrupted, write)
        }
        None => strike.missed(format!("no write of {user} came in {HIT_WITHIN:?}"), false),
    };
    struck.harm.holder = holder;
    Ok(struck.lasting_until(began + lasts))
}

/// How many writes of a user MySQL has refused because it is read-only.
async fn refused(witness: &mut Conn, user: &str) -> Result<u64, ActError> {
    let query = "select cast(coalesce(sum(sum_error_raised), 0) as unsigned) \
         from performance_schema.events_errors_summary_by_user_by_error \
         where user = ? and error_number = ?";
    let count: Option<u64> =
        witness.exec_first(query, (user, READ_ONLY)).await.during("counting refused writes")?;
    Ok(count.unwrap_or_default())
}

/// A statement of a user that waits for a table's lock.
async fn waiting(witness: &mut Conn, user: &str) -> Result<Option<String>, ActError> {
    let query = "select id, state, left(info, 60) from information_schema.processlist \
         where user = ? and state like 'Waiting for table%lock'";
    type Row = (u64, String, Option<String>);
    let row: Option<Row> =
        witness.exec_first(query, (user,)).await.during("looking for a waiting statement")?;
    Ok(row.map(|(id, state, statement)| {
        let statement = statement.unwrap_or_default();
        format!("connection {id} of {user}: {state}: {statement}…")
    }))
}

pub(super) async fn allow(stage: &Stage) -> Result<(), ActError> {
    let what = "letting the target's MySQL take writes";
    let mut conn = stage.servers()?.target.connect().await.during(what)?;
    conn.query_drop("set global read_only = off").await.during(what)
}

pub(super) async fn unlock(holder: Option<&Arc<tokio::sync::Mutex<Conn>>>) -> Result<(), ActError> {
    match holder {
        Some(holder) => {
            holder.lock().await.query_drop("unlock tables").await.during("unlocking a table")
        }
        None => Ok(()),
    }
}
