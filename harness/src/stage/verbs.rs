//! The operator's verbs on a diff that has come to rest: none may be a dead end, and a delete leaves
//! nothing behind.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use records::journal::{Answer, Event, Verbs};

use super::answers::timed;
use super::waits::is_at_rest;
use super::{ActError, During, Stage, WORKFLOW};
use crate::observer::{ProcessState, Progress};

/// The workflow that a deleted diff had paused runs again in this time.
const RESTORED_WITHIN: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(10);

impl Stage {
    /// Tries show, stop, resume and delete on the newest diff, and all four again on what is not there
    /// any more; records the answers and what lies in MySQL. The trial's history ends before.
    ///
    /// # Errors
    /// When MySQL does not answer.
    pub async fn try_verbs(&self) -> Result<(), ActError> {
        let what = "trying the operator's verbs";
        let running = matches!(self.target().state_now(), ProcessState::Running { .. });
        let Ok(uuid) = self.uuid() else { return Ok(()) };
        let pool = self.environment().servers.target.pool();
        let mut conn = pool.get_conn().await.during(what)?;
        let rested = self.row_of(&mut conn, &uuid).await.during(what)?;
        if !running || self.was_usurped() || !is_at_rest(&rested) {
            let why = "no verbs were tried: the tablet does not serve, or the diff is not at rest";
            self.journal().note(why);
            return Ok(());
        }
        self.end_history().await?;
        let client = self.target().tablet().client();
        let mut before = vec![timed("show", client.vdiff_show(WORKFLOW, &uuid)).await];
        before.push(timed("stop", client.vdiff_stop(WORKFLOW, &uuid)).await);
        let after_stop = self.row_of(&mut conn, &uuid).await.during(what)?.state;
        before.push(timed("resume", client.vdiff_resume(WORKFLOW, &uuid)).await);
        let after_resume = self.row_of(&mut conn, &uuid).await.during(what)?.state;
        before.push(timed("delete", client.vdiff_delete(WORKFLOW, &uuid)).await);
        let after = self.all_verbs(&uuid).await;
        let workflow = self.workflow_again(&mut conn).await.during(what)?;
        let verbs = Verbs {
            state: rested.state.unwrap_or_default(),
            after_stop,
            after_resume,
            before,
            after,
            still_there: self.row_of(&mut conn, &uuid).await.during(what)?.state.is_some(),
            orphans: orphans(&mut conn, self.sidecar_db()).await.during(what)?,
            workflow,
            uuid,
        };
        self.journal().record(Event::Verbs(Box::new(verbs)));
        Ok(())
    }

    async fn row_of(&self, conn: &mut Conn, uuid: &str) -> mysql_async::Result<Progress> {
        Progress::read_on(conn, self.sidecar_db(), uuid).await
    }

    async fn all_verbs(&self, uuid: &str) -> Vec<Answer> {
        let client = self.target().tablet().client();
        let (show, stop, resume, delete) = tokio::join!(
            timed("show", client.vdiff_show(WORKFLOW, uuid)),
            timed("stop", client.vdiff_stop(WORKFLOW, uuid)),
            timed("resume", client.vdiff_resume(WORKFLOW, uuid)),
            timed("delete", client.vdiff_delete(WORKFLOW, uuid))
        );
        vec![show, stop, resume, delete]
    }

    /// The workflow's state once it runs again (or rests by an operator's will), or at the end of the
    /// time for it.
    async fn workflow_again(&self, conn: &mut Conn) -> mysql_async::Result<String> {
        let began = Instant::now();
        let query = format!(
            "select cast(state as char) from `{}`.vreplication where workflow = ?",
            self.sidecar_db()
        );
        let mut tick = tokio::time::interval(LOOK);
        loop {
            tick.tick().await;
            let row: Option<String> = conn.exec_first(&query, (WORKFLOW,)).await?;
            let state = row.unwrap_or_else(|| "(no row)".to_owned());
            let settled = state == "Running" || self.workflow_rests();
            if settled || began.elapsed() >= RESTORED_WITHIN {
                return Ok(state);
            }
        }
    }
}

/// Rows of the sidecar tables whose parent is not there, by table; tables without any are left out.
/// A table that this sidecar does not have cannot have any either.
pub(crate) async fn orphans(
    conn: &mut Conn,
    sidecar_db: &str,
) -> mysql_async::Result<BTreeMap<String, u64>> {
    const CHILDREN: [(&str, &str, &str); 5] = [
        ("vdiff_table", "vdiff_id", "vdiff"),
        ("vdiff_log", "vdiff_id", "vdiff"),
        ("copy_state", "vrepl_id", "vreplication"),
        ("vreplication_log", "vrepl_id", "vreplication"),
        ("post_copy_action", "vrepl_id", "vreplication"),
    ];
    let tables: Vec<String> = conn
        .exec(
            "select cast(table_name as char) from information_schema.tables where table_schema = ?",
            (sidecar_db,),
        )
        .await?;
    let looks: Vec<String> = CHILDREN
        .iter()
        .filter(|(child, _, _)| tables.iter().any(|table| table == child))
        .map(|(child, column, parent)| {
            format!(
                "select '{child}', count(*) from `{sidecar_db}`.{child} c \
                 left join `{sidecar_db}`.{parent} p on p.id = c.{column} where p.id is null"
            )
        })
        .collect();
    if looks.is_empty() {
        return Ok(BTreeMap::new());
    }
    let found: Vec<(String, u64)> = conn.query(looks.join(" union all ")).await?;
    Ok(found.into_iter().filter(|(_, rows)| *rows > 0).collect())
}
