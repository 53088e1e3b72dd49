//! The accepting end of a proxy: one task that owns a task for each connection.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::conditions::LinkConditions;

/// After an accept that failed: out of file descriptors, most likely.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Aborted tasks end at their next await.
const STOP: Duration = Duration::from_secs(5);

/// Accepts connections until it is stopped or dropped.
#[derive(Debug)]
pub struct Listener {
    port: u16,
    stopping: DropGuard,
    task: JoinHandle<()>,
}

impl Listener {
    /// Listens there (port 0: a free one), and serves each connection in a task of its own. Connections are reset
    /// at once while the conditions refuse them.
    ///
    /// # Errors
    /// There is no such address here, or its port is taken.
    pub async fn start<F>(
        address: SocketAddr,
        conditions: LinkConditions,
        serve: impl Fn(TcpStream) -> F + Send + Sync + 'static,
    ) -> io::Result<Self>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind(address).await?;
        let port = listener.local_addr()?.port();
        let stopping = CancellationToken::new();
        let token = stopping.clone();
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            let accepting = accept(&listener, &conditions, &serve, &mut connections);
            token.run_until_cancelled(accepting).await;
            connections.shutdown().await;
        });
        Ok(Self { port, stopping: stopping.drop_guard(), task })
    }

    /// Where it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Closes every connection, and returns when all tasks have ended.
    ///
    /// # Errors
    /// They did not end in time, or one ended badly.
    pub async fn stop(self) -> io::Result<()> {
        let Self { port, stopping, task } = self;
        drop(stopping);
        match tokio::time::timeout(STOP, task).await {
            Ok(ended) => ended.map_err(io::Error::other),
            Err(_) => {
                let text = format!("the proxy on port {port} did not end within {STOP:?}");
                Err(io::Error::new(io::ErrorKind::TimedOut, text))
            }
        }
    }
}

/// Never returns.
async fn accept<F>(
    listener: &TcpListener,
    conditions: &LinkConditions,
    serve: &(impl Fn(TcpStream) -> F + Send + Sync),
    connections: &mut JoinSet<()>,
) where
    F: Future<Output = ()> + Send + 'static,
{
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(ended) = connections.join_next() => {
                if let Err(error) = ended {
                    tracing::error!(%error, "a connection of the proxy ended badly");
                }
                continue;
            }
        };
        match accepted {
            Ok((client, _)) if conditions.is_refusing() => {
                // Fails when the client has gone already.
                let _gone = client.set_zero_linger();
            }
            Ok((client, _)) => {
                connections.spawn(serve(client));
            }
            Err(error) => {
                tracing::warn!(%error, "the proxy could not accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
