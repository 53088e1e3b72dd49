//! The tablet's wire protocols, at the addresses of one incarnation.

use std::time::Duration;

use serde_json::Value;
use tablet_wire::binlogdata::{VStreamRowsRequest, VStreamRowsResponse};
use tablet_wire::query::{QueryResult, StreamHealthRequest, StreamHealthResponse, Target};
use tablet_wire::queryservice::query_client::QueryClient;
use tablet_wire::tabletmanagerdata::{
    PingRequest, VDiffCoreOptions, VDiffOptions, VDiffPickerOptions, VDiffReportOptions,
    VDiffRequest, VDiffResponse, VReplicationExecRequest,
};
use tablet_wire::tabletmanagerservice::tablet_manager_client::TabletManagerClient;
use tablet_wire::topodata::TabletType;
use tonic::transport::{Channel, Endpoint};

use super::{ShowRow, TabletError};

const CONNECT: Duration = Duration::from_secs(1);
/// From a call to its (first) answer.
const CALL: Duration = Duration::from_secs(10);
/// Between two packets of a row stream.
const PACKET: Duration = Duration::from_secs(30);
/// HTTP/2 window of a row stream, bytes: the least that the protocol starts with.
const STREAM_WINDOW: u32 = 65_535;
/// A `show` with all samples is larger than gRPC's default.
const MESSAGE_MAX: usize = 256 << 20;

/// A client of one incarnation. Cheap to clone; it connects when it is used.
#[derive(Clone, Debug)]
pub struct Client {
    alias: String,
    keyspace: String,
    shard: String,
    http_address: String,
    grpc_address: String,
    channel: Channel,
    http: reqwest::Client,
}

/// A row stream that is being read.
#[derive(Debug)]
pub struct RowStream {
    alias: String,
    packets: tonic::Streaming<VStreamRowsResponse>,
}

impl RowStream {
    /// The next packet; none at the end.
    pub async fn next_packet(&mut self) -> Result<Option<VStreamRowsResponse>, TabletError> {
        let next = tokio::time::timeout(PACKET, self.packets.message()).await;
        let next = next.unwrap_or_else(|_| Err(tonic::Status::deadline_exceeded("no packet came")));
        next.map_err(|source| rpc(&self.alias, "VStreamRows", source))
    }
}

fn endpoint(grpc_address: &str) -> Endpoint {
    Endpoint::from_shared(grpc_address.to_owned())
        .expect("an address with a number is an address")
        .connect_timeout(CONNECT)
        .timeout(CALL)
}

impl Client {
    pub(super) fn new(
        alias: &str,
        keyspace: &str,
        shard: &str,
        grpc_port: u16,
        http_port: u16,
    ) -> Self {
        let grpc_address = format!("http://127.0.0.1:{grpc_port}");
        let http = reqwest::Client::builder().connect_timeout(CONNECT).timeout(CALL).no_proxy();
        Self {
            alias: alias.to_owned(),
            keyspace: keyspace.to_owned(),
            shard: shard.to_owned(),
            http_address: format!("http://127.0.0.1:{http_port}"),
            channel: endpoint(&grpc_address).connect_lazy(),
            grpc_address,
            http: http.build().expect("no setting of it can fail without TLS"),
        }
    }

    /// Where its gRPC services answer on the host's loopback.
    #[must_use]
    pub fn grpc_address(&self) -> &str {
        &self.grpc_address
    }

    /// Where its HTTP pages answer on the host's loopback.
    #[must_use]
    pub fn http_address(&self) -> &str {
        &self.http_address
    }

    /// `Ping`: answered by the process alone, without MySQL or etcd.
    pub async fn ping(&self) -> Result<(), TabletError> {
        let request = PingRequest { payload: "ping".to_owned() };
        let answer = TabletManagerClient::new(self.channel.clone()).ping(request).await;
        answer.map(|_| ()).map_err(|source| rpc(&self.alias, "Ping", source))
    }

    /// `/healthz`, as a supervisor asks it.
    pub async fn healthz(&self) -> Result<(), TabletError> {
        let path = "/healthz";
        let request = self.http.get(format!("{}{path}", self.http_address));
        let answer = async { request.send().await?.error_for_status() };
        answer.await.map(|_| ()).map_err(|source| self.http_failed(path, source))
    }

    /// Creates a VDiff under the given UUID.
    ///
    /// All samples are kept, so that differences can be compared by identity.
    pub async fn vdiff_create(
        &self,
        workflow: &str,
        uuid: &str,
    ) -> Result<VDiffResponse, TabletError> {
        let options = VDiffOptions {
            picker_options: Some(VDiffPickerOptions {
                tablet_types: "primary".to_owned(),
                ..Default::default()
            }),
            core_options: Some(VDiffCoreOptions { auto_retry: true, ..Default::default() }),
            report_options: Some(VDiffReportOptions {
                format: "json".to_owned(),
                max_sample_rows: 0,
                ..Default::default()
            }),
        };
        self.vdiff(workflow, "create", "", uuid, Some(options)).await
    }

    /// Stops a VDiff.
    pub async fn vdiff_stop(
        &self,
        workflow: &str,
        uuid: &str,
    ) -> Result<VDiffResponse, TabletError> {
        self.vdiff(workflow, "stop", uuid, uuid, None).await
    }

    /// Resumes a VDiff.
    pub async fn vdiff_resume(
        &self,
        workflow: &str,
        uuid: &str,
    ) -> Result<VDiffResponse, TabletError> {
        self.vdiff(workflow, "resume", uuid, uuid, None).await
    }

    /// Deletes a VDiff, or `all` of the workflow.
    pub async fn vdiff_delete(
        &self,
        workflow: &str,
        uuid: &str,
    ) -> Result<VDiffResponse, TabletError> {
        self.vdiff(workflow, "delete", uuid, uuid, None).await
    }

    /// Shows a VDiff by UUID, the `last` one, or `all`.
    pub async fn vdiff_show(
        &self,
        workflow: &str,
        which: &str,
    ) -> Result<Vec<ShowRow>, TabletError> {
        let uuid = if matches!(which, "all" | "last") { "" } else { which };
        let answer = self.vdiff(workflow, "show", which, uuid, None).await?;
        Ok(rows_by_name(&answer.output.unwrap_or_default()))
    }

    /// Executes a statement on the tablet's `_vt.vreplication`.
    pub async fn vreplication_exec(&self, query: &str) -> Result<QueryResult, TabletError> {
        let request = VReplicationExecRequest { query: query.to_owned() };
        let answer =
            TabletManagerClient::new(self.channel.clone()).v_replication_exec(request).await;
        let answer = answer.map_err(|source| rpc(&self.alias, "VReplicationExec", source))?;
        Ok(answer.into_inner().result.unwrap_or_default())
    }

    /// Streams the rows of a query in key order, from the beginning.
    pub async fn vstream_rows(&self, query: &str) -> Result<RowStream, TabletError> {
        let target = Target {
            keyspace: self.keyspace.clone(),
            shard: self.shard.clone(),
            tablet_type: TabletType::Primary.into(),
            ..Default::default()
        };
        let request = VStreamRowsRequest {
            target: Some(target),
            query: query.to_owned(),
            ..Default::default()
        };
        // A connection of its own, with a small window: the reader decides how far the tablet gets.
        let endpoint = endpoint(&self.grpc_address)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(STREAM_WINDOW);
        let mut client =
            QueryClient::new(endpoint.connect_lazy()).max_decoding_message_size(MESSAGE_MAX);
        let stream = client.v_stream_rows(request).await;
        let stream = stream.map_err(|source| rpc(&self.alias, "VStreamRows", source))?;
        Ok(RowStream { alias: self.alias.clone(), packets: stream.into_inner() })
    }

    /// The first message of the health stream.
    pub async fn health(&self) -> Result<StreamHealthResponse, TabletError> {
        let failed = |source| rpc(&self.alias, "StreamHealth", source);
        let first = async {
            let mut client = QueryClient::new(self.channel.clone());
            let mut stream = client.stream_health(StreamHealthRequest {}).await?.into_inner();
            stream.message().await
        };
        let first = tokio::time::timeout(CALL, first).await;
        let first = first.unwrap_or_else(|_| Err(tonic::Status::deadline_exceeded("no message")));
        first.and_then(|m| m.ok_or_else(|| tonic::Status::unavailable("it ended"))).map_err(failed)
    }

    /// `/debug/vars`.
    pub async fn debug_vars(&self) -> Result<Value, TabletError> {
        let (_, body) = self.get("/debug/vars").await?;
        Ok(body)
    }

    /// `/readyz`: the HTTP status and the body.
    pub async fn readyz(&self) -> Result<(u16, Value), TabletError> {
        self.get("/readyz").await
    }

    async fn get(&self, path: &str) -> Result<(u16, Value), TabletError> {
        let request = self.http.get(format!("{}{path}", self.http_address));
        let answer = async {
            let answer = request.send().await?;
            let status = answer.status().as_u16();
            Ok((status, answer.json().await?))
        };
        answer.await.map_err(|source| self.http_failed(path, source))
    }

    async fn vdiff(
        &self,
        workflow: &str,
        action: &'static str,
        action_arg: &str,
        uuid: &str,
        options: Option<VDiffOptions>,
    ) -> Result<VDiffResponse, TabletError> {
        let request = VDiffRequest {
            keyspace: self.keyspace.clone(),
            workflow: workflow.to_owned(),
            action: action.to_owned(),
            action_arg: action_arg.to_owned(),
            vdiff_uuid: uuid.to_owned(),
            options,
        };
        let mut client =
            TabletManagerClient::new(self.channel.clone()).max_decoding_message_size(MESSAGE_MAX);
        let answer = client.v_diff(request).await;
        answer.map(tonic::Response::into_inner).map_err(|source| rpc(&self.alias, action, source))
    }

    fn http_failed(&self, path: &str, source: reqwest::Error) -> TabletError {
        TabletError::Http { tablet: self.alias.clone(), path: path.to_owned(), source }
    }
}

fn rpc(alias: &str, call: &'static str, source: tonic::Status) -> TabletError {
    TabletError::Rpc { tablet: alias.to_owned(), call, source: Box::new(source) }
}

/// A result's rows, by column name; values as text, a length of -1 is NULL.
fn rows_by_name(result: &QueryResult) -> Vec<ShowRow> {
    let row = |row: &tablet_wire::query::Row| {
        let mut rest = row.values.as_slice();
        let values = result.fields.iter().zip(&row.lengths).map(|(field, length)| {
            let value = usize::try_from(*length).ok().map(|length| {
                let (value, after) = rest.split_at(length.min(rest.len()));
                rest = after;
                String::from_utf8_lossy(value).into_owned()
            });
            (field.name.clone(), value)
        });
        values.collect::<ShowRow>()
    };
    result.rows.iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use tablet_wire::query::{Field, Row};

    use super::*;

    #[test]
    fn null_and_empty_are_told_apart_and_a_short_row_does_not_panic() {
        let field = |name: &str| Field { name: name.to_owned(), ..Default::default() };
        let result = QueryResult {
            fields: vec![field("a"), field("b"), field("c")],
            rows: vec![
                Row { lengths: vec![2, -1, 0], values: b"xy".to_vec() },
                Row { lengths: vec![5], values: b"x".to_vec() },
            ],
            ..Default::default()
        };
        let rows = rows_by_name(&result);
        assert_eq!(rows[0]["a"].as_deref(), Some("xy"));
        assert_eq!((&rows[0]["b"], rows[0]["c"].as_deref()), (&None, Some("")));
        assert_eq!(rows[1].len(), 1);
    }
}
