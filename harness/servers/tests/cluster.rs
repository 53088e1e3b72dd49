//! The servers of a cluster, on the real engine.

use std::time::{Duration, Instant};

use engine::docker::{ContainerSpec, Engine, LABEL_RUN, Run};
use engine::images::{self, Image, Images, Recipe};
use mysql_async::prelude::Queryable;
use servers::Servers;

const BOOT: Duration = Duration::from_secs(30);

async fn server_images(engine: &Engine) -> Images {
    let mysql =
        images::ensure_server(engine, &Recipe::mysql(), None, &|_| ()).await.expect("the image");
    let etcd =
        images::ensure_server(engine, &Recipe::etcd(), None, &|_| ()).await.expect("the image");
    let none = Image { reference: String::new(), id: String::new(), by_recipe: false };
    Images { mysql, etcd, tablet: none, helper: None }
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

    ended_trials_leave_nothing_on_shared_servers(&servers).await;

    let label = format!("{LABEL_RUN}={}", run.id());
    // A handle that is dropped blocks nobody, and loses nothing: its container falls to the run.
    let spec = ContainerSpec {
        what: "dropped".to_owned(),
        image: images.etcd.reference.clone(),
        command: ["etcd", "--data-dir=/var/lib/etcd"].map(str::to_owned).to_vec(),
        ..ContainerSpec::default()
    };
    drop(engine.launch(run.site(), spec).await.unwrap());
    let left = engine.labelled(&label).await.unwrap();
    assert!(left.iter().any(|thing| thing.name.ends_with("dropped")), "{left:?}");
    assert!(!engine.labelled(&label).await.unwrap().is_empty());
    let directory = run.directory().to_owned();
    run.remove().await.unwrap();
    assert!(engine.labelled(&label).await.unwrap().is_empty());
    assert!(!directory.exists());
}

/// Hundreds of trials run on one server: what each leaves goes when it ends, but for the binlogs in which
/// the history of another one lies.
async fn ended_trials_leave_nothing_on_shared_servers(servers: &Servers) {
    let server = &servers.target;
    let mut conn = server.connect().await.expect("MySQL answers");
    server.enter("_vt_one").await.expect("MySQL answers");
    let first = binlogs(&mut conn).await.pop().expect("MySQL answers");
    conn.query_drop("create database _vt_one").await.expect("MySQL answers");
    conn.query_drop("create table _vt_one.vdiff (id int primary key)")
        .await
        .expect("MySQL answers");
    server.enter("_vt_two").await.expect("MySQL answers");
    let second = binlogs(&mut conn).await.pop().expect("MySQL answers");
    assert_ne!(first, second, "each begins in a binlog of its own");

    server.leave("_vt_two", "_vt_two").await.expect("MySQL answers");
    assert_eq!(binlogs(&mut conn).await.first(), Some(&first), "the first one still runs");
    let before = server.gtid_executed().await.expect("MySQL answers");
    server.leave("_vt_one", "_vt_one").await.expect("MySQL answers");
    assert_eq!(
        server.gtid_executed().await.expect("MySQL answers"),
        before,
        "it is no part of any history"
    );
    assert_eq!(binlogs(&mut conn).await, [second]);
    let databases: Vec<String> =
        conn.query("show databases like '\\_vt%'").await.expect("MySQL answers");
    assert!(databases.is_empty(), "{databases:?}");
}

async fn binlogs(conn: &mut mysql_async::Conn) -> Vec<String> {
    let rows: Vec<mysql_async::Row> = conn.query("show binary logs").await.expect("MySQL answers");
    rows.iter().map(|row| row.get(0).expect("MySQL answers")).collect()
}
