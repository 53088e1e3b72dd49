//! `vdiff-chaos`: hands the command line to the harness, and features to the scenarios.

use std::process::ExitCode;

use harness::cli::{self, FeatureError, FeatureRequest, FeatureRun};
use scenarios::args::Arguments;
use scenarios::{Options, RunError};

fn main() -> ExitCode {
    harness::version::set(env!("VDIFF_CHAOS_BUILD"));
    cli::main(std::env::args_os(), &|request, stop| Box::pin(run(request, stop)))
}

async fn run(
    request: FeatureRequest,
    stop: &tokio_util::sync::CancellationToken,
) -> Result<FeatureRun, FeatureError> {
    let options = Options {
        features: request.directory,
        arguments: Arguments { filters: request.names, ..Arguments::default() },
        floor: None,
        directory: request.out,
        system: request.system,
        clean_tablet: request.clean_tablet,
    };
    let outcome = scenarios::run(&options, stop).await.map_err(|error| match error {
        RunError::Features(bad) => FeatureError::Features(Box::new(bad)),
        RunError::Harness(error) => FeatureError::Harness(error.into()),
    })?;
    Ok(FeatureRun {
        exit: outcome.exit,
        inconclusive: outcome.counts.inconclusive,
        excused: outcome.excused,
        scenarios: outcome.counts.scenarios,
        landed: outcome.counts.landed,
        reasons: outcome.reasons,
        report: outcome.report,
    })
}
