//! What a server says in a stream: passed on as it comes, held at the beginning of a message.

use std::sync::Arc;

use bytes::Bytes;
use http_body::Frame;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use records::schedule::Moment;
use tokio::sync::oneshot;
use tokio_util::sync::DropGuard;

use super::call::{self, Call};
use super::connection::BoxError;
use super::frames::Boundaries;
use crate::Exchange;

/// The answers of a stream. Dropped, it ends the requests.
pub(super) struct Answers {
    call: Arc<Call>,
    body: Incoming,
    boundaries: Boundaries,
    /// What is left of the last chunk.
    chunk: Bytes,
    /// Whose message is being passed on.
    current: Option<Exchange>,
    /// Whose message was passed on last.
    sent: Option<Exchange>,
    /// Dropped when the end was passed on.
    ended: Option<oneshot::Sender<()>>,
    _over: DropGuard,
}

impl Answers {
    pub(super) fn new(call: Arc<Call>, body: Incoming, over: DropGuard) -> Self {
        Self {
            call,
            body,
            boundaries: Boundaries::default(),
            chunk: Bytes::new(),
            current: None,
            sent: None,
            ended: None,
            _over: over,
        }
    }

    /// What to pass on next. It is asked for when what it gave before was handed over.
    pub(super) async fn next(&mut self) -> Option<Result<Frame<Bytes>, BoxError>> {
        let connection = Arc::clone(&self.call.connection);
        if let Some(sent) = self.sent.take() {
            connection.replied(&sent).await;
        }
        loop {
            if let Some(piece) = self.boundaries.take(&mut self.chunk) {
                if piece.begins {
                    let exchange = self.call.answered("message");
                    connection.pass(&exchange, Moment::Executed).await;
                    self.current = Some(exchange);
                }
                if piece.ends {
                    self.sent = self.current.take();
                }
                return Some(Ok(Frame::data(piece.bytes)));
            }
            let frame = match self.body.frame().await? {
                Ok(frame) => frame,
                Err(error) => return Some(Err(connection.failed(error).await)),
            };
            match frame.into_data() {
                Ok(chunk) => self.chunk = chunk,
                Err(trailers) => {
                    let exchange = self.call.answered("end");
                    connection.pass(&exchange, Moment::Executed).await;
                    self.ended = Some(call::replied(&connection, exchange));
                    return Some(Ok(trailers));
                }
            }
        }
    }
}
