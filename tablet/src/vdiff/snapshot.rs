//! Opening both sides of a table: the workflow is stopped, a consistent snapshot is taken on each
//! side, and the workflow is started again.

use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::StreamExt as _;
use tablet_wire::binlogdata::{
    BinlogSource, VStreamOptions, VStreamRowsRequest, VStreamRowsResponse,
};
use tablet_wire::query::{QueryResult, Row, Target};
use tablet_wire::queryservice::query_client::QueryClient;
use tablet_wire::topodata::TabletType;
use tokio_util::sync::CancellationToken;
use tonic::transport::Endpoint;

use super::Context;
use super::error::{DiffError, SideName};
use super::side::{Packets, Side};
use super::table_plan::{Plan, TableToDiff};
use crate::seeded_bugs::SeededBug;
use crate::vstreamer::StreamRequest;

const CONNECT_DEADLINE: Duration = Duration::from_secs(5);
/// From the request to the first response: it includes waiting for the table's lock.
const FIRST_DEADLINE: Duration = Duration::from_secs(30);
const KEEP_ALIVE: Duration = Duration::from_secs(5);

/// Both sides of a table, at their first rows.
pub(super) struct Sides {
    pub(super) plan: Plan,
    pub(super) source: Side,
    pub(super) target: Side,
}

/// What a snapshot is for.
pub(super) struct SnapshotOf<'a> {
    pub(super) uuid: &'a str,
    pub(super) workflow: &'a str,
    pub(super) from: &'a BinlogSource,
    pub(super) table: &'a TableToDiff,
    /// Both sides begin strictly after this key.
    pub(super) after: Option<&'a [Vec<u8>]>,
    /// The same for the log.
    pub(super) after_text: &'a str,
}

/// Takes both snapshots. Dropped at any await, the workflow is started again in the background and
/// the snapshots end.
pub(super) async fn open(
    context: &Context,
    of: &SnapshotOf<'_>,
    cancel: &CancellationToken,
) -> Result<Sides, DiffError> {
    let paused = context.pauser.pause(of.workflow, context.store.epoch, cancel).await?;
    let (source_first, source) = source_packets(context, of).await?;
    let (target_first, target) = target_packets(context, of, cancel).await?;
    if !paused.is_held() {
        let reason = "the workflow's lock was lost while the snapshots were taken";
        return Err(DiffError::Ephemeral(reason.to_owned()));
    }
    if let Err(error) = paused.resume().await {
        tracing::warn!(uuid = of.uuid, %error, "the workflow is restarted in the background");
    }
    let name = &of.table.name;
    let plan = Plan::new(name, &source_first, &target_first)
        .map_err(|error| DiffError::Lasting(error.to_string()))?;
    tracing::debug!(
        uuid = of.uuid,
        table = name,
        source = source_first.gtid,
        target = target_first.gtid,
        "both snapshots are taken"
    );
    context.deps.stats.source_rows_taken.store(0, Ordering::Relaxed);
    let source = match context.deps.bugs.has(SeededBug::BrokenStreamIsEnd) {
        // gRPC's end of a stream carries its status in a trailer: whoever looks for data alone takes
        // each end for the last row.
        true => source.take_while(|item| std::future::ready(item.is_ok())).boxed(),
        false => source,
    };
    Ok(Sides {
        source: Side::new(SideName::Source, name, source, plan.source_width),
        target: Side::new(SideName::Target, name, target, plan.target_width),
        plan,
    })
}

async fn source_packets(
    context: &Context,
    of: &SnapshotOf<'_>,
) -> Result<(VStreamRowsResponse, Packets), DiffError> {
    let side = SideName::Source;
    let BinlogSource { keyspace, shard, .. } = of.from;
    let address = context
        .deps
        .locator
        .primary_grpc_address(keyspace, shard)
        .await
        .map_err(|error| DiffError::Ephemeral(error.to_string()))?;
    let unreachable = |error: tonic::transport::Error| {
        let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
        DiffError::Ephemeral(format!(
            "the source tablet {address} was not reached: {error} {cause}"
        ))
    };
    let channel = Endpoint::from_shared(address.clone())
        .map_err(unreachable)?
        .initial_stream_window_size(context.deps.options.stream_window_bytes)
        .connect_timeout(CONNECT_DEADLINE)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE)
        .keep_alive_while_idle(true)
        .tcp_nodelay(true)
        .connect()
        .await
        .map_err(unreachable)?;
    let request = VStreamRowsRequest {
        target: Some(Target {
            keyspace: keyspace.clone(),
            shard: shard.clone(),
            tablet_type: TabletType::Primary.into(),
            cell: String::new(),
        }),
        query: of.table.source_query.clone(),
        lastpk: of.after.map(last_key),
        options: Some(VStreamOptions { no_timeouts: true }),
    };
    if of.after.is_some() && context.deps.bugs.has(SeededBug::DescriptorLeak) {
        // vitessio/vitess#19370: the client of an interrupted stream is never closed.
        std::mem::forget(channel.clone());
    }
    log_start(of, side);
    // A row can be as large as MySQL lets it be.
    let mut client = QueryClient::new(channel).max_decoding_message_size(usize::MAX);
    let table = of.table.name.clone();
    let failed = move |status: &tonic::Status| super::status::to_diff_error(status, side, &table);
    let response = tokio::time::timeout(FIRST_DEADLINE, client.v_stream_rows(request)).await;
    let stream = response.map_err(|_| no_answer(side, of))?.map_err(|status| failed(&status))?;
    let packets = stream.into_inner().map(move |item| item.map_err(|status| failed(&status)));
    first(packets.boxed(), side, of).await
}

async fn target_packets(
    context: &Context,
    of: &SnapshotOf<'_>,
    cancel: &CancellationToken,
) -> Result<(VStreamRowsResponse, Packets), DiffError> {
    let side = SideName::Target;
    let request = StreamRequest {
        query: of.table.target_query.clone(),
        after: of.after.map(<[Vec<u8>]>::to_vec),
    };
    log_start(of, side);
    let table = of.table.name.clone();
    let failed = move |source| DiffError::Stream { side, table: table.clone(), source };
    let stream = context.streamer.stream(request, cancel.child_token());
    first(stream.map(move |item| item.map_err(&failed)).boxed(), side, of).await
}

/// Waits for the first response, which describes the rows.
async fn first(
    mut packets: Packets,
    side: SideName,
    of: &SnapshotOf<'_>,
) -> Result<(VStreamRowsResponse, Packets), DiffError> {
    match tokio::time::timeout(FIRST_DEADLINE, packets.next()).await {
        Err(_) => Err(no_answer(side, of)),
        Ok(Some(first)) => Ok((first?, packets)),
        Ok(None) => {
            let table = &of.table.name;
            Err(DiffError::Ephemeral(format!(
                "the {side} of table '{table}' ended before it began"
            )))
        }
    }
}

fn no_answer(side: SideName, of: &SnapshotOf<'_>) -> DiffError {
    let table = &of.table.name;
    DiffError::Ephemeral(format!("no snapshot of {side} table '{table}' within {FIRST_DEADLINE:?}"))
}

fn last_key(values: &[Vec<u8>]) -> QueryResult {
    let mut row = Row::default();
    for value in values {
        row.lengths.push(i64::try_from(value.len()).unwrap_or(i64::MAX));
        row.values.extend_from_slice(value);
    }
    QueryResult { rows: vec![row], ..QueryResult::default() }
}

fn log_start(of: &SnapshotOf<'_>, side: SideName) {
    tracing::info!(
        event = "stream_start",
        uuid = of.uuid,
        table = of.table.name,
        side = %side,
        after = of.after_text,
        "a row stream begins"
    );
}
