//! The small disk of a MySQL server, on the real engine.

use std::time::Duration;

use engine::docker::{Engine, Run};
use engine::images::{self, ImageOptions};
use mysql_async::prelude::Queryable;
use servers::Servers;

const SMALL: u64 = 384 << 20;
const WITHIN: Duration = Duration::from_secs(75);
/// MySQL's "the table is full".
const FULL: u16 = 1114;

/// A fault that fills a disk is worth nothing when writes go on, when they do not come back after it,
/// or when the data is gone after the server's next restart.
#[tokio::test(flavor = "multi_thread")]
async fn a_small_disk_runs_full_is_freed_and_survives_a_restart() {
    let engine = Engine::connect().await.unwrap();
    let images = images::ensure(&engine, &ImageOptions::default(), &|_| ()).await.unwrap();
    let run = Run::begin(&engine, &format!("test-{}", Run::fresh_id())).await.unwrap();
    let servers = Servers::start_on(&engine, &run, &images, Some(SMALL)).await.unwrap();
    let mysql = &servers.target;
    let insert = "insert into d.t select null, repeat('x', 100000)";
    let mut conn = mysql.connect().await.unwrap();
    conn.query_drop("create database d").await.unwrap();
    conn.query_drop("create table d.t (id int auto_increment primary key, filler longtext)")
        .await
        .unwrap();
    conn.query_drop(insert).await.unwrap();

    mysql.narrow_disk().await.unwrap();
    conn.query_drop(insert).await.unwrap();
    mysql.fill_disk().await.unwrap();
    let refused = conn.query_drop(insert).await;
    let Err(mysql_async::Error::Server(error)) = refused else {
        panic!("expected a refusal, found {refused:?}")
    };
    assert_eq!(error.code, FULL, "{error}");
    mysql.free_disk().await.unwrap();
    mysql.wait_writable(WITHIN).await.unwrap();

    mysql.kill().await.unwrap();
    mysql.start().await.unwrap();
    mysql.wait_ready(WITHIN).await.unwrap();
    let mut conn = mysql.connect().await.unwrap();
    let rows: Option<u64> = conn.query_first("select count(*) from d.t").await.unwrap();
    assert_eq!(rows, Some(2));

    assert!(servers.source.fill_disk().await.is_err(), "nobody fills the engine's own disk");
    run.remove().await.unwrap();
}
