//! The gRPC proxy before a real etcd.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine::docker::{Engine, Run};
use engine::images::{self, Image, Images, Recipe};
use records::schedule::{CrashPoint, Link, Moment};
use servers::Servers;
use tablet_wire::etcdserverpb::kv_client::KvClient;
use tablet_wire::etcdserverpb::lease_client::LeaseClient;
use tablet_wire::etcdserverpb::watch_client::WatchClient;
use tablet_wire::etcdserverpb::watch_request::RequestUnion;
use tablet_wire::etcdserverpb::{
    LeaseGrantRequest, LeaseKeepAliveRequest, LeaseRevokeRequest, PutRequest, RangeRequest,
    WatchCreateRequest, WatchRequest,
};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};
use wire::{
    Armed, GrpcLink, GrpcProxy, HeldExchange, LinkConditions, Normaliser, Pings, STREAM_WINDOW,
    Switchboard, Upstream,
};

const DEADLINE: Duration = Duration::from_secs(30);
const AGAIN: Duration = Duration::from_millis(20);
const ROUNDS: usize = 10;

async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, what).await.expect("it came in time")
}

async fn server_images(engine: &Engine) -> Images {
    let mysql =
        images::ensure_server(engine, &Recipe::mysql(), None, &|_| ()).await.expect("the image");
    let etcd =
        images::ensure_server(engine, &Recipe::etcd(), None, &|_| ()).await.expect("the image");
    let none = Image { reference: String::new(), id: String::new(), by_recipe: false };
    Images { mysql, etcd, tablet: none, helper: None }
}

struct Bench {
    servers: Arc<Servers>,
    switchboard: Switchboard,
    proxy: GrpcProxy,
}

impl Bench {
    async fn new(servers: Servers) -> Self {
        let servers = Arc::new(servers);
        let asked = Arc::clone(&servers);
        let upstream = Upstream::new(move || {
            let address = asked.etcd.host_address();
            address.trim_start_matches("http://").parse().expect("an address of this host")
        });
        let link = GrpcLink {
            link: Link::Etcd,
            upstream,
            conditions: LinkConditions::default(),
            names: Normaliser::new([("/t0", "")]),
            pings: Pings::ETCD,
            stream_window: STREAM_WINDOW,
        };
        let switchboard = Switchboard::default();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let proxy = GrpcProxy::start(address, link, switchboard.clone()).await.unwrap();
        Self { servers, switchboard, proxy }
    }

    fn channel(&self) -> Channel {
        channel(self.proxy.port())
    }

    fn arm(&self, fingerprint: &str, moment: Moment) -> Armed {
        self.switchboard.begin_life();
        self.switchboard.arm(CrashPoint {
            link: Link::Etcd,
            fingerprint: fingerprint.to_owned(),
            phase: None,
            nth: 1,
            moment,
        })
    }

    fn count(&self, fingerprint: &str) -> usize {
        let conversation = self.switchboard.conversation();
        conversation.iter().filter(|one| *one.fingerprint == *fingerprint).count()
    }
}

fn channel(port: u16) -> Channel {
    Endpoint::from_shared(format!("http://127.0.0.1:{port}")).unwrap().connect_lazy()
}

fn put(key: &str, value: &str) -> PutRequest {
    PutRequest { key: key.into(), value: value.into(), ..Default::default() }
}

async fn caught(armed: &mut Armed) -> HeldExchange {
    soon(armed.caught()).await.expect("nothing else was armed")
}

/// What the whole rests on: a put whose client is killed while it is held is in etcd if and only if
/// it was held after etcd had done it; streams in both directions live through the proxy; and so does
/// the link when etcd is killed and comes back at another port.
#[tokio::test(flavor = "multi_thread")]
async fn etcd_is_held_watched_and_restarted_through_the_proxy() {
    let engine = Engine::connect().await.unwrap();
    let images = server_images(&engine).await;
    let run = Run::begin(&engine, &format!("test-{}", Run::fresh_id())).await.unwrap();
    let bench = Bench::new(Servers::start(&engine, &run, &images).await.unwrap()).await;

    a_killed_client_has_put_or_not(&bench).await;
    a_watch_lives(&bench).await;
    a_lease_is_kept(&bench).await;
    etcd_is_killed_and_comes_back(&bench).await;
    what_a_call_takes(&bench).await;

    bench.proxy.stop().await.unwrap();
    run.remove().await.unwrap();
}

async fn a_killed_client_has_put_or_not(bench: &Bench) {
    for (moment, is_there) in [(Moment::Before, false), (Moment::Executed, true)] {
        let key = format!("/t0/{moment}");
        let mut armed = bench.arm(&format!("etcd KV/Put /{moment}"), moment);
        let client = Runtime::new().unwrap();
        let (port, sent) = (bench.proxy.port(), put(&key, "x"));
        client.spawn(async move { KvClient::new(channel(port)).put(sent).await });
        let mut held = caught(&mut armed).await;
        client.shutdown_background();
        soon(held.client_gone()).await;
        held.release();
        // etcd does what it was sent in order: had it got the put, it would be seen after this one.
        soon(KvClient::new(bench.channel()).put(put("/t0/later", "x"))).await.unwrap();
        let found = bench.servers.etcd.get(&key).await.unwrap();
        assert_eq!(found.is_some(), is_there, "{moment}");
    }
}

async fn a_watch_lives(bench: &Bench) {
    let (requests, outgoing) = mpsc::channel(1);
    let create = WatchCreateRequest { key: b"/t0/w".to_vec(), ..Default::default() };
    let create = WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) };
    requests.send(create).await.unwrap();
    let mut client = WatchClient::new(bench.channel());
    let mut answers = soon(client.watch(ReceiverStream::new(outgoing))).await.unwrap().into_inner();
    assert!(soon(answers.message()).await.unwrap().unwrap().created);
    for round in 0..ROUNDS {
        let value = round.to_string();
        bench.servers.etcd.put("/t0/w", value.clone().into_bytes()).await.unwrap();
        let answer = soon(answers.message()).await.unwrap().unwrap();
        assert_eq!(answer.events[0].kv.as_ref().unwrap().value, value.as_bytes());
    }
    assert_eq!(bench.count("etcd Watch/Watch create /w"), 1);
    assert_eq!(bench.count("etcd Watch/Watch create /w message"), ROUNDS);
}

async fn a_lease_is_kept(bench: &Bench) {
    let mut client = LeaseClient::new(bench.channel());
    let grant = LeaseGrantRequest { ttl: 60, id: 0 };
    let id = soon(client.lease_grant(grant)).await.unwrap().into_inner().id;
    let (requests, outgoing) = mpsc::channel(1);
    requests.send(LeaseKeepAliveRequest { id }).await.unwrap();
    let mut answers =
        soon(client.lease_keep_alive(ReceiverStream::new(outgoing))).await.unwrap().into_inner();
    for round in 1..=ROUNDS {
        assert_eq!(soon(answers.message()).await.unwrap().unwrap().ttl, 60, "round {round}");
        if round < ROUNDS {
            requests.send(LeaseKeepAliveRequest { id }).await.unwrap();
        }
    }
    drop(requests);
    assert!(soon(answers.message()).await.unwrap().is_none(), "it ends when the client ends it");
    assert_eq!(bench.count("etcd Lease/LeaseKeepAlive"), ROUNDS);
    // Each answered one: none is the server's own.
    assert_eq!(bench.count("etcd Lease/LeaseKeepAlive message"), 0);
    soon(client.lease_revoke(LeaseRevokeRequest { id })).await.unwrap();
    let lost = soon(client.lease_revoke(LeaseRevokeRequest { id })).await.unwrap_err();
    assert_eq!(lost.code(), tonic::Code::NotFound);
}

async fn etcd_is_killed_and_comes_back(bench: &Bench) {
    let mut client = KvClient::new(bench.channel());
    soon(client.put(put("/t0/k", "1"))).await.unwrap();
    bench.servers.etcd.kill().await.unwrap();
    soon(client.put(put("/t0/k", "2"))).await.unwrap_err();
    bench.servers.etcd.start().await.unwrap();
    let mut last = None;
    let back = async {
        while let Err(error) = client.put(put("/t0/k", "3")).await {
            last = Some(error);
            tokio::time::sleep(AGAIN).await;
        }
    };
    let back = tokio::time::timeout(DEADLINE, back).await;
    assert!(back.is_ok(), "etcd did not come back within {DEADLINE:?}: {last:?}");
    assert_eq!(bench.servers.etcd.get("/t0/k").await.unwrap().unwrap().value, b"3");
}

/// No assertion: the number is for people.
async fn what_a_call_takes(bench: &Bench) {
    let direct = bench.servers.etcd.host_address();
    let direct = Endpoint::from_shared(direct).unwrap().connect_lazy();
    let mut clients = [KvClient::new(direct), KvClient::new(bench.channel())];
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..300 {
        for (client, times) in clients.iter_mut().zip(&mut times) {
            let request = RangeRequest { key: b"/t0/k".to_vec(), ..Default::default() };
            let began = Instant::now();
            soon(client.range(request)).await.unwrap();
            times.push(began.elapsed());
        }
    }
    let [direct, proxied] = times.map(|mut times| {
        times.sort_unstable();
        times[times.len() / 2]
    });
    println!("a read: p50 {direct:?} directly, {proxied:?} through the proxy");
}
