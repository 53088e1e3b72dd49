//! One connection of a client, with its own connection to the server.

use std::convert::Infallible;
use std::error::Error;
use std::future::{Future, pending, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::client::conn::http2::SendRequest;
use hyper::rt::Executor;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use records::schedule::Moment;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::GrpcLink;
use super::call;
use super::delivery::Delivery;
use crate::{Conditioned, Direction, Exchange, ObservedRequest, Passage, Switchboard, UnderWay};

/// Of a connection: several streams whose readers are slow leave room for others.
const CONNECTION_WINDOW: u32 = 16 << 20;
/// More calls of one connection wait for others to end.
const CALLS_MAX: u32 = 1_000;
/// For the server to take the connection: it is a process of this host, or it is away.
const OPEN: Duration = Duration::from_secs(5);

/// Of requests and answers.
pub(super) type Body = UnsyncBoxBody<Bytes, BoxError>;
pub(super) type BoxError = Box<dyn Error + Send + Sync>;

/// Spawns the tasks of a connection: they end with it.
#[derive(Clone, Debug)]
pub(super) struct Tasks {
    pub(super) tracker: TaskTracker,
    pub(super) over: CancellationToken,
}

/// What the calls of a connection share.
pub(super) struct Connection {
    pub(super) link: Arc<GrpcLink>,
    pub(super) number: u64,
    pub(super) switchboard: Switchboard,
    pub(super) server: SendRequest<Body>,
    tasks: Tasks,
    delivery: Delivery,
    /// The server takes no more calls on this connection.
    refused: Notify,
}

/// What became of a call that the server did not answer.
pub(super) enum Fate {
    /// The server reset this call.
    Reset,
    /// The server never took it: it takes no more calls.
    Refused,
    /// The connection has broken.
    Broken,
}

impl Tasks {
    fn spawn<F: Future<Output: Send> + Send + 'static>(&self, task: F) {
        self.tracker.spawn(self.over.clone().run_until_cancelled_owned(task));
    }
}

impl<F: Future<Output: Send> + Send + 'static> Executor<F> for Tasks {
    fn execute(&self, task: F) {
        self.spawn(task);
    }
}

/// Serves a client until it or the server goes away; then everything of the connection ends.
pub(super) async fn serve(
    socket: TcpStream,
    number: u64,
    link: Arc<GrpcLink>,
    switchboard: Switchboard,
    tasks: Tasks,
) {
    let name = link.link;
    // Whatever ends this task ends all others of the connection.
    let _over = tasks.over.clone().drop_guard();
    let over = tasks.over.clone();
    let run = run(socket, number, link, switchboard, tasks);
    match over.run_until_cancelled(run).await {
        None | Some(Ok(())) => {}
        Some(Err(error)) => {
            tracing::debug!(%error, link = %name, number, "a proxied connection has ended");
        }
    }
}

async fn run(
    socket: TcpStream,
    number: u64,
    link: Arc<GrpcLink>,
    switchboard: Switchboard,
    tasks: Tasks,
) -> Result<(), BoxError> {
    socket.set_nodelay(true)?;
    let to_server = link.upstream.connect().await?;
    let to_server =
        TokioIo::new(Conditioned::new(to_server, &link.conditions, Direction::ToClient));
    let (pings, window) = (link.pings, link.stream_window);
    let handshake = hyper::client::conn::http2::Builder::new(tasks.clone())
        .timer(TokioTimer::new())
        .keep_alive_interval(pings.server)
        .keep_alive_timeout(pings.server)
        .keep_alive_while_idle(pings.idle)
        .initial_stream_window_size(window)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .handshake(to_server);
    let (server, mut server_side) = tokio::time::timeout(OPEN, handshake).await??;

    let delivery = Delivery::default();
    let to_client = Conditioned::new(socket, &link.conditions, Direction::ToServer);
    let to_client = TokioIo::new(delivery.through(to_client, tasks.over.clone()));
    let connection = Arc::new(Connection {
        link,
        number,
        switchboard,
        server,
        tasks: tasks.clone(),
        delivery: delivery.clone(),
        refused: Notify::new(),
    });
    let calls = Arc::clone(&connection);
    let client_side = hyper::server::conn::http2::Builder::new(tasks)
        .timer(TokioTimer::new())
        .keep_alive_interval(pings.client)
        .keep_alive_timeout(pings.client.unwrap_or(OPEN))
        .initial_stream_window_size(window)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(CALLS_MAX)
        .auto_date_header(false)
        .serve_connection(
            to_client,
            service_fn(move |request| call::pass_on(Arc::clone(&calls), request)),
        );
    let mut client_side = pin!(client_side);
    let mut has_server = true;
    loop {
        tokio::select! {
            biased;
            ended = poll_fn(|cx| delivery.poll(client_side.as_mut(), cx)) => return Ok(ended?),
            // Broken, it is broken for the client too; closed in order, calls may still end.
            ended = &mut server_side, if has_server => {
                ended?;
                has_server = false;
                client_side.as_mut().graceful_shutdown();
            }
            () = connection.refused.notified() => client_side.as_mut().graceful_shutdown(),
            // The next turn polls.
            () = delivery.wanted() => {}
        }
    }
}

impl Connection {
    /// Closes the client's connection, as the server's end would. Never returns: the caller is dropped.
    pub(super) async fn close(&self) -> Infallible {
        self.tasks.over.cancel();
        pending().await
    }

    /// Numbers an exchange.
    pub(super) fn begin(&self, said: call::Saying<'_>) -> Exchange {
        self.switchboard.begin(ObservedRequest {
            link: self.link.link,
            connection: self.number,
            fingerprint: said.fingerprint.to_owned(),
            class: said.class,
            announces: None,
            text: said.text.to_owned(),
        })
    }

    /// A call is under way from now on.
    pub(super) fn under_way(&self, fingerprint: Arc<str>) -> UnderWay {
        self.switchboard.under_way(self.link.link, self.number, fingerprint)
    }

    /// Waits until an exchange may go on. When its client goes away the caller is dropped.
    pub(super) async fn pass(&self, exchange: &Exchange, moment: Moment) {
        match self.switchboard.pass(exchange, moment, pending()).await {
            Passage::Go => {}
            Passage::Drop => match self.close().await {},
        }
    }

    /// The last moment: what was handed to HTTP/2 has been written.
    pub(super) async fn replied(&self, exchange: &Exchange) {
        if self.switchboard.awaits(exchange, Moment::Replied) {
            self.delivery.done().await;
            self.pass(exchange, Moment::Replied).await;
        }
    }

    /// Spawns what is left to do of a call when its answer has been handed over.
    pub(super) fn afterwards<F: Future<Output = ()> + Send + 'static>(&self, task: F) {
        self.tasks.spawn(task);
    }

    /// The server takes no more calls here: the client is told, and those that run may end.
    pub(super) fn refuse_more(&self) {
        self.refused.notify_one();
    }

    /// What to tell the client when the server's side of a call failed; a broken connection breaks
    /// the client's too.
    pub(super) async fn failed(&self, error: hyper::Error) -> BoxError {
        match fate(&error) {
            Fate::Reset => error.into(),
            Fate::Refused | Fate::Broken => match self.close().await {},
        }
    }
}

/// Reads what happened from an error of the server's connection.
pub(super) fn fate(error: &hyper::Error) -> Fate {
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(cause) = cause.downcast_ref::<h2::Error>() {
            return if cause.is_reset() {
                Fate::Reset
            } else if cause.is_go_away() && cause.reason() == Some(h2::Reason::NO_ERROR) {
                Fate::Refused
            } else {
                Fate::Broken
            };
        }
        source = cause.source();
    }
    // Never handed to the server: its connection had ended.
    if error.is_canceled() || error.is_closed() { Fate::Refused } else { Fate::Broken }
}
