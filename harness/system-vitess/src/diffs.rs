//! The sidecar database of a trial, as Vitess keeps it.

use std::collections::BTreeMap;

use async_trait::async_trait;
use mysql_async::prelude::Queryable;
use records::journal::SidecarChange;
use system::{Progress, Sidecar, SystemError, TableProgress, WorkflowRow};

use super::VitessDialect;
use super::deployment::VitessDeployment;
use super::dialect::is_taken_up;

#[async_trait]
impl Sidecar for VitessDeployment {
    async fn progress(&self, uuid: &str) -> Result<Progress, SystemError> {
        let database = self.database().name();
        let query = format!(
            "select cast(v.state as char), cast(coalesce(v.last_error, '') as char), \
             cast(t.table_name as char), cast(t.state as char), \
             cast(coalesce(t.rows_compared, 0) as unsigned) \
             from `{database}`.vdiff v left join `{database}`.vdiff_table t \
             on t.vdiff_id = v.id where v.vdiff_uuid = ? order by t.table_name"
        );
        type Row = (String, String, Option<String>, Option<String>, u64);
        let mut conn = self.servers().target.pool().get_conn().await?;
        let rows: Vec<Row> = conn.exec(query, (uuid,)).await?;
        let mut progress = Progress { uuid: uuid.to_owned(), ..Progress::default() };
        for (state, error, table, table_state, rows_compared) in rows {
            progress.will_retry = state == "error" && is_taken_up(&error);
            progress.state = Some(state);
            progress.error = error;
            progress.rows_compared += rows_compared;
            if let Some(table) = table {
                let state = table_state.unwrap_or_default();
                progress.tables.push(TableProgress { table, state, phase: None, rows_compared });
            }
        }
        Ok(progress)
    }

    async fn workflow(&self) -> Result<Option<WorkflowRow>, SystemError> {
        self.database().workflow(&VitessDialect).await
    }

    async fn delete_row(&self, uuid: &str) -> Result<u64, SystemError> {
        self.database().delete_row(uuid).await
    }

    async fn orphans(&self) -> Result<BTreeMap<String, u64>, SystemError> {
        self.database().orphans().await
    }

    async fn now_us(&self) -> Result<u64, SystemError> {
        self.database().now_us().await
    }

    async fn end_history(&self) -> Result<(), SystemError> {
        self.database().end_history().await
    }

    async fn history(&self) -> Result<Vec<SidecarChange>, SystemError> {
        self.database().history(&VitessDialect).await
    }

    fn checkpoint_table(&self) -> Option<String> {
        Some(format!("`{}`.vdiff_table", self.database().name()))
    }
}
