use std::future::{pending, ready};
use std::time::Duration;

use super::*;

const LONG: Duration = Duration::from_secs(30);

fn said(fingerprint: &str, announces: Option<Option<Phase>>) -> ObservedRequest {
    ObservedRequest {
        link: Link::Mysql,
        connection: 1,
        fingerprint: fingerprint.to_owned(),
        class: Class::Writes,
        announces,
        text: fingerprint.to_owned(),
    }
}

fn point(nth: u32, phase: Option<Phase>, moment: Moment) -> CrashPoint {
    CrashPoint { link: Link::Mysql, fingerprint: "commit".to_owned(), phase, nth, moment }
}

/// Passes an exchange of a client that lives.
async fn pass(board: &Switchboard, exchange: &Exchange, moment: Moment) -> Passage {
    let passage = board.pass(exchange, moment, pending());
    tokio::time::timeout(LONG, passage).await.expect("nothing is held")
}

/// Begins an exchange and lets it be held in a task.
fn hold(
    board: &Switchboard,
    moment: Moment,
    client_gone: impl Future<Output = ()> + Send + 'static,
) -> tokio::task::JoinHandle<Passage> {
    let (board, exchange) = (board.clone(), board.begin(said("commit", None)));
    tokio::spawn(async move { board.pass(&exchange, moment, client_gone).await })
}

async fn caught(armed: &mut Armed) -> HeldExchange {
    tokio::time::timeout(LONG, armed.caught()).await.expect("it is caught").expect("it is armed")
}

#[tokio::test]
async fn the_nth_of_its_kind_is_held_at_its_moment_and_no_other() {
    let board = Switchboard::default();
    let mut armed = board.arm(point(2, None, Moment::Executed));
    let first = board.begin(said("commit", None));
    assert_eq!(pass(&board, &first, Moment::Executed).await, Passage::Go);
    let other = board.begin(said("rollback", None));
    assert_eq!((other.nth, pass(&board, &other, Moment::Executed).await), (1, Passage::Go));
    let second = board.begin(said("commit", None));
    assert!(!board.awaits(&second, Moment::Before) && board.awaits(&second, Moment::Executed));
    assert_eq!(pass(&board, &second, Moment::Before).await, Passage::Go);
    let held = {
        let (board, second) = (board.clone(), second.clone());
        tokio::spawn(async move { board.pass(&second, Moment::Executed, pending()).await })
    };
    let it = caught(&mut armed).await;
    assert_eq!((it.exchange(), it.moment(), it.is_held()), (&second, Moment::Executed, true));
    it.release();
    assert_eq!(held.await.unwrap(), Passage::Go);
    // It springs once.
    assert_eq!(pass(&board, &second, Moment::Executed).await, Passage::Go);
}

#[tokio::test]
async fn a_phase_is_announced_and_counts_anew() {
    let board = Switchboard::default();
    assert_eq!(board.begin(said("commit", None)).phase, None);
    let begins = board.begin(said("begin", Some(Some(Phase::Streaming))));
    assert_eq!((begins.phase, begins.nth), (Some(Phase::Streaming), 1));
    let streaming = board.begin(said("commit", None));
    assert_eq!((streaming.phase, streaming.nth), (Some(Phase::Streaming), 1));
    let mut armed = board.arm(point(2, None, Moment::Before));
    assert_eq!(pass(&board, &streaming, Moment::Before).await, Passage::Go);
    board.begin(said("end", Some(None)));
    let held = hold(&board, Moment::Before, pending());
    let it = caught(&mut armed).await;
    assert_eq!((it.exchange().phase, it.exchange().nth), (None, 2));
    it.discard();
    assert_eq!(held.await.unwrap(), Passage::Drop);
}

#[test]
fn a_life_begins_with_nothing_counted_and_no_phase() {
    let board = Switchboard::default();
    board.begin(said("commit", Some(Some(Phase::Snapshot))));
    board.begin_life();
    let again = board.begin(said("commit", None));
    assert_eq!((again.life, again.nth, again.phase), (1, 1, None));
    let lives: Vec<u32> = board.conversation().iter().map(|exchange| exchange.life).collect();
    assert_eq!(lives, [0, 1]);
}

/// The trap is gone with its guard, and an older guard does not take away a newer trap.
#[tokio::test]
async fn whoever_is_disarmed_holds_nothing() {
    let board = Switchboard::default();
    drop(board.arm(point(1, None, Moment::Before)));
    let exchange = board.begin(said("commit", None));
    assert_eq!(pass(&board, &exchange, Moment::Before).await, Passage::Go);

    let mut older = board.arm(point(2, None, Moment::Before));
    let mut newer = board.arm(point(2, None, Moment::Replied));
    assert!(older.caught().await.is_none(), "another point was armed instead");
    drop(older);
    let held = hold(&board, Moment::Replied, pending());
    caught(&mut newer).await.release();
    assert_eq!(held.await.unwrap(), Passage::Go);
}

#[tokio::test]
async fn a_dropped_hold_goes_on() {
    let board = Switchboard::default();
    let mut armed = board.arm(point(1, None, Moment::Before));
    let held = hold(&board, Moment::Before, pending());
    drop(caught(&mut armed).await);
    assert_eq!(held.await.unwrap(), Passage::Go);
}

/// Nobody listens any more between the catch and the look at it.
#[tokio::test]
async fn a_catch_that_nobody_takes_goes_on() {
    let board = Switchboard::default();
    let armed = board.arm(point(1, None, Moment::Before));
    let held = hold(&board, Moment::Before, pending());
    while board.shared.is_armed.load(Ordering::Acquire) {
        tokio::task::yield_now().await;
    }
    drop(armed);
    assert_eq!(tokio::time::timeout(LONG, held).await.unwrap().unwrap(), Passage::Go);
}

#[tokio::test]
async fn an_exchange_whose_client_dies_while_it_is_held_is_dropped() {
    let board = Switchboard::default();
    let mut armed = board.arm(point(1, None, Moment::Before));
    let (dies, death) = oneshot::channel::<()>();
    let held = hold(&board, Moment::Before, async move { drop(death.await) });
    let mut it = caught(&mut armed).await;
    assert!(it.is_held());
    dies.send(()).unwrap();
    tokio::time::timeout(LONG, it.client_gone()).await.expect("it is seen");
    assert!(!it.is_held());
    it.release(); // Too late.
    assert_eq!(held.await.unwrap(), Passage::Drop);
}

/// One whose client is dead already must never be sent.
#[tokio::test]
async fn death_comes_before_a_decision() {
    let board = Switchboard::default();
    let mut armed = board.arm(point(1, None, Moment::Before));
    let held = hold(&board, Moment::Before, ready(()));
    assert_eq!(held.await.unwrap(), Passage::Drop);
    assert!(!caught(&mut armed).await.is_held());
}

#[test]
fn a_long_text_is_cut_between_characters() {
    let board = Switchboard::default();
    let text = "é".repeat(TEXT_MAX);
    let exchange = board.begin(ObservedRequest { text, ..said("commit", None) });
    assert_eq!(exchange.text.len(), TEXT_MAX);
    let text = format!("x{}", "é".repeat(TEXT_MAX));
    let exchange = board.begin(ObservedRequest { text, ..said("commit", None) });
    assert_eq!(exchange.text.len(), TEXT_MAX - 1);
}
