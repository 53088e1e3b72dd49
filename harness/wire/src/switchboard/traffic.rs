//! What is under way on the links, and how long the last answers took: whom a cut hits, and what a slow
//! link slows down, is evidence of a fault, by name.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use records::schedule::Link;

/// So many of the last answers are kept.
const ANSWERS_MAX: usize = 1_024;

/// Exchanges and streams under way, and answers.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    opened: u64,
    open: BTreeMap<u64, Open>,
    answers: VecDeque<Answered>,
}

/// An exchange or a stream that is under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    /// On which link.
    pub link: Link,
    /// The proxy's number of the connection.
    pub connection: u64,
    /// Without literals.
    pub fingerprint: Arc<str>,
}

/// An exchange that was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// On which link.
    pub link: Link,
    /// Without literals.
    pub fingerprint: Arc<str>,
    /// When its request had been read.
    pub began: Instant,
    /// From then to its answer.
    pub took: Duration,
}

/// Something under way; it is over when this is dropped.
#[derive(Debug)]
pub struct UnderWay {
    traffic: Arc<Traffic>,
    number: u64,
}

impl Traffic {
    pub(super) fn begin(self: &Arc<Self>, open: Open) -> UnderWay {
        let mut state = self.state();
        state.opened += 1;
        let number = state.opened;
        state.open.insert(number, open);
        UnderWay { traffic: Arc::clone(self), number }
    }

    pub(super) fn answered(&self, answered: Answered) {
        let mut state = self.state();
        if state.answers.len() == ANSWERS_MAX {
            state.answers.pop_front();
        }
        state.answers.push_back(answered);
    }

    pub(super) fn open_on(&self, link: Link) -> Vec<Open> {
        self.state().open.values().filter(|open| open.link == link).cloned().collect()
    }

    pub(super) fn answers_on(&self, link: Link) -> Vec<Answered> {
        self.state().answers.iter().filter(|answer| answer.link == link).cloned().collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.traffic.state().open.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // A cut that finds nothing under way has hit nothing: what is over must not be named.
    #[test]
    fn what_is_over_is_not_under_way_any_more() {
        let traffic = Arc::new(Traffic::default());
        let open = |link, connection| Open { link, connection, fingerprint: "commit".into() };
        let first = traffic.begin(open(Link::Mysql, 1));
        let second = traffic.begin(open(Link::Mysql, 2));
        let _other = traffic.begin(open(Link::Etcd, 1));
        assert_eq!(traffic.open_on(Link::Mysql).len(), 2);
        drop(first);
        assert_eq!(traffic.open_on(Link::Mysql), [open(Link::Mysql, 2)]);
        drop(second);
        assert!(traffic.open_on(Link::Mysql).is_empty());
    }
}
