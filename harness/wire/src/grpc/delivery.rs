//! Knows when what was handed to HTTP/2 has reached the client's socket.
//!
//! HTTP/2's connection writes and flushes each time it is polled. So what was handed over before a poll
//! began is in the socket when that poll's flush is done, unless the client's flow control keeps it
//! back.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

/// Shared by a connection's socket, its polling and its calls.
#[derive(Clone, Debug)]
pub(super) struct Delivery {
    polls: Arc<AtomicU64>,
    /// The poll during which the last flush was done.
    flushed: Arc<watch::Sender<u64>>,
    /// Somebody waits for a poll.
    wanted: Arc<Notify>,
}

impl Default for Delivery {
    fn default() -> Self {
        Self {
            polls: Arc::default(),
            flushed: Arc::new(watch::Sender::new(0)),
            wanted: Arc::default(),
        }
    }
}

impl Delivery {
    /// Polls the connection.
    pub(super) fn poll<F: Future>(
        &self,
        connection: Pin<&mut F>,
        cx: &mut Context<'_>,
    ) -> Poll<F::Output> {
        self.polls.fetch_add(1, Ordering::AcqRel);
        connection.poll(cx)
    }

    /// Waits until what was handed over by now is in the socket; ends with the connection's tasks.
    pub(super) async fn done(&self) {
        let next = self.polls.load(Ordering::Acquire) + 1;
        let mut flushed = self.flushed.subscribe();
        // The poll that wrote it may be over.
        self.wanted.notify_one();
        // The sender lives as long as self.
        let _flushed = flushed.wait_for(|poll| *poll >= next).await;
    }

    /// Waits until another poll is wanted.
    pub(super) async fn wanted(&self) {
        self.wanted.notified().await;
    }

    /// The socket through which the connection writes, until its end.
    pub(super) fn through<S>(&self, socket: S, over: CancellationToken) -> Outlet<S> {
        Outlet { socket, delivery: self.clone(), over }
    }
}

/// A socket whose flushes are noted. Nothing is written after the connection's end: that its calls
/// are dropped then is not for the client to hear.
#[derive(Debug)]
pub(super) struct Outlet<S> {
    socket: S,
    delivery: Delivery,
    over: CancellationToken,
}

impl<S> Outlet<S> {
    fn check(&self) -> io::Result<()> {
        if self.over.is_cancelled() {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        Ok(())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Outlet<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Outlet<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.socket).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.socket).poll_flush(cx))?;
        let poll = self.delivery.polls.load(Ordering::Acquire);
        self.delivery.flushed.send_if_modified(|flushed| std::mem::replace(flushed, poll) != poll);
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.socket).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }
}
