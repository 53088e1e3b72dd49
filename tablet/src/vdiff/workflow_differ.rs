//! One run of a diff: its tables in name order, those that are completed skipped.

use tokio_util::sync::CancellationToken;

use super::Context;
use super::controller::or_cancelled;
use super::error::DiffError;
use super::options::{DiffOptions, StoredOptions};
use super::schema::{DiffRow, TableRow};
use super::state::DiffState;
use super::table_differ::TableDiffer;
use super::table_plan::{self, TableToDiff};
use crate::engine::{Pressure, VdiffPhase, VdiffProgress};
use crate::vstreamer::list_tables;

/// Runs the diff to its end.
pub(super) async fn run(
    context: &Context,
    diff: &DiffRow,
    cancel: &CancellationToken,
) -> Result<(), DiffError> {
    let prepared = or_cancelled(cancel, prepare(context, diff)).await?;
    for table in &prepared.tables {
        let Some(saved) = prepared.saved.iter().find(|saved| saved.name == table.name) else {
            let reason = format!("the row of table '{}' was deleted under the diff", table.name);
            return Err(DiffError::Ephemeral(reason));
        };
        if saved.state == DiffState::Completed.name() {
            continue;
        }
        let differ = TableDiffer {
            context,
            id: diff.id,
            uuid: &diff.uuid,
            workflow: &diff.workflow,
            from: &prepared.from,
            table,
            options: &prepared.options,
            cancel,
        };
        differ.run(saved).await?;
    }
    show(context, &diff.uuid, VdiffPhase::Completing);
    or_cancelled(cancel, context.store.complete(diff.id)).await
}

/// What is known before the first table.
struct Prepared {
    options: DiffOptions,
    from: tablet_wire::binlogdata::BinlogSource,
    tables: Vec<TableToDiff>,
    saved: Vec<TableRow>,
}

async fn prepare(context: &Context, diff: &DiffRow) -> Result<Prepared, DiffError> {
    show(context, &diff.uuid, VdiffPhase::Idle);
    let starts = context.store.start(diff.id).await?;
    let most = context.deps.options.max_attempts;
    if starts >= most {
        return Err(DiffError::Lasting(format!(
            "gave up after {starts} unclean starts without progress (at most {most}); \
             resume the diff to try again"
        )));
    }
    if *context.deps.memory.borrow() == Pressure::High {
        return Err(DiffError::MemoryPressure);
    }
    let options = options(diff)?;
    let from = context.pauser.workflow(&diff.workflow).await?.source;
    let mut session = context.store.db().session().await?;
    let on_target = list_tables(&mut session, context.store.sidecar.db_name()).await?;
    drop(session);
    let names: Vec<String> = on_target.iter().map(|(name, _)| name.clone()).collect();
    let tables = table_plan::tables(&from, &names, &options.tables)
        .map_err(|error| DiffError::Lasting(error.to_string()))?;
    let mut with_rows = on_target;
    with_rows.retain(|(name, _)| tables.iter().any(|table| table.name == *name));
    context.store.add_tables(diff.id, &with_rows).await?;
    let saved = context.store.tables(diff.id).await?;
    let dropped = |saved: &&TableRow| tables.iter().all(|table| table.name != saved.name);
    if let Some(dropped) = saved.iter().find(dropped) {
        return Err(DiffError::Lasting(format!(
            "table '{}' of this diff is no longer part of the workflow on the target",
            dropped.name
        )));
    }
    Ok(Prepared { options, from, tables, saved })
}

fn options(diff: &DiffRow) -> Result<DiffOptions, DiffError> {
    if diff.options.is_empty() {
        return Ok(StoredOptions::default().resolve());
    }
    let stored: StoredOptions = serde_json::from_str(&diff.options).map_err(|error| {
        DiffError::Lasting(format!("the stored options of the diff are malformed: {error}"))
    })?;
    Ok(stored.resolve())
}

fn show(context: &Context, uuid: &str, phase: VdiffPhase) {
    let progress = VdiffProgress { table: String::new(), phase, rows_compared: 0 };
    context.deps.stats.set(uuid, progress);
}
