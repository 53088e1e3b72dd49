//! The shard sync loop: keeps "I am primary since term T" equal to what the shard record says.
//!
//! [`select`](io::Io::select) waits for the next [`Action`]; [`ShardSync::apply`] is synchronous and
//! the only place where the loop's state changes, so a cancellation at any await leaves no half
//! state. The watch is a hint to read at once; the record is read again every [`REREAD`] as well, so
//! that a newer term demotes in time when the watch is dead. A watch that ends is an event like any
//! other: it is armed again after a back-off.

mod decision;
mod io;

use std::time::Duration;

use tokio::time::Instant;

use self::decision::{Decision, ShardWrite, decide};
pub(crate) use self::io::run;
use super::state::Role;
use crate::backoff::Backoff;
use crate::engine::TabletAlias;
use crate::seeded_bugs::{SeededBug, SeededBugs};
use crate::topo::watch::WatchEvent;
use crate::topo::{ShardRecord, Term, TopoError};

/// How often the shard record is read when nothing is heard. With the deadline of a call it stays
/// well under the 5 s within which a newer term must demote.
const REREAD: Duration = Duration::from_millis(1500);
/// The topology counts as away when it has not answered for this long. One call that is lost, for
/// instance with the connection to an etcd that restarts, is no reason to be not ready.
const AWAY: Duration = Duration::from_secs(3);
/// A watch that lived this long was a good one: the next is armed without a long wait.
const WATCH_PROVEN: Duration = Duration::from_secs(5);
const WATCH_RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// What has happened.
#[derive(Debug)]
pub(crate) enum Action {
    /// The incarnation has an epoch: from now on the loop may act.
    Registered,
    /// A timer is due.
    Due,
    /// A read of the shard record has ended.
    Read(Result<Option<ShardRecord>, TopoError>),
    /// A conditional write has ended; `false`: somebody else changed the record before.
    Written(Term, Result<bool, TopoError>),
    /// The watch is armed, or not.
    WatchArmed(Result<(), TopoError>),
    /// The record has changed, or (`None`) the watch has ended.
    Watched(Option<WatchEvent>),
}

/// What is to be done; none of it waits.
#[derive(Debug, PartialEq)]
pub(crate) enum Effect {
    /// Begin to read the shard record.
    StartRead,
    /// Begin a conditional write of it.
    StartWrite(ShardWrite),
    /// Begin to arm the watch.
    ArmWatch,
    /// Tell everybody about the role.
    Publish(Role),
    /// Tell everybody how the topology answers.
    TopologyError(Option<String>),
}

#[derive(Debug)]
enum Pass {
    /// The next pass begins at this time.
    Idle(Instant),
    /// A read or write is under way; `again` when something happened meanwhile.
    Running { again: bool },
}

#[derive(Debug)]
enum Watch {
    /// To be armed at this time.
    Off(Instant),
    Arming,
    On(Instant),
}

/// As in Vitess, where a demotion may send on a channel that its reader has closed
/// (vitessio/vitess#17637's second panic): only a seeded bug does that.
async fn notify_the_closed() {
    tokio::time::sleep(Duration::from_millis(100)).await;
    panic!("send on a closed channel");
}

/// The loop's state.
pub(crate) struct ShardSync {
    alias: TabletAlias,
    bugs: SeededBugs,
    registered: bool,
    role: Role,
    answered: Option<Instant>,
    pass: Pass,
    watch: Watch,
    pass_backoff: Backoff,
    watch_backoff: Backoff,
}

impl ShardSync {
    /// A loop for `alias` that has done nothing yet; failed passes are tried again after up to
    /// `retry`.
    pub(crate) fn new(
        alias: TabletAlias,
        retry: Duration,
        bugs: SeededBugs,
        now: Instant,
    ) -> ShardSync {
        let (watch_min, watch_max) = WATCH_RETRY;
        ShardSync {
            alias,
            bugs,
            registered: false,
            role: Role::Unknown,
            answered: None,
            pass: Pass::Idle(now),
            watch: Watch::Off(now),
            pass_backoff: Backoff::new(retry.min(Duration::from_millis(100)), retry),
            watch_backoff: Backoff::new(watch_min, watch_max),
        }
    }

    /// When [`Action::Due`] is to come; none while everything is under way or we may not act yet.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        let pass = match self.pass {
            Pass::Idle(due) => Some(due),
            Pass::Running { .. } => None,
        };
        let watch = match self.watch {
            Watch::Off(due) => Some(due),
            Watch::Arming | Watch::On(_) => None,
        };
        let next = pass.into_iter().chain(watch).min();
        next.filter(|_| self.registered)
    }

    /// Takes notice of `action` at `now` (by the wall clock: `wall`) and says what to do.
    pub(crate) fn apply(&mut self, action: Action, now: Instant, wall: Term) -> Vec<Effect> {
        let mut effects = Vec::new();
        match action {
            Action::Registered => self.registered = true,
            Action::Due => {}
            Action::Read(Ok(record)) => self.on_record(record.as_ref(), now, wall, &mut effects),
            Action::Written(term, Ok(true)) => {
                self.pass_ended(now, REREAD);
                self.become_role(Role::Primary(term), &mut effects);
            }
            Action::Written(_, Ok(false)) => {
                let wait = self.pass_backoff.wait();
                self.pass_ended(now, wait);
            }
            // A write without an answer may have happened: the next read tells.
            Action::Read(Err(error)) | Action::Written(_, Err(error)) => {
                let wait = self.pass_backoff.wait();
                self.pass_ended(now, wait);
                if self.answered.is_none_or(|answered| now - answered >= AWAY) {
                    effects.push(Effect::TopologyError(Some(error.to_string())));
                }
            }
            Action::WatchArmed(Ok(())) => {
                self.watch = Watch::On(now);
                self.read_soon(now);
            }
            Action::WatchArmed(Err(_)) => self.rearm_watch(now),
            Action::Watched(event) => self.on_watched(event, now),
        }
        self.start_what_is_due(now, &mut effects);
        effects
    }

    fn on_watched(&mut self, event: Option<WatchEvent>, now: Instant) {
        if self.bugs.has(SeededBug::WatchEndUnwrap) {
            #[expect(clippy::unwrap_used, reason = "the seeded bug")]
            let event = event.unwrap();
            tracing::debug!(revision = event.revision, "the shard record has changed");
            return self.read_soon(now);
        }
        match event {
            Some(event) => {
                tracing::debug!(revision = event.revision, "the shard record has changed");
                self.read_soon(now);
            }
            None => {
                self.rearm_watch(now);
                self.read_soon(now);
            }
        }
    }

    fn on_record(
        &mut self,
        record: Option<&ShardRecord>,
        now: Instant,
        wall: Term,
        effects: &mut Vec<Effect>,
    ) {
        self.answered = Some(now);
        effects.push(Effect::TopologyError(None));
        match decide(&self.alias, self.role, record, wall) {
            Decision::Become(role) => {
                self.pass_backoff.reset();
                self.pass_ended(now, REREAD);
                self.become_role(role, effects);
            }
            Decision::Write(write) => effects.push(Effect::StartWrite(write)),
        }
    }

    fn become_role(&mut self, role: Role, effects: &mut Vec<Effect>) {
        if role != self.role {
            let is_demotion = matches!((self.role, role), (Role::Primary(_), Role::Replica));
            if is_demotion && self.bugs.has(SeededBug::PanicAfterDemotion) {
                tokio::spawn(notify_the_closed());
            }
            self.role = role;
            effects.push(Effect::Publish(role));
        }
    }

    fn pass_ended(&mut self, now: Instant, wait: Duration) {
        let again = matches!(self.pass, Pass::Running { again: true });
        self.pass = Pass::Idle(if again { now } else { now + wait });
    }

    fn read_soon(&mut self, now: Instant) {
        match &mut self.pass {
            Pass::Idle(due) => *due = now,
            Pass::Running { again } => *again = true,
        }
    }

    fn rearm_watch(&mut self, now: Instant) {
        if matches!(self.watch, Watch::On(since) if now - since >= WATCH_PROVEN) {
            self.watch_backoff.reset();
        }
        self.watch = Watch::Off(now + self.watch_backoff.wait());
    }

    fn start_what_is_due(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        if !self.registered {
            return;
        }
        if matches!(self.pass, Pass::Idle(due) if due <= now) {
            self.pass = Pass::Running { again: false };
            effects.push(Effect::StartRead);
        }
        if matches!(self.watch, Watch::Off(due) if due <= now) {
            self.watch = Watch::Arming;
            effects.push(Effect::ArmWatch);
        }
    }
}

#[cfg(test)]
mod tests;
