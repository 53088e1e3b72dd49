//! The operator's verbs: VDiff and the workflow over gRPC, and what `show` reports.

use std::collections::BTreeMap;

use async_trait::async_trait;
use records::journal::{FinalReport, Side};
use serde_json::Value;
use sidecar::report;

use super::ShowRow;
use super::deployment::TabletDeployment;
use system::{Action, Operator, SHARD, SOURCE_KEYSPACE, SystemError, TARGET_DB, WORKFLOW};

#[async_trait]
impl Operator for TabletDeployment {
    async fn act(&self, action: Action, uuid: &str) -> Result<(), SystemError> {
        let client = self.container(Side::Target).client();
        let answer = match action {
            Action::Create => client.vdiff_create(WORKFLOW, uuid).await,
            Action::Stop => client.vdiff_stop(WORKFLOW, uuid).await,
            Action::Resume => client.vdiff_resume(WORKFLOW, uuid).await,
            Action::Delete => client.vdiff_delete(WORKFLOW, uuid).await,
        };
        Ok(answer.map(drop)?)
    }

    async fn show(&self, uuid: &str) -> Result<(), SystemError> {
        Ok(self.container(Side::Target).client().vdiff_show(WORKFLOW, uuid).await.map(drop)?)
    }

    async fn report(&self, uuid: &str) -> Result<Option<FinalReport>, SystemError> {
        let rows = self.container(Side::Target).client().vdiff_show(WORKFLOW, uuid).await?;
        let keys = if rows.is_empty() {
            BTreeMap::new()
        } else {
            self.servers().target.key_columns(TARGET_DB).await?
        };
        Ok(report_of(uuid, &rows, &keys))
    }

    async fn create_workflow(&self) -> Result<(), SystemError> {
        let position = self.servers().source.gtid_executed().await?;
        let source = self.dataset().workflow_source(SOURCE_KEYSPACE, SHARD);
        let query = format!(
            "insert into _vt.vreplication (workflow, source, pos, max_tps, max_replication_lag, \
             time_updated, transaction_timestamp, state, db_name, options) values \
             ('{WORKFLOW}', '{}', 'MySQL56/{position}', 0, 0, 0, 0, 'Running', '{TARGET_DB}', '{{}}')",
            source.replace('\\', "\\\\").replace('\'', "\\'"),
        );
        Ok(self.container(Side::Target).client().vreplication_exec(&query).await.map(drop)?)
    }

    async fn rest_workflow(&self, freeze: bool) -> Result<(), SystemError> {
        let set = if freeze {
            "message = 'FROZEN'"
        } else {
            "state = 'Stopped', message = 'stopped by an operator'"
        };
        let update = format!("update _vt.vreplication set {set} where workflow = '{WORKFLOW}'");
        Ok(self.container(Side::Target).client().vreplication_exec(&update).await.map(drop)?)
    }
}

/// What `show` said, in the journal's form; none when it said nothing.
fn report_of(
    uuid: &str,
    rows: &[ShowRow],
    keys: &BTreeMap<String, Vec<String>>,
) -> Option<FinalReport> {
    let text = |row: &ShowRow, column: &str| row.get(column).cloned().flatten().unwrap_or_default();
    let first = rows.first()?;
    let mut report = FinalReport {
        uuid: uuid.to_owned(),
        state: text(first, "vdiff_state"),
        last_error: text(first, "last_error"),
        tables: BTreeMap::new(),
    };
    for row in rows {
        let table = text(row, "table_name");
        if table.is_empty() {
            continue;
        }
        let said: Value = serde_json::from_str(&text(row, "report")).unwrap_or(Value::Null);
        let key = keys.get(&table).map(Vec::as_slice).unwrap_or_default();
        report.tables.insert(table, report::table(&text(row, "table_state"), &said, key));
    }
    Some(report)
}

#[cfg(test)]
mod tests {
    use super::*;

    // The oracle of exactness compares sets of keys: a key read wrongly would blame the tablet.
    #[test]
    fn show_is_read_with_composite_keys_in_key_order() {
        let said = serde_json::json!({
            "ProcessedRows": 5, "MatchingRows": 2, "MismatchedRows": 1, "ExtraRowsSource": 1,
            "ExtraRowsTarget": 1,
            "MismatchedRowsSample": [
                {"Source": {"Row": {"b": "2", "a": "1", "x": "y"}}, "Target": {"Row": {"a": "9"}}}
            ],
            "ExtraRowsSourceSample": [{"Row": {"a": "3", "b": "4"}}],
        });
        let row = [
            ("vdiff_state", "completed"),
            ("table_name", "t"),
            ("table_state", "completed"),
            ("report", &said.to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), Some(value.to_owned())));
        let keys = BTreeMap::from([("t".to_owned(), vec!["a".to_owned(), "b".to_owned()])]);
        let report = report_of("u", &[BTreeMap::from(row)], &keys).unwrap();
        assert_eq!(report.state, "completed");
        let table = &report.tables["t"];
        assert_eq!((table.processed, table.matching, table.extra_target), (5, 2, 1));
        let keys: Vec<&str> = table.differences.iter().map(|d| d.key.as_str()).collect();
        assert_eq!(keys, ["1,2", "3,4"]);
    }
}
