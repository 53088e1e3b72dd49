//! The conditions of a link: what may happen to its bytes, below any protocol.
//!
//! A proxy wraps both of its sockets in [`Conditioned`]; bytes are delayed, stopped or lost where they
//! are read, so that nothing has to be driven in the background. On an undisturbed link a read costs one
//! look at a counter. The conditions change under living connections.
//!
//! What it does not do: it loses or reorders no single packets; TCP would hide that as latency.

mod lane;

use std::io;
use std::num::NonZeroU64;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::Stream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_stream::wrappers::WatchStream;

use lane::Lane;

/// Which way bytes go on a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the target tablet to what it leans on.
    ToServer,
    /// Back to the target tablet.
    ToClient,
}

/// Whether bytes arrive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Flow {
    /// They do.
    #[default]
    Passing,
    /// They stop on their way, ends of connections too: a partition. None is lost: they go on after it.
    Stopped,
    /// They vanish, ends of connections too: the other side is half open. A connection that lost any
    /// is reset when its bytes would pass again.
    Swallowed,
}

/// The conditions in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Way {
    /// Every byte comes so much later.
    pub latency: Duration,
    /// So many bytes a second, at most, on each connection.
    pub bytes_per_second: Option<NonZeroU64>,
    /// Whether bytes arrive.
    pub flow: Flow,
}

impl Way {
    /// As fast as the host, and nothing lost.
    pub const FINE: Self =
        Self { latency: Duration::ZERO, bytes_per_second: None, flow: Flow::Passing };
}

/// The conditions of one link; clones share it.
#[derive(Clone, Debug)]
pub struct LinkConditions {
    now: Arc<watch::Sender<BothWays>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct BothWays {
    to_server: Way,
    to_client: Way,
    refuses: bool,
    /// How often every connection was reset.
    resets: u64,
}

impl Default for LinkConditions {
    fn default() -> Self {
        let fine =
            BothWays { to_server: Way::FINE, to_client: Way::FINE, refuses: false, resets: 0 };
        Self { now: Arc::new(watch::Sender::new(fine)) }
    }
}

impl LinkConditions {
    /// Sets the conditions in one direction, for living connections and new ones.
    pub fn set(&self, direction: Direction, way: Way) {
        self.now.send_modify(|climate| match direction {
            Direction::ToServer => climate.to_server = way,
            Direction::ToClient => climate.to_client = way,
        });
    }

    /// Bytes stop in both directions, or go on.
    pub fn partition(&self, stops: bool) {
        let flow = if stops { Flow::Stopped } else { Flow::Passing };
        self.now.send_modify(|climate| {
            climate.to_server.flow = flow;
            climate.to_client.flow = flow;
        });
    }

    /// New connections are reset as soon as they are accepted, or served again.
    pub fn refuse(&self, refuses: bool) {
        self.now.send_modify(|climate| climate.refuses = refuses);
    }

    /// Resets (RST) every living connection, at both ends.
    pub fn reset(&self) {
        self.now.send_modify(|climate| climate.resets += 1);
    }

    /// Undisturbed again. What was stopped goes on.
    pub fn clear(&self) {
        self.now.send_modify(|climate| {
            (climate.to_server, climate.to_client) = (Way::FINE, Way::FINE);
            climate.refuses = false;
        });
    }

    /// The conditions in one direction.
    #[must_use]
    pub fn way(&self, direction: Direction) -> Way {
        self.now.borrow().way(direction)
    }

    /// Whether new connections are refused.
    #[must_use]
    pub fn is_refusing(&self) -> bool {
        self.now.borrow().refuses
    }
}

impl BothWays {
    fn way(&self, direction: Direction) -> Way {
        match direction {
            Direction::ToServer => self.to_server,
            Direction::ToClient => self.to_client,
        }
    }
}

/// A socket that can be closed by a reset.
pub trait Wire: AsyncRead + AsyncWrite + Unpin {
    /// From now on, closing it resets the connection.
    ///
    /// # Errors
    /// The system refuses.
    fn end_abruptly(&self) -> io::Result<()>;
}

impl Wire for TcpStream {
    fn end_abruptly(&self) -> io::Result<()> {
        self.set_zero_linger()
    }
}

/// A socket in the conditions: what is read from it has come in the given direction.
#[derive(Debug)]
pub struct Conditioned<S: Wire> {
    socket: S,
    direction: Direction,
    conditions: LinkConditions,
    /// Looked at without waiting.
    glance: watch::Receiver<BothWays>,
    climate: BothWays,
    /// Wake whoever waits in a read or a write when the conditions change.
    reading: WatchStream<BothWays>,
    writing: WatchStream<BothWays>,
    /// Resets before this connection's time.
    resets: u64,
    lane: Lane,
}

impl<S: Wire> Conditioned<S> {
    /// Wraps a socket from which the bytes of this direction are read.
    #[must_use]
    pub fn new(socket: S, conditions: &LinkConditions, direction: Direction) -> Self {
        let glance = conditions.now.subscribe();
        let climate = *glance.borrow();
        Self {
            socket,
            direction,
            conditions: conditions.clone(),
            reading: WatchStream::from_changes(glance.clone()),
            writing: WatchStream::from_changes(glance.clone()),
            glance,
            climate,
            resets: climate.resets,
            lane: Lane::default(),
        }
    }

    /// The socket.
    #[must_use]
    pub fn socket(&self) -> &S {
        &self.socket
    }

    /// Takes the newest conditions; fails once the connection is to be reset.
    fn look(&mut self) -> io::Result<()> {
        if self.glance.has_changed().unwrap_or(false) {
            self.climate = *self.glance.borrow_and_update();
        }
        if self.climate.resets == self.resets {
            return Ok(());
        }
        self.reset()
    }

    fn reset(&self) -> io::Result<()> {
        self.socket.end_abruptly()?;
        Err(io::Error::new(io::ErrorKind::ConnectionReset, "reset by the conditions"))
    }
}

impl<S: Wire> AsyncRead for Conditioned<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            this.look()?;
            let way = this.climate.way(this.direction);
            if this.lane.has_lost_bytes() && way.flow != Flow::Swallowed {
                this.reset()?;
            }
            let read = if way == Way::FINE && this.lane.is_empty() {
                Pin::new(&mut this.socket).poll_read(cx, buf)
            } else {
                this.lane.poll_read(&mut this.socket, way, cx, buf)
            };
            if read.is_ready() {
                return read;
            }
            // Changed meanwhile: read again under the new conditions.
            ready!(Pin::new(&mut this.reading).poll_next(cx));
        }
    }
}

impl<S: Wire> AsyncWrite for Conditioned<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        loop {
            this.look()?;
            let written = Pin::new(&mut this.socket).poll_write(cx, bytes);
            if written.is_ready() {
                return written;
            }
            ready!(Pin::new(&mut this.writing).poll_next(cx));
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        loop {
            this.look()?;
            let written = Pin::new(&mut this.socket).poll_write_vectored(cx, slices);
            if written.is_ready() {
                return written;
            }
            ready!(Pin::new(&mut this.writing).poll_next(cx));
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }
}

impl<S: Wire> Drop for Conditioned<S> {
    /// The other socket of the same connection may have been reset first.
    fn drop(&mut self) {
        if self.conditions.now.borrow().resets != self.resets {
            // An error means that the connection has ended already.
            let _ended = self.socket.end_abruptly();
        }
    }
}

#[cfg(test)]
mod tests;
