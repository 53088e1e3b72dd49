//! Panics: one record each, and never a half-dead tablet.
//!
//! The hook writes exactly one record per panic. A panic inside [`caught`] (a VDiff controller)
//! becomes an error value there. Any other panic, in whichever task or thread, ends the process with
//! code 101: the hook raises a signal for which [`crate::run`] waits, because a runtime would
//! otherwise swallow the panic of a spawned task and go on without it.

use std::any::Any;
use std::cell::Cell;
use std::future::Future;
use std::panic::{AssertUnwindSafe, PanicHookInfo};
use std::pin::pin;
use std::sync::OnceLock;
use std::task::Poll;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// The exit code of a panic.
pub const EXIT_CODE: u8 = 101;

/// How long an orderly end may take after a panic before the process is ended anyway.
const GRACE: Duration = Duration::from_secs(5);

thread_local! {
    static CATCHING: Cell<u32> = const { Cell::new(0) };
}

static FATAL: OnceLock<CancellationToken> = OnceLock::new();

/// A panic that was caught, as text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("internal error (panic): {message}")]
pub struct Panicked {
    /// The panic's message.
    pub message: String,
}

/// Installs the hook, once; the token is cancelled by the first panic that nobody catches.
pub fn install() -> CancellationToken {
    let fatal = FATAL.get_or_init(|| {
        std::panic::set_hook(Box::new(hook));
        CancellationToken::new()
    });
    fatal.clone()
}

/// Runs `future`, and turns its panic into a value. Tasks that it spawns are not covered: wrap them
/// as well.
///
/// # Errors
/// The future panicked.
pub async fn caught<F: Future>(future: F) -> Result<F::Output, Panicked> {
    let mut future = pin!(future);
    std::future::poll_fn(move |context| {
        let _catching = Catching::enter();
        match std::panic::catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
            Err(payload) => Poll::Ready(Err(Panicked { message: message_of(payload.as_ref()) })),
        }
    })
    .await
}

struct Catching;

impl Catching {
    fn enter() -> Catching {
        CATCHING.with(|depth| depth.set(depth.get() + 1));
        Catching
    }
}

impl Drop for Catching {
    fn drop(&mut self) {
        CATCHING.with(|depth| depth.set(depth.get() - 1));
    }
}

fn hook(info: &PanicHookInfo<'_>) {
    let caught = CATCHING.with(Cell::get) > 0;
    let location = info.location().map(ToString::to_string).unwrap_or_default();
    let message = message_of(info.payload());
    let thread = std::thread::current();
    let thread = thread.name().unwrap_or("unnamed");
    tracing::error!(event = "panic", caught, location, message, thread, "panic");
    if !caught && let Some(fatal) = FATAL.get() {
        fatal.cancel();
        end_after(GRACE);
    }
}

/// Ends the process after `grace` if it has not ended in order by then. A thread of its own, because
/// the runtime may be what is stuck.
fn end_after(grace: Duration) {
    let watchdog = std::thread::Builder::new().name("panic-watchdog".to_owned());
    let spawned = watchdog.spawn(move || {
        std::thread::park_timeout(grace);
        end_now();
    });
    if spawned.is_err() {
        end_now();
    }
}

#[expect(clippy::disallowed_methods, reason = "the orderly end after a panic did not happen")]
fn end_now() {
    std::process::exit(i32::from(EXIT_CODE));
}

fn message_of(payload: &(dyn Any + Send)) -> String {
    if let Some(text) = payload.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        "a panic without a message".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_caught_panic_is_a_value_with_its_message() {
        let outcome = caught(async {
            tokio::task::yield_now().await;
            panic!("row {}", 7)
        })
        .await;
        assert_eq!(outcome, Err::<(), _>(Panicked { message: "row 7".to_owned() }));
        assert_eq!(CATCHING.with(Cell::get), 0);
    }

    #[tokio::test]
    async fn what_does_not_panic_passes_through() {
        assert_eq!(caught(async { 3 }).await, Ok(3));
    }
}
