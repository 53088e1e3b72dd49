//! The operator's verbs: VDiff and the workflow over gRPC, and what `show` reports.

use std::collections::BTreeMap;

use async_trait::async_trait;
use mysql_async::prelude::Queryable;
use records::journal::{Difference, DifferenceKind, FinalReport, Side, TableReport};
use serde_json::Value;

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
        let keys = if rows.is_empty() { BTreeMap::new() } else { self.key_columns().await? };
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

impl TabletDeployment {
    /// The key columns of the target's tables, in key order, as MySQL knows them.
    async fn key_columns(&self) -> Result<BTreeMap<String, Vec<String>>, SystemError> {
        let mut conn = self.servers().target.pool().get_conn().await?;
        let rows: Vec<(String, String)> = conn
            .exec(
                "select table_name, column_name from information_schema.statistics \
                 where table_schema = ? and index_name = 'PRIMARY' order by table_name, seq_in_index",
                (TARGET_DB,),
            )
            .await?;
        let mut keys: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (table, column) in rows {
            keys.entry(table).or_default().push(column);
        }
        Ok(keys)
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
        report.tables.insert(table, table_report(&text(row, "table_state"), &said, key));
    }
    Some(report)
}

fn table_report(state: &str, said: &Value, key: &[String]) -> TableReport {
    let count = |name: &str| said.get(name).and_then(Value::as_u64).unwrap_or(0);
    let samples = |name: &str| {
        said.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default().iter()
    };
    let key_of = |sample: &Value| {
        let row = sample.get("Row");
        let value = |column: &String| {
            row.and_then(|row| row.get(column)).and_then(Value::as_str).unwrap_or("(none)")
        };
        key.iter().map(value).collect::<Vec<_>>().join(",")
    };
    let mut differences = Vec::new();
    for pair in samples("MismatchedRowsSample") {
        let key = key_of(pair.get("Source").unwrap_or(&Value::Null));
        differences.push(Difference { kind: DifferenceKind::Mismatch, key });
    }
    for row in samples("ExtraRowsSourceSample") {
        differences.push(Difference { kind: DifferenceKind::ExtraSource, key: key_of(row) });
    }
    for row in samples("ExtraRowsTargetSample") {
        differences.push(Difference { kind: DifferenceKind::ExtraTarget, key: key_of(row) });
    }
    TableReport {
        state: state.to_owned(),
        processed: count("ProcessedRows"),
        matching: count("MatchingRows"),
        mismatched: count("MismatchedRows"),
        extra_source: count("ExtraRowsSource"),
        extra_target: count("ExtraRowsTarget"),
        differences,
    }
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
