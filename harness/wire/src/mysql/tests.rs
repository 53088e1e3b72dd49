//! The proxy between a client and a server that are both made by hand, so that each byte's time is
//! known.

use std::net::Ipv4Addr;
use std::time::Duration;

use mysql_async::consts::{CapabilityFlags, Command};
use records::schedule::{CrashPoint, Link, Moment};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::packet::tests::message;
use super::*;
use crate::Armed;

const LONG: Duration = Duration::from_secs(30);
/// Long enough to show that nothing comes.
const WHILE: Duration = Duration::from_millis(50);
const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const OK: &[u8] = b"\0\0\0\x02\0\0\0";

/// Client and server, logged in, with the proxy between them.
struct Wired {
    client: TcpStream,
    server: TcpStream,
    board: Switchboard,
    proxy: MysqlProxy,
}

/// A client of the older protocol, whose results have an end of their own for definitions and rows.
async fn link() -> Wired {
    let listener = TcpListener::bind((LOOPBACK, 0)).await.unwrap();
    let upstream = Upstream::fixed(listener.local_addr().unwrap());
    let board = Switchboard::default();
    let proxy = MysqlProxy::start(
        LOOPBACK,
        upstream,
        board.clone(),
        Normaliser::none(),
        LinkConditions::default(),
    );
    let proxy = proxy.await.unwrap();
    let mut client = TcpStream::connect((LOOPBACK, proxy.port())).await.unwrap();
    let mut server = listener.accept().await.unwrap().0;
    let greeting = message(0, b"\x0a9.7\0\x01\0\0\0challeng\0\xff\xff\xff\x02\0\xff\xff\x15");
    server.write_all(&greeting).await.unwrap();
    let mut greeted = vec![0; greeting.len()];
    exactly(&mut client, &mut greeted).await;
    assert_ne!(greeted, greeting, "without what the proxy does not follow");
    let mut login = CapabilityFlags::CLIENT_PROTOCOL_41.bits().to_le_bytes().to_vec();
    login.resize(32, 0);
    login.extend(b"me\0");
    expect(&mut client, &mut server, &message(1, &login)).await;
    // Another proof of identity is asked for, and given.
    expect(&mut server, &mut client, &message(2, b"\xfecaching_sha2_password\0salt\0")).await;
    expect(&mut client, &mut server, &message(3, b"proof")).await;
    expect(&mut server, &mut client, &message(4, b"\x01\x03")).await;
    expect(&mut server, &mut client, &message(5, OK)).await;
    Wired { client, server, board, proxy }
}

impl Wired {
    fn arm(&self, moment: Moment) -> Armed {
        let fingerprint = "do ?".to_owned();
        self.board.arm(CrashPoint { link: Link::Mysql, fingerprint, phase: None, nth: 1, moment })
    }

    /// The held exchange's client dies; the server must see its connection end, and nothing before.
    async fn assert_dropped(mut self, mut armed: Armed) {
        let mut held = soon(armed.caught()).await.unwrap();
        assert_silent(&mut self.client).await;
        drop(self.client);
        soon(held.client_gone()).await;
        let mut rest = Vec::new();
        assert_eq!(soon(self.server.read_to_end(&mut rest)).await.unwrap(), 0, "{rest:?}");
        self.proxy.stop().await.unwrap();
    }
}

async fn soon<T>(wait: impl Future<Output = T>) -> T {
    tokio::time::timeout(LONG, wait).await.expect("it comes in time")
}

async fn exactly(socket: &mut TcpStream, bytes: &mut [u8]) {
    soon(socket.read_exact(bytes)).await.unwrap();
}

async fn assert_silent(socket: &mut TcpStream) {
    assert!(tokio::time::timeout(WHILE, socket.read(&mut [0; 1])).await.is_err(), "it is withheld");
}

/// What one side writes arrives at the other, unchanged.
async fn expect(from: &mut TcpStream, to: &mut TcpStream, bytes: &[u8]) {
    from.write_all(bytes).await.unwrap();
    let mut got = vec![0; bytes.len()];
    exactly(to, &mut got).await;
    assert_eq!(got, bytes);
}

fn query(statement: &str) -> Vec<u8> {
    let mut said = vec![Command::COM_QUERY as u8];
    said.extend(statement.as_bytes());
    message(0, &said)
}

/// Two columns, two rows, with both ends of the older protocol.
fn rows() -> Vec<u8> {
    let definition = message(2, b"\x03def\x01d\x01t");
    let end = message(4, b"\xfe\0\0\x02\0");
    let row = message(5, b"\x011\xfb");
    [message(1, &[2]), definition.clone(), definition, end.clone(), row.clone(), row, end].concat()
}

#[tokio::test]
async fn requests_and_responses_pass_in_any_pieces() {
    let Wired { mut client, mut server, board, proxy } = link().await;
    let (asked, answered) = (query("select 17"), rows());
    for cut in 1..asked.len() {
        client.write_all(&asked[..cut]).await.unwrap();
        tokio::task::yield_now().await;
        client.write_all(&asked[cut..]).await.unwrap();
        let mut got = vec![0; asked.len()];
        exactly(&mut server, &mut got).await;
        assert_eq!(got, asked);
        let cut = cut * answered.len() / asked.len();
        expect(&mut server, &mut client, &answered[..cut]).await;
        expect(&mut server, &mut client, &answered[cut..]).await;
    }
    let said = board.conversation();
    assert_eq!(said.len(), asked.len(), "the login, and each statement once");
    assert_eq!(&*said.last().unwrap().fingerprint, "select ?");
    proxy.stop().await.unwrap();
}

/// Some clients send the next request without waiting; the responses must not be mixed up.
#[tokio::test]
async fn requests_that_are_sent_ahead_wait_for_their_turn() {
    let Wired { mut client, mut server, board, proxy } = link().await;
    let close = message(0, &[Command::COM_STMT_CLOSE as u8, 1, 0, 0, 0]);
    let ahead = [query("do 1"), close.clone(), query("do 2")];
    client.write_all(&ahead.concat()).await.unwrap();
    let mut got = vec![0; ahead[0].len()];
    exactly(&mut server, &mut got).await;
    assert_silent(&mut server).await;
    expect(&mut server, &mut client, &message(1, OK)).await;
    let mut got = vec![0; close.len() + ahead[2].len()];
    exactly(&mut server, &mut got).await;
    assert_eq!(got, ahead[1..].concat());
    expect(&mut server, &mut client, &message(1, OK)).await;
    assert_eq!(board.conversation().last().unwrap().nth, 2);
    proxy.stop().await.unwrap();
}

#[tokio::test]
async fn held_before_nothing_reaches_the_server() {
    let mut link = link().await;
    let armed = link.arm(Moment::Before);
    link.client.write_all(&query("do 7")).await.unwrap();
    link.assert_dropped(armed).await;
}

#[tokio::test]
async fn held_when_executed_nothing_reaches_the_client() {
    let mut link = link().await;
    let armed = link.arm(Moment::Executed);
    expect(&mut link.client, &mut link.server, &query("do 7")).await;
    let response = message(1, OK);
    let (begin, rest) = response.split_at(6);
    link.server.write_all(begin).await.unwrap();
    assert_silent(&mut link.client).await;
    link.server.write_all(rest).await.unwrap();
    link.assert_dropped(armed).await;
}

#[tokio::test]
async fn held_when_replied_the_next_request_waits() {
    let Wired { mut client, mut server, board, proxy } = link().await;
    let mut armed = board.arm(CrashPoint {
        link: Link::Mysql,
        fingerprint: "do ?".to_owned(),
        phase: None,
        nth: 1,
        moment: Moment::Replied,
    });
    expect(&mut client, &mut server, &query("do 7")).await;
    expect(&mut server, &mut client, &message(1, OK)).await;
    let held = soon(armed.caught()).await.unwrap();
    client.write_all(&query("do 8")).await.unwrap();
    assert_silent(&mut server).await;
    assert!(held.is_held());
    held.release();
    let mut got = vec![0; query("do 8").len()];
    exactly(&mut server, &mut got).await;
    assert_eq!(got, query("do 8"));
    proxy.stop().await.unwrap();
}

/// The server is still at work on it: without a proxy it would see the end of the connection too.
#[tokio::test]
async fn a_client_that_dies_while_its_statement_runs_is_seen() {
    let Wired { mut client, mut server, proxy, .. } = link().await;
    expect(&mut client, &mut server, &query("do sleep(1000)")).await;
    drop(client);
    assert_eq!(soon(server.read(&mut [0; 1])).await.unwrap(), 0);
    proxy.stop().await.unwrap();
}

#[tokio::test]
async fn a_reset_of_the_server_is_one_for_the_client() {
    let Wired { mut client, server, proxy, .. } = link().await;
    server.set_zero_linger().unwrap();
    drop(server);
    let error = soon(client.read(&mut [0; 1])).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    proxy.stop().await.unwrap();
}

/// Why a server closes an idle connection is said before the end.
#[tokio::test]
async fn last_words_of_a_server_are_passed() {
    let Wired { mut client, mut server, proxy, .. } = link().await;
    expect(&mut server, &mut client, &message(0, b"\xff\xbf\x0f#HY000idle for too long")).await;
    drop(server);
    assert_eq!(soon(client.read(&mut [0; 1])).await.unwrap(), 0);
    proxy.stop().await.unwrap();
}
