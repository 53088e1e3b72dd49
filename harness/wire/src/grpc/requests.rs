//! What a client says in a stream: message by message, each passed on when it may go.

use std::sync::Arc;

use bytes::Bytes;
use http_body::Frame;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use records::schedule::Moment;

use super::call::Call;
use super::connection::BoxError;
use super::frames::Assembler;

/// The requests of a stream, as they are to be passed on.
pub(super) struct Requests {
    call: Arc<Call>,
    body: Incoming,
    messages: Assembler,
}

impl Requests {
    pub(super) fn new(call: Arc<Call>, body: Incoming) -> Self {
        Self { call, body, messages: Assembler::default() }
    }

    /// The next message; fails when the client has gone away, or the call is over.
    pub(super) async fn next(&mut self) -> Option<Result<Frame<Bytes>, BoxError>> {
        let over = self.call.over.clone();
        match over.run_until_cancelled(self.message()).await {
            Some(message) => message,
            None => Some(Err(h2::Error::from(h2::Reason::CANCEL).into())),
        }
    }

    async fn message(&mut self) -> Option<Result<Frame<Bytes>, BoxError>> {
        loop {
            match self.messages.message() {
                Err(error) => return Some(Err(error.into())),
                Ok(Some(message)) => {
                    let exchange = self.call.ask(&message);
                    self.call.connection.pass(&exchange, Moment::Before).await;
                    self.call.asked(exchange);
                    return Some(Ok(Frame::data(message)));
                }
                Ok(None) => {}
            }
            match self.body.frame().await {
                None => {
                    let rest = self.messages.rest();
                    return (!rest.is_empty()).then(|| Ok(Frame::data(rest)));
                }
                Some(Err(error)) => return Some(Err(error.into())),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(chunk) => self.messages.push(&chunk),
                    Err(trailers) => return Some(Ok(trailers)),
                },
            }
        }
    }
}
