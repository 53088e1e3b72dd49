//! Ctrl-C and SIGTERM end a command in order; the second one of a kind ends the process at once.
//!
//! A CI job that is cancelled sends SIGINT, and SIGTERM some seconds later: that is one of each, so that
//! the removal may go on until the runner's SIGKILL.

use std::io;
use std::sync::mpsc;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::say;

/// Ctrl-C, as a shell tells of it: 128 and the signal's number.
const INTERRUPTED: i32 = 130;
/// SIGTERM.
const TERMINATED: i32 = 143;

/// What is to be done about a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// End in order.
    InOrder,
    /// It is ending already.
    Nothing,
    /// End at once, with this exit code.
    AtOnce(i32),
}

/// Signals so far.
#[derive(Debug, Default)]
struct Signals {
    interrupts: u32,
    terminations: u32,
}

impl Signals {
    fn interrupt(&mut self) -> Answer {
        self.interrupts += 1;
        Self::answer(self.interrupts, self.terminations, INTERRUPTED)
    }

    fn terminate(&mut self) -> Answer {
        self.terminations += 1;
        Self::answer(self.terminations, self.interrupts, TERMINATED)
    }

    fn answer(this: u32, other: u32, code: i32) -> Answer {
        match (this, other) {
            (1, 0) => Answer::InOrder,
            (1, _) => Answer::Nothing,
            _ => Answer::AtOnce(code),
        }
    }
}

/// A token that is cancelled at the first Ctrl-C or SIGTERM.
///
/// A thread of its own listens, until the process ends: the second signal must work above all where
/// nothing else does any more.
pub(super) fn on_interrupt() -> io::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let told = stop.clone();
    let (tell, listens) = mpsc::sync_channel(1);
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let outcome = runtime.and_then(|runtime| runtime.block_on(listen(&told, &tell)));
        if let Err(error) = outcome {
            // Nobody waits any more once it has begun to listen.
            tell.try_send(Err(error)).ok();
        }
    })?;
    listens.recv().map_err(io::Error::other)??;
    Ok(stop)
}

async fn listen(
    stop: &CancellationToken,
    tell: &mpsc::SyncSender<io::Result<()>>,
) -> io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tell.send(Ok(())).map_err(io::Error::other)?;
    let mut signals = Signals::default();
    loop {
        let answer = tokio::select! {
            _ = interrupt.recv() => signals.interrupt(),
            _ = terminate.recv() => signals.terminate(),
        };
        match answer {
            Answer::InOrder => {
                say("stopping: writing reports, removing containers (again to end at once)");
                stop.cancel();
            }
            Answer::Nothing => {}
            Answer::AtOnce(code) => {
                say("ended at once: `vdiff-chaos clean` removes what is left");
                at_once(code);
            }
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "no guard may hold up who asks for the second time")]
fn at_once(code: i32) -> ! {
    std::process::exit(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_signal_of_a_kind_ends_at_once() {
        let mut signals = Signals::default();
        assert_eq!(signals.interrupt(), Answer::InOrder);
        assert_eq!(signals.interrupt(), Answer::AtOnce(130));
        let mut signals = Signals::default();
        assert_eq!(signals.terminate(), Answer::InOrder);
        assert_eq!(signals.terminate(), Answer::AtOnce(143));
    }

    // SIGINT, SIGTERM, SIGKILL: what lies between the first two is not all the time that there is.
    #[test]
    fn a_cancelled_job_has_time_until_it_is_killed() {
        let mut signals = Signals::default();
        assert_eq!(signals.interrupt(), Answer::InOrder);
        assert_eq!(signals.terminate(), Answer::Nothing);
        assert_eq!(signals.terminate(), Answer::AtOnce(143));
    }
}
