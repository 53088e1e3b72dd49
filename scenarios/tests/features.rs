//! `cargo test` runs the project's features from here, on real containers.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use harness::cli::Exit;
use scenarios::args::Arguments;
use scenarios::record::Floor;
use scenarios::{BadFeatures, Options, RunError};
use tokio_util::sync::CancellationToken;

fn main() -> ExitCode {
    let arguments = match Arguments::parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(error) => {
            eprintln!("error: {error}");
            return Exit::Usage.into();
        }
    };
    let exit = execute(arguments).unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        let is_input = error.is::<BadFeatures>()
            || matches!(error.downcast_ref(), Some(RunError::Features(_)));
        if is_input { Exit::Usage } else { Exit::Harness }
    });
    exit.into()
}

fn execute(arguments: Arguments) -> anyhow::Result<Exit> {
    let options = options(arguments)?;
    if options.arguments.list {
        for name in scenarios::list(&options)? {
            println!("{name}: test");
        }
        return Ok(Exit::Pass);
    }
    let runtime = harness::cli::runtime()?;
    let outcome = runtime.block_on(async {
        let stop = CancellationToken::new();
        let interrupt = tokio::signal::ctrl_c();
        let run = scenarios::run(&options, &stop);
        tokio::pin!(run);
        tokio::select! {
            outcome = &mut run => outcome,
            _ = interrupt => {
                eprintln!("stopping: removing containers, writing reports");
                stop.cancel();
                run.await
            }
        }
    })?;
    let counts = &outcome.counts;
    println!("report   {}", outcome.report.display());
    println!("landed   {} faults in {} scenarios", counts.landed, counts.scenarios);
    for excused in &outcome.excused {
        println!("excused  {excused}");
    }
    for reason in &outcome.reasons {
        println!("FAIL     {reason}");
    }
    // The closing line of a test run, as runners read it.
    let verdict = if outcome.exit == Exit::Pass { "ok" } else { "FAILED" };
    let not_passed = counts.failed + counts.inconclusive + counts.harness;
    println!(
        "test result: {verdict}. {} passed; {not_passed} failed; 0 ignored; 0 measured; 0 filtered out",
        counts.scenarios - not_passed,
    );
    Ok(outcome.exit)
}

fn options(arguments: Arguments) -> anyhow::Result<Options> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize()?;
    let features: PathBuf = root.join("features");
    let floor = features.join("floor.json");
    let text = std::fs::read_to_string(&floor)
        .with_context(|| format!("cannot read {}", floor.display()))?;
    let floor: Floor = serde_json::from_str(&text)
        .with_context(|| format!("{} is not a floor", floor.display()))?;
    let run = format!("features-{}", engine::docker::Run::fresh_id());
    Ok(Options {
        features,
        arguments,
        floor: Some(floor),
        directory: root.join("reports/runs").join(run),
        system: harness::systems::SystemOptions::default(),
        clean_tablet: false,
    })
}
