//! Connections, statements, transactions and locks that dead incarnations left in a MySQL, attributed by their
//! users.

use std::collections::BTreeSet;

use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use records::journal::Residue;

use super::{ClusterError, MysqlServer};

/// The instrument without which `metadata_locks` stays empty.
const METADATA_INSTRUMENT: &str = "wait/lock/metadata/sql/mdl";

/// Looks at a MySQL, called `place`, for what the `users` of one tablet's incarnations left: of dead ones
/// everything; of a living one open transactions and locks that outlive a statement, since no diff is at work any
/// more when this is asked. `alive`: the last of them lives.
///
/// # Errors
/// When MySQL does not answer.
pub async fn residue_of(
    server: &MysqlServer,
    place: String,
    users: Vec<String>,
    alive: bool,
) -> Result<Residue, ClusterError> {
    let mut search = Search { users: Users::of(users, alive), place, found: Residue::default() };
    let failed = |source| ClusterError::Mysql {
        server: server.network_name().to_owned(),
        phase: "looking for residue",
        source: Box::new(source),
    };
    let mut conn = server.pool().get_conn().await.map_err(failed)?;
    search.processes(&mut conn).await.map_err(failed)?;
    search.transactions(&mut conn).await.map_err(failed)?;
    search.locks(&mut conn).await.map_err(failed)?;
    Ok(search.found)
}

/// The MySQL users of a tablet's incarnations.
struct Users {
    all: BTreeSet<String>,
    living: Option<String>,
}

impl Users {
    fn of(names: Vec<String>, alive: bool) -> Users {
        let living = names.last().filter(|_| alive).cloned();
        Users { all: names.into_iter().collect(), living }
    }

    /// A start while MySQL was away had to take the user of the incarnation before: that one lives.
    fn is_dead(&self, user: &str) -> bool {
        self.all.contains(user) && self.living.as_deref() != Some(user)
    }

    /// `dead`, `living`; none: a stranger.
    fn standing(&self, user: &str) -> Option<&'static str> {
        self.all.contains(user).then(|| if self.is_dead(user) { "dead" } else { "living" })
    }
}

struct Search {
    place: String,
    users: Users,
    found: Residue,
}

impl Search {
    async fn processes(&mut self, conn: &mut Conn) -> mysql_async::Result<()> {
        type Process = (u64, String, String, Option<String>, Option<String>);
        let processes: Vec<Process> = conn
            .query(
                "select id, user, command, state, left(info, 200) from information_schema.processlist",
            )
            .await?;
        for (id, user, command, state, info) in processes {
            if !self.users.is_dead(&user) {
                continue;
            }
            let place = &self.place;
            self.found.connections.push(format!("{place}: connection {id} of {user} ({command})"));
            if let Some(info) = info {
                let state = state.unwrap_or_default();
                self.found.statements.push(format!("{place}: {id} of {user}: {info} ({state})"));
            }
        }
        self.looked_at("connections");
        self.looked_at("statements");
        Ok(())
    }

    async fn transactions(&mut self, conn: &mut Conn) -> mysql_async::Result<()> {
        type Transaction = (u64, String, String, Option<String>);
        let transactions: Vec<Transaction> = conn
            .query(
                "select p.id, p.user, cast(t.trx_started as char), t.trx_state \
                 from information_schema.innodb_trx t \
                 join information_schema.processlist p on p.id = t.trx_mysql_thread_id",
            )
            .await?;
        for (id, user, started, state) in transactions {
            let Some(standing) = self.users.standing(&user) else { continue };
            let (place, state) = (&self.place, state.unwrap_or_default());
            self.found.transactions.push(format!(
                "{place}: transaction of {user} ({standing}, connection {id}) since {started}, {state}"
            ));
        }
        self.looked_at("transactions");
        Ok(())
    }

    /// Metadata locks (among them `lock tables` and user-level locks), table handles and row locks.
    async fn locks(&mut self, conn: &mut Conn) -> mysql_async::Result<()> {
        let on: Option<u8> = conn.query_first("select @@performance_schema").await?;
        if on != Some(1) {
            let why = format!("locks on the {}: its performance schema is off", self.place);
            self.found.not_looked_at.push(why);
            return Ok(());
        }
        let instrument: Option<String> = conn
            .exec_first(
                "select cast(enabled as char) from performance_schema.setup_instruments where name = ?",
                (METADATA_INSTRUMENT,),
            )
            .await?;
        if instrument.as_deref() == Some("YES") {
            self.metadata_locks(conn).await?;
        } else {
            let why = format!(
                "metadata and user-level locks on the {}: the instrument {METADATA_INSTRUMENT} is off",
                self.place
            );
            self.found.not_looked_at.push(why);
        }
        self.other_locks(conn).await
    }

    async fn metadata_locks(&mut self, conn: &mut Conn) -> mysql_async::Result<()> {
        type Lock = (String, String, Option<String>, Option<String>, String, String, String);
        let locks: Vec<Lock> = conn
            .query(
                "select t.processlist_user, l.object_type, l.object_schema, l.object_name, l.lock_type, \
                 l.lock_duration, l.lock_status from performance_schema.metadata_locks l \
                 join performance_schema.threads t on t.thread_id = l.owner_thread_id \
                 where t.processlist_user is not null",
            )
            .await?;
        for (user, object_type, schema, object, lock_type, duration, status) in locks {
            let Some(standing) = self.users.standing(&user) else { continue };
            // What a living one locks for a statement or transaction of its own is no residue.
            if standing == "living" && duration != "EXPLICIT" {
                continue;
            }
            let object = [schema, object].into_iter().flatten().collect::<Vec<_>>().join(".");
            self.found.locks.push(format!(
                "{}: {object_type} lock {lock_type} on {object} of {user} ({standing}, {duration}, {status})",
                self.place
            ));
        }
        self.looked_at("metadata locks");
        self.looked_at("user-level locks");
        Ok(())
    }

    async fn other_locks(&mut self, conn: &mut Conn) -> mysql_async::Result<()> {
        type Lock = (String, String, String, String, String);
        let locks: Vec<Lock> = conn
            .query(
                "select t.processlist_user, 'table lock', coalesce(h.external_lock, h.internal_lock), \
                 coalesce(h.object_schema, ''), coalesce(h.object_name, '') \
                 from performance_schema.table_handles h \
                 join performance_schema.threads t on t.thread_id = h.owner_thread_id \
                 where t.processlist_user is not null \
                 and coalesce(h.external_lock, h.internal_lock) is not null \
                 union all \
                 select distinct t.processlist_user, concat(lower(d.lock_type), ' lock'), d.lock_mode, \
                 coalesce(d.object_schema, ''), coalesce(d.object_name, '') \
                 from performance_schema.data_locks d \
                 join performance_schema.threads t on t.thread_id = d.thread_id \
                 where t.processlist_user is not null",
            )
            .await?;
        for (user, kind, mode, schema, object) in locks {
            if self.users.is_dead(&user) {
                let place = &self.place;
                self.found
                    .locks
                    .push(format!("{place}: {kind} {mode} on {schema}.{object} of {user} (dead)"));
            }
        }
        self.looked_at("table locks");
        self.looked_at("row locks");
        Ok(())
    }

    fn looked_at(&mut self, kind: &str) {
        self.found.looked_at.push(format!("{kind} on the {}", self.place));
    }
}
