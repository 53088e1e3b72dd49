//! Fencing: killing a process does not kill its statements. MySQL goes on running what a dead
//! incarnation has sent, and would let it overwrite the work of the next one.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use super::{Sidecar, failed};
use crate::engine::{EngineError, Epoch};
use crate::mysql::{DbError, Session, Value, bind};

/// How long killed connections may take to disappear (a rollback can take its time).
const GONE_DEADLINE: Duration = Duration::from_secs(10);
const GONE_POLL: Duration = Duration::from_millis(20);
const NO_SUCH_THREAD: u16 = 1094;

pub(super) async fn fence(sidecar: &Sidecar, epoch: Epoch) -> Result<(), EngineError> {
    let mut session =
        sidecar.db().session().await.map_err(|error| failed("connecting to MySQL", error))?;
    let users = register(sidecar, &mut session, epoch)
        .await
        .map_err(|error| failed("recording this incarnation", error))?;
    let users = match users {
        Registered::AsNewest(users) => users,
        Registered::Behind(recorded) => return Err(EngineError::Superseded { recorded }),
    };
    end_connections(sidecar, &mut session, &users)
        .await
        .map_err(|error| failed("ending connections of former incarnations", error))?;
    claim(sidecar, &mut session, epoch)
        .await
        .map_err(|error| failed("claiming the rows of former incarnations", error))
}

enum Registered {
    /// With the MySQL users of all incarnations of this alias, our own included.
    AsNewest(HashSet<String>),
    Behind(Epoch),
}

async fn register(
    sidecar: &Sidecar,
    session: &mut Session,
    epoch: Epoch,
) -> Result<Registered, DbError> {
    let attempted = "recording this incarnation";
    let table = sidecar.table("tablet_incarnation");
    let alias = Value::from(sidecar.alias.to_string());
    let own_user = sidecar.db().user().to_owned();
    let insert = format!(
        "insert into {table} (alias, epoch, mysql_user) values (?, ?, ?) \
         on duplicate key update mysql_user = values(mysql_user)"
    );
    let values = [alias.clone(), Value::from(epoch.0), Value::from(own_user.as_str())];
    session.run(attempted, &bind(&insert, &values)).await?;
    let select = format!("select epoch, mysql_user from {table} where alias = ?");
    let rows = session.rows(attempted, &bind(&select, &[alias])).await?;
    let mut users = HashSet::from([own_user]);
    let mut newest = epoch;
    for row in &rows {
        let shape = || DbError::Shape { attempted, column: "epoch, mysql_user".to_owned() };
        newest = newest.max(Epoch(row.get(0).ok_or_else(shape)?));
        users.insert(row.get(1).ok_or_else(shape)?);
    }
    Ok(if newest > epoch { Registered::Behind(newest) } else { Registered::AsNewest(users) })
}

/// Kills every connection of `users` that is not this process's, and waits until they are gone:
/// until then their statements may still commit.
async fn end_connections(
    sidecar: &Sidecar,
    session: &mut Session,
    users: &HashSet<String>,
) -> Result<(), DbError> {
    let own = own_id(session).await?;
    let give_up = Instant::now() + GONE_DEADLINE;
    let mut poll = tokio::time::interval(GONE_POLL);
    let mut told = HashSet::new();
    loop {
        poll.tick().await;
        let live = sidecar.db().live_connections();
        let strangers: Vec<u64> = connections(session, users)
            .await?
            .into_iter()
            // A connection younger than ours is one of this process that is not yet listed.
            .filter(|id| *id < own && !u32::try_from(*id).is_ok_and(|id| live.contains(&id)))
            .collect();
        if strangers.is_empty() {
            return Ok(());
        }
        if Instant::now() > give_up {
            return Err(DbError::TimedOut {
                attempted: "waiting for the connections of former incarnations to end",
                after: GONE_DEADLINE,
            });
        }
        for id in strangers {
            if told.insert(id) {
                tracing::info!(connection = id, "ending a connection of a former incarnation");
            }
            match session.run("ending a connection", &format!("kill {id}")).await {
                Err(error) if error.code() == Some(NO_SUCH_THREAD) => {}
                other => {
                    other?;
                }
            }
        }
    }
}

async fn own_id(session: &mut Session) -> Result<u64, DbError> {
    let attempted = "asking for the connection's id";
    let rows = session.rows(attempted, "select connection_id()").await?;
    rows.first()
        .and_then(|row| row.get(0))
        .ok_or(DbError::Shape { attempted, column: "connection_id()".to_owned() })
}

async fn connections(session: &mut Session, users: &HashSet<String>) -> Result<Vec<u64>, DbError> {
    let list: Vec<String> = users.iter().map(|user| crate::mysql::quote_text(user)).collect();
    let statement = format!(
        "select id from information_schema.processlist where user in ({})",
        list.join(", ")
    );
    let rows = session.rows("listing connections", &statement).await?;
    Ok(rows.iter().filter_map(|row| row.get(0)).collect())
}

/// One transaction: a kill in between leaves all of it to the next start. A `started` diff that
/// still has an owner was left by an unclean end, which is counted here.
async fn claim(sidecar: &Sidecar, session: &mut Session, epoch: Epoch) -> Result<(), DbError> {
    let attempted = "claiming the rows of former incarnations";
    let (vdiff, vdiff_table) = (sidecar.table("vdiff"), sidecar.table("vdiff_table"));
    let vreplication = sidecar.table("vreplication");
    let (epoch, db_name) = (Value::from(epoch.0), Value::from(sidecar.db_name()));
    let statements = [
        bind(
            // MySQL assigns from left to right: `attempts` sees the former owner.
            &format!(
                "update {vdiff} set attempts = coalesce(attempts, 0) + \
                 if(state = 'started' and owner_epoch is not null, 1, 0), owner_epoch = ? \
                 where db_name = ? and (owner_epoch is null or owner_epoch < ?)"
            ),
            &[epoch.clone(), db_name.clone(), epoch.clone()],
        ),
        bind(
            &format!(
                "update {vdiff_table} t join {vdiff} v on v.id = t.vdiff_id \
                 set t.owner_epoch = ?, t.updated_at = t.updated_at \
                 where v.db_name = ? and (t.owner_epoch is null or t.owner_epoch < ?)"
            ),
            &[epoch.clone(), db_name.clone(), epoch.clone()],
        ),
        bind(
            &format!(
                "update {vreplication} set owner_epoch = ? \
                 where db_name = ? and (owner_epoch is null or owner_epoch < ?)"
            ),
            &[epoch.clone(), db_name, epoch],
        ),
    ];
    session.begin(attempted).await?;
    for statement in statements {
        session.run(attempted, &statement).await?;
    }
    session.commit(attempted).await
}
