//! Where a link leads.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;

/// A server on this host answers at once, or it is away.
const CONNECT: Duration = Duration::from_secs(5);

/// The server at the other end of a link. Its address is asked for at each connect: a server that was
/// restarted has another port. Cheap to clone.
#[derive(Clone)]
pub struct Upstream {
    address: Arc<dyn Fn() -> SocketAddr + Send + Sync>,
}

impl Upstream {
    /// A server whose address may change.
    pub fn new(address: impl Fn() -> SocketAddr + Send + Sync + 'static) -> Self {
        Self { address: Arc::new(address) }
    }

    /// A server that stays where it is.
    #[must_use]
    pub fn fixed(address: SocketAddr) -> Self {
        Self::new(move || address)
    }

    /// Where it is now.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        (self.address)()
    }

    /// Connects to it, without Nagle's delay.
    ///
    /// # Errors
    /// It refuses, or does not answer in time.
    pub async fn connect(&self) -> io::Result<TcpStream> {
        let address = self.address();
        let connected = tokio::time::timeout(CONNECT, TcpStream::connect(address)).await;
        let stream = connected.unwrap_or_else(|_| {
            let text = format!("no connection to {address} within {CONNECT:?}");
            Err(io::Error::new(io::ErrorKind::TimedOut, text))
        })?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Upstream").field(&self.address()).finish()
    }
}
