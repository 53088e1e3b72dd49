//! The topology server: one etcd in a container, and a client for it.

mod leases;

use std::sync::Mutex;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prost::Message;
use tablet_wire::etcdserverpb::kv_client::KvClient;
use tablet_wire::etcdserverpb::lease_client::LeaseClient;
use tablet_wire::etcdserverpb::{DeleteRangeRequest, LeaseRevokeRequest, PutRequest, RangeRequest};
use tablet_wire::topodata::{Shard, Tablet, TabletAlias};
use tablet_wire::vttime::Time;
use tonic::transport::{Channel, Endpoint};

use super::ClusterError;
use engine::docker::{Container, ContainerSpec, Engine, Run};
use engine::images::Image;

pub use leases::Lease;

/// etcd's client port inside the container.
const PORT: u16 = 2379;
/// One call, connecting included.
const CALL: Duration = Duration::from_secs(5);
const SERVER: &str = "etcd";

/// A key with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyValue {
    /// The key.
    pub key: String,
    /// The value.
    pub value: Vec<u8>,
    /// Revision of its last change.
    pub mod_revision: i64,
    /// The lease to which it is bound; 0 is none.
    pub lease: i64,
}

/// A running etcd.
#[derive(Debug)]
pub struct Etcd {
    engine: Engine,
    container: Container,
    /// Replaced at each start: the loopback port may change.
    access: Mutex<(u16, Channel)>,
}

impl Etcd {
    pub(super) async fn launch(
        engine: &Engine,
        run: &Run,
        image: &Image,
        what: &str,
        deadline: Duration,
    ) -> Result<Self, ClusterError> {
        let spec = ContainerSpec {
            what: what.to_owned(),
            image: image.reference.clone(),
            command: [
                "etcd",
                "--name=etcd",
                "--data-dir=/var/lib/etcd",
                "--listen-client-urls=http://0.0.0.0:2379",
                &format!("--advertise-client-urls=http://{}:{PORT}", run.name(what)),
                // Only processes die here, not machines.
                "--unsafe-no-fsync",
                "--log-level=warn",
            ]
            .map(str::to_owned)
            .to_vec(),
            ports: vec![PORT],
            ..Default::default()
        };
        let failed = || ClusterError::engine(SERVER, "the start");
        let container = engine.launch(run.site(), spec).await.map_err(failed())?;
        let port = engine.host_port(container.id(), PORT).await.map_err(failed())?;
        let access = Mutex::new((port, channel(port)));
        let etcd = Self { engine: engine.clone(), container, access };
        etcd.wait_ready(deadline).await?;
        Ok(etcd)
    }

    /// Its name on the run's network.
    #[must_use]
    pub fn network_name(&self) -> &str {
        self.container.name()
    }

    /// Its address on the run's network, as the tablet's option takes it.
    #[must_use]
    pub fn network_address(&self) -> String {
        format!("http://{}:{PORT}", self.container.name())
    }

    /// Its address on the host's loopback. Ask again after a restart.
    #[must_use]
    pub fn host_address(&self) -> String {
        format!("http://127.0.0.1:{}", self.host_port())
    }

    /// Its port on the host's loopback. Ask again after a restart.
    #[must_use]
    pub fn host_port(&self) -> u16 {
        self.access.lock().expect("no panic while locked").0
    }

    /// The container's id.
    #[must_use]
    pub fn container_id(&self) -> &str {
        self.container.id()
    }

    /// The value of a key; none when there is no such key.
    pub async fn get(&self, key: &str) -> Result<Option<KeyValue>, ClusterError> {
        let request = RangeRequest { key: key.into(), ..Default::default() };
        let answer = self.client().range(request).await.map_err(failed("get"))?;
        Ok(answer.into_inner().kvs.into_iter().next().map(key_value))
    }

    /// How many watchers it serves, by its own count; none when it does not tell.
    pub async fn watchers(&self) -> Option<u64> {
        let address = format!("{}/metrics", self.host_address());
        let client = reqwest::Client::builder().timeout(CALL).no_proxy().build().ok()?;
        watchers_in(&client.get(address).send().await.ok()?.text().await.ok()?)
    }

    /// Every key that begins with `prefix`, in order.
    pub async fn list_prefix(&self, prefix: &str) -> Result<Vec<KeyValue>, ClusterError> {
        let request = RangeRequest {
            key: prefix.into(),
            range_end: end_of_prefix(prefix),
            ..Default::default()
        };
        let answer = self.client().range(request).await.map_err(failed("list"))?;
        Ok(answer.into_inner().kvs.into_iter().map(key_value).collect())
    }

    /// Sets a key; returns the revision.
    pub async fn put(&self, key: &str, value: Vec<u8>) -> Result<i64, ClusterError> {
        let request = PutRequest { key: key.into(), value, ..Default::default() };
        let answer = self.client().put(request).await.map_err(failed("put"))?;
        Ok(answer.into_inner().header.map_or(0, |header| header.revision))
    }

    /// Deletes every key that begins with `prefix`; returns how many there were.
    pub async fn delete_prefix(&self, prefix: &str) -> Result<i64, ClusterError> {
        let request = DeleteRangeRequest {
            key: prefix.into(),
            range_end: end_of_prefix(prefix),
            prev_kv: false,
        };
        let answer = self.client().delete_range(request).await.map_err(failed("delete"))?;
        Ok(answer.into_inner().deleted)
    }

    /// Kills etcd (SIGKILL) and starts it again, with its data. Does not wait until it answers.
    pub async fn restart(&self) -> Result<(), ClusterError> {
        let _code = self.kill().await?;
        self.start().await
    }

    /// Ends a lease, and deletes the keys that are bound to it.
    pub async fn revoke(&self, lease: i64) -> Result<(), ClusterError> {
        let port = self.access.lock().expect("no panic while locked").0;
        let request = LeaseRevokeRequest { id: lease };
        LeaseClient::new(channel(port)).lease_revoke(request).await.map_err(failed("revoke"))?;
        Ok(())
    }

    /// Writes a newer term of another tablet into a shard's record, as a reparent elsewhere would;
    /// returns the usurper's alias.
    pub async fn usurp(
        &self,
        topo_root: &str,
        keyspace: &str,
        shard: &str,
    ) -> Result<String, ClusterError> {
        self.name_primary(topo_root, keyspace, shard, 999).await?;
        Ok("zone1-0000000999".to_owned())
    }

    /// Names a tablet of zone1 the primary of a shard, by a term newer than the last one.
    pub async fn name_primary(
        &self,
        topo_root: &str,
        keyspace: &str,
        shard: &str,
        uid: u32,
    ) -> Result<(), ClusterError> {
        let key = shard_key(topo_root, keyspace, shard);
        let mut record = self.shard(topo_root, keyspace, shard).await?.unwrap_or_default();
        let last = record.primary_term_start_time.unwrap_or_default();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX).max(last.seconds + 1);
        let newer = Time { seconds, nanoseconds: 0 };
        record.primary_alias = Some(TabletAlias { cell: "zone1".to_owned(), uid });
        record.primary_term_start_time = Some(newer);
        self.put(&key, record.encode_to_vec()).await?;
        Ok(())
    }

    /// A shard's record; none when there is none yet.
    pub async fn shard(
        &self,
        topo_root: &str,
        keyspace: &str,
        shard: &str,
    ) -> Result<Option<Shard>, ClusterError> {
        self.record(&shard_key(topo_root, keyspace, shard), "reading the shard record").await
    }

    /// A tablet's record; none when there is none yet.
    pub async fn tablet(
        &self,
        topo_root: &str,
        alias: &str,
    ) -> Result<Option<Tablet>, ClusterError> {
        let cell = alias.split_once('-').map_or(alias, |(cell, _)| cell);
        let key = format!("{topo_root}/{cell}/tablets/{alias}/Tablet");
        self.record(&key, "reading the tablet record").await
    }

    async fn record<R: Message + Default>(
        &self,
        key: &str,
        phase: &'static str,
    ) -> Result<Option<R>, ClusterError> {
        let Some(found) = self.get(key).await? else { return Ok(None) };
        R::decode(found.value.as_slice()).map(Some).map_err(|error| ClusterError::Etcd {
            phase,
            source: Box::new(tonic::Status::data_loss(error.to_string())),
        })
    }

    /// Kills etcd (SIGKILL), and returns when it is dead; its exit code.
    pub async fn kill(&self) -> Result<i64, ClusterError> {
        let failed = || ClusterError::engine(SERVER, "the kill");
        let id = self.container.id();
        self.engine.kill(id, "SIGKILL").await.map_err(failed())?;
        self.engine.wait_exit(id, Duration::from_secs(10)).await.map_err(failed())
    }

    /// Starts the dead etcd again. Does not wait until it answers.
    pub async fn start(&self) -> Result<(), ClusterError> {
        let failed = || ClusterError::engine(SERVER, "the start");
        let id = self.container.id();
        self.engine.start(id).await.map_err(failed())?;
        let port = self.engine.host_port(id, PORT).await.map_err(failed())?;
        *self.access.lock().expect("no panic while locked") = (port, channel(port));
        Ok(())
    }

    /// Waits until a real read is answered.
    pub async fn wait_ready(&self, deadline: Duration) -> Result<(), ClusterError> {
        let mut last = String::from("no attempt ended");
        let attempts = async {
            let mut pause = tokio::time::interval(Duration::from_millis(25));
            loop {
                pause.tick().await;
                match self.get("ready?").await {
                    Ok(_) => return,
                    Err(ClusterError::Etcd { source, .. }) => last = source.message().to_owned(),
                    Err(error) => last = error.to_string(),
                }
            }
        };
        if tokio::time::timeout(deadline, attempts).await.is_ok() {
            return Ok(());
        }
        let log = self.engine.last_log_lines(self.container.id(), 10).await.join("\n");
        Err(ClusterError::NotReady { server: SERVER.to_owned(), deadline, last, log })
    }

    /// Removes it.
    pub async fn remove(self) -> Result<(), ClusterError> {
        self.container.remove().await.map_err(ClusterError::engine(SERVER, "the removal"))
    }

    fn client(&self) -> KvClient<Channel> {
        KvClient::new(self.channel())
    }

    fn channel(&self) -> Channel {
        self.access.lock().expect("no panic while locked").1.clone()
    }
}

fn shard_key(topo_root: &str, keyspace: &str, shard: &str) -> String {
    format!("{topo_root}/global/keyspaces/{keyspace}/shards/{shard}/Shard")
}

fn channel(port: u16) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://127.0.0.1:{port}"))
        .expect("an address with a number is an address");
    endpoint.connect_timeout(CALL).timeout(CALL).connect_lazy()
}

fn failed(phase: &'static str) -> impl FnOnce(tonic::Status) -> ClusterError {
    move |source| ClusterError::Etcd { phase, source: Box::new(source) }
}

fn key_value(kv: tablet_wire::etcdserverpb::KeyValue) -> KeyValue {
    KeyValue {
        key: String::from_utf8_lossy(&kv.key).into_owned(),
        value: kv.value,
        mod_revision: kv.mod_revision,
        lease: kv.lease,
    }
}

/// From etcd's metrics.
fn watchers_in(metrics: &str) -> Option<u64> {
    let value =
        metrics.lines().find_map(|line| line.strip_prefix("etcd_debugging_mvcc_watcher_total "))?;
    value.trim().parse::<f64>().ok().map(|count| count as u64)
}

/// The first key after all that begin with `prefix`.
fn end_of_prefix(prefix: &str) -> Vec<u8> {
    let mut end = prefix.as_bytes().to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return end;
        }
    }
    vec![0]
}

#[cfg(test)]
mod tests {
    use super::*;

    // Watchers that are not counted would be faults of etcd that hit nobody.
    #[test]
    fn watchers_are_read_from_the_metrics() {
        let metrics = "# TYPE etcd_debugging_mvcc_watcher_total gauge\n\
             etcd_debugging_mvcc_watcher_total 4\netcd_other 9\n";
        assert_eq!(watchers_in(metrics), Some(4));
        assert_eq!(watchers_in("etcd_other 9\n"), None);
    }

    #[test]
    fn a_prefix_ends_before_its_neighbour() {
        assert_eq!(end_of_prefix("/a/"), b"/a0");
        assert_eq!(end_of_prefix(""), [0]);
    }
}
