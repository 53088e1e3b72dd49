//! The program `tablet`: reads options, runs, exits.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use tablet::config::{Config, Settings};
use tablet::exit::Exit;
use tablet::vdiff::VdiffEngines;
use tablet::{logging, panics, run};

/// For threads that are still inside the operating system (name look-ups) at the end.
const LINGER: Duration = Duration::from_millis(300);

fn main() -> ExitCode {
    logging::install();
    let fatal = panics::install();
    let config = match Config::try_parse() {
        Ok(config) => config,
        Err(error) if !error.use_stderr() => {
            return if error.print().is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
        }
        Err(error) => return usage(&error),
    };
    let settings = match Settings::load(config) {
        Ok(settings) => settings,
        Err(error) => return Exit::Usage(tablet::error_chain(&error)).report(),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Exit::Fatal(format!("no runtime: {error}")).report(),
    };
    let exit =
        runtime.block_on(run::run(settings, |deps| Arc::new(VdiffEngines::new(deps)), fatal));
    runtime.shutdown_timeout(LINGER);
    exit.report()
}

/// A person gets the parser's own text, everybody the record.
fn usage(error: &clap::Error) -> ExitCode {
    let printed = std::io::stderr().is_terminal().then(|| error.print());
    drop(printed);
    Exit::Usage(error.to_string().trim().to_owned()).report()
}
