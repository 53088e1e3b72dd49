//! The command line: one file a command, one exit code an outcome.

mod arguments;
mod campaigns;
mod crash_points;
mod exit;
mod features;
mod others;
mod shrink;
mod signals;
mod values;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;
use tracing_subscriber::EnvFilter;

pub use arguments::{Cli, Command};
pub use exit::Exit;
pub use features::{FeatureError, FeatureRequest, FeatureRun, FeatureRunner};

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
            if error.print().is_err() {
                return Exit::Harness.into();
            }
            return exit.into();
        }
    };
    let filter =
        EnvFilter::try_from_env("VDIFF_CHAOS_LOG").unwrap_or_else(|_| EnvFilter::new("error"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: cannot start the runtime: {error}");
            return Exit::Harness.into();
        }
    };
    let exit = runtime.block_on(execute(cli.command, features));
    // What is left (a blocking read of a dead socket, say) shall not hold up the exit.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    exit.into()
}

async fn execute(command: Command, features: &FeatureRunner) -> Exit {
    let stop = match signals::on_interrupt() {
        Ok(stop) => stop,
        Err(error) => {
            eprintln!("error: cannot listen to signals: {error}");
            return Exit::Harness;
        }
    };
    let outcome = match command {
        Command::Run(args) => campaigns::run(*args, &stop).await,
        Command::CrashPoints(command) => crash_points::execute(command, &stop).await,
        Command::Replay(args) => campaigns::replay(args, &stop).await,
        Command::Shrink(args) => shrink::run(*args, &stop).await,
        Command::Zoo(args) => campaigns::zoo(args, &stop).await,
        Command::Judge(args) => others::judge(&args),
        Command::Merge(args) => others::merge(&args),
        Command::Features(args) => features::run(args, features, &stop).await,
        Command::Faults => others::faults().await,
        Command::Memory(args) => others::memory(args, &stop).await,
        Command::Doctor => others::doctor().await,
        Command::Images(args) => others::images(args).await,
        Command::Clean(args) => others::clean(args).await,
    };
    match outcome {
        Ok(exit) => exit,
        Err(failure) => {
            eprintln!("error: {}", failure.text);
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
    /// The user asked for something impossible.
    pub(crate) fn usage(error: &dyn std::error::Error) -> Failure {
        Failure { exit: Exit::Usage, text: crate::trial::chain(error) }
    }

    /// The user stopped it before there was anything to report.
    pub(crate) fn stopped(error: &dyn std::error::Error) -> Failure {
        Failure { exit: Exit::Inconclusive, text: crate::trial::chain(error) }
    }

    /// The harness failed.
    pub(crate) fn harness(error: &dyn std::error::Error) -> Failure {
        Failure { exit: Exit::Harness, text: crate::trial::chain(error) }
    }
}

/// Lines for the user, apart from results: on standard error.
pub(crate) fn say(line: &str) {
    eprintln!("{line}");
}
