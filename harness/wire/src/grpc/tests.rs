//! The proxy between real clients and servers, each in a runtime of its own that can be killed.

mod calls;
mod servers;
mod streams;

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use records::schedule::{CrashPoint, Link, Moment};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Channel, Endpoint, Server};

use super::{GrpcLink, GrpcProxy, Pings};
use crate::{Armed, HeldExchange, LinkConditions, Normaliser, Switchboard, Upstream};
use servers::Fakes;

/// Nothing here takes as long.
const DEADLINE: Duration = Duration::from_secs(20);

/// Both sides are found out in time, and nobody else.
const PINGS: Pings =
    Pings { server: Duration::from_secs(3), idle: true, client: Some(Duration::from_secs(3)) };

async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, what).await.expect("it came in time")
}

/// Something that runs, and dies at once with its sockets, as a killed process does.
struct Process(Option<Runtime>);

impl Process {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        Self(Some(runtime))
    }

    fn runtime(&self) -> &Runtime {
        self.0.as_ref().unwrap()
    }

    /// As SIGSTOP: its sockets stay, and nobody reads them; until what is returned is dropped.
    fn freeze(&self) -> std::sync::mpsc::Sender<()> {
        let (thaw, frozen) = std::sync::mpsc::channel();
        // The runtime's only thread, which serves its sockets too.
        self.runtime().spawn(async move { frozen.recv() });
        thaw
    }

    fn kill(mut self) {
        self.0.take().unwrap().shutdown_background();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// A server with a proxy before it.
struct Bench {
    fakes: Fakes,
    /// None while it is dead.
    server: Option<Process>,
    server_port: Arc<AtomicU16>,
    switchboard: Switchboard,
    proxy: GrpcProxy,
}

impl Bench {
    async fn new() -> Self {
        let server_port = Arc::new(AtomicU16::new(0));
        let port = Arc::clone(&server_port);
        let upstream =
            Upstream::new(move || (Ipv4Addr::LOCALHOST, port.load(Ordering::SeqCst)).into());
        let link = GrpcLink {
            link: Link::Etcd,
            upstream,
            conditions: LinkConditions::default(),
            names: Normaliser::new([("/t0", "")]),
            pings: PINGS,
            stream_window: super::STREAM_WINDOW,
        };
        let switchboard = Switchboard::default();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let proxy = GrpcProxy::start(address, link, switchboard.clone()).await.unwrap();
        let fakes = Fakes::default();
        let mut bench = Self { fakes, server: None, server_port, switchboard, proxy };
        bench.start_server().await;
        bench
    }

    /// At another port than before.
    async fn start_server(&mut self) {
        let process = Process::new();
        let fakes = self.fakes.clone();
        let (sender, port) = tokio::sync::oneshot::channel();
        process.runtime().spawn(async move {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
            sender.send(listener.local_addr().unwrap().port()).unwrap();
            let stopped = fakes.stop.clone();
            Server::builder()
                .add_service(fakes.kv())
                .add_service(fakes.query())
                .serve_with_incoming_shutdown(
                    TcpListenerStream::new(listener),
                    stopped.cancelled_owned(),
                )
                .await
                .unwrap();
        });
        self.server_port.store(soon(port).await.unwrap(), Ordering::SeqCst);
        self.server = Some(process);
    }

    fn kill_server(&mut self) {
        self.server.take().unwrap().kill();
    }

    fn channel(&self) -> Channel {
        channel(self.proxy.port())
    }

    /// A client past the proxy.
    fn direct(&self) -> Channel {
        channel(self.server_port.load(Ordering::SeqCst))
    }

    fn arm(&self, fingerprint: &str, moment: Moment) -> Armed {
        self.switchboard.arm(CrashPoint {
            link: Link::Etcd,
            fingerprint: fingerprint.to_owned(),
            phase: None,
            nth: 1,
            moment,
        })
    }

    /// Each fingerprint of the conversation, in order.
    fn said(&self) -> Vec<String> {
        let conversation = self.switchboard.conversation();
        conversation.iter().map(|exchange| exchange.fingerprint.to_string()).collect()
    }
}

fn channel(port: u16) -> Channel {
    Endpoint::from_shared(format!("http://127.0.0.1:{port}")).unwrap().connect_lazy()
}

async fn caught(armed: &mut Armed) -> HeldExchange {
    soon(armed.caught()).await.expect("nothing else was armed")
}
