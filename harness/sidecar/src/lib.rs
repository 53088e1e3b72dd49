//! The sidecar database as Vitess lays it out, and as each system that claims its records does: read with SQL, its
//! history from the binlog, and a VDiff's report.

pub mod facts;
pub mod report;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mysql_async::prelude::Queryable;
use records::journal::SidecarChange;
use records::journal::facts::Dialect;

use servers::history::{self, GtidSet, HistoryError, HistoryOptions};
use servers::{MysqlServer, Servers};
use system::{ErrorKind, SystemError, WORKFLOW, WorkflowRow};
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

/// The target's sidecar database of a trial.
#[derive(Debug)]
pub struct SidecarDb {
    servers: Arc<Servers>,
    dataset: Arc<Dataset>,
    name: String,
    /// The target's position when the trial began.
    begin: String,
    /// And when its history ended.
    end: Mutex<Option<String>>,
}

impl SidecarDb {
    /// The database `name` on the target; the trial's history begins here.
    ///
    /// # Errors
    /// When MySQL does not tell its position.
    pub async fn begin(
        servers: &Arc<Servers>,
        dataset: &Arc<Dataset>,
        name: &str,
    ) -> Result<SidecarDb, SystemError> {
        Ok(SidecarDb {
            servers: Arc::clone(servers),
            dataset: Arc::clone(dataset),
            name: name.to_owned(),
            begin: servers.target.gtid_executed().await?,
            end: Mutex::default(),
        })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The trial's workflow; none: there is no such row.
    ///
    /// # Errors
    /// When MySQL does not answer, or there is no such table.
    pub async fn workflow(
        &self,
        dialect: &dyn Dialect,
    ) -> Result<Option<WorkflowRow>, SystemError> {
        let query = format!(
            "select cast(state as char), cast(coalesce(message, '') as char), \
             cast(coalesce(stop_pos, '') as char) from `{}`.vreplication where workflow = ?",
            self.name
        );
        let mut conn = self.servers.target.pool().get_conn().await?;
        let row: Option<(String, String, String)> = conn.exec_first(&query, (WORKFLOW,)).await?;
        Ok(row.map(|(state, message, stop_pos)| {
            let hold = dialect.workflow_hold(&message);
            WorkflowRow { state, message, stop_pos, hold }
        }))
    }

    /// Deletes a VDiff's row by hand; how many rows that were.
    ///
    /// # Errors
    /// As [`SidecarDb::workflow`].
    pub async fn delete_row(&self, uuid: &str) -> Result<u64, SystemError> {
        let mut conn = self.servers.target.pool().get_conn().await?;
        let query = format!("delete from `{}`.vdiff where vdiff_uuid = ?", self.name);
        conn.exec_drop(query, (uuid,)).await?;
        Ok(conn.affected_rows())
    }

    /// Rows whose parent is not there, by table. A table that this sidecar does not have cannot have any either.
    ///
    /// # Errors
    /// When MySQL does not answer.
    pub async fn orphans(&self) -> Result<BTreeMap<String, u64>, SystemError> {
        let sidecar_db = self.name.as_str();
        let mut conn = self.servers.target.pool().get_conn().await?;
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

    /// The clock that the history is told by, now: microseconds since the Unix epoch.
    ///
    /// # Errors
    /// When MySQL does not answer.
    pub async fn now_us(&self) -> Result<u64, SystemError> {
        Ok(self.servers.target.now_us().await?)
    }

    /// Ends the trial's history here. A second time changes nothing.
    ///
    /// # Errors
    /// When MySQL does not tell its position.
    pub async fn end_history(&self) -> Result<(), SystemError> {
        if self.ended_at().is_none() {
            let end = self.servers.target.gtid_executed().await?;
            *self.end.lock().unwrap_or_else(PoisonError::into_inner) = Some(end);
        }
        Ok(())
    }

    fn ended_at(&self) -> Option<String> {
        self.end.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Every committed change from the trial's begin to the history's end, each with its facts.
    ///
    /// # Errors
    /// When the history has not ended, or cannot be read whole.
    pub async fn history(&self, dialect: &dyn Dialect) -> Result<Vec<SidecarChange>, SystemError> {
        // Read up to nowhere, it would look empty.
        let not_ended = || SystemError::new(ErrorKind::Failed, "the trial's history has not ended");
        let end = self.ended_at().ok_or_else(not_ended)?;
        let position = |text: &str| {
            let unread = |error| SystemError::new(ErrorKind::Failed, error);
            text.parse::<GtidSet>().map_err(unread)
        };
        let options = HistoryOptions {
            server: root_options(&self.servers.target),
            sidecar_database: self.name.clone(),
            tables: TABLES,
            after: position(&self.begin)?,
            upto: position(&end)?,
            keep_samples: false,
            deadline: HISTORY_WITHIN,
        };
        // Decoding a binlog and finding the cursors' places is work for a processor: not on the
        // threads that observe other trials.
        let dataset = Arc::clone(&self.dataset);
        let runtime = tokio::runtime::Handle::current();
        let read = move || {
            let changes = runtime.block_on(history::read(&options))?;
            Ok::<_, HistoryError>(placed(&dataset, changes))
        };
        let read = tokio::task::spawn_blocking(read).await;
        let read = read.map_err(|error| SystemError::new(ErrorKind::Failed, error))?;
        let mut changes = read.map_err(|error| SystemError::new(ErrorKind::Failed, error))?;
        for change in &mut changes {
            change.facts = dialect.facts(change);
        }
        Ok(changes)
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
