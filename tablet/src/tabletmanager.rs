//! The tablet manager: registers the tablet, keeps its role in step with the shard record, and opens
//! and closes the engines accordingly.
//!
//! Three tasks share one [`state::StateCell`] and never wait for each other: `registration` keeps
//! the incarnation alive in the topology, `shard_sync` decides the role, `engine_driver` makes
//! the engines follow it. Opening engines may take long (MySQL may be away) and must not keep the
//! tablet from learning that it is no longer primary.

pub(crate) mod engine_driver;
pub(crate) mod locks;
pub(crate) mod registration;
pub(crate) mod shard_sync;
pub mod state;
