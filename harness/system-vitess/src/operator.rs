//! The operator's verbs, by `vtctldclient`, and what it reports of a VDiff.

use std::collections::BTreeMap;

use async_trait::async_trait;
use mysql_async::prelude::Queryable;
use records::journal::FinalReport;
use serde_json::Value;
use sidecar::report;
use system::{
    Action, Operator, SHARD, SOURCE_KEYSPACE, SystemError, TARGET_DB, TARGET_KEYSPACE, WORKFLOW,
};

use super::deployment::VitessDeployment;
use super::names::CELL;

/// `binlogdata.VReplicationWorkflowType`: MoveTables.
const MOVE_TABLES: u8 = 1;
/// All differences, by their keys: what is judged are sets of keys. Extra rows beyond the last number are counted,
/// and not told.
const REPORT: [&str; 3] =
    ["--max-report-sample-rows=0", "--only-pks", "--max-extra-rows-to-compare=1000000"];

#[async_trait]
impl Operator for VitessDeployment {
    async fn act(&self, action: Action, uuid: &str) -> Result<(), SystemError> {
        let mut arguments = match action {
            Action::Create => vec!["create"],
            Action::Stop => vec!["stop"],
            Action::Resume => vec!["resume"],
            Action::Delete => vec!["delete"],
        };
        if action == Action::Create {
            arguments.extend(REPORT);
        }
        arguments.push(uuid);
        self.vdiff(&arguments).await.map(drop)
    }

    async fn show(&self, uuid: &str) -> Result<(), SystemError> {
        self.vdiff(&["show", uuid]).await.map(drop)
    }

    async fn report(&self, uuid: &str) -> Result<Option<FinalReport>, SystemError> {
        let said = self.vdiff(&["show", "--verbose", uuid]).await?;
        let keys = self.servers().target.key_columns(TARGET_DB).await?;
        let mut report = report_of(uuid, &said, &keys);
        if report.last_error.is_empty() {
            // Not every release shows it.
            report.last_error = system::Sidecar::progress(self, uuid).await?.error;
        }
        Ok(Some(report))
    }

    async fn create_workflow(&self) -> Result<(), SystemError> {
        let position = self.servers().source.gtid_executed().await?;
        let source = self.dataset().workflow_source(SOURCE_KEYSPACE, SHARD);
        let row = format!(
            "insert into `{}`.vreplication (workflow, source, pos, max_tps, max_replication_lag, cell, \
             tablet_types, time_updated, transaction_timestamp, state, db_name, workflow_type, options) values \
             (?, ?, ?, 9223372036854775807, 9223372036854775807, '{CELL}', 'in_order:REPLICA,PRIMARY', unix_timestamp(), \
             unix_timestamp(), \
             'Running', ?, {MOVE_TABLES}, '{{}}')",
            self.database().name()
        );
        let mut conn = self.servers().target.pool().get_conn().await?;
        let values = (WORKFLOW, source, format!("MySQL56/{position}"), TARGET_DB);
        conn.exec_drop(&row, values).await?;
        let started = self.workflow("start").await;
        if started.is_err() {
            let delete = format!("delete from `{}`.vreplication", self.database().name());
            conn.query_drop(delete).await?;
        }
        started
    }

    async fn rest_workflow(&self, freeze: bool) -> Result<(), SystemError> {
        if !freeze {
            return self.workflow("stop").await;
        }
        let update =
            format!("update `{}`.vreplication set message = 'FROZEN'", self.database().name());
        let mut conn = self.servers().target.pool().get_conn().await?;
        Ok(conn.query_drop(update).await?)
    }
}

impl VitessDeployment {
    async fn vdiff(&self, arguments: &[&str]) -> Result<Value, SystemError> {
        let keyspace = format!("--target-keyspace={TARGET_KEYSPACE}");
        let workflow = format!("--workflow={WORKFLOW}");
        let mut all = vec!["VDiff", &keyspace, &workflow, "--format=json"];
        all.extend(arguments);
        self.vtctld().ask(&all).await
    }

    async fn workflow(&self, verb: &str) -> Result<(), SystemError> {
        let keyspace = format!("--keyspace={TARGET_KEYSPACE}");
        let workflow = format!("--workflow={WORKFLOW}");
        let run = ["Workflow", &keyspace, verb, &workflow];
        self.vtctld().run(&run).await.map(drop)
    }
}

/// What `show --verbose` says.
fn report_of(uuid: &str, said: &Value, keys: &BTreeMap<String, Vec<String>>) -> FinalReport {
    let mut found = FinalReport {
        uuid: uuid.to_owned(),
        state: said["State"].as_str().unwrap_or_default().to_owned(),
        last_error: String::new(),
        tables: BTreeMap::new(),
    };
    if let Some(errors) = said["Errors"].as_object() {
        let errors = errors.values().filter_map(Value::as_str);
        found.last_error = errors.collect::<Vec<_>>().join("; ");
    }
    for (table, summary) in said["TableSummary"].as_object().into_iter().flatten() {
        let key = keys.get(table).map(Vec::as_slice).unwrap_or_default();
        let state = summary["State"].as_str().unwrap_or_default();
        // Shown of tables with differences only.
        let full = &said["Reports"][table][SHARD];
        let told = if full.is_object() { full } else { summary };
        found.tables.insert(table.clone(), report::table(state, told, key));
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn show_is_read_with_its_samples_and_without() {
        let said = json!({
            "State": "completed",
            "TableSummary": {
                "a": {"State": "completed", "RowsCompared": 5, "MatchingRows": 5, "MismatchedRows": 0,
                      "ExtraRowsSource": 0, "ExtraRowsTarget": 0},
                "b": {"State": "completed", "RowsCompared": 3, "MatchingRows": 2, "MismatchedRows": 1,
                      "ExtraRowsSource": 0, "ExtraRowsTarget": 0},
            },
            "Reports": {"b": {"0": {"ProcessedRows": 3, "MatchingRows": 2, "MismatchedRows": 1,
                "MismatchedRowsSample": [{"Source": {"Row": {"id": "7"}}, "Target": {"Row": {"id": "7"}}}]}}},
        });
        let keys = BTreeMap::from([("b".to_owned(), vec!["id".to_owned()])]);
        let report = report_of("u", &said, &keys);
        assert_eq!((report.tables["a"].processed, report.tables["a"].matching), (5, 5));
        let keys: Vec<_> =
            report.tables["b"].differences.iter().map(|it| it.key.as_str()).collect();
        assert_eq!(keys, ["7"]);
    }
}
