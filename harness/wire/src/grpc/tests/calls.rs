use tablet_wire::etcdserverpb::kv_client::KvClient;
use tablet_wire::etcdserverpb::{DeleteRangeRequest, PutRequest, RangeRequest};
use tonic::Code;

use super::*;
use crate::Class;

const PUT: &str = "etcd KV/Put /a";

fn put() -> PutRequest {
    PutRequest { key: b"/t0/a".to_vec(), value: b"1".to_vec(), ..Default::default() }
}

fn range(key: &str) -> RangeRequest {
    RangeRequest { key: key.into(), ..Default::default() }
}

/// A client that is killed while it puts.
fn putting(bench: &Bench) -> Process {
    let client = Process::new();
    let port = bench.proxy.port();
    client.runtime().spawn(async move { KvClient::new(channel(port)).put(put()).await });
    client
}

/// Whatever the proxy held back of the dead would be passed on by now: a later call of another client
/// has been answered, and the proxy has ended its tasks.
async fn settled(bench: Bench) -> Fakes {
    soon(KvClient::new(bench.channel()).range(range("/t0/a"))).await.unwrap();
    bench.proxy.stop().await.unwrap();
    bench.fakes
}

#[tokio::test(flavor = "multi_thread")]
async fn a_put_held_before_never_reaches_the_server_once_its_client_is_dead() {
    let bench = Bench::new().await;
    let mut armed = bench.arm(PUT, Moment::Before);
    let client = putting(&bench);
    let mut held = caught(&mut armed).await;
    assert_eq!(held.exchange().class, Class::Writes);
    client.kill();
    soon(held.client_gone()).await;
    held.release();
    assert_eq!(settled(bench).await.value("/t0/a"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_put_held_at_executed_has_reached_the_server() {
    let bench = Bench::new().await;
    let mut armed = bench.arm(PUT, Moment::Executed);
    let client = putting(&bench);
    let mut held = caught(&mut armed).await;
    assert_eq!(bench.fakes.value("/t0/a"), Some(b"1".to_vec()));
    client.kill();
    soon(held.client_gone()).await;
    drop(held);
    assert_eq!(settled(bench).await.value("/t0/a"), Some(b"1".to_vec()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_call_is_dropped_and_its_connection_lives() {
    let bench = Bench::new().await;
    let channel = bench.channel();
    let mut armed = bench.arm(PUT, Moment::Before);
    let mut client = KvClient::new(channel.clone());
    let call = tokio::spawn(async move { client.put(put()).await });
    let mut held = caught(&mut armed).await;
    call.abort();
    soon(held.client_gone()).await;
    soon(KvClient::new(channel).range(range("/t0/a"))).await.unwrap();
    let connections: Vec<_> =
        bench.switchboard.conversation().iter().map(|one| one.connection).collect();
    assert_eq!(connections, [1, 1]);
    assert_eq!(bench.fakes.value("/t0/a"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_call_holds_no_other_up_and_goes_on_when_released() {
    let bench = Bench::new().await;
    for moment in [Moment::Before, Moment::Executed] {
        bench.switchboard.begin_life();
        let channel = bench.channel();
        let mut armed = bench.arm(PUT, moment);
        let mut client = KvClient::new(channel.clone());
        let call = tokio::spawn(async move { client.put(put()).await });
        let held = caught(&mut armed).await;
        let mut others = KvClient::new(channel);
        for _ in 0..3 {
            soon(others.range(range("/t0/b"))).await.unwrap();
        }
        assert!(held.is_held() && !call.is_finished());
        held.release();
        soon(call).await.unwrap().unwrap();
    }
    assert_eq!(bench.fakes.value("/t0/a"), Some(b"1".to_vec()));
}

#[tokio::test(flavor = "multi_thread")]
async fn at_replied_the_client_has_its_answer() {
    let bench = Bench::new().await;
    let mut armed = bench.arm(PUT, Moment::Replied);
    let mut client = KvClient::new(bench.channel());
    soon(client.put(put())).await.unwrap();
    let held = caught(&mut armed).await;
    assert!(held.is_held());
    held.discard();
    // The connection was closed; the client opens another.
    while bench.switchboard.conversation().last().unwrap().connection == 1 {
        let _closing = soon(client.range(range("/t0/a"))).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_discarded_call_fails_with_its_connection() {
    let bench = Bench::new().await;
    let mut armed = bench.arm(PUT, Moment::Before);
    let mut client = KvClient::new(bench.channel());
    let call = tokio::spawn(async move { client.put(put()).await });
    caught(&mut armed).await.discard();
    soon(call).await.unwrap().unwrap_err();
    assert_eq!(settled(bench).await.value("/t0/a"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_pass_with_message_and_metadata() {
    let bench = Bench::new().await;
    let mut statuses = Vec::new();
    for channel in [bench.channel(), bench.direct()] {
        let request = DeleteRangeRequest { key: b"/t0/a".to_vec(), ..Default::default() };
        let status = soon(KvClient::new(channel).delete_range(request)).await.unwrap_err();
        let why = status.metadata().get("x-why").cloned();
        statuses.push((status.code(), status.message().to_owned(), why));
    }
    assert_eq!(statuses[0], statuses[1]);
    assert_eq!(
        (statuses[0].0, statuses[0].1.as_str()),
        (Code::FailedPrecondition, "nö: 100 % not today")
    );
    assert_eq!(bench.said(), ["etcd KV/DeleteRange /a"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_and_deadlines_pass() {
    let bench = Bench::new().await;
    let mut names = Vec::new();
    for channel in [bench.channel(), bench.direct()] {
        let mut request = tonic::Request::new(range("/timeout"));
        request.set_timeout(Duration::from_millis(7_654));
        let response = soon(KvClient::new(channel).range(request)).await.unwrap();
        assert_eq!(response.metadata().get("x-head").unwrap(), "kept");
        let mut these: Vec<String> =
            response.metadata().keys().map(|key| format!("{key:?}")).collect();
        these.sort();
        names.push(these);
        assert_eq!(response.into_inner().kvs[0].value, b"7654000u");
    }
    assert_eq!(names[0], names[1], "none is added, none is lost");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancellation_reaches_the_server() {
    let bench = Bench::new().await;
    let mut client = KvClient::new(bench.channel());
    let call = tokio::spawn(async move { client.range(range("/hangs")).await });
    soon(bench.fakes.hangs.notified()).await;
    call.abort();
    soon(bench.fakes.dropped.notified()).await;
}

/// The client of a dead server learns the same as without the proxy, and its next call succeeds once
/// the server is back, at another port.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_dies_and_comes_back() {
    let mut bench = Bench::new().await;
    let mut codes = Vec::new();
    for channel in [bench.channel(), bench.direct()] {
        let mut client = KvClient::new(channel);
        codes.push(tokio::spawn(async move { client.range(range("/hangs")).await }));
        soon(bench.fakes.hangs.notified()).await;
    }
    bench.kill_server();
    let direct = soon(codes.pop().unwrap()).await.unwrap().unwrap_err();
    let proxied = soon(codes.pop().unwrap()).await.unwrap().unwrap_err();
    assert_eq!((proxied.code(), proxied.message()), (direct.code(), direct.message()));

    let mut client = KvClient::new(bench.channel());
    soon(client.put(put())).await.unwrap_err();
    bench.start_server().await;
    let again = async { while client.put(put()).await.is_err() {} };
    soon(again).await;
    assert_eq!(bench.fakes.value("/t0/a"), Some(b"1".to_vec()));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_after_the_stop() {
    let bench = Bench::new().await;
    let mut armed = bench.arm(PUT, Moment::Before);
    let _client = putting(&bench);
    let mut held = caught(&mut armed).await;
    let address = (Ipv4Addr::LOCALHOST, bench.proxy.port());
    bench.proxy.stop().await.unwrap();
    assert!(!held.is_held());
    soon(held.client_gone()).await;
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
    assert_eq!(bench.fakes.value("/t0/a"), None);
}
