//! What is left behind is really found: planted in real MySQL and etcd, and seen by the end of a trial.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use engine::docker::{Engine, Run};
use engine::images::{self, ImageOptions};
use harness::campaign::{ServerSlot, Slot};
use harness::plan::{self, PlanOptions};
use harness::stage::{Stage, Waited};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder};
use records::journal::{CountedWhen, Event, Side};
use records::verdict::{Invariant, Verdict};
use system::{Signal, TARGET_DB};
use tablet_wire::etcdserverpb::kv_client::KvClient;
use tablet_wire::etcdserverpb::lease_client::LeaseClient;
use tablet_wire::etcdserverpb::{LeaseGrantRequest, PutRequest};

/// The trial, by which the tablet calls its sidecar database and its topology root.
const NAME: &str = "haunted";
const UUID: &str = "7b1e0000-0000-4000-8000-00000000000e";

/// A diff that completes, and then a death and a new incarnation.
async fn play(stage: &Stage) -> Result<()> {
    stage.launch().await?;
    stage.start_workflow().await?;
    stage.create_vdiff(UUID).await?;
    ensure!(stage.wait_settled(Duration::from_secs(60)).await?.is_yes(), "it did not settle");
    stage.target().expect_exit(0, 137);
    stage.target().tablet().kill(Signal::SIGKILL).await?;
    stage.target().wait_exited(1, Duration::from_secs(10)).await.context("it lives on")?;
    stage.start(Side::Target).await?;
    let ready = stage.wait_ready(Side::Target, Duration::from_secs(20), Duration::ZERO).await;
    ensure!(matches!(ready, Waited::Yes { .. }), "{ready:?}");
    Ok(())
}

/// A connection of the dead incarnation, with a table lock and a user-level lock.
async fn haunt(stage: &Stage) -> Result<Conn> {
    let server = &stage.servers()?.target;
    let user = stage.target().tablet().mysql_users()[0].clone();
    let mut root = server.pool().get_conn().await?;
    root.query_drop(format!("alter user '{user}'@'%' identified by 'boo'")).await?;
    let (host, port) = server.host_addr();
    let options = OptsBuilder::default()
        .ip_or_hostname(host)
        .tcp_port(port)
        .user(Some(user))
        .pass(Some("boo"))
        .prefer_socket(false);
    let mut ghost = Conn::new(options).await?;
    ghost.query_drop("do get_lock('haunted', 0)").await?;
    ghost.query_drop(format!("lock tables {TARGET_DB}.customer read")).await?;
    Ok(ghost)
}

/// A lease of nobody, which keeps a shard's lock.
async fn leave_a_lease(stage: &Stage) -> Result<()> {
    let address = stage.servers()?.etcd.host_address();
    let channel = tonic::transport::Endpoint::from_shared(address)?.connect_lazy();
    let grant = LeaseGrantRequest { ttl: 60, id: 0 };
    let lease = LeaseClient::new(channel.clone()).lease_grant(grant).await?.into_inner().id;
    let key = format!("/{NAME}/global/keyspaces/customer/shards/0/locks/77");
    let put = PutRequest { key: key.into(), value: b"nobody".to_vec(), lease, prev_kv: false };
    KvClient::new(channel).put(put).await?;
    Ok(())
}

async fn orphan_a_row(stage: &Stage) -> Result<()> {
    let mut root = stage.servers()?.target.pool().get_conn().await?;
    let insert =
        format!("insert into `_vt_{NAME}`.vdiff_log (vdiff_id, message) values (4711, 'whose?')");
    Ok(root.query_drop(insert).await?)
}

// An oracle that never sees what it looks for passes every tablet.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_dead_incarnation_leaves_is_found_and_fails_the_trial() {
    let engine = Engine::connect().await.unwrap();
    let tablet = std::env::var("VDIFF_CHAOS_TABLET_IMAGE").ok();
    let options = ImageOptions { tablet, ..Default::default() };
    let images = images::ensure(&engine, &options, &|line| println!("{line}")).await.unwrap();
    let options =
        PlanOptions { rows: 3_000, tables: vec!["customer".into()], ..Default::default() };
    let mut schedule = plan::schedule(7, 0, &options).unwrap();
    schedule.steps.clear();
    let id = format!("test-{}", Run::fresh_id());
    let slot =
        ServerSlot::start(&engine, &Arc::new(images), &id, &schedule.workload).await.unwrap();
    let environment = slot.environment(&Arc::default(), 1_000, None);
    let dir = tempfile::tempdir().unwrap();
    let stage = Stage::open(&environment, &schedule, NAME, dir.path()).await.unwrap();
    play(&stage).await.unwrap();
    let before = stage.look_for_residue().await.unwrap();
    assert!(before.is_clean() && before.not_looked_at.is_empty(), "{before:#?}");

    let ghost = haunt(&stage).await.unwrap();
    leave_a_lease(&stage).await.unwrap();
    orphan_a_row(&stage).await.unwrap();
    stage.collect().await;
    let judgement = stage.judge().into_iter().find(|j| j.invariant == Invariant::I7).unwrap();
    println!("{judgement:#?}");
    assert_eq!(judgement.verdict, Verdict::Fail);
    let reasons: Vec<&str> = judgement.reasons.iter().map(|r| r.text.as_str()).collect();
    for found in [
        "USER LEVEL LOCK lock EXCLUSIVE on haunted",
        "TABLE lock SHARED_READ_ONLY on vt_customer.customer",
        "connection of a dead incarnation",
        "/shards/0/locks/77: nobody",
        "/shards/0/locks/77 of nobody who is alive",
        "1 in vdiff_log",
    ] {
        assert!(reasons.iter().any(|reason| reason.contains(found)), "{found} was not found");
    }
    let held = stage.records().into_iter().filter_map(|record| match record.event {
        Event::ResourcesCounted(held) => Some((held.moment, held.tasks.is_some())),
        _ => None,
    });
    let held: Vec<_> = held.collect();
    assert_eq!(
        held.iter().filter(|look| **look == (CountedWhen::AtEnd, true)).count(),
        2,
        "{held:?}"
    );

    drop(ghost);
    stage.close().await;
    slot.remove().await.unwrap();
}
