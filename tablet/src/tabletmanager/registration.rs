//! Registers this start of the tablet (its *incarnation*) and keeps it registered.
//!
//! One transaction puts the incarnation key, bound to a lease, and the Tablet record, tagged with
//! the incarnation's id. Its revision is the **epoch**: etcd's revisions only grow, so a later start
//! has the greater one.
//!
//! When the lease is lost (etcd was away for longer), the incarnation key goes, but no epoch does: the
//! Tablet record still carries the id of whoever registered last. Only if that is ours is the key put
//! again, under the old epoch; if it is another's, that one registered after us, and we are
//! superseded even if it has gone since. So an epoch is never used by two incarnations, and one that
//! was passed over never acts again.
//!
//! This needs etcd to keep its data; an etcd that was emptied while MySQL was not starts with smaller
//! revisions, and the engines then refuse to open because MySQL has seen a greater epoch.

mod standing;

use std::collections::HashMap;
use std::time::Duration;

use prost::Message;
use serde::{Deserialize, Serialize};
use tablet_wire::topodata::{Keyspace, Tablet};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::standing::{INCARNATION_TAG, Seen, Standing, judge};
use super::state::{Registration, Role, StateCell, TabletState};
use crate::backoff::Backoff;
use crate::engine::{Epoch, TabletAlias};
use crate::topo::etcd::{Lease, Write};
use crate::topo::records::alias_message;
use crate::topo::{Etcd, Paths, Term, TopoError};

/// How often the incarnation looks whether it is still the newest.
const LOOK: Duration = Duration::from_secs(1);
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));
/// The whole time for deregistering; then the lease is left to run out.
const DEREGISTER: Duration = Duration::from_secs(2);

/// Who registers, and what the records say of it.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    /// Unique to this start of the process.
    pub(crate) id: String,
    pub(crate) alias: TabletAlias,
    pub(crate) keyspace: String,
    pub(crate) shard: String,
    pub(crate) hostname: String,
    pub(crate) grpc_port: u16,
    pub(crate) http_port: u16,
    pub(crate) mysql_host: String,
    pub(crate) mysql_port: u16,
    pub(crate) db_name: String,
    pub(crate) sidecar_db: String,
    pub(crate) lease_ttl: Duration,
}

/// The value of the incarnation key.
#[derive(Debug, Serialize, Deserialize)]
struct IncarnationRecord {
    id: String,
    hostname: String,
    pid: u32,
    /// Set when the key was put again: the revision of the first put.
    #[serde(skip_serializing_if = "Option::is_none")]
    epoch: Option<i64>,
}

/// Registers, watches over the registration, deregisters.
pub(crate) struct Registrar {
    etcd: Etcd,
    identity: Identity,
    incarnation_key: String,
    tablet_key: String,
    keyspace_key: String,
    state: StateCell,
    started: Term,
    lease: Option<Lease>,
    renewed: Instant,
    published: Option<Role>,
}

impl Registrar {
    /// A registrar that has done nothing yet.
    pub(crate) fn new(
        etcd: Etcd,
        paths: &Paths,
        identity: Identity,
        state: StateCell,
    ) -> Registrar {
        Registrar {
            etcd,
            incarnation_key: paths.incarnation(&identity.alias),
            tablet_key: paths.tablet(&identity.alias),
            keyspace_key: paths.keyspace(&identity.keyspace),
            identity,
            state,
            started: Term::now(),
            lease: None,
            renewed: Instant::now(),
            published: None,
        }
    }

    /// Registers and stays registered until `stop` or until superseded. A step that fails changes
    /// nothing and is tried again.
    pub(crate) async fn run(mut self, stop: CancellationToken) -> Registrar {
        let mut changes = self.state.subscribe();
        let mut backoff = Backoff::new(RETRY.0, RETRY.1);
        let mut failures = 0;
        loop {
            let stepped = tokio::select! {
                () = stop.cancelled() => return self,
                stepped = self.step() => stepped,
            };
            let wait = match stepped {
                Ok(()) => {
                    backoff.reset();
                    failures = 0;
                    LOOK
                }
                Err(error) => {
                    self.failed(&error, failures);
                    failures += 1;
                    backoff.wait()
                }
            };
            if matches!(self.state.snapshot().registration, Registration::Superseded(_)) {
                return self;
            }
            tokio::select! {
                () = stop.cancelled() => return self,
                () = role_changed(&mut changes, self.published) => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    fn failed(&self, error: &TopoError, failures: u64) {
        // etcd may be away for hours: not every try is news.
        if failures.is_multiple_of(30) {
            tracing::warn!(%error, failures, "registration: the topology fails");
        }
        self.state.update(|state| {
            if state.registration == Registration::Pending {
                state.topology_error = Some(error.to_string());
            }
        });
    }

    async fn step(&mut self) -> Result<(), TopoError> {
        self.renew().await?;
        let seen = self.look().await?;
        let epoch = self.state.snapshot().epoch();
        match judge(&self.identity.id, epoch, &seen) {
            Standing::Newcomer => self.register(&seen).await,
            Standing::Ours(epoch) => {
                self.registered(epoch);
                self.keep(epoch, &seen).await
            }
            Standing::Superseded(by) => {
                tracing::warn!(%by, "a newer incarnation of this tablet has registered");
                self.state.update(|state| state.registration = Registration::Superseded(by));
                Ok(())
            }
        }
    }

    /// Renews the lease in time; a lease that has ended is forgotten.
    async fn renew(&mut self) -> Result<(), TopoError> {
        let Some(lease) = self.lease else { return Ok(()) };
        if self.renewed.elapsed() < self.identity.lease_ttl / 3 {
            return Ok(());
        }
        let asked = Instant::now();
        if self.etcd.keep_alive(lease).await? {
            self.renewed = asked;
        } else {
            tracing::warn!("the lease of this incarnation has ended");
            self.lease = None;
        }
        Ok(())
    }

    async fn lease(&mut self) -> Result<Lease, TopoError> {
        if let Some(lease) = self.lease {
            return Ok(lease);
        }
        let asked = Instant::now();
        let lease = self.etcd.grant(self.identity.lease_ttl).await?;
        self.lease = Some(lease);
        self.renewed = asked;
        Ok(lease)
    }

    async fn look(&self) -> Result<Seen, TopoError> {
        let incarnation = self.etcd.get(&self.incarnation_key).await?;
        let tablet = self.etcd.get(&self.tablet_key).await?;
        Ok(Seen::new(incarnation.as_ref(), tablet.as_ref()))
    }

    /// The first registration: takes the place of whoever was there.
    async fn register(&mut self, seen: &Seen) -> Result<(), TopoError> {
        self.create_keyspace().await?;
        if let Some(revision) = self.put(None, seen).await? {
            self.registered(Epoch(revision));
        }
        Ok(())
    }

    /// Puts again what is gone or out of date.
    async fn keep(&mut self, epoch: Epoch, seen: &Seen) -> Result<(), TopoError> {
        let bound = seen.incarnation_lease().is_some_and(|lease| Some(lease) == self.lease);
        let role = self.state.snapshot().role;
        if bound && seen.tablet_is_of(&self.identity.id) && self.published == Some(role) {
            return Ok(());
        }
        self.put(Some(epoch), seen).await.map(|_| ())
    }

    /// Puts both records, if nobody has changed them since `seen`.
    async fn put(&mut self, epoch: Option<Epoch>, seen: &Seen) -> Result<Option<i64>, TopoError> {
        let lease = self.lease().await?;
        let role = self.state.snapshot().role;
        let incarnation = Write::Put {
            key: self.incarnation_key.clone(),
            value: self.incarnation_value(epoch),
            lease: Some(lease),
        };
        let tablet = Write::Put {
            key: self.tablet_key.clone(),
            value: self.tablet_record(role).encode_to_vec(),
            lease: None,
        };
        let mut writes = vec![tablet];
        if seen.incarnation_lease() != Some(lease) {
            writes.push(incarnation);
        }
        let revision = self.etcd.write_if(&self.expected(seen), writes).await?;
        if revision.is_some() {
            self.published = Some(role);
        }
        Ok(revision)
    }

    fn expected(&self, seen: &Seen) -> [(&str, i64); 2] {
        [
            (self.incarnation_key.as_str(), seen.incarnation_revision()),
            (self.tablet_key.as_str(), seen.tablet_revision()),
        ]
    }

    fn registered(&self, epoch: Epoch) {
        if self.state.snapshot().registration == Registration::Registered(epoch) {
            return;
        }
        let alias = self.identity.alias.to_string();
        let pid = std::process::id();
        tracing::info!(event = "start", epoch = epoch.0, alias, pid, "registered");
        self.state.update(|state| {
            state.registration = Registration::Registered(epoch);
            state.topology_error = None;
        });
    }

    async fn create_keyspace(&self) -> Result<(), TopoError> {
        if self.etcd.get(&self.keyspace_key).await?.is_some() {
            return Ok(());
        }
        let record = Keyspace {
            durability_policy: "none".to_owned(),
            sidecar_db_name: self.identity.sidecar_db.clone(),
        };
        let key = self.keyspace_key.clone();
        let put = Write::Put { key, value: record.encode_to_vec(), lease: None };
        // Somebody else was first: just as well.
        self.etcd.write_if(&[(&self.keyspace_key, 0)], vec![put]).await.map(|_| ())
    }

    fn incarnation_value(&self, epoch: Option<Epoch>) -> Vec<u8> {
        let record = IncarnationRecord {
            id: self.identity.id.clone(),
            hostname: self.identity.hostname.clone(),
            pid: std::process::id(),
            epoch: epoch.map(|epoch| epoch.0),
        };
        serde_json::to_vec(&record).expect("texts and numbers are always JSON")
    }

    fn tablet_record(&self, role: Role) -> Tablet {
        let identity = &self.identity;
        let state = TabletState { role, ..TabletState::initial() };
        let term = match role {
            Role::Primary(term) => Some(term.into()),
            Role::Replica | Role::Unknown => None,
        };
        Tablet {
            alias: Some(alias_message(&identity.alias)),
            hostname: identity.hostname.clone(),
            port_map: HashMap::from([
                ("grpc".to_owned(), i32::from(identity.grpc_port)),
                ("vt".to_owned(), i32::from(identity.http_port)),
            ]),
            keyspace: identity.keyspace.clone(),
            shard: identity.shard.clone(),
            r#type: state.tablet_type().into(),
            db_name_override: identity.db_name.clone(),
            tags: HashMap::from([(INCARNATION_TAG.to_owned(), identity.id.clone())]),
            mysql_hostname: identity.mysql_host.clone(),
            mysql_port: i32::from(identity.mysql_port),
            primary_term_start_time: term,
            tablet_start_time: Some(self.started.into()),
            ..Tablet::default()
        }
    }

    /// Takes the incarnation out of the topology, if it is still the newest; bounded in time.
    pub(crate) async fn deregister(mut self) {
        match tokio::time::timeout(DEREGISTER, self.try_deregister()).await {
            Ok(Ok(())) => tracing::info!("deregistered"),
            Ok(Err(error)) => tracing::warn!(%error, "not deregistered: the lease will run out"),
            Err(_) => tracing::warn!("not deregistered in time: the lease will run out"),
        }
    }

    async fn try_deregister(&mut self) -> Result<(), TopoError> {
        let epoch = self.state.snapshot().epoch();
        loop {
            let seen = self.look().await?;
            let Standing::Ours(_) = judge(&self.identity.id, epoch, &seen) else { break };
            let goodbye = Tablet {
                hostname: String::new(),
                port_map: HashMap::new(),
                tablet_start_time: None,
                tablet_shutdown_time: Some(Term::now().into()),
                ..self.tablet_record(self.state.snapshot().role)
            };
            let writes = vec![
                Write::Delete { key: self.incarnation_key.clone() },
                Write::Put {
                    key: self.tablet_key.clone(),
                    value: goodbye.encode_to_vec(),
                    lease: None,
                },
            ];
            if self.etcd.write_if(&self.expected(&seen), writes).await?.is_some() {
                break;
            }
        }
        match self.lease.take() {
            Some(lease) => self.etcd.revoke(lease).await,
            None => Ok(()),
        }
    }
}

/// Returns when the role is another than the published one.
async fn role_changed(changes: &mut watch::Receiver<TabletState>, published: Option<Role>) {
    let left = |state: &TabletState| published.is_some_and(|role| role != state.role);
    if changes.wait_for(left).await.is_err() {
        std::future::pending::<()>().await;
    }
}
