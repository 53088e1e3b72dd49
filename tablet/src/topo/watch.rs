//! A watch of one key, as a sequence that visibly ends.
//!
//! Whatever ends it (etcd restarted, the connection lost, the server cancelled it) shows as `None`
//! from [`TopoWatch::next`]. The watch does not arm itself again: its owner does, with back-off, and
//! reads the record again, since changes between two watches are seen by nobody.

use tablet_wire::etcdserverpb::watch_client::WatchClient;
use tablet_wire::etcdserverpb::watch_request::RequestUnion;
use tablet_wire::etcdserverpb::{WatchCreateRequest, WatchRequest, WatchResponse};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Status, Streaming};

/// Something about the key has changed; what, only a read tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WatchEvent {
    /// etcd's revision at the change.
    pub(crate) revision: i64,
}

/// A running watch; dropping it ends it.
pub(crate) struct TopoWatch {
    responses: Streaming<WatchResponse>,
    /// Held open: etcd ends the watch when the request stream ends.
    _requests: mpsc::Sender<WatchRequest>,
}

impl TopoWatch {
    /// Opens a watch and waits until etcd says that it exists.
    pub(super) async fn open(
        mut client: WatchClient<Channel>,
        key: String,
    ) -> Result<TopoWatch, Status> {
        let (requests, outgoing) = mpsc::channel(1);
        let create = WatchCreateRequest { key: key.into_bytes(), ..WatchCreateRequest::default() };
        let request = WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) };
        requests.send(request).await.map_err(|_| Status::cancelled("the watch was dropped"))?;
        let mut responses = client.watch(ReceiverStream::new(outgoing)).await?.into_inner();
        match responses.message().await? {
            Some(first) if first.created && !first.canceled => {
                Ok(TopoWatch { responses, _requests: requests })
            }
            Some(first) => Err(Status::aborted(format!("refused: {}", first.cancel_reason))),
            None => Err(Status::aborted("ended before it began")),
        }
    }

    /// The next event, or `None` when the watch has ended. May be dropped and called again.
    pub(crate) async fn next(&mut self) -> Option<WatchEvent> {
        loop {
            match self.responses.message().await {
                Ok(Some(response)) if response.canceled => return None,
                Ok(Some(response)) if response.events.is_empty() => {}
                Ok(Some(response)) => {
                    let revision = response.header.map_or(0, |header| header.revision);
                    return Some(WatchEvent { revision });
                }
                Ok(None) => return None,
                Err(status) => {
                    tracing::debug!(%status, "a watch has ended");
                    return None;
                }
            }
        }
    }
}
