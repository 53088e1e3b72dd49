//! Engines for the process's own tests: they open when told to, and count.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures::StreamExt;
use tokio::sync::watch;

use super::*;

/// What the next call of `open` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opening {
    Succeeds,
    Fails,
    Hangs,
}

pub(crate) struct FakeEngines {
    opening: watch::Sender<Opening>,
    open: AtomicBool,
    pub(crate) opened: Mutex<Vec<Epoch>>,
    pub(crate) tries: AtomicUsize,
    pub(crate) closes: AtomicUsize,
    pub(crate) stream_ends: AtomicUsize,
}

impl FakeEngines {
    pub(crate) fn new(opening: Opening) -> FakeEngines {
        FakeEngines {
            opening: watch::Sender::new(opening),
            open: AtomicBool::new(false),
            opened: Mutex::default(),
            tries: AtomicUsize::new(0),
            closes: AtomicUsize::new(0),
            stream_ends: AtomicUsize::new(0),
        }
    }

    pub(crate) fn set(&self, opening: Opening) {
        self.opening.send_replace(opening);
    }

    /// They die under their owner.
    pub(crate) fn break_down(&self) {
        self.open.store(false, Ordering::SeqCst);
    }
}

#[tonic::async_trait]
impl Engines for FakeEngines {
    async fn open(&self, epoch: Epoch) -> Result<(), EngineError> {
        self.tries.fetch_add(1, Ordering::SeqCst);
        let opening = *self.opening.borrow();
        match opening {
            Opening::Succeeds => {
                self.opened.lock().unwrap().push(epoch);
                self.open.store(true, Ordering::SeqCst);
                Ok(())
            }
            Opening::Fails => Err(EngineError::Superseded { recorded: Epoch(99) }),
            Opening::Hangs => std::future::pending().await,
        }
    }

    async fn close(&self) {
        self.closes.fetch_add(1, Ordering::SeqCst);
        self.open.store(false, Ordering::SeqCst);
    }

    async fn end_streams(&self) {
        self.stream_ends.fetch_add(1, Ordering::SeqCst);
    }

    fn is_open(&self) -> bool {
        self.open.load(Ordering::SeqCst)
    }

    async fn check(&self) -> Result<(), EngineError> {
        match *self.opening.borrow() {
            Opening::Succeeds => Ok(()),
            Opening::Fails | Opening::Hangs => Err(EngineError::Cancelled),
        }
    }

    async fn vdiff(&self, request: VDiffRequest) -> Result<VDiffResponse, Status> {
        Ok(VDiffResponse { vdiff_uuid: request.vdiff_uuid, ..VDiffResponse::default() })
    }

    async fn vreplication_exec(&self, statement: String) -> Result<QueryResult, Status> {
        Ok(QueryResult { info: statement, ..QueryResult::default() })
    }

    /// One packet, then nothing until dropped.
    async fn vstream_rows(
        &self,
        _request: VStreamRowsRequest,
    ) -> Result<BoxStream<'static, Result<VStreamRowsResponse, Status>>, Status> {
        let packet = VStreamRowsResponse { gtid: "g".to_owned(), ..Default::default() };
        let packets = futures::stream::iter([Ok(packet)]);
        Ok(packets.chain(futures::stream::pending()).boxed())
    }
}
