//! `vdiff-chaos`: hands the command line to the harness, and features to the scenarios.

use std::process::ExitCode;

use harness::cli::{self, FeatureRequest, FeatureRun};
use scenarios::Options;
use scenarios::args::Arguments;

fn main() -> ExitCode {
    cli::main(std::env::args_os(), &|request, stop| Box::pin(run(request, stop)))
}

async fn run(
    request: FeatureRequest,
    stop: &tokio_util::sync::CancellationToken,
) -> Result<FeatureRun, cli::FeatureError> {
    let options = Options {
        features: request.directory,
        arguments: Arguments { filters: request.names, ..Arguments::default() },
        floor: None,
        directory: request.out,
        images: request.images,
        clean_tablet: request.clean_tablet,
    };
    let outcome = scenarios::run(&options, stop).await?;
    Ok(FeatureRun {
        scenarios: outcome.counts.scenarios,
        landed: outcome.counts.landed,
        reasons: outcome.reasons,
        report: outcome.report,
    })
}
