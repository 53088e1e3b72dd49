use tablet_wire::topodata::Shard;
use tablet_wire::vttime::Time;

use super::*;
use crate::topo::records::alias_message;

fn term(seconds: i64) -> Term {
    Time { seconds, nanoseconds: 0 }.into()
}

fn alias(uid: u32) -> TabletAlias {
    TabletAlias { cell: "zone1".into(), uid }
}

fn names(uid: u32, seconds: i64) -> Action {
    let shard = Shard {
        primary_alias: Some(alias_message(&alias(uid))),
        primary_term_start_time: Some(term(seconds).into()),
        ..Shard::default()
    };
    Action::Read(Ok(Some(ShardRecord { shard, revision: 3 })))
}

fn away() -> TopoError {
    TopoError::Deadline { attempted: "reading", key: "k".into(), after: Duration::from_secs(2) }
}

/// The loop with a clock that only the test moves.
struct Bench {
    sync: ShardSync,
    now: Instant,
}

impl Bench {
    fn registered() -> Bench {
        let now = Instant::now();
        let sync = ShardSync::new(alias(1), Duration::from_secs(1), SeededBugs::none(), now);
        let mut bench = Bench { sync, now };
        assert_eq!(bench.apply(Action::Registered), [Effect::StartRead, Effect::ArmWatch]);
        bench
    }

    fn primary() -> Bench {
        let mut bench = Bench::registered();
        bench.apply(names(1, 10));
        bench.apply(Action::WatchArmed(Ok(())));
        bench.apply(names(1, 10));
        assert_eq!(bench.sync.role, Role::Primary(term(10)));
        bench
    }

    fn apply(&mut self, action: Action) -> Vec<Effect> {
        self.sync.apply(action, self.now, term(100))
    }

    fn pass_time(&mut self, time: Duration) -> Vec<Effect> {
        self.now += time;
        self.apply(Action::Due)
    }

    fn wait(&self) -> Duration {
        self.sync.next_due().expect("something is due") - self.now
    }
}

#[test]
fn nothing_is_done_before_registration() {
    let now = Instant::now();
    let mut sync = ShardSync::new(alias(1), Duration::from_secs(1), SeededBugs::none(), now);
    assert_eq!(sync.apply(Action::Due, now, term(1)), []);
    assert_eq!(sync.next_due(), None);
}

#[test]
fn an_empty_shard_is_claimed_and_only_then_are_we_primary() {
    let mut bench = Bench::registered();
    let effects = bench.apply(Action::Read(Ok(None)));
    assert!(matches!(effects[..], [Effect::TopologyError(None), Effect::StartWrite(_)]));
    assert_eq!(bench.sync.role, Role::Unknown);
    let effects = bench.apply(Action::Written(term(100), Ok(true)));
    assert_eq!(effects, [Effect::Publish(Role::Primary(term(100)))]);
}

/// Two tablets claim at once: the loser must look again soon, and not believe itself primary.
#[test]
fn a_lost_claim_is_followed_by_another_read() {
    let mut bench = Bench::registered();
    bench.apply(Action::Read(Ok(None)));
    assert_eq!(bench.apply(Action::Written(term(100), Ok(false))), []);
    assert_eq!(bench.pass_time(Duration::from_millis(100)), [Effect::StartRead]);
    bench.apply(names(2, 99));
    assert_eq!(bench.sync.role, Role::Replica);
}

/// The incident's second half: a watch that has ended yields no event. It must be armed again, not
/// at once (etcd may be away for long), and the record read in the meantime.
#[test]
fn a_watch_that_ends_is_armed_again_after_a_pause() {
    let mut bench = Bench::primary();
    assert_eq!(bench.apply(Action::Watched(None)), [Effect::StartRead]);
    assert!(bench.wait() >= Duration::from_millis(50), "{:?}", bench.wait());
    assert_eq!(bench.pass_time(Duration::from_millis(100)), [Effect::ArmWatch]);
}

/// Vitess's fix left a hot loop: a closed channel is ready for ever. Here each end costs a longer
/// pause as long as no watch has proven good.
#[test]
fn watches_that_end_at_once_are_armed_ever_more_slowly() {
    let mut bench = Bench::primary();
    let mut arms = 0;
    let end = bench.now + Duration::from_secs(60);
    bench.apply(Action::Watched(None));
    while bench.now < end {
        let effects = bench.pass_time(Duration::from_millis(10));
        for effect in effects {
            match effect {
                Effect::ArmWatch => {
                    arms += 1;
                    bench.apply(Action::WatchArmed(Ok(())));
                    bench.apply(Action::Watched(None));
                }
                Effect::StartRead => drop(bench.apply(names(1, 10))),
                Effect::StartWrite(_) | Effect::Publish(_) | Effect::TopologyError(_) => {}
            }
        }
    }
    assert!((30..=70).contains(&arms), "{arms} in a minute");
}

/// With the watch dead and never armed again, the newer term must be seen within 5 seconds.
#[test]
fn a_newer_term_demotes_in_time_when_the_watch_is_dead() {
    let mut bench = Bench::primary();
    bench.apply(Action::Watched(None));
    bench.apply(names(1, 10));
    let mut waited = Duration::ZERO;
    loop {
        let step = Duration::from_millis(50);
        waited += step;
        let effects = bench.pass_time(step);
        if effects.contains(&Effect::ArmWatch) {
            bench.apply(Action::WatchArmed(Err(away())));
        }
        if effects.contains(&Effect::StartRead) {
            break;
        }
        assert!(waited < Duration::from_secs(2));
    }
    let effects = bench.apply(names(2, 11));
    assert!(effects.contains(&Effect::Publish(Role::Replica)), "{effects:?}");
}

#[test]
fn a_tablet_that_was_demoted_is_promoted_again() {
    let mut bench = Bench::primary();
    bench.apply(Action::Watched(Some(WatchEvent { revision: 4 })));
    bench.apply(names(2, 11));
    bench.apply(Action::Watched(Some(WatchEvent { revision: 5 })));
    let effects = bench.apply(names(1, 12));
    assert!(effects.contains(&Effect::Publish(Role::Primary(term(12)))), "{effects:?}");
}

/// etcd away: the role stays, the trouble is told once it lasts, and the tries are bounded in number.
#[test]
fn failed_reads_keep_the_role_and_are_tried_again_with_back_off() {
    let mut bench = Bench::primary();
    bench.apply(Action::Watched(Some(WatchEvent { revision: 4 })));
    let mut reads = 0;
    let began = bench.now;
    let end = bench.now + Duration::from_secs(60);
    bench.apply(Action::Read(Err(away())));
    while bench.now < end {
        if bench.pass_time(Duration::from_millis(10)).contains(&Effect::StartRead) {
            reads += 1;
            let effects = bench.apply(Action::Read(Err(away())));
            let told = matches!(effects[..], [Effect::TopologyError(Some(_))]);
            assert_eq!(told, bench.now - began >= AWAY, "{effects:?}");
        }
    }
    assert!((55..=130).contains(&reads), "{reads} in a minute");
    assert_eq!(bench.sync.role, Role::Primary(term(10)));
}

/// An event between a read's start and its answer must not be lost.
#[test]
fn an_event_during_a_read_causes_another_read() {
    let mut bench = Bench::primary();
    bench.apply(Action::Watched(Some(WatchEvent { revision: 4 })));
    assert_eq!(bench.apply(Action::Watched(Some(WatchEvent { revision: 5 }))), []);
    assert!(bench.apply(names(1, 10)).contains(&Effect::StartRead));
}

#[cfg(feature = "seeded-bugs")]
#[test]
#[should_panic(expected = "None")]
fn the_seeded_bug_panics_when_the_watch_ends() {
    let mut bench = Bench::primary();
    bench.sync.bugs = "watch-end-unwrap".parse().unwrap();
    bench.apply(Action::Watched(None));
}
