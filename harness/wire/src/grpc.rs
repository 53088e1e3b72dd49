//! The proxy of a gRPC link: target tablet to etcd, target tablet to source tablet.
//!
//! HTTP/2 ends at both sides in a library; the proxy works by method and message. Each connection of
//! a client has one connection to the server, opened when it is accepted and closed with it, so that
//! the death of one side is the death of the other and nothing is shared. Calls pass in parallel: one
//! that is held holds no other up. Metadata, deadlines, compression flags, trailers, resets and flow
//! control pass through; bodies are read when the other side asks for more.
//!
//! What is an exchange:
//! - a unary call: the request was read whole (`before`), the answer and its trailers have come
//!   (`executed`), and were written to the client's socket (`replied`);
//! - of a stream, each request message, answered by the next message of the server; each further
//!   message of the server (`… message`), and its end (`… end`): those have no `before`.
//!
//! A call's waits end with its client: by its death, its cancellation or its deadline, which all drop
//! the call. HTTP/2's pings end at the proxy, which would hide a frozen server from its client and a
//! frozen client from its server: so the proxy pings each as the other would, and the silence of one
//! ends both connections.

mod answers;
mod call;
mod connection;
mod delivery;
mod fingerprint;
mod frames;
mod requests;
#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use records::schedule::Link;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::conditions::LinkConditions;
use super::listener::Listener;
use super::normaliser::Normaliser;
use super::switchboard::Switchboard;
use super::upstream::Upstream;
use connection::Tasks;

/// The tasks of a connection are dropped where they wait.
const STOP: Duration = Duration::from_secs(5);

/// What a proxy stands between.
#[derive(Clone, Debug)]
pub struct GrpcLink {
    /// Which link it is.
    pub link: Link,
    /// The server.
    pub upstream: Upstream,
    /// What befalls its bytes.
    pub conditions: LinkConditions,
    /// The names of the trial, the topology's root among them.
    pub names: Normaliser,
    /// How each side would find out that the other is frozen.
    pub pings: Pings,
    /// Bytes of one stream that the proxy takes before its reader has asked for them.
    pub stream_window: u32,
}

/// Of one stream, as tonic's clients have it; its servers have less.
pub const STREAM_WINDOW: u32 = 2 << 20;

/// HTTP/2's pings; each is to be answered before the next would be due.
#[derive(Clone, Copy, Debug)]
pub struct Pings {
    /// How often the server is pinged, as the client would.
    pub server: Duration,
    /// Whether it is also pinged when no call runs.
    pub idle: bool,
    /// How often the client is pinged, if the server would.
    pub client: Option<Duration>,
}

impl Pings {
    /// As a tablet pings etcd (`tablet/src/topo/etcd.rs`); etcd itself pings after two hours.
    pub const ETCD: Self = Self { server: Duration::from_secs(2), idle: false, client: None };
    /// As tablets ping each other (`tablet/src/vdiff/snapshot.rs`, `tablet/src/grpc.rs`).
    pub const TABLETS: Self =
        Self { server: Duration::from_secs(5), idle: true, client: Some(Duration::from_secs(5)) };
}

/// A running proxy. Dropped, it closes its connections in the background.
#[derive(Debug)]
pub struct GrpcProxy {
    listener: Listener,
    /// Of all connections.
    tasks: TaskTracker,
}

impl GrpcProxy {
    /// Listens at this address (port 0: a free one), and leads every connection to the link's server.
    ///
    /// # Errors
    /// There is no such address here, or its port is taken.
    pub async fn start(
        address: SocketAddr,
        link: GrpcLink,
        switchboard: Switchboard,
    ) -> io::Result<Self> {
        let tracker = TaskTracker::new();
        let conditions = link.conditions.clone();
        let (tasks, numbers) = (tracker.clone(), AtomicU64::new(0));
        let link = Arc::new(link);
        let serve = move |client| {
            let number = numbers.fetch_add(1, Ordering::Relaxed) + 1;
            let tasks = Tasks { tracker: tasks.clone(), over: CancellationToken::new() };
            connection::serve(client, number, Arc::clone(&link), switchboard.clone(), tasks)
        };
        Ok(Self { listener: Listener::start(address, conditions, serve).await?, tasks: tracker })
    }

    /// Where it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.listener.port()
    }

    /// Closes every connection, held calls too, and returns when all tasks have ended.
    ///
    /// # Errors
    /// They did not end in time, or one ended badly.
    pub async fn stop(self) -> io::Result<()> {
        let Self { listener, tasks } = self;
        let port = listener.port();
        listener.stop().await?;
        tasks.close();
        tokio::time::timeout(STOP, tasks.wait()).await.map_err(|_| {
            let text = format!("{} calls of the proxy on port {port} did not end", tasks.len());
            io::Error::new(io::ErrorKind::TimedOut, text)
        })
    }
}
