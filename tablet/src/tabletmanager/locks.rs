//! Named locks: one key per workflow, held by a lease of its own.
//!
//! The holder's task renews the lease until the guard is released or dropped, then revokes it. A
//! process that dies leaves a lock that ends with its lease; the next incarnation of the same alias
//! takes it over at once, since the older one can no longer act.

use std::time::Duration;

use serde::Deserialize;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::state::StateCell;
use crate::engine::{Epoch, HeldLock, LockError, LockGuard, NamedLocks, TabletAlias};
use crate::topo::etcd::{Lease, Write};
use crate::topo::{Etcd, Paths, TopoError};

/// As long as Vitess waits for a lock.
const LOCK: Duration = Duration::from_secs(45);
const POLL: (u64, u64) = (100, 300);
const RELEASE: Duration = Duration::from_secs(3);

/// Takes locks in the name of one tablet.
#[derive(Clone)]
pub(crate) struct TopoLocks {
    etcd: Etcd,
    paths: Paths,
    alias: TabletAlias,
    state: StateCell,
    lease_ttl: Duration,
    holders: TaskTracker,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
struct LockRecord {
    alias: String,
    epoch: i64,
}

/// What stands in the lock's key.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    /// Nothing: it can be taken at this revision (0).
    Free,
    /// An older incarnation of ours left it: it can be taken over at this revision.
    Stale(i64),
    /// Held by somebody.
    Held(String),
}

impl TopoLocks {
    /// Locks for `alias`; their tasks are counted by `holders`, for a shutdown to wait for.
    pub(crate) fn new(
        etcd: Etcd,
        paths: Paths,
        alias: TabletAlias,
        state: StateCell,
        lease_ttl: Duration,
        holders: TaskTracker,
    ) -> TopoLocks {
        TopoLocks { etcd, paths, alias, state, lease_ttl, holders }
    }

    async fn find(&self, key: &str, epoch: Epoch) -> Result<Found, TopoError> {
        let found = self.etcd.get(key).await?;
        Ok(match found {
            None => Found::Free,
            Some(kv) => understand(&self.alias, epoch, &kv.value, kv.mod_revision),
        })
    }

    /// One try to take the lock at `revision`.
    async fn take(
        &self,
        key: &str,
        epoch: Epoch,
        revision: i64,
    ) -> Result<Option<Lease>, TopoError> {
        let lease = self.etcd.grant(self.lease_ttl).await?;
        let alias = self.alias.to_string();
        let value =
            serde_json::json!({ "alias": alias, "epoch": epoch.0 }).to_string().into_bytes();
        let put = Write::Put { key: key.to_owned(), value, lease: Some(lease) };
        match self.etcd.write_if(&[(key, revision)], vec![put]).await {
            Ok(Some(_)) => Ok(Some(lease)),
            Ok(None) => self.etcd.revoke(lease).await.map(|()| None),
            Err(error) => {
                // The write may have happened: without the lease it has not.
                self.etcd.revoke(lease).await?;
                Err(error)
            }
        }
    }

    async fn try_lock(&self, key: &str) -> Result<Result<Lease, String>, TopoError> {
        let Some(epoch) = self.state.snapshot().epoch() else {
            return Ok(Err("this tablet is not registered".to_owned()));
        };
        let revision = match self.find(key, epoch).await? {
            Found::Free => 0,
            Found::Stale(revision) => revision,
            Found::Held(by) => return Ok(Err(format!("held by {by}"))),
        };
        let taken = self.take(key, epoch, revision).await?;
        Ok(taken.ok_or_else(|| "somebody else was first".to_owned()))
    }

    /// One try that goes on when its caller goes away: a lease that was granted is then revoked.
    /// Every call within has a deadline.
    async fn try_hold(&self, key: &str) -> Result<LockGuard, String> {
        let (sender, receiver) = oneshot::channel();
        let (locks, key) = (self.clone(), key.to_owned());
        self.holders.spawn(async move {
            let held = match locks.try_lock(&key).await {
                Ok(held) => held.map(|lease| locks.hold(lease)),
                Err(error) => Err(error.to_string()),
            };
            if sender.send(held).is_err() {
                tracing::debug!(key, "the lock is not wanted any more");
            }
        });
        receiver.await.unwrap_or_else(|_| Err("the tablet is shutting down".to_owned()))
    }

    fn hold(&self, lease: Lease) -> LockGuard {
        let lost = CancellationToken::new();
        let release = CancellationToken::new();
        let released = CancellationToken::new();
        let holder = Holder {
            etcd: self.etcd.clone(),
            lease,
            ttl: self.lease_ttl,
            lost: lost.clone(),
            release: release.clone(),
        };
        let done = released.clone().drop_guard();
        self.holders.spawn(async move {
            holder.run().await;
            drop(done);
        });
        LockGuard::new(Box::new(Held { lost, _release: release.drop_guard(), released }))
    }
}

#[tonic::async_trait]
impl NamedLocks for TopoLocks {
    async fn lock(
        &self,
        keyspace: &str,
        workflow: &str,
        cancel: &CancellationToken,
    ) -> Result<LockGuard, LockError> {
        let key = self.paths.named_lock(keyspace, workflow);
        let began = Instant::now();
        loop {
            let tried = tokio::select! {
                biased;
                () = cancel.cancelled() => return Err(LockError::Cancelled(workflow.to_owned())),
                tried = self.try_hold(&key) => tried,
            };
            let reason = match tried {
                Ok(guard) => return Ok(guard),
                Err(reason) => reason,
            };
            if began.elapsed() >= LOCK {
                let workflow = workflow.to_owned();
                return Err(LockError::TimedOut { workflow, waited: LOCK, reason });
            }
            let pause = Duration::from_millis(rand::random_range(POLL.0..=POLL.1));
            tokio::select! {
                () = cancel.cancelled() => return Err(LockError::Cancelled(workflow.to_owned())),
                () = tokio::time::sleep(pause) => {}
            }
        }
    }
}

fn understand(me: &TabletAlias, epoch: Epoch, value: &[u8], revision: i64) -> Found {
    let Ok(record) = serde_json::from_slice::<LockRecord>(value) else {
        return Found::Held("a record that cannot be read".to_owned());
    };
    if record.alias == me.to_string() && record.epoch < epoch.0 {
        return Found::Stale(revision);
    }
    Found::Held(format!("{} (epoch {})", record.alias, record.epoch))
}

/// The guard's half: its drop tells the holder to let go.
struct Held {
    lost: CancellationToken,
    _release: tokio_util::sync::DropGuard,
    released: CancellationToken,
}

#[tonic::async_trait]
impl HeldLock for Held {
    fn lost(&self) -> CancellationToken {
        self.lost.clone()
    }

    async fn release(self: Box<Self>) {
        let released = self.released.clone();
        drop(self);
        if tokio::time::timeout(RELEASE, released.cancelled()).await.is_err() {
            tracing::warn!("a named lock was not released in time: its lease will run out");
        }
    }
}

/// The task that renews the lease. Ends when released, or when the lease is lost.
struct Holder {
    etcd: Etcd,
    lease: Lease,
    ttl: Duration,
    lost: CancellationToken,
    release: CancellationToken,
}

impl Holder {
    async fn run(self) {
        let mut valid_until = Instant::now() + self.ttl;
        loop {
            let pause = (self.ttl / 5).min(Duration::from_secs(2));
            tokio::select! {
                () = self.release.cancelled() => break,
                () = tokio::time::sleep(pause) => {}
            }
            let asked = Instant::now();
            match self.etcd.keep_alive(self.lease).await {
                Ok(true) => valid_until = asked + self.ttl,
                Ok(false) => break,
                Err(error) if Instant::now() >= valid_until => {
                    tracing::warn!(%error, "a named lock is lost");
                    break;
                }
                Err(error) => tracing::debug!(%error, "a named lock was not renewed"),
            }
        }
        self.lost.cancel();
        if let Err(error) = self.etcd.revoke(self.lease).await {
            tracing::warn!(%error, "a named lock was not revoked: its lease will run out");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_older_incarnation_of_ours_is_taken_over() {
        let me: TabletAlias = "zone1-200".parse().unwrap();
        let found = |text: &str| understand(&me, Epoch(9), text.as_bytes(), 5);
        assert_eq!(found(r#"{"alias":"zone1-0000000200","epoch":8}"#), Found::Stale(5));
        for held in [
            r#"{"alias":"zone1-0000000200","epoch":9}"#,
            r#"{"alias":"zone1-0000000201","epoch":8}"#,
            "garbage",
        ] {
            assert!(matches!(found(held), Found::Held(_)), "{held}");
        }
    }
}
