//! The wire proxy: stands between the target tablet and what it leans on, understands what is said,
//! and can hold any exchange at a chosen moment, so that the tablet is killed exactly there.
//!
//! It lives inside the harness: whoever holds an exchange also kills, by a function call, so that
//! holding never shares a channel with control, and no image, container or start-up time is added.
//! Containers reach it by the address of their network's gateway. Each link of a trial has a listener
//! of its own, and a tablet that is restarted finds it at the same address.
//!
//! A [`Switchboard`] numbers, records and holds; the protocols only tell it what passes. LinkConditions
//! (delay, partition, reset …) acts below the protocols, on bytes.

mod conditions;
mod fingerprint;
mod greeting;
mod grpc;
mod listener;
mod mysql;
mod normaliser;
pub mod recording;
mod switchboard;
mod upstream;
mod vocabulary;
mod waiting;

pub use conditions::{Conditioned, Direction, Flow, LinkConditions, Way, Wire};
pub use fingerprint::Reading;
pub use greeting::GreetingProxy;
pub use grpc::{GrpcLink, GrpcProxy, Pings, STREAM_WINDOW};
pub use listener::Listener;
pub use mysql::MysqlProxy;
pub use normaliser::Normaliser;
pub use switchboard::{
    Answered, Armed, Class, Exchange, HeldExchange, ObservedRequest, Open, Passage, Switchboard,
    UnderWay,
};
pub use upstream::Upstream;
pub use vocabulary::Vocabulary;
pub use waiting::waiting_bytes;
