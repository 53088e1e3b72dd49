//! A store and a source of rows that can be looked into.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::stream::{self, BoxStream, StreamExt};
use tablet_wire::binlogdata::{VStreamRowsRequest, VStreamRowsResponse};
use tablet_wire::etcdserverpb::kv_server::{Kv, KvServer};
use tablet_wire::etcdserverpb::{
    DeleteRangeRequest, DeleteRangeResponse, KeyValue, PutRequest, PutResponse, RangeRequest,
    RangeResponse, TxnRequest, TxnResponse,
};
use tablet_wire::query::{Row, StreamHealthRequest, StreamHealthResponse};
use tablet_wire::queryservice::query_server::{Query, QueryServer};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tonic::metadata::MetadataValue;
use tonic::{Request, Response, Status};

/// What all servers of a bench share: it outlives their deaths.
#[derive(Clone, Default)]
pub(super) struct Fakes {
    pub(super) keys: Arc<Mutex<BTreeMap<Vec<u8>, Vec<u8>>>>,
    /// Row streams that were asked for.
    pub(super) streams: Arc<AtomicUsize>,
    /// Messages that were made.
    pub(super) made: Arc<AtomicUsize>,
    /// A call or stream was dropped by its client.
    pub(super) dropped: Arc<Notify>,
    /// A call that hangs has come.
    pub(super) hangs: Arc<Notify>,
    /// Ends the server in order.
    pub(super) stop: CancellationToken,
    /// Ends the streams of `StreamHealth`.
    pub(super) healthy: Arc<Notify>,
}

struct Dropped(Arc<Notify>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

impl Fakes {
    pub(super) fn kv(&self) -> KvServer<Self> {
        KvServer::new(self.clone())
    }

    pub(super) fn query(&self) -> QueryServer<Self> {
        QueryServer::new(self.clone())
    }

    pub(super) fn value(&self, key: &str) -> Option<Vec<u8>> {
        self.keys.lock().unwrap().get(key.as_bytes()).cloned()
    }
}

#[tonic::async_trait]
impl Kv for Fakes {
    /// `/hangs` never answers, `/timeout` gives the deadline that came.
    async fn range(
        &self,
        request: Request<RangeRequest>,
    ) -> Result<Response<RangeResponse>, Status> {
        let timeout = request.metadata().get("grpc-timeout").cloned();
        let key = request.into_inner().key;
        let value = match key.as_slice() {
            b"/hangs" => {
                let _dropped = Dropped(Arc::clone(&self.dropped));
                self.hangs.notify_one();
                std::future::pending().await
            }
            b"/timeout" => timeout.map(|timeout| timeout.as_bytes().to_vec()),
            key => self.keys.lock().unwrap().get(key).cloned(),
        };
        let kvs: Vec<_> =
            value.map(|value| KeyValue { key, value, ..Default::default() }).into_iter().collect();
        let mut response = Response::new(RangeResponse { kvs, ..Default::default() });
        response.metadata_mut().insert("x-head", MetadataValue::from_static("kept"));
        Ok(response)
    }

    async fn put(&self, request: Request<PutRequest>) -> Result<Response<PutResponse>, Status> {
        let put = request.into_inner();
        self.keys.lock().unwrap().insert(put.key, put.value);
        Ok(Response::new(PutResponse::default()))
    }

    async fn delete_range(
        &self,
        _: Request<DeleteRangeRequest>,
    ) -> Result<Response<DeleteRangeResponse>, Status> {
        let mut status = Status::failed_precondition("nö: 100 % not today");
        status.metadata_mut().insert("x-why", MetadataValue::from_static("because"));
        Err(status)
    }

    async fn txn(&self, _: Request<TxnRequest>) -> Result<Response<TxnResponse>, Status> {
        Err(Status::unimplemented("no transactions"))
    }
}

#[tonic::async_trait]
impl Query for Fakes {
    type StreamHealthStream = BoxStream<'static, Result<StreamHealthResponse, Status>>;
    type VStreamRowsStream = BoxStream<'static, Result<VStreamRowsResponse, Status>>;

    async fn stream_health(
        &self,
        _: Request<StreamHealthRequest>,
    ) -> Result<Response<Self::StreamHealthStream>, Status> {
        let first = stream::iter([Ok(StreamHealthResponse::default())]);
        let healthy = Arc::clone(&self.healthy);
        let last = stream::once(async move {
            healthy.notified().await;
            Err(Status::aborted("not healthy any more"))
        });
        Ok(Response::new(first.chain(last).boxed()))
    }

    /// The query is `count size`; `refuse` and `hang` are what they say.
    async fn v_stream_rows(
        &self,
        request: Request<VStreamRowsRequest>,
    ) -> Result<Response<Self::VStreamRowsStream>, Status> {
        self.streams.fetch_add(1, Ordering::SeqCst);
        let query = request.into_inner().query;
        if query == "refuse" {
            return Err(Status::not_found("no such table"));
        }
        let (count, size) = query.split_once(' ').expect("count and size");
        let (count, size): (usize, usize) = (count.parse().unwrap(), size.parse().unwrap());
        let made = Arc::clone(&self.made);
        let dropped = Dropped(Arc::clone(&self.dropped));
        let messages = stream::iter(0..count).map(move |number| {
            let _dropped = &dropped;
            made.fetch_add(1, Ordering::SeqCst);
            Ok(rows(number, size))
        });
        Ok(Response::new(messages.boxed()))
    }
}

/// One message, told from others by its content.
pub(super) fn rows(number: usize, size: usize) -> VStreamRowsResponse {
    let byte = u8::try_from(number % 251).unwrap();
    let row = Row { lengths: vec![i64::try_from(size).unwrap()], values: vec![byte; size] };
    VStreamRowsResponse { gtid: number.to_string(), rows: vec![row], ..Default::default() }
}

/// Waits until a counter rests, and gives it.
pub(super) async fn at_rest(counter: &AtomicUsize) -> usize {
    let mut last = usize::MAX;
    let mut equal = 0;
    while equal < 20 {
        tokio::time::sleep(Duration::from_millis(15)).await;
        let now = counter.load(Ordering::SeqCst);
        equal = if now == last { equal + 1 } else { 0 };
        last = now;
    }
    last
}
