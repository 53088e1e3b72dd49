//! Observers: what watches a trial and writes into its journal.
//!
//! Each observer is a task with a name, owned and joined by [`Observers`]. It says when it starts,
//! when it made no observation for over a second, and when it ends in order: an oracle that rests on
//! it can tell missing evidence from good news. Observers change nothing, with one exception: the
//! process watcher restarts a tablet that ended unasked, as a supervisor would.

mod load;
mod logs;
mod process;
mod pulse;
mod readiness;
mod sampler;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use records::journal::{Event, Side};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::journal::Journal;

pub use process::{Expectation, ProcessState, Supervised};
pub use readiness::Ready;
pub use sampler::SamplerOptions;

/// Observers that do not end within this time are named and aborted.
const JOIN: Duration = Duration::from_secs(5);

/// The observers of one trial.
#[derive(Debug)]
pub struct Observers {
    tasks: JoinSet<String>,
    running: Vec<String>,
    stop: CancellationToken,
    journal: Journal,
}

impl Observers {
    /// None yet.
    #[must_use]
    pub fn new(journal: Journal) -> Observers {
        Observers {
            tasks: JoinSet::new(),
            running: Vec::new(),
            stop: CancellationToken::new(),
            journal,
        }
    }

    /// Watches a tablet's process and log, and restarts it when it ends unasked.
    pub fn supervise(&mut self, tablet: &Arc<Supervised>) {
        let (watched, stop) = (Arc::clone(tablet), self.stop.clone());
        self.spawn(name("process", tablet.side()), process::watch(watched, stop));
        let (watched, stop) = (Arc::clone(tablet), self.stop.clone());
        self.spawn(name("logs", tablet.side()), logs::follow(watched, stop));
    }

    /// Polls a tablet's readiness; the latest is seen through the returned channel.
    pub fn readiness(&mut self, tablet: &Arc<Supervised>) -> tokio::sync::watch::Receiver<Ready> {
        let (sender, receiver) = tokio::sync::watch::channel(Ready::default());
        let (watched, stop) = (Arc::clone(tablet), self.stop.clone());
        self.spawn(name("readiness", tablet.side()), readiness::poll(watched, sender, stop));
        receiver
    }

    /// Samples the target's memory and the diff's progress; the latest is seen through the channel.
    pub fn sample(
        &mut self,
        tablet: &Arc<Supervised>,
        options: SamplerOptions,
    ) -> tokio::sync::watch::Receiver<system::Progress> {
        let (sender, receiver) = tokio::sync::watch::channel(system::Progress::default());
        let (progress, stop) = (options.clone(), self.stop.clone());
        let journal = self.journal.clone();
        self.spawn(
            name("sidecar", tablet.side()),
            sampler::poll_sidecar(progress, sender, journal, stop),
        );
        let (watched, stop) = (Arc::clone(tablet), self.stop.clone());
        let latest = receiver.clone();
        self.spawn(
            name("memory", tablet.side()),
            sampler::poll_memory(watched, options, latest, stop),
        );
        receiver
    }

    /// Tells every observer to end, and joins them; who was late is said in the journal.
    pub async fn stop(&mut self) {
        self.stop.cancel();
        let deadline = tokio::time::Instant::now() + JOIN;
        loop {
            match tokio::time::timeout_at(deadline, self.tasks.join_next()).await {
                Ok(Some(Ok(ended))) => self.running.retain(|name| *name != ended),
                Ok(Some(Err(error))) => {
                    self.trouble(format!("an observer ended badly: {error}"));
                }
                Ok(None) => break,
                Err(_) => {
                    self.trouble(format!(
                        "observers did not end within {JOIN:?}: {}",
                        self.running.join(", ")
                    ));
                    self.tasks.abort_all();
                    while self.tasks.join_next().await.is_some() {}
                    break;
                }
            }
        }
        self.running.clear();
    }

    fn spawn(&mut self, name: String, task: impl Future<Output = ()> + Send + 'static) {
        self.running.push(name.clone());
        self.tasks.spawn(async move {
            task.await;
            name
        });
    }

    fn trouble(&self, what: String) {
        self.journal.record(Event::HarnessTrouble { what });
    }
}

fn name(observer: &str, side: Side) -> String {
    format!("{observer}/{}", side.name())
}
