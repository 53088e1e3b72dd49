use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};

use super::*;

/// Fails a test that hangs.
const LONG: Duration = Duration::from_secs(60);
/// Long enough to show that nothing passes: what would pass is there at once.
const WHILE: Duration = Duration::from_millis(50);

impl Wire for DuplexStream {
    fn end_abruptly(&self) -> io::Result<()> {
        Ok(())
    }
}

/// The far end of a link, and the near one in its conditions.
fn link(conditions: &LinkConditions) -> (DuplexStream, Conditioned<DuplexStream>) {
    let (far, near) = duplex(64 << 10);
    (far, Conditioned::new(near, conditions, Direction::ToServer))
}

async fn read(near: &mut Conditioned<DuplexStream>, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    near.read_exact(&mut bytes).await.unwrap();
    bytes
}

fn stopped() -> Way {
    Way { flow: Flow::Stopped, ..Way::FINE }
}

#[tokio::test]
async fn bytes_and_the_end_come_later_by_the_latency_and_do_not_queue_up_for_it() {
    let conditions = LinkConditions::default();
    let latency = Duration::from_millis(200);
    conditions.set(Direction::ToServer, Way { latency, ..Way::FINE });
    let (mut far, mut near) = link(&conditions);
    let began = Instant::now();
    far.write_all(&[7; 60_000]).await.unwrap();
    far.shutdown().await.unwrap();
    assert_eq!(read(&mut near, 60_000).await, [7; 60_000]);
    assert_eq!(near.read(&mut [0; 1]).await.unwrap(), 0);
    let took = began.elapsed();
    // Four pieces and the end, one after the other, would take five times the latency.
    assert!(took >= latency && took < 4 * latency, "{took:?}");
}

#[tokio::test]
async fn a_narrow_link_takes_its_time() {
    let conditions = LinkConditions::default();
    conditions
        .set(Direction::ToServer, Way { bytes_per_second: NonZeroU64::new(100_000), ..Way::FINE });
    let (mut far, mut near) = link(&conditions);
    let began = Instant::now();
    far.write_all(&[7; 20_000]).await.unwrap();
    read(&mut near, 10_000).await;
    let half = began.elapsed();
    read(&mut near, 10_000).await;
    let whole = began.elapsed();
    assert!(half >= Duration::from_millis(100), "{half:?}");
    assert!(whole >= Duration::from_millis(200), "{whole:?}");
}

#[tokio::test]
async fn a_partition_heals_without_loss() {
    let conditions = LinkConditions::default();
    let (mut far, mut near) = link(&conditions);
    far.write_all(b"before").await.unwrap();
    assert_eq!(read(&mut near, 6).await, b"before");
    conditions.set(Direction::ToServer, stopped());
    far.write_all(b"during").await.unwrap();
    far.shutdown().await.unwrap();
    let mut bytes = [0; 6];
    assert!(timeout(WHILE, near.read(&mut bytes)).await.is_err(), "nothing passes");
    near.write_all(b"back").await.unwrap();
    let mut back = [0; 4];
    far.read_exact(&mut back).await.unwrap(); // The other direction has its own conditions.
    conditions.clear();
    assert_eq!(read(&mut near, 6).await, b"during");
    assert_eq!(near.read(&mut bytes).await.unwrap(), 0);
}

/// A reader that already waits must see the conditions change.
#[tokio::test]
async fn the_conditions_change_under_a_waiting_reader() {
    let conditions = LinkConditions::default();
    conditions.partition(true);
    let (mut far, mut near) = link(&conditions);
    far.write_all(b"x").await.unwrap();
    let heal = async {
        tokio::time::sleep(WHILE).await;
        conditions.partition(false);
    };
    let began = Instant::now();
    let ((), bytes) = tokio::join!(heal, read(&mut near, 1));
    assert!(bytes == b"x" && began.elapsed() >= WHILE);
}

#[tokio::test]
async fn swallowed_bytes_are_never_missed_silently() {
    let conditions = LinkConditions::default();
    let (mut far, mut near) = link(&conditions);
    conditions.set(Direction::ToServer, Way { flow: Flow::Swallowed, ..Way::FINE });
    far.write_all(b"lost").await.unwrap();
    let mut bytes = [0; 8];
    assert!(timeout(WHILE, near.read(&mut bytes)).await.is_err());
    conditions.clear();
    far.write_all(b"next").await.unwrap();
    let error = near.read(&mut bytes).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}

/// An idle connection has lost nothing.
#[tokio::test]
async fn a_connection_that_lost_no_byte_goes_on() {
    let conditions = LinkConditions::default();
    let (mut far, mut near) = link(&conditions);
    conditions.set(Direction::ToServer, Way { flow: Flow::Swallowed, ..Way::FINE });
    assert!(timeout(WHILE, near.read(&mut [0; 1])).await.is_err());
    conditions.clear();
    far.write_all(b"next").await.unwrap();
    assert_eq!(read(&mut near, 4).await, b"next");
}

#[tokio::test]
async fn a_writer_that_waits_is_reset_too() {
    let conditions = LinkConditions::default();
    let (_far, mut near) = link(&conditions);
    let reset = async {
        tokio::time::sleep(WHILE).await;
        conditions.reset();
    };
    let bytes = vec![0; 1 << 20]; // More than the link holds.
    let ((), written) = tokio::join!(reset, near.write_all(&bytes));
    assert_eq!(written.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_reset_is_a_reset_on_the_wire_and_spares_later_connections() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let conditions = LinkConditions::default();
    let mut client = TcpStream::connect(address).await.unwrap();
    let near =
        Conditioned::new(listener.accept().await.unwrap().0, &conditions, Direction::ToServer);
    conditions.reset();
    drop(near); // It was not even read.
    let error = timeout(LONG, client.read(&mut [0; 1])).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);

    let mut client = TcpStream::connect(address).await.unwrap();
    let near =
        Conditioned::new(listener.accept().await.unwrap().0, &conditions, Direction::ToServer);
    drop(near);
    let read = timeout(LONG, client.read(&mut [0; 1])).await.unwrap();
    assert_eq!(read.unwrap(), 0, "an ordinary end");
}
