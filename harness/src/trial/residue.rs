//! Looks for what dead incarnations left in MySQL and etcd.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use mysql_async::prelude::Queryable;
use reports::journal::{Event, Residue, Side};

use super::{ActError, During, Stage};
use crate::observer::side_name;

/// What a dead incarnation held must be gone in this time.
const GONE_WITHIN: Duration = Duration::from_secs(5);
/// Not more often: the server refreshes its list of transactions only when it is left alone for 100 ms.
const LOOK: Duration = Duration::from_millis(250);

impl Stage {
    /// Looks until nothing is left, or the time in which it must be gone is over; records the last
    /// look.
    ///
    /// # Errors
    /// When MySQL or etcd do not answer.
    pub async fn look_for_residue(&self) -> Result<Residue, ActError> {
        let began = Instant::now();
        let mut tick = tokio::time::interval(LOOK);
        loop {
            tick.tick().await;
            let residue = self.residue().await?;
            if is_clean(&residue) || began.elapsed() >= GONE_WITHIN {
                self.journal().record(Event::Residue(residue.clone()));
                return Ok(residue);
            }
        }
    }

    async fn residue(&self) -> Result<Residue, ActError> {
        let mut residue = Residue::default();
        for side in [Side::Source, Side::Target] {
            self.mysql_residue(side, &mut residue).await?;
        }
        let prefix = format!("{}/global/internal/named_locks/", self.topo_root());
        let locks = self.environment().servers.etcd.list_prefix(&prefix).await;
        for lock in locks.during("listing the locks in etcd")? {
            let value = String::from_utf8_lossy(&lock.value);
            residue.locks.push(format!("etcd {}: {value}", lock.key));
        }
        residue.looked_at.push("named locks in etcd".to_owned());
        Ok(residue)
    }

    /// Of the users of dead incarnations everything; of living ones open transactions, since no diff
    /// is at work any more when this is asked.
    async fn mysql_residue(&self, side: Side, residue: &mut Residue) -> Result<(), ActError> {
        let servers = &self.environment().servers;
        let (server, tablet) = match side {
            Side::Source => (&servers.source, self.source()),
            Side::Target => (&servers.target, self.target()),
        };
        let mut users: Vec<String> = tablet.tablet().user_names();
        let all: BTreeSet<String> = users.iter().cloned().collect();
        let alive = matches!(tablet.state_now(), crate::observer::ProcessState::Running { .. });
        let living = if alive { users.pop() } else { None };
        // A start while MySQL was away had to take the user of the incarnation before.
        let dead: BTreeSet<String> =
            users.into_iter().filter(|user| Some(user) != living.as_ref()).collect();
        let what = format!("looking for residue on the {} MySQL", side_name(side));
        let mut conn = server.pool().get_conn().await.during(what.clone())?;

        type Process = (u64, String, String, Option<String>, Option<String>);
        let processes: Vec<Process> = conn
            .query(
                "select id, user, command, state, left(info, 200) from information_schema.processlist",
            )
            .await
            .during(what.clone())?;
        for (id, user, command, state, info) in &processes {
            let place = side_name(side);
            if dead.contains(user) {
                residue
                    .connections
                    .push(format!("{place} MySQL: connection {id} of {user} ({command})"));
                if let Some(info) = info {
                    let state = state.clone().unwrap_or_default();
                    residue
                        .statements
                        .push(format!("{place} MySQL: {id} of {user}: {info} ({state})"));
                }
            }
        }
        type Transaction = (u64, String, String, Option<String>);
        let transactions: Vec<Transaction> = conn
            .query(
                "select p.id, p.user, cast(t.trx_started as char), t.trx_state \
                 from information_schema.innodb_trx t \
                 join information_schema.processlist p on p.id = t.trx_mysql_thread_id",
            )
            .await
            .during(what.clone())?;
        for (id, user, started, state) in transactions {
            if all.contains(&user) {
                let whose = if living.as_ref() == Some(&user) { "living" } else { "dead" };
                residue.transactions.push(format!(
                    "{} MySQL: transaction of {user} ({whose}, connection {id}) since {started}, {}",
                    side_name(side),
                    state.unwrap_or_default()
                ));
            }
        }
        for kind in ["connections", "statements", "transactions"] {
            residue.looked_at.push(format!("{kind} on the {} MySQL", side_name(side)));
        }
        self.lock_residue(&mut conn, side, &all, living.as_deref(), residue).await
    }

    /// Table, metadata and user-level locks, where the performance schema is on.
    async fn lock_residue(
        &self,
        conn: &mut mysql_async::Conn,
        side: Side,
        all: &BTreeSet<String>,
        living: Option<&str>,
        residue: &mut Residue,
    ) -> Result<(), ActError> {
        let what = "looking for locks in the performance schema";
        let on: Option<String> =
            conn.query_first("select @@performance_schema").await.during(what)?;
        if on.as_deref() != Some("1") {
            return Ok(());
        }
        type Lock = (String, String, Option<String>, Option<String>, String);
        let locks: Vec<Lock> = conn
            .query(
                "select t.processlist_user, l.object_type, l.object_schema, l.object_name, l.lock_type \
                 from performance_schema.metadata_locks l \
                 join performance_schema.threads t on t.thread_id = l.owner_thread_id \
                 where l.lock_status = 'GRANTED' and t.processlist_user is not null",
            )
            .await
            .during(what)?;
        for (user, object_type, schema, object, lock_type) in locks {
            if all.contains(&user) && Some(user.as_str()) != living {
                residue.locks.push(format!(
                    "{} MySQL: {lock_type} on {object_type} {}.{} of {user}",
                    side_name(side),
                    schema.unwrap_or_default(),
                    object.unwrap_or_default()
                ));
            }
        }
        residue.looked_at.push(format!("metadata locks on the {} MySQL", side_name(side)));
        Ok(())
    }
}

fn is_clean(residue: &Residue) -> bool {
    residue.connections.is_empty()
        && residue.statements.is_empty()
        && residue.transactions.is_empty()
        && residue.locks.is_empty()
}
