//! The waiting half of the shard sync loop: turns futures into actions, and effects into futures.

use futures::future::BoxFuture;
use prost::Message;
use tablet_wire::topodata::Shard;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::decision::ShardWrite;
use super::{Action, Effect, ShardSync};
use crate::tabletmanager::state::{StateCell, TabletState};
use crate::topo::etcd::Write;
use crate::topo::watch::TopoWatch;
use crate::topo::{Etcd, ShardRecord, Term, TopoError};

/// Runs the loop on the shard record at `key` until `stop`.
pub(crate) async fn run(
    mut sync: ShardSync,
    etcd: Etcd,
    key: String,
    state: StateCell,
    stop: CancellationToken,
) {
    let changes = state.subscribe();
    let mut io =
        Io { etcd, key, state, changes, registered: false, pass: None, watch: WatchSlot::Off };
    loop {
        let due = sync.next_due();
        let action = tokio::select! {
            () = stop.cancelled() => return,
            action = io.select(due) => action,
        };
        for effect in sync.apply(action, Instant::now(), Term::now()) {
            io.perform(effect);
        }
    }
}

pub(super) struct Io {
    etcd: Etcd,
    key: String,
    state: StateCell,
    changes: watch::Receiver<TabletState>,
    registered: bool,
    pass: Option<BoxFuture<'static, Action>>,
    watch: WatchSlot,
}

enum WatchSlot {
    Off,
    Arming(BoxFuture<'static, Result<TopoWatch, TopoError>>),
    On(Box<TopoWatch>),
}

impl Io {
    /// The next action. May be dropped at its await: what has not been returned comes again.
    pub(super) async fn select(&mut self, due: Option<Instant>) -> Action {
        tokio::select! {
            () = registered(&mut self.changes), if !self.registered => {
                self.registered = true;
                Action::Registered
            }
            action = finished(&mut self.pass) => action,
            action = next_of(&mut self.watch) => action,
            () = sleep_until(due) => Action::Due,
        }
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::StartRead => self.pass = Some(self.read()),
            Effect::StartWrite(write) => self.pass = Some(self.write(write)),
            Effect::ArmWatch => {
                let (etcd, key) = (self.etcd.clone(), self.key.clone());
                self.watch = WatchSlot::Arming(Box::pin(async move { etcd.watch(&key).await }));
            }
            Effect::Publish(role) => {
                tracing::info!(?role, "the tablet's role has changed");
                self.state.update(|state| state.role = role);
            }
            Effect::TopologyError(error) => {
                match (&error, &self.state.snapshot().topology_error) {
                    (Some(error), None) => tracing::warn!(error, "the topology is away"),
                    (None, Some(_)) => tracing::info!("the topology answers again"),
                    (Some(_), Some(_)) | (None, None) => {}
                }
                self.state.update(|state| state.topology_error = error);
            }
        }
    }

    fn read(&self) -> BoxFuture<'static, Action> {
        let (etcd, key) = (self.etcd.clone(), self.key.clone());
        Box::pin(async move {
            let found = etcd.get_record::<Shard>(&key, "Shard").await;
            let record =
                found.map(|found| found.map(|(shard, revision)| ShardRecord { shard, revision }));
            if let Err(error) = &record {
                tracing::debug!(%error, "the shard record cannot be read");
            }
            Action::Read(record)
        })
    }

    fn write(&self, write: ShardWrite) -> BoxFuture<'static, Action> {
        let (etcd, key) = (self.etcd.clone(), self.key.clone());
        Box::pin(async move {
            let put =
                Write::Put { key: key.clone(), value: write.shard.encode_to_vec(), lease: None };
            let written = etcd.write_if(&[(&key, write.expected_revision)], vec![put]).await;
            match &written {
                Ok(Some(_)) => tracing::info!(term = %write.term, "claimed the shard"),
                Ok(None) => tracing::info!("somebody else changed the shard record first"),
                Err(error) => tracing::warn!(%error, "the shard record cannot be written"),
            }
            Action::Written(write.term, written.map(|revision| revision.is_some()))
        })
    }
}

async fn registered(changes: &mut watch::Receiver<TabletState>) {
    if changes.wait_for(|state| state.epoch().is_some()).await.is_err() {
        std::future::pending::<()>().await;
    }
}

async fn finished(pass: &mut Option<BoxFuture<'static, Action>>) -> Action {
    let Some(running) = pass else { return std::future::pending().await };
    let action = running.await;
    *pass = None;
    action
}

async fn next_of(watch: &mut WatchSlot) -> Action {
    match watch {
        WatchSlot::Off => std::future::pending().await,
        WatchSlot::Arming(arming) => match arming.await {
            Ok(armed) => {
                *watch = WatchSlot::On(Box::new(armed));
                Action::WatchArmed(Ok(()))
            }
            Err(error) => {
                *watch = WatchSlot::Off;
                Action::WatchArmed(Err(error))
            }
        },
        WatchSlot::On(running) => {
            let event = running.next().await;
            if event.is_none() {
                tracing::warn!("the watch of the shard record has ended");
                *watch = WatchSlot::Off;
            }
            Action::Watched(event)
        }
    }
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}
