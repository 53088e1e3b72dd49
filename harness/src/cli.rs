//! The command line: one file a command, one exit code an outcome.

mod arguments;
mod campaigns;
mod crash_points;
mod exit;
mod features;
mod host;
mod memory;
mod runs;
mod shrink;
mod signals;
mod values;

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use clap::Parser;
use clap::error::ErrorKind;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

pub use arguments::{Cli, Command};
pub use exit::Exit;
pub use features::{FeatureError, FeatureRequest, FeatureRun, FeatureRunner};

/// Of a thread of the runtime: a trial's future is large, and a debug build moves it about on the stack.
const STACK_BYTES: usize = 16 << 20;

/// Parses the arguments, runs the command and says with which code to exit.
#[must_use]
pub fn main(args: impl IntoIterator<Item = OsString>, features: &FeatureRunner) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            let exit = match error.kind() {
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Exit::Pass,
                _ => Exit::Usage,
            };
            return match error.print() {
                Err(error) if !is_reader_gone(&error) => Exit::Harness.into(),
                _ => exit.into(),
            };
        }
    };
    let filter =
        EnvFilter::try_from_env("VDIFF_CHAOS_LOG").unwrap_or_else(|_| EnvFilter::new("error"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => {
            say(&format!("error: cannot start the runtime: {error}"));
            return Exit::Harness.into();
        }
    };
    let exit = match signals::on_interrupt() {
        Ok(stop) => drive(&runtime, execute(cli.command, features, &stop)),
        Err(error) => {
            say(&format!("error: cannot listen to signals: {error}"));
            Exit::Harness
        }
    };
    // What is left (a blocking read of a dead socket, say) shall not hold up the exit.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    exit.into()
}

/// Drives a command's future on this thread, inside the runtime.
///
/// The runtime's own `block_on` is woken by its thread's parker. Whatever blocks that thread on a future
/// below it (a `Drop` that calls the engine, say) takes the parker's only token, and with it a wake-up
/// of the outer future that came meanwhile: the program would wait for ever. Here a wake-up is a flag,
/// which stays until it is looked at.
fn drive<T>(runtime: &tokio::runtime::Runtime, work: impl Future<Output = T>) -> T {
    let _inside = runtime.enter();
    let alarm = Arc::new(Alarm { thread: std::thread::current(), rings: AtomicBool::new(false) });
    let waker = Waker::from(Arc::clone(&alarm));
    let mut context = Context::from_waker(&waker);
    let mut work = std::pin::pin!(work);
    loop {
        if let Poll::Ready(outcome) = work.as_mut().poll(&mut context) {
            return outcome;
        }
        while !alarm.rings.swap(false, Ordering::SeqCst) {
            std::thread::park();
        }
    }
}

struct Alarm {
    thread: std::thread::Thread,
    rings: AtomicBool,
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.rings.store(true, Ordering::SeqCst);
        self.thread.unpark();
    }
}

async fn execute(command: Command, features: &FeatureRunner, stop: &CancellationToken) -> Exit {
    let outcome = match command {
        Command::Run(args) => campaigns::run(*args, stop).await,
        Command::CrashPoints(command) => crash_points::execute(command, stop).await,
        Command::Replay(args) => campaigns::replay(args, stop).await,
        Command::Shrink(args) => shrink::run(*args, stop).await,
        Command::Zoo(args) => campaigns::zoo(args, stop).await,
        Command::Judge(args) => runs::judge(&args),
        Command::Merge(args) => runs::merge(&args),
        Command::Features(args) => features::run(args, features, stop).await,
        Command::Faults => host::faults().await,
        Command::Memory(args) => memory::memory(args, stop).await,
        Command::Doctor => host::doctor().await,
        Command::Images(args) => host::images(args).await,
        Command::Clean(args) => host::clean(args).await,
    };
    match outcome {
        Ok(exit) => exit,
        Err(failure) => {
            say(&format!("error: {}", failure.text));
            failure.exit
        }
    }
}

/// A command that did not come to an outcome.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    text: String,
}

impl Failure {
    /// As [`Failure::usage`], in words.
    pub(crate) fn wrong(what: impl Into<String>) -> Failure {
        Failure { exit: Exit::Usage, text: what.into() }
    }

    /// The user asked for something impossible.
    pub(crate) fn usage(error: &dyn std::error::Error) -> Failure {
        Failure { exit: Exit::Usage, text: engine::errors::chain(error) }
    }

    /// The user stopped it before there was anything to report.
    pub(crate) fn stopped(error: &dyn std::error::Error) -> Failure {
        Failure { exit: Exit::Inconclusive, text: engine::errors::chain(error) }
    }

    /// The harness failed.
    pub(crate) fn harness(error: &dyn std::error::Error) -> Failure {
        Failure { exit: Exit::Harness, text: engine::errors::chain(error) }
    }
}

/// Lines for the user, apart from results: on standard error. Who does not read them shall not end a
/// run: its containers would stay.
pub(crate) fn say(line: &str) {
    writeln!(io::stderr().lock(), "{line}").ok();
}

/// Writes results to standard output. A reader that has had enough (`| head`) is no error; a disk that
/// takes no more is said.
pub(crate) fn put(text: &str) {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if !is_reader_gone(&error) => {
            say(&format!("error: standard output takes no more: {error}"));
        }
        _ => {}
    }
}

fn is_reader_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::BrokenPipe
}

/// As `println!`, by [`put`].
macro_rules! putln {
    ($($arg:tt)*) => {
        $crate::cli::put(&(format!($($arg)*) + "\n"))
    };
}
pub(crate) use putln;

/// The runtime of a program that executes trials. A debug build's trial needs more stack than a thread has
/// by default.
///
/// # Errors
/// When the operating system gives no threads.
pub fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.thread_stack_size(STACK_BYTES).enable_all().build()
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    /// Blocks its thread on a future, as a container's `Drop` may.
    struct BlocksInDrop;

    impl Drop for BlocksInDrop {
        fn drop(&mut self) {
            let handle = tokio::runtime::Handle::current();
            let pause = tokio::time::sleep(Duration::from_millis(100));
            tokio::task::block_in_place(move || handle.block_on(pause));
        }
    }

    /// Two slots are removed side by side, and one of them blocks while the other is woken.
    async fn two_slots() {
        let moment = |ms| tokio::time::sleep(Duration::from_millis(ms));
        let wakes = async {
            moment(50).await;
            moment(50).await;
        };
        let blocks = async {
            let _held = BlocksInDrop;
            moment(60).await;
        };
        tokio::join!(wakes, blocks);
    }

    #[test]
    fn a_wake_up_that_comes_while_a_drop_blocks_is_not_lost() {
        let (ended, end) = mpsc::channel();
        // Not joined: where the wake-up is lost it never ends.
        std::thread::spawn(move || {
            let mut builder = tokio::runtime::Builder::new_multi_thread();
            let runtime = builder.worker_threads(2).enable_all().build().unwrap();
            drive(&runtime, two_slots());
            ended.send(())
        });
        assert_eq!(end.recv_timeout(Duration::from_secs(20)), Ok(()), "it hangs");
    }
}
