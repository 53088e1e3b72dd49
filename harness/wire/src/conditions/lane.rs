//! The bytes of one direction that are on their way.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::{Instant, Sleep};

use super::{Flow, Way};

/// Bytes on their way at a time: latency bounds the throughput of a connection, as a window does.
const WINDOW: usize = 1 << 20;
/// Bytes that travel together.
const PIECE: usize = 16 << 10;
/// At a narrow bandwidth, pieces of so much time.
const PIECES_PER_SECOND: u64 = 20;

#[derive(Debug, Default)]
pub(super) struct Lane {
    on_the_way: VecDeque<Piece>,
    bytes: usize,
    /// When the last byte was through the narrow place.
    busy_until: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
    has_ended: bool,
    has_lost_bytes: bool,
}

#[derive(Debug)]
struct Piece {
    /// It arrives by the latency later.
    left_at: Instant,
    /// Empty at the end of the connection.
    bytes: Bytes,
}

impl Lane {
    pub(super) fn is_empty(&self) -> bool {
        self.on_the_way.is_empty()
    }

    /// Whether the connection can no longer go on.
    pub(super) fn has_lost_bytes(&self) -> bool {
        self.has_lost_bytes
    }

    pub(super) fn poll_read(
        &mut self,
        socket: &mut (impl AsyncRead + Unpin),
        way: Way,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match way.flow {
            // What was not read stays with the sender, and is read after the partition.
            Flow::Stopped => Poll::Pending,
            Flow::Swallowed => self.swallow(socket, cx),
            Flow::Passing => {
                self.take_in(socket, way, cx)?;
                self.poll_arrival(way.latency, cx, buf)
            }
        }
    }

    /// Never ready.
    fn swallow(
        &mut self,
        socket: &mut (impl AsyncRead + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        self.has_lost_bytes |= !self.on_the_way.is_empty();
        self.on_the_way.clear();
        self.bytes = 0;
        let mut scratch = [0; 4096];
        while !self.has_ended {
            let mut bytes = ReadBuf::new(&mut scratch);
            // Its error or end vanishes like its bytes.
            let read = ready!(Pin::new(&mut *socket).poll_read(cx, &mut bytes));
            self.has_ended = read.is_err() || bytes.filled().is_empty();
            self.has_lost_bytes = true;
        }
        Poll::Pending
    }

    fn take_in(
        &mut self,
        socket: &mut (impl AsyncRead + Unpin),
        way: Way,
        cx: &mut Context<'_>,
    ) -> io::Result<()> {
        while !self.has_ended && self.bytes < WINDOW {
            let mut scratch = [0; PIECE];
            let mut bytes = ReadBuf::new(&mut scratch[..piece_length(way)]);
            match Pin::new(&mut *socket).poll_read(cx, &mut bytes) {
                Poll::Pending => return Ok(()),
                Poll::Ready(read) => read?,
            }
            let bytes = Bytes::copy_from_slice(bytes.filled());
            self.has_ended = bytes.is_empty();
            self.bytes += bytes.len();
            let left_at = self.leave(bytes.len(), way);
            self.on_the_way.push_back(Piece { left_at, bytes });
        }
        Ok(())
    }

    /// When so many bytes, sent now, are through the narrow place.
    fn leave(&mut self, length: usize, way: Way) -> Instant {
        let now = Instant::now();
        let Some(rate) = way.bytes_per_second else { return now };
        let begin = self.busy_until.map_or(now, |until| until.max(now));
        let left_at = begin + Duration::from_secs_f64(length as f64 / rate.get() as f64);
        self.busy_until = Some(left_at);
        left_at
    }

    fn poll_arrival(
        &mut self,
        latency: Duration,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Some(first) = self.on_the_way.front_mut() else { return Poll::Pending };
        let due = first.left_at + latency;
        if due > Instant::now() {
            let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
            timer.as_mut().reset(due);
            ready!(timer.as_mut().poll(cx));
        }
        if first.bytes.is_empty() {
            return Poll::Ready(Ok(())); // The end stays the end.
        }
        let length = first.bytes.len().min(buf.remaining());
        buf.put_slice(&first.bytes[..length]);
        first.bytes.advance(length);
        self.bytes -= length;
        if first.bytes.is_empty() {
            self.on_the_way.pop_front();
        }
        Poll::Ready(Ok(()))
    }
}

fn piece_length(way: Way) -> usize {
    let Some(rate) = way.bytes_per_second else { return PIECE };
    usize::try_from(rate.get() / PIECES_PER_SECOND).unwrap_or(PIECE).clamp(1, PIECE)
}
