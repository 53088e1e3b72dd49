//! The gRPC services: `TabletManager` and `Query`, delegating to the engines.
//!
//! From the moment the tablet stops, new calls are refused; when its engines are closed, the streams
//! that are still open are cut, because a health stream never ends by itself.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::{self, BoxStream};
use tablet_wire::binlogdata::{VStreamRowsRequest, VStreamRowsResponse};
use tablet_wire::query::{RealtimeStats, StreamHealthRequest, StreamHealthResponse, Target};
use tablet_wire::queryservice::query_server::{Query, QueryServer};
use tablet_wire::tabletmanagerdata::{
    PingRequest, PingResponse, VDiffRequest, VDiffResponse, VReplicationExecRequest,
    VReplicationExecResponse,
};
use tablet_wire::tabletmanagerservice::tablet_manager_server::{
    TabletManager, TabletManagerServer,
};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tonic::{Request, Response, Status};

use crate::engine::{Engines, TabletAlias};
use crate::tabletmanager::state::{Role, StateCell, TabletState};
use crate::topo::records::alias_message;

/// A health message comes at least this often.
const HEALTH: Duration = Duration::from_secs(1);
const KEEP_ALIVE: Duration = Duration::from_secs(5);

/// What the services need.
#[derive(Clone)]
pub(crate) struct Services {
    pub(crate) engines: Arc<dyn Engines>,
    pub(crate) state: StateCell,
    pub(crate) alias: TabletAlias,
    pub(crate) keyspace: String,
    pub(crate) shard: String,
    /// Cancelled when the streams are to end: after the engines, whose own streams they may be.
    pub(crate) cut: CancellationToken,
}

/// Serves until the services' `cut`.
///
/// # Errors
/// The listener failed.
pub(crate) async fn serve(
    listener: TcpListener,
    services: Services,
) -> Result<(), tonic::transport::Error> {
    let stop = services.cut.clone();
    Server::builder()
        .tcp_nodelay(true)
        .http2_keepalive_interval(Some(KEEP_ALIVE))
        .http2_keepalive_timeout(Some(KEEP_ALIVE))
        .add_service(TabletManagerServer::new(services.clone()))
        .add_service(QueryServer::new(services))
        .serve_with_incoming_shutdown(TcpListenerStream::new(listener), stop.cancelled_owned())
        .await
}

impl Services {
    fn refuse_when_stopping(&self) -> Result<(), Status> {
        if self.state.snapshot().stopping {
            return Err(Status::unavailable("the tablet is shutting down"));
        }
        Ok(())
    }

    fn health(&self, state: &TabletState) -> StreamHealthResponse {
        let term = match state.role {
            Role::Primary(term) => term.unix_seconds(),
            Role::Replica | Role::Unknown => 0,
        };
        StreamHealthResponse {
            target: Some(Target {
                keyspace: self.keyspace.clone(),
                shard: self.shard.clone(),
                tablet_type: state.tablet_type().into(),
                cell: self.alias.cell.clone(),
            }),
            serving: state.serving(),
            primary_term_start_timestamp: term,
            realtime_stats: Some(RealtimeStats {
                health_error: state.reasons().join("; "),
                replication_lag_seconds: 0,
            }),
            tablet_alias: Some(alias_message(&self.alias)),
        }
    }
}

#[tonic::async_trait]
impl TabletManager for Services {
    async fn ping(&self, request: Request<PingRequest>) -> Result<Response<PingResponse>, Status> {
        Ok(Response::new(PingResponse { payload: request.into_inner().payload }))
    }

    async fn v_replication_exec(
        &self,
        request: Request<VReplicationExecRequest>,
    ) -> Result<Response<VReplicationExecResponse>, Status> {
        self.refuse_when_stopping()?;
        let result = self.engines.vreplication_exec(request.into_inner().query).await?;
        Ok(Response::new(VReplicationExecResponse { result: Some(result) }))
    }

    async fn v_diff(
        &self,
        request: Request<VDiffRequest>,
    ) -> Result<Response<VDiffResponse>, Status> {
        self.refuse_when_stopping()?;
        self.engines.vdiff(request.into_inner()).await.map(Response::new)
    }
}

#[tonic::async_trait]
impl Query for Services {
    type StreamHealthStream = BoxStream<'static, Result<StreamHealthResponse, Status>>;
    type VStreamRowsStream = BoxStream<'static, Result<VStreamRowsResponse, Status>>;

    async fn stream_health(
        &self,
        _request: Request<StreamHealthRequest>,
    ) -> Result<Response<Self::StreamHealthStream>, Status> {
        self.refuse_when_stopping()?;
        let services = self.clone();
        let changes = self.state.subscribe();
        // The first message at once, then on change, and at least once in a while.
        let messages = stream::unfold((changes, false), move |(mut changes, begun)| {
            let services = services.clone();
            async move {
                if begun {
                    // Either way the present state is sent: a deadline that passed is no failure.
                    drop(tokio::time::timeout(HEALTH, changes.changed()).await);
                }
                let health = services.health(&changes.borrow_and_update());
                Some((Ok(health), (changes, true)))
            }
        });
        let messages = messages.take_until(self.cut.clone().cancelled_owned());
        Ok(Response::new(messages.boxed()))
    }

    async fn v_stream_rows(
        &self,
        request: Request<VStreamRowsRequest>,
    ) -> Result<Response<Self::VStreamRowsStream>, Status> {
        self.refuse_when_stopping()?;
        let rows = self.engines.vstream_rows(request.into_inner()).await?;
        // A stream that was cut must not look like one that came to its end.
        let cut = self.cut.clone();
        let end = stream::once(async move {
            cut.is_cancelled().then(|| Err(Status::unavailable("the tablet is shutting down")))
        });
        let rows = rows.take_until(self.cut.clone().cancelled_owned());
        Ok(Response::new(rows.chain(end.filter_map(futures::future::ready)).boxed()))
    }
}

#[cfg(test)]
mod tests;
