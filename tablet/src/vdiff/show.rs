//! What `show` answers: rows of the sidecar as text.

use tablet_wire::query::{Field, QueryResult, Type};

use super::schema::Store;
use crate::mysql::{DbError, Row, quote_text};
use crate::vstreamer::{RowCells, encode_row};

const SHOW_ALL_MAX: usize = 100;

/// The columns of `show last` and `show <uuid>`: Vitess's, then ours.
const DETAIL: &[(&str, &str, Type)] = &[
    ("vdiff_state", "v.state", Type::Varbinary),
    ("last_error", "v.last_error", Type::Varbinary),
    ("table_name", "t.table_name", Type::Varbinary),
    ("uuid", "v.vdiff_uuid", Type::Varchar),
    ("table_state", "t.state", Type::Varbinary),
    ("table_rows", "t.table_rows", Type::Int64),
    ("started_at", "v.started_at", Type::Timestamp),
    ("rows_compared", "t.rows_compared", Type::Int64),
    ("completed_at", "v.completed_at", Type::Timestamp),
    ("has_mismatch", "coalesce(t.mismatch, 0)", Type::Int64),
    ("report", "t.report", Type::Json),
    ("attempts", "coalesce(v.attempts, 0)", Type::Int64),
    ("retries", "coalesce(v.retries, 0)", Type::Int64),
    ("next_retry_at", "v.next_retry_at", Type::Int64),
    ("error_kind", "v.error_kind", Type::Varbinary),
    ("phase", "t.phase", Type::Varbinary),
    ("checkpoints", "t.checkpoints", Type::Int64),
];

const ALL: &[(&str, &str, Type)] = &[
    ("id", "v.id", Type::Int64),
    ("vdiff_uuid", "v.vdiff_uuid", Type::Varchar),
    ("workflow", "v.workflow", Type::Varbinary),
    ("keyspace", "v.keyspace", Type::Varbinary),
    ("shard", "v.shard", Type::Varchar),
    ("db_name", "v.db_name", Type::Varbinary),
    ("state", "v.state", Type::Varbinary),
    ("options", "v.options", Type::Json),
    ("created_at", "v.created_at", Type::Timestamp),
    ("started_at", "v.started_at", Type::Timestamp),
    ("liveness_timestamp", "v.liveness_timestamp", Type::Timestamp),
    ("completed_at", "v.completed_at", Type::Timestamp),
    ("last_error", "v.last_error", Type::Varbinary),
    ("attempts", "coalesce(v.attempts, 0)", Type::Int64),
    ("retries", "coalesce(v.retries, 0)", Type::Int64),
    ("next_retry_at", "v.next_retry_at", Type::Int64),
    ("error_kind", "v.error_kind", Type::Varbinary),
];

/// Every diff of the keyspace, newest first.
pub(super) async fn all(store: &Store, workflow: &str) -> Result<QueryResult, DbError> {
    let of_workflow = match workflow {
        "" => String::new(),
        name => format!(" and v.workflow = {}", quote_text(name)),
    };
    let rest = format!(
        "from {} v where v.db_name = {}{of_workflow} order by v.id desc limit {SHOW_ALL_MAX}",
        store.vdiff(),
        quote_text(store.sidecar.db_name())
    );
    select(store, ALL, &rest).await
}

/// One diff with its tables; one row without table columns if it has none yet.
pub(super) async fn one(store: &Store, uuid: &str) -> Result<QueryResult, DbError> {
    detail(store, &format!("v.vdiff_uuid = {}", quote_text(uuid))).await
}

/// The newest diff of a workflow.
pub(super) async fn last(store: &Store, workflow: &str) -> Result<QueryResult, DbError> {
    let newest = format!(
        "v.id = (select max(l.id) from {} l where l.db_name = {} and l.workflow = {})",
        store.vdiff(),
        quote_text(store.sidecar.db_name()),
        quote_text(workflow)
    );
    detail(store, &newest).await
}

async fn detail(store: &Store, condition: &str) -> Result<QueryResult, DbError> {
    let rest = format!(
        "from {} v left join {} t on t.vdiff_id = v.id where v.db_name = {} and {condition}",
        store.vdiff(),
        store.vdiff_table(),
        quote_text(store.sidecar.db_name())
    );
    // Sorted here: MySQL runs out of sort memory over large reports.
    let mut result = select(store, DETAIL, &rest).await?;
    let name_at = DETAIL.iter().position(|(name, ..)| *name == "table_name").unwrap_or_default();
    result.rows.sort_by_cached_key(|row| {
        let cells = RowCells::new(row.clone(), DETAIL.len());
        cells.and_then(|cells| cells.get(name_at).map(<[u8]>::to_vec))
    });
    Ok(result)
}

async fn select(
    store: &Store,
    columns: &[(&str, &str, Type)],
    rest: &str,
) -> Result<QueryResult, DbError> {
    let list: Vec<String> =
        columns.iter().map(|(name, expression, _)| format!("{expression} as {name}")).collect();
    let statement = format!("select {} {rest}", list.join(", "));
    let rows = store.db().rows("showing diffs", &statement).await?;
    let fields = columns.iter().map(|(name, _, kind)| Field {
        name: (*name).to_owned(),
        r#type: (*kind).into(),
        ..Field::default()
    });
    Ok(query_result(fields.collect(), rows))
}

/// Rows as they travel.
pub(super) fn query_result(fields: Vec<Field>, rows: Vec<Row>) -> QueryResult {
    QueryResult {
        fields,
        rows_affected: rows.len() as u64,
        rows: rows.into_iter().map(|row| encode_row(row.unwrap())).collect(),
        ..QueryResult::default()
    }
}
