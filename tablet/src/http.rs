//! HTTP: what a supervisor and an operator look at. Reads snapshots only, so it answers while etcd
//! and MySQL are away.

use std::sync::atomic::Ordering;

use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::metrics::{self, Shown};

/// The one setting of `/debug/env`.
const ROWS_PER_SECOND: &str = "vdiff_rows_per_second";

/// Serves until `stop`.
///
/// # Errors
/// The listener failed.
pub(crate) async fn serve(
    listener: TcpListener,
    shown: Shown,
    stop: CancellationToken,
) -> std::io::Result<()> {
    axum::serve(listener, router(shown)).with_graceful_shutdown(stop.cancelled_owned()).await
}

fn router(shown: Shown) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok"))
        .route("/readyz", get(readyz))
        .route("/debug/vars", get(debug_vars))
        .route("/debug/env", get(debug_env).post(debug_env))
        .route("/metrics", get(metrics_page))
        .with_state(shown)
}

#[derive(Serialize)]
struct Readiness {
    ready: bool,
    r#type: &'static str,
    epoch: i64,
    reasons: Vec<String>,
}

async fn readyz(State(shown): State<Shown>) -> Response {
    shown.stats.readiness_asked_total.fetch_add(1, Ordering::Relaxed);
    let state = shown.state.snapshot();
    let reasons = state.reasons();
    let ready = reasons.is_empty();
    let code = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let epoch = state.epoch().map_or(0, |epoch| epoch.0);
    (code, Json(Readiness { ready, r#type: state.type_name(), epoch, reasons })).into_response()
}

async fn debug_vars(State(shown): State<Shown>) -> Json<Value> {
    let state = shown.state.snapshot();
    let memory = *shown.memory.borrow();
    let phases: Map<String, Value> = shown
        .stats
        .snapshot()
        .into_iter()
        .map(|(uuid, progress)| {
            let shown = json!({
                "table": progress.table,
                "phase": progress.phase.name(),
                "rows_compared": progress.rows_compared,
            });
            (uuid, shown)
        })
        .collect();
    let streams: Vec<Value> = shown
        .stats
        .streams()
        .into_iter()
        .map(|stream| json!({ "query": stream.query, "rows_sent": stream.rows_sent }))
        .collect();
    Json(json!({
        "VDiffCount": shown.stats.controllers.load(Ordering::Relaxed),
        "VDiffActionsTotal": shown.stats.actions_total.load(Ordering::Relaxed),
        "VDiffErrorCountTotal": shown.stats.errors_total.load(Ordering::Relaxed),
        "VDiffRowsComparedTotal": shown.stats.rows_compared_total.load(Ordering::Relaxed),
        "VDiffCheckpointsTotal": shown.stats.checkpoints_total.load(Ordering::Relaxed),
        "VDiffPhase": phases,
        "VDiffRowsPerSecond": shown.limits.rows_per_second(),
        "VDiffSourceRowsTaken": shown.stats.source_rows_taken.load(Ordering::Relaxed),
        "ReadinessAskedTotal": shown.stats.readiness_asked_total.load(Ordering::Relaxed),
        "RowStreamsOpen": shown.stats.row_streams_open.load(Ordering::Relaxed),
        "RowStreams": streams,
        "RssBytes": memory.rss,
        "TasksAlive": metrics::tasks_alive(),
        "MemoryLimitBytes": memory.limit,
        "MemoryChargedBytes": memory.charged,
        "MemoryPressure": memory.pressure.name(),
        "Epoch": state.epoch().map_or(0, |epoch| epoch.0),
        "TabletType": state.type_name(),
        "Stopping": state.stopping,
    }))
}

#[derive(Deserialize)]
struct EnvChange {
    name: Option<String>,
    value: Option<String>,
}

/// With a value: changes a setting; without: shows it.
async fn debug_env(State(shown): State<Shown>, Query(change): Query<EnvChange>) -> Response {
    if let Some(name) = change.name.as_deref().filter(|name| *name != ROWS_PER_SECOND) {
        let text = format!("there is no setting '{name}'; known is: {ROWS_PER_SECOND}\n");
        return (StatusCode::NOT_FOUND, text).into_response();
    }
    match change.value.as_deref().map(str::parse::<u64>) {
        None => {}
        Some(Ok(limit)) => {
            shown.limits.set_rows_per_second(limit);
            tracing::info!(limit, "the limit of rows per second was changed");
        }
        Some(Err(error)) => {
            let text = format!("the value of {ROWS_PER_SECOND} is no number: {error}\n");
            return (StatusCode::BAD_REQUEST, text).into_response();
        }
    }
    Json(json!({ ROWS_PER_SECOND: shown.limits.rows_per_second() })).into_response()
}

async fn metrics_page(State(shown): State<Shown>) -> Response {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    match metrics::render(&shown) {
        Ok(text) => ([(header::CONTENT_TYPE, kind)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::watch;

    use super::*;
    use crate::engine::{LiveSettings, VdiffStats};
    use crate::engine::{Pressure, VdiffPhase, VdiffProgress};
    use crate::memory_guard::MemoryReading;
    use crate::tabletmanager::state::StateCell;

    fn shown() -> Shown {
        let reading =
            MemoryReading { rss: 3, charged: 2, limit: Some(10), pressure: Pressure::Slow };
        let progress =
            VdiffProgress { table: "a\"b".into(), phase: VdiffPhase::Streaming, rows_compared: 7 };
        let stats = Arc::new(VdiffStats::default());
        stats.set("u-1", progress);
        stats.actions_total.store(2, Ordering::Relaxed);
        let ended = stats.stream_begins("select * from a");
        let open = stats.stream_begins("select * from b");
        stats.stream_sends(open, 7);
        stats.stream_ends(ended);
        Shown {
            state: StateCell::default(),
            memory: watch::Sender::new(reading).subscribe(),
            stats,
            limits: Arc::new(LiveSettings::new(5)),
        }
    }

    #[tokio::test]
    async fn a_tablet_that_has_just_started_is_not_ready_and_says_why() {
        let response = readyz(State(shown())).await;
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        let body = axum::body::to_bytes(response.into_body(), 4096).await.unwrap();
        let answer: Value = serde_json::from_slice(&body).unwrap();
        let reasons = answer["reasons"].to_string();
        assert!(reasons.contains("not registered"), "{answer}");
        assert!(reasons.contains("shard record"), "{answer}");
    }

    #[tokio::test]
    async fn the_variables_show_the_diffs_and_the_memory() {
        let Json(vars) = debug_vars(State(shown())).await;
        assert_eq!(vars["VDiffPhase"]["u-1"]["phase"], "streaming");
        assert_eq!(vars["MemoryPressure"], "slow");
        assert_eq!(vars["TabletType"], "UNKNOWN");
        assert_eq!(vars["VDiffActionsTotal"], 2);
        assert_eq!(vars["Stopping"], false);
        // The harness tells by them how many rows were on their way when a fault struck.
        let open = json!([{ "query": "select * from b", "rows_sent": 7 }]);
        assert_eq!((&vars["RowStreams"], &vars["RowStreamsOpen"]), (&open, &json!(1)));
    }

    // The harness lets a held tablet go when it sees this.
    #[tokio::test]
    async fn a_tablet_that_ends_in_order_says_so() {
        let shown = shown();
        shown.state.update(|state| state.stopping = true);
        assert_eq!(debug_vars(State(shown)).await.0["Stopping"], true);
    }

    // The harness finds a leak by this number: one that stands still would hide every leak.
    #[tokio::test]
    async fn a_task_is_counted_while_it_lives_and_no_longer() {
        let count = async || debug_vars(State(shown())).await.0["TasksAlive"].as_u64().unwrap();
        let before = count().await;
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        let task = tokio::spawn(ended);
        assert_eq!(count().await, before + 1);
        drop(end);
        assert!(task.await.unwrap().is_err());
        assert_eq!(count().await, before);
    }

    #[tokio::test]
    async fn the_limit_changes_only_to_a_number() {
        let shown = shown();
        let set = |value: &str| EnvChange {
            name: Some(ROWS_PER_SECOND.into()),
            value: Some(value.into()),
        };
        let response = debug_env(State(shown.clone()), Query(set("many"))).await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST);
        assert_eq!(shown.limits.rows_per_second(), 5);
        debug_env(State(shown.clone()), Query(set("900"))).await;
        assert_eq!(shown.limits.rows_per_second(), 900);
        let other = EnvChange { name: Some("x".into()), value: Some("1".into()) };
        let response = debug_env(State(shown), Query(other)).await;
        assert_eq!(response.status(), StatusCode::NOT_FOUND);
    }

    #[test]
    fn the_metrics_escape_what_an_operator_named() {
        let text = metrics::render(&shown()).unwrap();
        assert!(text.contains("tablet_memory_pressure 1\n"), "{text}");
        assert!(text.contains(r#"table="a\"b""#), "{text}");
    }
}
