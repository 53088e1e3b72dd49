//! The wire proxy before real MySQL: a statement that is held when its client dies has happened or not,
//! by the moment at which it was held, and nothing else can tell that the proxy is there.

#[path = "proxy/bench.rs"]
mod bench;
#[path = "proxy/holding.rs"]
mod holding;
#[path = "proxy/transparent.rs"]
mod transparent;

use std::time::Duration;

use anyhow::{Context, Result};
use engine::docker::{Engine, Run};
use engine::images::{self, Recipe};
use servers::MysqlServer;

/// For everything; the image may have to be made first.
const DEADLINE: Duration = Duration::from_secs(600);

#[tokio::test(flavor = "multi_thread")]
async fn the_proxy_holds_and_passes_what_real_mysql_says() -> Result<()> {
    let engine = Engine::connect().await?;
    let run = Run::begin(&engine, &Run::fresh_id()).await?;
    let done = tokio::time::timeout(DEADLINE, on_a_server(&engine, &run)).await;
    run.remove().await?;
    done.context("the deadline passed")?
}

async fn on_a_server(engine: &Engine, run: &Run) -> Result<()> {
    let progress = |line: &str| eprintln!("{line}");
    let image = images::ensure_server(engine, &Recipe::mysql(), None, &progress).await?;
    let server = MysqlServer::launch(engine, run, &image, "mysql", None).await?;
    let server = std::sync::Arc::new(server);
    transparent::nothing_tells_that_the_proxy_is_there(&server).await?;
    transparent::large_results_pass_byte_for_byte(&server).await?;
    holding::a_held_write_has_happened_or_not_by_its_moment(&server).await?;
    holding::a_held_commit_decides_its_transaction(&server).await?;
    holding::a_hold_stops_its_own_connection_only(&server).await?;
    holding::a_binary_log_is_passed_as_it_is(&server).await?;
    transparent::link_conditions_act_below_the_statements(&server).await?;
    transparent::a_restarted_server_is_found_again(&server).await?;
    Ok(())
}
