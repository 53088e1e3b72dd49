//! The tablet as a system under test, on the real engine.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::docker::{Engine, Run};
use engine::images::{self, ImageOptions, Images};
use records::journal::Side;
use records::schedule::Pace;
use servers::Servers;
use system::{Means, OomEvidence, Readiness, Signal};
use system_tablet::{ContainerTablet, TabletSpec};

const LIMIT: u64 = 64 << 20;

async fn images(engine: &Engine) -> Images {
    let tablet = std::env::var("VDIFF_CHAOS_TABLET_IMAGE").ok();
    let options = ImageOptions { tablet, ..Default::default() };
    images::ensure(engine, &options, &|line| println!("{line}")).await.expect("the images")
}

fn spec(what: &str) -> TabletSpec {
    TabletSpec {
        side: Side::Target,
        what: what.to_owned(),
        user_prefix: "t0_target".to_owned(),
        alias: "zone1-0000000200".to_owned(),
        keyspace: "customer".to_owned(),
        shard: "0".to_owned(),
        db_name: "vt_customer".to_owned(),
        sidecar_db: "_vt_0".to_owned(),
        topo_root: "/t0".to_owned(),
        workflow: "move".to_owned(),
        pace: Pace {
            rows_per_second: 0,
            checkpoint_rows: 500,
            checkpoint_interval_ms: 100,
            memory_limit_bytes: LIMIT,
            packet_bytes: 8 << 10,
        },
        retry_min_ms: 200,
        retry_max_ms: 2000,
        lease_ttl_seconds: 10,
        bug: None,
        wiring: Default::default(),
        options: vec![],
    }
}

/// A process of another user is signalled by root only: for all others the engine does it.
fn may_signal(pid: i32) -> bool {
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), None).is_ok()
}

/// The first readiness that holds, or the last that did not.
async fn ready_within(tablet: &ContainerTablet, deadline: Duration) -> Readiness {
    let began = Instant::now();
    let mut pause = tokio::time::interval(Duration::from_millis(50));
    loop {
        pause.tick().await;
        let now = tablet.readiness().await;
        if now.ready || began.elapsed() > deadline {
            return now;
        }
    }
}

/// A held tablet is let go when it shows this: a count that stood still would hold each for its deadline.
async fn arrivals_are_shown(tablet: &ContainerTablet) {
    let actions = async || {
        tablet.client().debug_vars().await.expect("it answers")["VDiffActionsTotal"].as_u64()
    };
    assert!(tablet.client().vdiff_show("move", "u-none").await.is_err());
    assert_eq!(actions().await, Some(0), "a look is no action");
    assert!(tablet.client().vdiff_stop("move", "u-none").await.is_err());
    assert_eq!(actions().await, Some(1), "refused, and arrived");
    assert_eq!(tablet.client().debug_vars().await.expect("it answers")["Stopping"], false);
}

/// Each OOM kill must be proven.
async fn killed_by_the_kernel(tablet: &ContainerTablet) {
    let kills: u32 = std::env::var("OOM_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(3);
    let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
    for _ in 0..kills {
        let started = tablet.start_incarnation().await.expect("a start");
        assert_eq!(tablet.user_names().len(), started.incarnation as usize);
        let began = Instant::now();
        let evidence = tablet.contained().oom().await.expect("an answer");
        println!("{evidence:?} after {:?}", began.elapsed());
        let kind = match &evidence {
            OomEvidence::Counter { baseline, count } if count > baseline => "counter",
            OomEvidence::Counter { .. } | OomEvidence::None => "none",
            OomEvidence::Survived { why } => panic!("it survived: {why}"),
            OomEvidence::KernelLog { .. } => "kernel log",
            OomEvidence::EngineEvent => "engine event",
        };
        *counts.entry(kind).or_default() += 1;
        assert_eq!(tablet.contained().wait_exit().await.expect("an exit"), 137);
    }
    println!("evidence of {kills} OOM kills: {counts:?}");
    assert_eq!(counts.get("none"), None);
}

async fn squeezed_and_released(engine: &Engine, tablet: &ContainerTablet) {
    let before = tablet.contained().charged_bytes();
    tablet.contained().squeeze(LIMIT / 2).await.expect("room");
    println!("squeezed from {before:?} to {:?}", tablet.contained().charged_bytes());
    if let Some(charged) = tablet.contained().charged_bytes() {
        assert!(charged > LIMIT * 4 / 10 && charged < LIMIT * 6 / 10, "{charged}");
        // The engine's word serves where the kernel's cannot be heard: it must be the same.
        let account = engine
            .memory_account(&tablet.contained().container_id().expect("a container"))
            .await
            .expect("an answer");
        let told = account.charged_bytes.expect("a charge");
        assert!(told.abs_diff(charged) < LIMIT / 20, "{told} {charged}");
        assert_eq!(account.limit_bytes, Some(LIMIT));
    }
    tablet.contained().release_squeeze().await.expect("an answer");
    if let Some(charged) = tablet.contained().charged_bytes() {
        assert!(charged < LIMIT * 4 / 10, "{charged}");
    }
}

/// Every kill must be proven by the kernel's own counter, and each incarnation must be a fresh start:
/// new user, baseline of its own, ports that answer.
#[tokio::test(flavor = "multi_thread")]
async fn a_tablet_is_killed_in_every_way_and_started_again() {
    let engine = Engine::connect().await.unwrap();
    let images = Box::pin(images(&engine)).await;
    let run = Run::begin(&engine, &format!("test-{}", Run::fresh_id())).await.unwrap();
    let servers = Arc::new(Box::pin(Servers::start(&engine, &run, &images)).await.unwrap());
    let tablet =
        ContainerTablet::new(&engine, run.site(), servers.clone(), &images.tablet, spec("target"));
    assert!(!tablet.readiness().await.ready);

    let began = Instant::now();
    let first = tablet.start_incarnation().await.unwrap();
    assert_eq!(first.incarnation, 1);
    assert_eq!(tablet.user_names(), ["t0_target_i1"]);
    let ready = ready_within(&tablet, Duration::from_secs(15)).await;
    println!("{ready:?} after {:?}", began.elapsed());
    // Whatever driver the engine takes by itself: a log that cannot be read back proves nothing.
    assert_eq!(engine.inspect(&first.container).await.unwrap().log_driver, "json-file");
    let log = engine.last_log_lines(&first.container, 15).await.join("\n");
    assert!(ready.ready, "{ready:?}\n{log}");
    arrivals_are_shown(&tablet).await;
    let began = Instant::now();
    println!(
        "rss {:?}, charged {:?}",
        tablet.contained().rss_bytes(),
        tablet.contained().charged_bytes()
    );
    let by_pid = first.host_pid.filter(|pid| may_signal(*pid));
    let means = tablet.contained().kill(Signal::SIGKILL).await.unwrap();
    assert_eq!(tablet.contained().wait_exit().await.unwrap(), 137);
    println!("killed {means} after {:?}", began.elapsed());
    assert_eq!(means, by_pid.map_or(Means::Engine, Means::HostPid));
    // Its PID is nobody's or somebody else's now: neither may be hit.
    assert!(tablet.contained().kill(Signal::SIGKILL).await.is_err());

    // On the heap, each of them: a debug build's future would not fit the stack of a test.
    Box::pin(killed_by_the_kernel(&tablet)).await;
    // The server is away: a supervisor starts the tablet all the same.
    servers.target.kill().await.unwrap();
    tablet.start_incarnation().await.unwrap();
    Box::pin(squeezed_and_released(&engine, &tablet)).await;
    tablet.contained().kill(Signal::SIGKILL).await.unwrap();
    let ended = tablet.contained().wait_exit_within(Duration::from_secs(5)).await.unwrap();
    assert_eq!(ended, Some(137));
    run.remove().await.unwrap();
}
