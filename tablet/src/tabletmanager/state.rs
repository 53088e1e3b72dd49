//! What the tablet knows of itself: one record, replaced as a whole.
//!
//! Role and term stand together in [`Role`], so nobody can read a primary without a term. Readers
//! get snapshots; the three tasks of the tablet manager each write their own part.

use std::sync::Arc;

use tablet_wire::topodata::TabletType;
use tokio::sync::watch;

use crate::engine::Epoch;
use crate::topo::Term;

/// Where the tablet stands.
#[derive(Clone, Debug, PartialEq)]
pub struct TabletState {
    /// Its place in the topology.
    pub registration: Registration,
    /// What it is in its shard.
    pub role: Role,
    /// Whether its engines run.
    pub engines: EnginesStatus,
    /// Why open engines cannot work at present.
    pub engines_error: Option<String>,
    /// Why the topology could not be used at the last try.
    pub topology_error: Option<String>,
    /// It is ending.
    pub stopping: bool,
}

/// The incarnation's place in the topology.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registration {
    /// Not yet registered.
    Pending,
    /// Registered first at this epoch.
    Registered(Epoch),
    /// A newer incarnation of our alias has registered: this one must end.
    Superseded(Epoch),
}

/// What the tablet is in its shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The shard record has not been read yet.
    Unknown,
    /// Another tablet is primary.
    Replica,
    /// We are, since this term.
    Primary(Term),
}

/// Whether the engines run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EnginesStatus {
    /// Closed, as they should be unless primary.
    Closed,
    /// Being opened; with the error of the last try.
    Opening(Option<String>),
    /// Open.
    Open,
    /// Being closed.
    Closing,
}

impl TabletState {
    /// The state at the start of the process.
    pub fn initial() -> TabletState {
        TabletState {
            registration: Registration::Pending,
            role: Role::Unknown,
            engines: EnginesStatus::Closed,
            engines_error: None,
            topology_error: None,
            stopping: false,
        }
    }

    /// The epoch under which we act; none before registration and after being superseded.
    pub fn epoch(&self) -> Option<Epoch> {
        match self.registration {
            Registration::Registered(epoch) => Some(epoch),
            Registration::Pending | Registration::Superseded(_) => None,
        }
    }

    /// The epoch under which the engines should be open; none: they should be closed.
    pub fn engines_goal(&self) -> Option<Epoch> {
        match self.role {
            Role::Primary(_) if !self.stopping => self.epoch(),
            Role::Primary(_) | Role::Replica | Role::Unknown => None,
        }
    }

    /// Whether VDiff is served: primary, with engines open.
    pub fn serving(&self) -> bool {
        self.engines_goal().is_some() && self.engines == EnginesStatus::Open
    }

    /// The type as the wire has it.
    pub fn tablet_type(&self) -> TabletType {
        match self.role {
            Role::Unknown => TabletType::Unknown,
            Role::Replica => TabletType::Replica,
            Role::Primary(_) => TabletType::Primary,
        }
    }

    /// The type as `/readyz` and `/debug/vars` print it.
    pub fn type_name(&self) -> &'static str {
        match self.role {
            Role::Unknown => "UNKNOWN",
            Role::Replica => "REPLICA",
            Role::Primary(_) => "PRIMARY",
        }
    }

    /// Why the tablet is not ready; empty when it is.
    pub fn reasons(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        if self.stopping {
            reasons.push("the tablet is shutting down".to_owned());
        }
        match self.registration {
            Registration::Pending => reasons.push("not registered in the topology yet".to_owned()),
            Registration::Registered(_) => {}
            Registration::Superseded(by) => {
                reasons.push(format!("superseded by a newer incarnation, epoch {by}"));
            }
        }
        if let Some(error) = &self.topology_error {
            reasons.push(error.clone());
        }
        if self.role == Role::Unknown {
            reasons.push("the shard record has not been read yet".to_owned());
        }
        reasons.extend(self.engines_reason());
        reasons
    }

    fn engines_reason(&self) -> Option<String> {
        match (&self.engines, self.engines_goal().is_some()) {
            (EnginesStatus::Open, true) => self.engines_error.clone(),
            (EnginesStatus::Closed, false) => None,
            (EnginesStatus::Opening(Some(error)), true) => {
                Some(format!("the engines do not open: {error}"))
            }
            (EnginesStatus::Closed | EnginesStatus::Opening(_) | EnginesStatus::Closing, true) => {
                Some("the engines are opening".to_owned())
            }
            (EnginesStatus::Open | EnginesStatus::Opening(_) | EnginesStatus::Closing, false) => {
                Some("the engines are closing".to_owned())
            }
        }
    }
}

/// The shared state: many readers, who see each change once, and writers who change a part.
#[derive(Clone, Debug)]
pub struct StateCell {
    sender: Arc<watch::Sender<TabletState>>,
}

impl Default for StateCell {
    fn default() -> StateCell {
        StateCell { sender: Arc::new(watch::Sender::new(TabletState::initial())) }
    }
}

impl StateCell {
    /// The state now.
    pub fn snapshot(&self) -> TabletState {
        self.sender.borrow().clone()
    }

    /// A reader that also hears of changes.
    pub fn subscribe(&self) -> watch::Receiver<TabletState> {
        self.sender.subscribe()
    }

    /// Changes the state; readers hear of it only if it is another one then.
    pub fn update(&self, change: impl FnOnce(&mut TabletState)) {
        self.sender.send_if_modified(|state| {
            let before = state.clone();
            change(state);
            *state != before
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn primary() -> TabletState {
        TabletState {
            registration: Registration::Registered(Epoch(7)),
            role: Role::Primary(Term::now()),
            engines: EnginesStatus::Open,
            ..TabletState::initial()
        }
    }

    #[test]
    fn a_registered_primary_with_open_engines_is_ready_and_serving() {
        assert_eq!(primary().reasons(), Vec::<String>::new());
        assert!(primary().serving());
    }

    #[test]
    fn a_replica_is_ready_once_its_engines_are_closed() {
        let closing = TabletState { role: Role::Replica, ..primary() };
        assert_eq!(closing.reasons(), ["the engines are closing"]);
        let closed = TabletState { engines: EnginesStatus::Closed, ..closing };
        assert_eq!(closed.reasons(), Vec::<String>::new());
        assert!(!closed.serving());
    }

    /// Engines that are still open must not make a tablet serve that may not act any more.
    #[test]
    fn a_stopping_or_superseded_tablet_does_not_serve() {
        assert!(!TabletState { stopping: true, ..primary() }.serving());
        let registration = Registration::Superseded(Epoch(9));
        assert!(!TabletState { registration, ..primary() }.serving());
    }

    #[test]
    fn readers_hear_only_of_changes() {
        let cell = StateCell::default();
        let reader = cell.subscribe();
        cell.update(|state| state.stopping = false);
        assert!(!reader.has_changed().unwrap());
        cell.update(|state| state.stopping = true);
        assert!(reader.has_changed().unwrap());
    }
}
