//! The sidecar database of a trial, as this tablet keeps it.

use std::collections::BTreeMap;

use async_trait::async_trait;
use mysql_async::prelude::Queryable;
use records::journal::SidecarChange;
use records::schedule::Phase;

use super::TabletDialect;
use super::deployment::TabletDeployment;
use system::{Progress, Sidecar, SystemError, TableProgress, WorkflowRow};

#[async_trait]
impl Sidecar for TabletDeployment {
    async fn progress(&self, uuid: &str) -> Result<Progress, SystemError> {
        let sidecar_db = self.sidecar_db().name();
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
        self.sidecar_db().workflow(&TabletDialect).await
    }

    async fn delete_row(&self, uuid: &str) -> Result<u64, SystemError> {
        self.sidecar_db().delete_row(uuid).await
    }

    async fn orphans(&self) -> Result<BTreeMap<String, u64>, SystemError> {
        self.sidecar_db().orphans().await
    }

    async fn now_us(&self) -> Result<u64, SystemError> {
        self.sidecar_db().now_us().await
    }

    async fn end_history(&self) -> Result<(), SystemError> {
        self.sidecar_db().end_history().await
    }

    async fn history(&self) -> Result<Vec<SidecarChange>, SystemError> {
        self.sidecar_db().history(&TabletDialect).await
    }

    fn lock_of_phase(&self, phase: Phase, uuid: &str) -> Option<String> {
        let db = self.sidecar_db().name();
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
        Some(format!("`{}`.vdiff_table", self.sidecar_db().name()))
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
