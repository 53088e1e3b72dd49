//! The proxy between the target tablet and its MySQL.
//!
//! It decodes requests whole and follows responses packet by packet, so that it knows for each
//! exchange when it may be held, and where it ends. What it does not follow (TLS, compression, query
//! attributes, optional metadata) it takes out of the server's greeting. A connection that begins to
//! stream a binlog is passed as bytes from then on.

mod connection;
mod handshake;
mod packet;
mod request;
mod response;
mod socket_pair;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::net::TcpStream;

use super::conditions::{Conditioned, Direction, LinkConditions};
use super::listener::Listener;
use super::normaliser::Normaliser;
use super::switchboard::Switchboard;
use super::upstream::Upstream;
use connection::Connection;
use socket_pair::SocketPair;

/// A running proxy. Dropped, it closes its connections in the background.
#[derive(Debug)]
pub struct MysqlProxy {
    listener: Listener,
}

/// What all connections of a proxy share.
#[derive(Debug)]
struct Shared {
    upstream: Upstream,
    switchboard: Switchboard,
    names: Normaliser,
    conditions: LinkConditions,
    connections: AtomicU64,
}

impl MysqlProxy {
    /// Listens on a free port of this address, and leads every connection to `upstream`.
    ///
    /// # Errors
    /// There is no such address here, or no free port.
    pub async fn start(
        bind: IpAddr,
        upstream: Upstream,
        switchboard: Switchboard,
        names: Normaliser,
        conditions: LinkConditions,
    ) -> io::Result<Self> {
        let connections = AtomicU64::new(0);
        let shared =
            Shared { upstream, switchboard, names, conditions: conditions.clone(), connections };
        let shared = Arc::new(shared);
        let serve = move |client| serve(Arc::clone(&shared), client);
        Ok(Self { listener: Listener::start(SocketAddr::new(bind, 0), conditions, serve).await? })
    }

    /// Where it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.listener.port()
    }

    /// Closes every connection, held ones too, and returns when all tasks have ended.
    ///
    /// # Errors
    /// They did not end in time, or one ended badly.
    pub async fn stop(self) -> io::Result<()> {
        self.listener.stop().await
    }
}

/// Ends with the connection of either side.
async fn serve(shared: Arc<Shared>, client: TcpStream) {
    let number = shared.connections.fetch_add(1, Ordering::Relaxed) + 1;
    let server = match connect(&shared.upstream, &client).await {
        Ok(server) => server,
        Err(error) => {
            tracing::debug!(number, %error, "MySQL is away: a connection is reset");
            // Fails when the client has gone already.
            let _gone = client.set_zero_linger();
            return;
        }
    };
    let client = Conditioned::new(client, &shared.conditions, Direction::ToServer);
    let server = Conditioned::new(server, &shared.conditions, Direction::ToClient);
    let wires = SocketPair::new(client, server);
    if let Err(error) = Connection::new(&shared, number, wires).run().await {
        tracing::debug!(number, %error, "a connection to MySQL ended");
    }
}

async fn connect(upstream: &Upstream, client: &TcpStream) -> io::Result<TcpStream> {
    client.set_nodelay(true)?;
    upstream.connect().await
}

#[cfg(test)]
mod tests;
