//! What the engines ask of the topology: other shards' primaries, and locks.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// Finds tablets by what they serve.
#[tonic::async_trait]
pub trait TabletLocator: Send + Sync {
    /// The URL (`http://host:port`) of the gRPC port of the shard's primary.
    ///
    /// # Errors
    /// The topology is away, or names no primary that is up. Both pass: worth another try.
    async fn primary_grpc_address(
        &self,
        keyspace: &str,
        shard: &str,
    ) -> Result<String, LocateError>;
}

/// Why a primary was not found.
#[derive(Debug, thiserror::Error)]
pub enum LocateError {
    /// The topology did not answer.
    #[error("the topology did not answer when asked for the primary of {keyspace}/{shard}")]
    Topology {
        /// The keyspace asked for.
        keyspace: String,
        /// The shard asked for.
        shard: String,
        /// What went wrong.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The shard has no primary, or its tablet is down.
    #[error("{keyspace}/{shard} has no primary that is up: {reason}")]
    NoPrimary {
        /// The keyspace asked for.
        keyspace: String,
        /// The shard asked for.
        shard: String,
        /// What the topology says.
        reason: String,
    },
}

/// Locks in the topology, by keyspace and workflow, that several tablets compete for.
#[tonic::async_trait]
pub trait NamedLocks: Send + Sync {
    /// Waits for the lock. A lock that a dead incarnation of our own alias has left is taken over at
    /// once; others are waited for until they are released or their lease ends.
    ///
    /// # Errors
    /// `cancel` was cancelled, or the topology stayed away for longer than the lock's deadline.
    async fn lock(
        &self,
        keyspace: &str,
        workflow: &str,
        cancel: &CancellationToken,
    ) -> Result<LockGuard, LockError>;
}

/// Why a lock was not got.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// The caller did not want it any longer.
    #[error("waiting for the lock of workflow {0} was cancelled")]
    Cancelled(String),
    /// It was not free in time, or the topology was away.
    #[error("the lock of workflow {workflow} was not free within {waited:?}: {reason}")]
    TimedOut {
        /// The workflow.
        workflow: String,
        /// How long it was waited for.
        waited: Duration,
        /// Who holds it, or why the topology did not answer.
        reason: String,
    },
    /// We are not registered, or no longer the tablet that may take it.
    #[error("this tablet is not registered in the topology")]
    NotRegistered,
}

/// A lock that is held. Dropping it lets go of it in the background; if the topology cannot be
/// reached, its lease runs out.
pub struct LockGuard {
    held: Box<dyn HeldLock>,
}

impl LockGuard {
    /// Wraps an implementation.
    pub fn new(held: Box<dyn HeldLock>) -> LockGuard {
        LockGuard { held }
    }

    /// Whether the lock is still ours, as far as is known.
    pub fn is_held(&self) -> bool {
        !self.held.lost().is_cancelled()
    }

    /// Is cancelled when the lock is lost (its lease ended) or released.
    pub fn lost(&self) -> CancellationToken {
        self.held.lost()
    }

    /// Lets go of the lock and waits, for a bounded time, until the topology knows.
    pub async fn release(self) {
        self.held.release().await;
    }
}

/// What stands behind a [`LockGuard`].
#[tonic::async_trait]
pub trait HeldLock: Send + Sync {
    /// Is cancelled when the lock is no longer ours.
    fn lost(&self) -> CancellationToken;
    /// Lets go, within a bounded time.
    async fn release(self: Box<Self>);
}
