//! Who is whose primary, and what the topology keeps for whom.

use async_trait::async_trait;
use records::journal::{Residue, Roles, Side};

use super::SystemError;

/// A lease that keeps a tablet's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldLease {
    /// The lease.
    pub id: i64,
    /// The key.
    pub key: String,
}

/// The topology of a trial.
#[async_trait]
pub trait Topology: Send + Sync {
    /// What all places say of a tablet's role.
    async fn roles(&self, side: Side) -> Result<Roles, SystemError>;

    /// Another tablet becomes primary of the target's shard, by a newer term; its alias.
    async fn usurp(&self) -> Result<String, SystemError>;

    /// The target tablet becomes primary of its shard again, by a yet newer term.
    async fn give_back(&self) -> Result<(), SystemError>;

    /// What is left of dead incarnations, in the topology and in the databases; `living` are those sides
    /// whose tablet runs.
    async fn residue(&self, living: &[Side]) -> Result<Residue, SystemError>;

    /// The lease that the target tablet relies on; none: it holds none.
    async fn lease(&self) -> Result<Option<HeldLease>, SystemError> {
        Ok(None)
    }

    /// Ends a lease before its time.
    async fn revoke(&self, _lease: i64) -> Result<(), SystemError> {
        Err(SystemError::unsupported("hold a lease"))
    }
}
