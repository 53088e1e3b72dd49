//! One call: unary, or a stream.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::stream;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body::Frame;
use http_body_util::{BodyExt, LengthLimitError, Limited, StreamBody};
use hyper::body::Incoming;
use records::schedule::Moment;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::answers::Answers;
use super::connection::{Body, BoxError, Connection, Fate, fate};
use super::fingerprint::{self, Shape};
use super::frames::MESSAGE_MAX;
use super::requests::Requests;
use crate::{Class, Exchange, UnderWay};

/// Requests of a stream that wait for their answer; of more, the oldest are answered by nothing.
const UNANSWERED_MAX: usize = 64;
const UNAVAILABLE: HeaderValue = HeaderValue::from_static("14");
const EXHAUSTED: HeaderValue = HeaderValue::from_static("8");

/// What is said in an exchange.
pub(super) struct Saying<'a> {
    pub(super) fingerprint: &'a str,
    pub(super) class: Class,
    pub(super) text: &'a str,
}

/// A stream's call, which its two directions share.
pub(super) struct Call {
    pub(super) connection: Arc<Connection>,
    pub(super) path: String,
    /// Cancelled when the answers are over, or nobody reads them any more.
    pub(super) over: CancellationToken,
    said: Mutex<Unanswered>,
    _under_way: UnderWay,
}

struct Unanswered {
    /// Of the last request.
    fingerprint: Arc<str>,
    unanswered: VecDeque<Exchange>,
}

/// Passes a call on to the server, and gives its answer.
pub(super) async fn pass_on(
    connection: Arc<Connection>,
    request: Request<Incoming>,
) -> Result<Response<Body>, BoxError> {
    match fingerprint::shape(request.uri().path()) {
        Shape::Unary => unary(&connection, request).await,
        Shape::Stream => stream_of(connection, request, true).await,
        Shape::Unknown => stream_of(connection, request, false).await,
    }
}

async fn unary(
    connection: &Arc<Connection>,
    request: Request<Incoming>,
) -> Result<Response<Body>, BoxError> {
    let (head, body) = request.into_parts();
    let message = match Limited::new(body, MESSAGE_MAX).collect().await {
        Ok(message) => message.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => {
            return Ok(refusal(EXHAUSTED, "the request is too great for the proxy"));
        }
        Err(error) => return Err(error),
    };
    let spoken = fingerprint::read(head.uri.path(), &message, &connection.link.names);
    let exchange = connection.begin(spoken.saying());
    let _under_way = connection.under_way(Arc::clone(&exchange.fingerprint));
    connection.pass(&exchange, Moment::Before).await;

    let request = Request::from_parts(head, Whole::new(message, None).boxed_unsync());
    let response = match send(connection, request).await? {
        Ok(response) => response,
        Err(refusal) => return Ok(refusal),
    };
    let (head, body) = response.into_parts();
    let (data, trailers) = match Limited::new(body, MESSAGE_MAX).collect().await {
        Ok(body) => {
            let trailers = body.trailers().cloned();
            (body.to_bytes(), trailers)
        }
        Err(error) => match error.downcast::<hyper::Error>() {
            Ok(error) => return Err(connection.failed(*error).await),
            Err(_limit) => return Ok(refusal(EXHAUSTED, "the answer is too great for the proxy")),
        },
    };
    connection.switchboard.answered(&exchange);
    connection.pass(&exchange, Moment::Executed).await;
    let mut body = Whole::new(data, trailers);
    body.replied = Some(replied(connection, exchange));
    Ok(Response::from_parts(head, body.boxed_unsync()))
}

async fn stream_of(
    connection: Arc<Connection>,
    request: Request<Incoming>,
    begins_with_request: bool,
) -> Result<Response<Body>, BoxError> {
    let (head, body) = request.into_parts();
    let call = Arc::new(Call::new(Arc::clone(&connection), head.uri.path()));
    // Dropped with this future, or with the answers.
    let over = call.over.clone().drop_guard();
    let mut requests = Requests::new(Arc::clone(&call), body);
    // Nothing of the call is passed on before its first request may go.
    let first = if begins_with_request { requests.next().await.transpose()? } else { None };
    let requests = stream::unfold((first, requests), async |(first, mut requests)| {
        let next = match first {
            Some(frame) => Some(Ok(frame)),
            None => requests.next().await,
        };
        next.map(|frame| (frame, (None, requests)))
    });
    let request = Request::from_parts(head, StreamBody::new(requests).boxed_unsync());
    let response = match send(&connection, request).await? {
        Ok(response) => response,
        Err(refusal) => return Ok(refusal),
    };
    let (head, body) = response.into_parts();
    if http_body::Body::is_end_stream(&body) {
        // The head is all there is: a refusal.
        let exchange = call.answered("end");
        connection.pass(&exchange, Moment::Executed).await;
        let mut body = Whole::new(Bytes::new(), None);
        body.replied = Some(replied(&connection, exchange));
        return Ok(Response::from_parts(head, body.boxed_unsync()));
    }
    let answers = Answers::new(call, body, over);
    let answers = stream::unfold(answers, async |mut answers| {
        answers.next().await.map(|frame| (frame, answers))
    });
    Ok(Response::from_parts(head, StreamBody::new(answers).boxed_unsync()))
}

/// Sends a call to the server; its answer, or how it is refused for the server.
async fn send(
    connection: &Connection,
    request: Request<Body>,
) -> Result<Result<Response<Incoming>, Response<Body>>, BoxError> {
    let error = match connection.server.clone().send_request(request).await {
        Ok(response) => return Ok(Ok(response)),
        Err(error) => error,
    };
    match fate(&error) {
        Fate::Refused => {
            connection.refuse_more();
            Ok(Err(refusal(UNAVAILABLE, "the server takes no more calls on this connection")))
        }
        Fate::Reset | Fate::Broken => Err(connection.failed(error).await),
    }
}

/// An answer that only says why there is none.
fn refusal(status: HeaderValue, text: &'static str) -> Response<Body> {
    let mut response = Response::new(Whole::new(Bytes::new(), None).boxed_unsync());
    *response.status_mut() = StatusCode::OK;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert("grpc-status", status);
    headers.insert("grpc-message", HeaderValue::from_static(text));
    response
}

/// Passes the last moment of an exchange once what it gives is dropped: HTTP/2 has the whole answer.
pub(super) fn replied(connection: &Arc<Connection>, exchange: Exchange) -> oneshot::Sender<()> {
    let (sender, handed_over) = oneshot::channel();
    let calls = Arc::clone(connection);
    connection.afterwards(async move {
        // Nothing is sent: the drop counts.
        let _dropped = handed_over.await;
        calls.replied(&exchange).await;
    });
    sender
}

impl Call {
    fn new(connection: Arc<Connection>, path: &str) -> Self {
        let method: Arc<str> = fingerprint::method(path).into();
        let under_way = connection.under_way(Arc::clone(&method));
        let said = Unanswered { fingerprint: method, unanswered: VecDeque::new() };
        Self {
            _under_way: under_way,
            connection,
            path: path.to_owned(),
            over: CancellationToken::new(),
            said: Mutex::new(said),
        }
    }

    /// Numbers a request, whose answer is the server's next message.
    pub(super) fn ask(&self, message: &[u8]) -> Exchange {
        let spoken = fingerprint::read(&self.path, message, &self.connection.link.names);
        let exchange = self.connection.begin(spoken.saying());
        self.said().fingerprint = Arc::clone(&exchange.fingerprint);
        exchange
    }

    /// The request is about to be passed on.
    pub(super) fn asked(&self, exchange: Exchange) {
        let mut said = self.said();
        if said.unanswered.len() == UNANSWERED_MAX {
            said.unanswered.pop_front();
        }
        said.unanswered.push_back(exchange);
    }

    /// The exchange of what the server says: a request's, or its own.
    pub(super) fn answered(&self, what: &str) -> Exchange {
        let (answered, fingerprint) = {
            let mut said = self.said();
            (said.unanswered.pop_front(), Arc::clone(&said.fingerprint))
        };
        if let Some(exchange) = &answered {
            self.connection.switchboard.answered(exchange);
        }
        answered.unwrap_or_else(|| {
            let fingerprint = format!("{fingerprint} {what}");
            let class = match what {
                "end" => fingerprint::class_of_end(&self.path),
                _ => Class::Reads,
            };
            let text = &fingerprint;
            self.connection.begin(Saying { fingerprint: &fingerprint, class, text })
        })
    }

    fn said(&self) -> MutexGuard<'_, Unanswered> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A body that has come whole.
struct Whole {
    data: Option<Bytes>,
    trailers: Option<HeaderMap>,
    /// Dropped with the body.
    replied: Option<oneshot::Sender<()>>,
}

impl Whole {
    fn new(data: Bytes, trailers: Option<HeaderMap>) -> Self {
        Self { data: Some(data).filter(|data| !data.is_empty()), trailers, replied: None }
    }
}

impl http_body::Body for Whole {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let data = self.data.take().map(Frame::data);
        Poll::Ready(data.or_else(|| self.trailers.take().map(Frame::trailers)).map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_none() && self.trailers.is_none()
    }
}
