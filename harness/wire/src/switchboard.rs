//! The switchboard of one trial: every exchange of the target tablet passes it, is numbered and
//! recorded, and is held where a crash point is armed.
//!
//! Nothing is polled and nothing is shared with the protocols but this: a protocol announces an
//! exchange ([`Switchboard::begin`]) and asks at each moment whether it may go on
//! ([`Switchboard::pass`]). An exchange whose client has died while it was held is dropped, never sent.

mod traffic;

use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use records::schedule::{CrashPoint, Link, Moment, Phase};
use tokio::sync::oneshot;

use traffic::Traffic;
pub use traffic::{Answered, Open, UnderWay};

/// An exchange is kept for findings with at most so many bytes of its text.
const TEXT_MAX: usize = 400;

/// What a protocol read: one request, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedRequest {
    /// On which link.
    pub link: Link,
    /// The proxy's number of the connection.
    pub connection: u64,
    /// Without literals.
    pub fingerprint: String,
    /// What it does to the other side.
    pub class: Class,
    /// The phase of the diff that begins with this exchange, when it announces one: the inner none
    /// ends a table's phases.
    pub announces: Option<Option<Phase>>,
    /// As it was sent, for people.
    pub text: String,
}

/// What an exchange does to the other side.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// Writes state: rows, tables, keys.
    Writes,
    /// Takes or gives back a lock or a lease.
    Locks,
    /// Begins or ends a snapshot or a stream.
    Snapshot,
    /// Only reads, or prepares a connection.
    Reads,
}

impl Class {
    /// Whether its exchanges are crash points of the first rank.
    #[must_use]
    pub fn matters(self) -> bool {
        match self {
            Self::Writes | Self::Locks | Self::Snapshot => true,
            Self::Reads => false,
        }
    }
}

/// One exchange of the conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// On which link.
    pub link: Link,
    /// The proxy's number of the connection.
    pub connection: u64,
    /// The tablet's life it belongs to, as [`Switchboard::begin_life`] counts.
    pub life: u32,
    /// Without literals.
    pub fingerprint: Arc<str>,
    /// What it does.
    pub class: Class,
    /// The diff's phase.
    pub phase: Option<Phase>,
    /// Which of its kind in this phase and life, from 1.
    pub nth: u32,
    /// As it was sent, cut.
    pub text: Arc<str>,
    /// When it was begun.
    pub at: Instant,
}

/// What becomes of an exchange that asked to pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passage {
    /// It goes on.
    Go,
    /// It is dropped, and its connection closed.
    Drop,
}

/// Where exchanges are numbered, recorded and held. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Switchboard {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Spares the lock where nothing is armed.
    is_armed: AtomicBool,
    state: Mutex<State>,
    traffic: Arc<Traffic>,
}

#[derive(Debug, Default)]
struct State {
    life: u32,
    phase: Option<Phase>,
    counts: HashMap<(Link, String, Option<Phase>), u32>,
    conversation: Vec<Exchange>,
    armed: Option<Trap>,
    traps: u64,
}

#[derive(Debug)]
struct Trap {
    number: u64,
    point: CrashPoint,
    caught: oneshot::Sender<HeldExchange>,
}

/// A crash point that waits for its exchange; disarmed when it is dropped.
#[derive(Debug)]
pub struct Armed {
    shared: Arc<Shared>,
    number: u64,
    caught: oneshot::Receiver<HeldExchange>,
}

/// An exchange that is held. Dropped, it goes on.
#[derive(Debug)]
pub struct HeldExchange {
    exchange: Exchange,
    moment: Moment,
    decision: oneshot::Sender<Passage>,
}

impl Switchboard {
    /// Begins the tablet's next life: exchanges are counted anew, and its phases are unknown.
    pub fn begin_life(&self) {
        let mut state = self.state();
        state.life += 1;
        state.phase = None;
        state.counts.clear();
    }

    /// Everything said so far, in order.
    #[must_use]
    pub fn conversation(&self) -> Vec<Exchange> {
        self.state().conversation.clone()
    }

    /// The last exchange of a link's newest connection.
    #[must_use]
    pub fn last_on(&self, link: Link) -> Option<Exchange> {
        let state = self.state();
        let on = state.conversation.iter().filter(|exchange| exchange.link == link);
        on.max_by_key(|exchange| (exchange.connection, exchange.at)).cloned()
    }

    /// Something is under way on a link from now on, until what is returned is dropped.
    #[must_use]
    pub fn under_way(&self, link: Link, connection: u64, fingerprint: Arc<str>) -> UnderWay {
        self.shared.traffic.begin(Open { link, connection, fingerprint })
    }

    /// What is under way on a link now.
    #[must_use]
    pub fn open_on(&self, link: Link) -> Vec<Open> {
        self.shared.traffic.open_on(link)
    }

    /// An exchange has its answer.
    pub fn answered(&self, exchange: &Exchange) {
        self.shared.traffic.answered(Answered {
            link: exchange.link,
            fingerprint: Arc::clone(&exchange.fingerprint),
            began: exchange.at,
            took: exchange.at.elapsed(),
        });
    }

    /// The last answers on a link, oldest first.
    #[must_use]
    pub fn answers_on(&self, link: Link) -> Vec<Answered> {
        self.shared.traffic.answers_on(link)
    }

    /// Holds the exchange of this point when it comes. One point at a time: an earlier one is disarmed.
    #[must_use]
    pub fn arm(&self, point: CrashPoint) -> Armed {
        let (caught, receiver) = oneshot::channel();
        let mut state = self.state();
        state.traps += 1;
        let number = state.traps;
        state.armed = Some(Trap { number, point, caught });
        self.shared.is_armed.store(true, Ordering::Release);
        Armed { shared: Arc::clone(&self.shared), number, caught: receiver }
    }

    /// Numbers and records an exchange whose request was read whole, and not sent on yet.
    pub fn begin(&self, said: ObservedRequest) -> Exchange {
        let ObservedRequest { link, connection, fingerprint, class, announces, mut text } = said;
        let mut state = self.state();
        if let Some(phase) = announces {
            state.phase = phase;
        }
        let phase = state.phase;
        let count = state.counts.entry((link, fingerprint.clone(), phase)).or_default();
        *count += 1;
        let nth = *count;
        if text.len() > TEXT_MAX {
            text.truncate(text.floor_char_boundary(TEXT_MAX));
        }
        let exchange = Exchange {
            link,
            connection,
            life: state.life,
            fingerprint: fingerprint.into(),
            class,
            phase,
            nth,
            text: text.into(),
            at: Instant::now(),
        };
        state.conversation.push(exchange.clone());
        exchange
    }

    /// Asks whether an exchange may go on; where its point is armed, this waits until it was decided,
    /// or until its client is gone: then it is dropped.
    pub async fn pass(
        &self,
        exchange: &Exchange,
        moment: Moment,
        client_gone: impl Future<Output = ()>,
    ) -> Passage {
        if !self.shared.is_armed.load(Ordering::Acquire) {
            return Passage::Go;
        }
        let Some(trap) = self.spring(exchange, moment) else { return Passage::Go };
        let (decision, decided) = oneshot::channel();
        let held = HeldExchange { exchange: exchange.clone(), moment, decision };
        if trap.caught.send(held).is_err() {
            return Passage::Go; // Disarmed meanwhile.
        }
        tokio::select! {
            biased;
            () = client_gone => Passage::Drop,
            decision = decided => decision.unwrap_or(Passage::Go),
        }
    }

    /// Whether this exchange would be held at this moment: a protocol has to read a response whole
    /// before it can withhold it.
    #[must_use]
    pub fn awaits(&self, exchange: &Exchange, moment: Moment) -> bool {
        self.shared.is_armed.load(Ordering::Acquire)
            && self.state().armed.as_ref().is_some_and(|trap| trap.is_for(exchange, moment))
    }

    /// Takes the trap if it was set for this exchange and moment.
    fn spring(&self, exchange: &Exchange, moment: Moment) -> Option<Trap> {
        let mut state = self.state();
        if !state.armed.as_ref().is_some_and(|trap| trap.is_for(exchange, moment)) {
            return None;
        }
        self.shared.is_armed.store(false, Ordering::Release);
        state.armed.take()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state()
    }
}

impl Trap {
    fn is_for(&self, exchange: &Exchange, moment: Moment) -> bool {
        let point = &self.point;
        (point.link, point.phase, point.nth, point.moment)
            == (exchange.link, exchange.phase, exchange.nth, moment)
            && *point.fingerprint == *exchange.fingerprint
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Armed {
    /// Waits until the exchange is held. Cancel safe. Never ends when the exchange never comes: the
    /// caller has the deadline. None when another point was armed instead.
    pub async fn caught(&mut self) -> Option<HeldExchange> {
        (&mut self.caught).await.ok()
    }
}

impl Drop for Armed {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        if state.armed.as_ref().is_some_and(|trap| trap.number == self.number) {
            state.armed = None;
            self.shared.is_armed.store(false, Ordering::Release);
        }
    }
}

impl HeldExchange {
    /// What is held.
    #[must_use]
    pub fn exchange(&self) -> &Exchange {
        &self.exchange
    }

    /// At which moment.
    #[must_use]
    pub fn moment(&self) -> Moment {
        self.moment
    }

    /// Whether the proxy still holds it: false once its client has gone away.
    #[must_use]
    pub fn is_held(&self) -> bool {
        !self.decision.is_closed()
    }

    /// Waits until the proxy has seen that the client is gone, and has dropped the exchange.
    pub async fn client_gone(&mut self) {
        self.decision.closed().await;
    }

    /// It goes on as if nothing had been.
    pub fn release(self) {
        self.decide(Passage::Go);
    }

    /// It never goes on, and its connection is closed.
    pub fn discard(self) {
        self.decide(Passage::Drop);
    }

    fn decide(self, passage: Passage) {
        // Refused when the client has gone away: it was dropped then.
        let _gone = self.decision.send(passage);
    }
}

#[cfg(test)]
mod tests;
