use tablet_wire::queryservice::query_client::QueryClient;
use tablet_wire::tabletmanagerservice::tablet_manager_client::TabletManagerClient;
use tokio::task::JoinHandle;
use tonic::Code;
use tonic::transport::{Channel, Endpoint};

use super::*;
use crate::engine::Epoch;
use crate::engine::fake::{FakeEngines, Opening};
use crate::tabletmanager::state::{EnginesStatus, Registration};
use crate::topo::Term;

const SOON: Duration = Duration::from_secs(5);

struct Bench {
    state: StateCell,
    cut: CancellationToken,
    server: JoinHandle<Result<(), tonic::transport::Error>>,
    channel: Channel,
}

impl Bench {
    async fn start() -> Bench {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (state, cut) = (StateCell::default(), CancellationToken::new());
        let services = Services {
            engines: Arc::new(FakeEngines::new(Opening::Succeeds)),
            state: state.clone(),
            alias: "zone1-200".parse().unwrap(),
            keyspace: "customer".to_owned(),
            shard: "0".to_owned(),
            cut: cut.clone(),
        };
        let server = tokio::spawn(serve(listener, services));
        let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
        Bench { state, cut, server, channel: endpoint.connect().await.unwrap() }
    }
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(SOON, future).await.expect("in time")
}

#[tokio::test]
async fn health_comes_at_once_and_on_change_and_in_between() {
    let bench = Bench::start().await;
    let mut query = QueryClient::new(bench.channel.clone());
    let mut health = query.stream_health(StreamHealthRequest {}).await.unwrap().into_inner();
    let first = soon(health.message()).await.unwrap().unwrap();
    assert!(!first.serving);
    bench.state.update(|state| {
        state.registration = Registration::Registered(Epoch(1));
        state.role = Role::Primary(Term::now());
        state.engines = EnginesStatus::Open;
    });
    let changed = soon(health.message()).await.unwrap().unwrap();
    assert!(changed.serving && changed.primary_term_start_timestamp > 0);
    let again = tokio::time::timeout(HEALTH * 2, health.message()).await;
    assert!(again.expect("at least every second").unwrap().unwrap().serving);
}

/// A stream that was cut must not look complete: the rows after the cut would count as missing.
#[tokio::test]
async fn at_the_end_calls_are_refused_and_a_row_stream_ends_with_an_error() {
    let bench = Bench::start().await;
    let mut query = QueryClient::new(bench.channel.clone());
    let request = VStreamRowsRequest::default();
    let mut rows = query.v_stream_rows(request).await.unwrap().into_inner();
    assert_eq!(soon(rows.message()).await.unwrap().unwrap().gtid, "g");
    bench.state.update(|state| state.stopping = true);
    let mut manager = TabletManagerClient::new(bench.channel.clone());
    let refused = soon(manager.v_diff(VDiffRequest::default())).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    bench.cut.cancel();
    assert_eq!(soon(rows.message()).await.unwrap_err().code(), Code::Unavailable);
    soon(bench.server).await.unwrap().unwrap();
}

/// A health stream never ends by itself, and a client that only listens must not hold up the end.
#[tokio::test]
async fn the_server_ends_although_a_health_stream_is_open() {
    let bench = Bench::start().await;
    let mut query = QueryClient::new(bench.channel.clone());
    let _health = query.stream_health(StreamHealthRequest {}).await.unwrap().into_inner();
    bench.cut.cancel();
    soon(bench.server).await.unwrap().unwrap();
}
