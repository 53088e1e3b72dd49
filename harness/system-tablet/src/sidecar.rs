//! The sidecar database of a trial: its tables read with SQL, and their history from the binlog.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use mysql_async::prelude::Queryable;
use records::journal::SidecarChange;
use records::journal::facts::Dialect;
use records::schedule::Phase;

use super::TabletDialect;
use super::deployment::TabletDeployment;
use servers::MysqlServer;
use servers::history::{self, GtidSet, HistoryError, HistoryOptions};
use system::{ErrorKind, Progress, Sidecar, SystemError, TableProgress, WORKFLOW, WorkflowRow};
use workload::Dataset;

/// The tables whose changes are facts.
const TABLES: &[&str] = &["vdiff", "vdiff_table", "vdiff_log", "vreplication"];
/// Tables whose rows belong to a row of another one: by which column, and of which table.
const CHILDREN: [(&str, &str, &str); 5] = [
    ("vdiff_table", "vdiff_id", "vdiff"),
    ("vdiff_log", "vdiff_id", "vdiff"),
    ("copy_state", "vrepl_id", "vreplication"),
    ("vreplication_log", "vrepl_id", "vreplication"),
    ("post_copy_action", "vrepl_id", "vreplication"),
];
const HISTORY_WITHIN: Duration = Duration::from_secs(30);

#[async_trait]
impl Sidecar for TabletDeployment {
    async fn progress(&self, uuid: &str) -> Result<Progress, SystemError> {
        let sidecar_db = self.sidecar_db();
        let query = format!(
            "select cast(v.state as char), cast(v.error_kind as char), \
             cast(coalesce(v.last_error, '') as char), cast(t.table_name as char), \
             cast(t.state as char), cast(t.phase as char), \
             cast(coalesce(t.rows_compared, 0) as unsigned) \
             from `{sidecar_db}`.vdiff v left join `{sidecar_db}`.vdiff_table t \
             on t.vdiff_id = v.id where v.vdiff_uuid = ? order by t.table_name"
        );
        type Row =
            (String, Option<String>, String, Option<String>, Option<String>, Option<String>, u64);
        let mut conn = self.servers().target.pool().get_conn().await?;
        let rows: Vec<Row> = conn.exec(query, (uuid,)).await?;
        let mut progress = Progress { uuid: uuid.to_owned(), ..Progress::default() };
        for (state, error_kind, error, table, table_state, phase, rows_compared) in rows {
            progress.state = Some(state);
            progress.will_retry = error_kind.as_deref() == Some("ephemeral");
            progress.error = error;
            progress.rows_compared += rows_compared;
            if let Some(table) = table {
                let state = table_state.unwrap_or_default();
                let phase = phase.as_deref().and_then(phase_of);
                progress.tables.push(TableProgress { table, state, phase, rows_compared });
            }
        }
        Ok(progress)
    }

    async fn workflow(&self) -> Result<Option<WorkflowRow>, SystemError> {
        let query = format!(
            "select cast(state as char), cast(coalesce(message, '') as char), \
             cast(coalesce(stop_pos, '') as char) from `{}`.vreplication where workflow = ?",
            self.sidecar_db()
        );
        let mut conn = self.servers().target.pool().get_conn().await?;
        let row: Option<(String, String, String)> = conn.exec_first(&query, (WORKFLOW,)).await?;
        Ok(row.map(|(state, message, stop_pos)| {
            let hold = TabletDialect.workflow_hold(&message);
            WorkflowRow { state, message, stop_pos, hold }
        }))
    }

    async fn delete_row(&self, uuid: &str) -> Result<u64, SystemError> {
        let mut conn = self.servers().target.pool().get_conn().await?;
        let query = format!("delete from `{}`.vdiff where vdiff_uuid = ?", self.sidecar_db());
        conn.exec_drop(query, (uuid,)).await?;
        Ok(conn.affected_rows())
    }

    /// A table that this sidecar does not have cannot have any either.
    async fn orphans(&self) -> Result<BTreeMap<String, u64>, SystemError> {
        let sidecar_db = self.sidecar_db();
        let mut conn = self.servers().target.pool().get_conn().await?;
        let tables: Vec<String> = conn
            .exec(
                "select cast(table_name as char) from information_schema.tables \
                 where table_schema = ?",
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

    async fn now_us(&self) -> Result<u64, SystemError> {
        Ok(self.servers().target.now_us().await?)
    }

    async fn end_history(&self) -> Result<(), SystemError> {
        if self.history_bounds().1.is_none() {
            self.ended_at(self.servers().target.gtid_executed().await?);
        }
        Ok(())
    }

    async fn history(&self) -> Result<Vec<SidecarChange>, SystemError> {
        let (begin, end) = self.history_bounds();
        // Read up to nowhere, it would look empty.
        let not_ended = || SystemError::new(ErrorKind::Failed, "the trial's history has not ended");
        let end = end.ok_or_else(not_ended)?;
        let position = |text: &str| {
            let unread = |error| SystemError::new(ErrorKind::Failed, error);
            text.parse::<GtidSet>().map_err(unread)
        };
        let options = HistoryOptions {
            server: root_options(&self.servers().target),
            sidecar_database: self.sidecar_db().to_owned(),
            tables: TABLES,
            after: position(&begin)?,
            upto: position(&end)?,
            keep_samples: false,
            deadline: HISTORY_WITHIN,
        };
        // Decoding a binlog and finding the cursors' places is work for a processor: not on the
        // threads that observe other trials.
        let dataset = Arc::clone(self.dataset());
        let runtime = tokio::runtime::Handle::current();
        let read = move || {
            let changes = runtime.block_on(history::read(&options))?;
            Ok::<_, HistoryError>(placed(&dataset, changes))
        };
        let read = tokio::task::spawn_blocking(read).await;
        let read = read.map_err(|error| SystemError::new(ErrorKind::Failed, error))?;
        let mut changes = read.map_err(|error| SystemError::new(ErrorKind::Failed, error))?;
        for change in &mut changes {
            change.facts = TabletDialect.facts(change);
        }
        Ok(changes)
    }

    fn lock_of_phase(&self, phase: Phase, uuid: &str) -> Option<String> {
        let db = self.sidecar_db();
        // It goes into a statement as it is.
        let is_plain = uuid.chars().all(|c| c.is_ascii_hexdigit() || c == '-');
        is_plain.then(|| match phase {
            // `update vreplication … 'for vdiff'` stops the workflow for the snapshot.
            Phase::Snapshot => format!("select id from `{db}`.vreplication for update"),
            // The next checkpoint.
            Phase::Streaming => format!(
                "select t.vdiff_id from `{db}`.vdiff_table t where t.vdiff_id = \
                 (select v.id from `{db}`.vdiff v where v.vdiff_uuid = '{uuid}') for update"
            ),
            // The gap behind the last log line: the next insert is "reconciling".
            Phase::Reconcile => {
                format!("select id from `{db}`.vdiff_log where id > 9000000000000000000 for update")
            }
            // The row itself changes only with the diff's state.
            Phase::Completing => {
                format!("select id from `{db}`.vdiff where vdiff_uuid = '{uuid}' for update")
            }
        })
    }

    fn checkpoint_table(&self) -> Option<String> {
        Some(format!("`{}`.vdiff_table", self.sidecar_db()))
    }
}

/// The phase of a table, as the sidecar names it; `done` is none.
fn phase_of(text: &str) -> Option<Phase> {
    match text {
        "snapshot" => Some(Phase::Snapshot),
        "streaming" => Some(Phase::Streaming),
        "reconcile" => Some(Phase::Reconcile),
        _ => None,
    }
}

/// Fills in how far an exact diff is at each saved cursor.
fn placed(dataset: &Dataset, mut changes: Vec<SidecarChange>) -> Vec<SidecarChange> {
    let mut known: HashMap<(String, String), Option<u64>> = HashMap::new();
    for change in changes.iter_mut().filter(|change| change.table == "vdiff_table") {
        let text = |column: &str| change.after.as_ref()?.get(column)?.clone();
        if let (Some(table), Some(cursor)) = (text("table_name"), text("lastpk")) {
            let place = known
                .entry((table, cursor))
                .or_insert_with_key(|(table, cursor)| dataset.cursor_ordinal(table, cursor));
            change.cursor_ordinal = *place;
        }
    }
    changes
}

/// How to reach a server as its root, from the host.
fn root_options(server: &MysqlServer) -> mysql_async::Opts {
    let (host, port) = server.host_addr();
    mysql_async::OptsBuilder::default()
        .ip_or_hostname(host)
        .tcp_port(port)
        .user(Some("root"))
        .pass(Some(server.password()))
        .into()
}
