use std::sync::atomic::Ordering;

use tablet_wire::binlogdata::VStreamRowsRequest;
use tablet_wire::etcdserverpb::RangeRequest;
use tablet_wire::etcdserverpb::kv_client::KvClient;
use tablet_wire::query::StreamHealthRequest;
use tablet_wire::queryservice::query_client::QueryClient;
use tonic::Code;

use super::servers::{at_rest, rows};
use super::*;
use crate::Class;

/// So many messages of this size are 64 MiB.
const COUNT: usize = 256;
const SIZE: usize = 256 << 10;

fn ask(query: &str) -> VStreamRowsRequest {
    VStreamRowsRequest { query: query.to_owned(), ..Default::default() }
}

fn query(channel: Channel) -> QueryClient<Channel> {
    QueryClient::new(channel)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_stream_passes_whole() {
    let bench = Bench::new().await;
    let mut client = query(bench.channel());
    let mut stream =
        soon(client.v_stream_rows(ask(&format!("{COUNT} {SIZE}")))).await.unwrap().into_inner();
    let mut count = 0;
    while let Some(message) = soon(stream.message()).await.unwrap() {
        assert!(message == rows(count, SIZE), "message {count}");
        count += 1;
    }
    assert_eq!(count, COUNT);

    let conversation = bench.switchboard.conversation();
    let of = |fingerprint: &str| -> Vec<(Class, u32)> {
        let these = conversation.iter().filter(|one| *one.fingerprint == *fingerprint);
        these.map(|one| (one.class, one.nth)).collect()
    };
    let begin = "Query/VStreamRows / ? ?";
    assert_eq!(of(begin), [(Class::Snapshot, 1)]);
    assert_eq!(of(&format!("{begin} end")), [(Class::Snapshot, 1)]);
    // The first answers the request.
    let messages = of(&format!("{begin} message"));
    assert_eq!(messages.len(), COUNT - 1);
    assert_eq!(messages.last(), Some(&(Class::Reads, u32::try_from(COUNT).unwrap() - 1)));
}

/// A reader that does not read stops the server: windows and buffers are all that is under way.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_slows_the_server() {
    let bench = Bench::new().await;
    let mut client = query(bench.channel());
    let mut stream =
        soon(client.v_stream_rows(ask(&format!("{COUNT} {SIZE}")))).await.unwrap().into_inner();
    let most = (12 << 20) / SIZE;
    for read in [1, 20] {
        for _ in 0..read {
            soon(stream.message()).await.unwrap().unwrap();
        }
        let made = at_rest(&bench.fakes.made).await;
        println!("{made} messages of {SIZE} bytes made for a reader that stopped");
        assert!(made < most + 21, "{made} messages were made");
    }
    // Others of the connection are not slowed.
    let mut client = KvClient::new(bench.channel());
    soon(client.range(RangeRequest::default())).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_held_before_never_begins_once_it_is_cancelled() {
    let bench = Bench::new().await;
    let mut armed = bench.arm("Query/VStreamRows / ? ?", Moment::Before);
    let mut client = query(bench.channel());
    let call = tokio::spawn(async move { client.v_stream_rows(ask("3 10")).await });
    let mut held = caught(&mut armed).await;
    call.abort();
    soon(held.client_gone()).await;
    bench.proxy.stop().await.unwrap();
    assert_eq!(bench.fakes.streams.load(Ordering::SeqCst), 0);
}

/// HeldExchange at its second message, a stream has given its first and no more; then all of it comes.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_held_between_its_neighbours() {
    let bench = Bench::new().await;
    for moment in [Moment::Executed, Moment::Replied] {
        bench.switchboard.begin_life();
        let mut armed = bench.arm("Query/VStreamRows / ? ? message", moment);
        let mut client = query(bench.channel());
        let mut stream = soon(client.v_stream_rows(ask("4 10"))).await.unwrap().into_inner();
        let heard = if moment == Moment::Executed { 1 } else { 2 };
        for _ in 0..heard {
            soon(stream.message()).await.unwrap().unwrap();
        }
        let held = caught(&mut armed).await;
        let more = tokio::time::timeout(Duration::from_millis(100), stream.message()).await;
        assert!(more.is_err(), "{moment}: nothing passes a held message");
        held.release();
        let mut rest = 0;
        while soon(stream.message()).await.unwrap().is_some() {
            rest += 1;
        }
        assert_eq!(heard + rest, 4);
    }
}

/// The begin and the end are points as well.
#[tokio::test(flavor = "multi_thread")]
async fn begin_and_end_are_held() {
    let bench = Bench::new().await;
    for (fingerprint, moment, heard) in [
        ("Query/VStreamRows / ? ?", Moment::Executed, 0),
        ("Query/VStreamRows / ? ? end", Moment::Executed, 2),
        ("Query/VStreamRows / ? ? end", Moment::Replied, 2),
    ] {
        bench.switchboard.begin_life();
        let mut armed = bench.arm(fingerprint, moment);
        let mut client = query(bench.channel());
        let mut stream = soon(client.v_stream_rows(ask("2 10"))).await.unwrap().into_inner();
        for _ in 0..heard {
            soon(stream.message()).await.unwrap().unwrap();
        }
        let held = caught(&mut armed).await;
        let next = tokio::time::timeout(Duration::from_millis(100), stream.message()).await;
        assert_eq!(next.is_err(), moment == Moment::Executed, "{fingerprint} {moment}");
        held.release();
        let mut rest = 0;
        while moment == Moment::Executed && soon(stream.message()).await.unwrap().is_some() {
            rest += 1;
        }
        assert_eq!(heard + rest, 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_and_failed_streams_say_why() {
    let bench = Bench::new().await;
    let mut client = query(bench.channel());
    let status = soon(client.v_stream_rows(ask("refuse"))).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::NotFound, "no such table"));

    let mut stream = soon(client.stream_health(StreamHealthRequest {})).await.unwrap().into_inner();
    soon(stream.message()).await.unwrap().unwrap();
    bench.fakes.healthy.notify_one();
    let status = soon(stream.message()).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::Aborted, "not healthy any more"));
    assert_eq!(
        bench.said(),
        ["Query/VStreamRows / refuse", "Query/StreamHealth", "Query/StreamHealth end"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_dropped_is_dropped_at_the_server() {
    let bench = Bench::new().await;
    let mut client = query(bench.channel());
    let mut stream =
        soon(client.v_stream_rows(ask(&format!("{COUNT} {SIZE}")))).await.unwrap().into_inner();
    soon(stream.message()).await.unwrap().unwrap();
    drop(stream);
    soon(bench.fakes.dropped.notified()).await;
    assert!(bench.fakes.made.load(Ordering::SeqCst) < COUNT);
}

/// As when the client's process is killed: no cancellation comes, only the end of its connection.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_whose_client_dies_is_dropped_at_the_server() {
    let bench = Bench::new().await;
    let client = Process::new();
    let port = bench.proxy.port();
    client.runtime().spawn(async move {
        let asked = ask(&format!("{COUNT} {SIZE}"));
        let stream = query(channel(port)).v_stream_rows(asked).await.unwrap();
        std::future::pending::<()>().await;
        drop(stream);
    });
    let begun = async { while at_rest(&bench.fakes.made).await == 0 {} };
    soon(begun).await;
    client.kill();
    soon(bench.fakes.dropped.notified()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_whose_server_freezes_is_broken_for_its_client() {
    let bench = Bench::new().await;
    let mut client = query(bench.channel());
    let mut stream = soon(client.stream_health(StreamHealthRequest {})).await.unwrap().into_inner();
    soon(stream.message()).await.unwrap().unwrap();
    let _frozen = bench.server.as_ref().unwrap().freeze();
    soon(stream.message()).await.unwrap_err();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_whose_client_freezes_is_dropped_at_the_server() {
    let bench = Bench::new().await;
    let client = Process::new();
    let port = bench.proxy.port();
    let (begun, stream) = tokio::sync::oneshot::channel();
    client.runtime().spawn(async move {
        let asked = ask(&format!("{COUNT} {SIZE}"));
        let stream = query(channel(port)).v_stream_rows(asked).await.unwrap();
        begun.send(stream).unwrap();
    });
    let _stream = soon(stream).await.unwrap();
    let _frozen = client.freeze();
    soon(bench.fakes.dropped.notified()).await;
}

/// A server that stops in order lets its streams end, and so does the proxy.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stops_lets_its_streams_end() {
    let bench = Bench::new().await;
    let channel = bench.channel();
    let mut stream = soon(query(channel.clone()).stream_health(StreamHealthRequest {}))
        .await
        .unwrap()
        .into_inner();
    soon(stream.message()).await.unwrap().unwrap();
    bench.fakes.stop.cancel();
    let mut kv = KvClient::new(channel);
    // The stream's connection takes no more calls, and a new one may wait in the listener's queue.
    let unanswered = Duration::from_millis(200);
    let asked = async {
        while let Ok(Ok(_)) =
            tokio::time::timeout(unanswered, kv.range(RangeRequest::default())).await
        {}
    };
    soon(asked).await;
    bench.fakes.healthy.notify_one();
    let status = soon(stream.message()).await.unwrap_err();
    assert_eq!(status.code(), Code::Aborted);
}
