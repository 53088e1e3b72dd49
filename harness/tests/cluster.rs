//! The servers of a cluster, on the real engine.

use std::time::{Duration, Instant};

use harness::cluster::Servers;
use harness::docker::{Engine, LABEL_RUN, Run};
use harness::images::{self, Image, Images, Recipe};
use mysql_async::prelude::Queryable;

const BOOT: Duration = Duration::from_secs(30);

async fn server_images(engine: &Engine) -> Images {
    let mysql =
        images::ensure_server(engine, &Recipe::mysql(), None, &|_| ()).await.expect("the image");
    let etcd =
        images::ensure_server(engine, &Recipe::etcd(), None, &|_| ()).await.expect("the image");
    let none = Image { reference: String::new(), id: String::new(), by_recipe: false };
    Images { mysql, etcd, tablet: none }
}

/// What a trial rests on: committed rows and keys survive a SIGKILL of their server, the new port is
/// found, source and target are different servers, and nothing is left after the run.
#[tokio::test(flavor = "multi_thread")]
async fn servers_survive_their_kill_and_leave_nothing() {
    let engine = Engine::connect().await.unwrap();
    let images = server_images(&engine).await;
    let run = Run::begin(&engine, &format!("test-{}", Run::fresh_id())).await.unwrap();
    let began = Instant::now();
    let servers = Servers::start(&engine, &run, &images).await.unwrap();
    println!("servers ready after {:?}", began.elapsed());

    let uuid = "select @@server_uuid";
    let mut source = servers.source.pool().get_conn().await.unwrap();
    let mut target = servers.target.pool().get_conn().await.unwrap();
    let source_uuid: Option<String> = source.query_first(uuid).await.unwrap();
    let target_uuid: Option<String> = target.query_first(uuid).await.unwrap();
    assert_ne!(source_uuid, target_uuid);
    target.query_drop("create database d").await.unwrap();
    target.query_drop("create table d.t (id int primary key)").await.unwrap();
    target.query_drop("insert into d.t values (1), (2)").await.unwrap();
    let before = servers.target.gtid_executed().await.unwrap();
    servers.target.create_user("t0_target_i1", "secret").await.unwrap();
    assert_eq!(servers.target.gtid_executed().await.unwrap(), before, "users stay out of history");

    let began = Instant::now();
    servers.target.kill().await.unwrap();
    servers.target.start().await.unwrap();
    servers.target.wait_ready(BOOT).await.unwrap();
    println!("MySQL killed and ready after {:?}", began.elapsed());
    let mut target = servers.target.pool().get_conn().await.unwrap();
    let rows: Vec<i32> = target.query("select id from d.t order by id").await.unwrap();
    assert_eq!(rows, [1, 2]);

    servers.etcd.put("/a/1", b"x".to_vec()).await.unwrap();
    servers.etcd.put("/b", b"y".to_vec()).await.unwrap();
    let began = Instant::now();
    servers.etcd.restart().await.unwrap();
    servers.etcd.wait_ready(BOOT).await.unwrap();
    println!("etcd killed and ready after {:?}", began.elapsed());
    assert_eq!(servers.etcd.get("/a/1").await.unwrap().unwrap().value, b"x");
    assert_eq!(servers.etcd.list_prefix("/a/").await.unwrap().len(), 1);
    assert_eq!(servers.etcd.delete_prefix("/a/").await.unwrap(), 1);

    let label = format!("{LABEL_RUN}={}", run.id());
    assert!(!engine.labelled(&label).await.unwrap().is_empty());
    let directory = run.directory().to_owned();
    run.remove().await.unwrap();
    assert!(engine.labelled(&label).await.unwrap().is_empty());
    assert!(!directory.exists());
}
