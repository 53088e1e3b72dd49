use std::sync::atomic::Ordering;

use tokio::task::JoinHandle;

use super::*;
use crate::engine::fake::{FakeEngines, Opening};
use crate::tabletmanager::state::{Registration, Role};
use crate::topo::Term;

const SOON: Duration = Duration::from_secs(5);

struct Bench {
    engines: Arc<FakeEngines>,
    state: StateCell,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Bench {
    fn primary(opening: Opening) -> Bench {
        let engines = Arc::new(FakeEngines::new(opening));
        let state = StateCell::default();
        state.update(|state| {
            state.registration = Registration::Registered(Epoch(7));
            state.role = Role::Primary(Term::now());
        });
        let stop = CancellationToken::new();
        let task = tokio::spawn(run(engines.clone(), state.clone(), stop.clone()));
        Bench { engines, state, stop, task }
    }

    async fn until(&self, wanted: impl Fn(&EnginesStatus) -> bool) {
        let mut changes = self.state.subscribe();
        let reached = changes.wait_for(|state| wanted(&state.engines));
        tokio::time::timeout(SOON, reached).await.expect("in time").unwrap();
    }

    async fn stop(self) -> Arc<FakeEngines> {
        self.stop.cancel();
        tokio::time::timeout(SOON, self.task).await.expect("in time").unwrap();
        self.engines
    }
}

#[tokio::test]
async fn a_primary_opens_under_its_epoch_and_a_stop_closes() {
    let bench = Bench::primary(Opening::Succeeds);
    bench.until(|status| *status == EnginesStatus::Open).await;
    let engines = bench.stop().await;
    assert_eq!(*engines.opened.lock().unwrap(), [Epoch(7)]);
    assert!(!engines.is_open());
    assert_eq!(engines.stream_ends.load(Ordering::SeqCst), 1);
}

/// MySQL away at the start: the reason is shown, and no restart is needed once it is back.
#[tokio::test]
async fn a_failed_open_is_tried_again() {
    let bench = Bench::primary(Opening::Fails);
    bench.until(|status| matches!(status, EnginesStatus::Opening(Some(_)))).await;
    bench.engines.set(Opening::Succeeds);
    bench.until(|status| *status == EnginesStatus::Open).await;
    bench.stop().await;
}

/// Otherwise a demotion would wait for a MySQL that does not answer.
#[tokio::test]
async fn a_demotion_does_not_wait_for_an_open_that_hangs() {
    let bench = Bench::primary(Opening::Hangs);
    bench.until(|status| matches!(status, EnginesStatus::Opening(_))).await;
    bench.state.update(|state| state.role = Role::Replica);
    bench.until(|status| *status == EnginesStatus::Closed).await;
    // A replica goes on serving rows.
    assert_eq!(bench.engines.stream_ends.load(Ordering::SeqCst), 0);
    bench.engines.set(Opening::Succeeds);
    bench.state.update(|state| state.role = Role::Primary(Term::now()));
    bench.until(|status| *status == EnginesStatus::Open).await;
    let engines = bench.stop().await;
    assert!(engines.closes.load(Ordering::SeqCst) >= 2);
}

#[tokio::test]
async fn engines_that_broke_down_are_opened_again() {
    let bench = Bench::primary(Opening::Succeeds);
    bench.until(|status| *status == EnginesStatus::Open).await;
    bench.engines.set(Opening::Fails);
    bench.engines.break_down();
    bench.until(|status| matches!(status, EnginesStatus::Opening(_))).await;
    bench.engines.set(Opening::Succeeds);
    bench.until(|status| *status == EnginesStatus::Open).await;
    let engines = bench.stop().await;
    assert_eq!(engines.opened.lock().unwrap().len(), 2);
}

/// MySQL goes away under open engines: not ready, without closing what will work again.
#[tokio::test]
async fn engines_that_cannot_work_make_the_tablet_not_ready_until_they_can() {
    let bench = Bench::primary(Opening::Succeeds);
    bench.until(|status| *status == EnginesStatus::Open).await;
    let mut changes = bench.state.subscribe();
    for (opening, ready) in [(Opening::Fails, false), (Opening::Succeeds, true)] {
        bench.engines.set(opening);
        let reached = changes.wait_for(|state| state.reasons().is_empty() == ready);
        tokio::time::timeout(SOON, reached).await.expect("in time").unwrap();
    }
    let engines = bench.stop().await;
    assert_eq!(engines.tries.load(Ordering::SeqCst), 1);
}
