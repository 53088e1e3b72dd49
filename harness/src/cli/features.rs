//! `features`. The steps lie in a crate above this one, so the program hands their runner in.

use std::path::{Path, PathBuf};
use std::pin::Pin;

use tokio_util::sync::CancellationToken;

use super::arguments::FeaturesArgs;
use super::{Exit, Failure, putln};
use crate::systems::SystemOptions;

/// Runs features.
pub type FeatureRunner =
    dyn for<'a> Fn(
        FeatureRequest,
        &'a CancellationToken,
    ) -> Pin<Box<dyn Future<Output = Result<FeatureRun, FeatureError>> + 'a>>;

/// Why features were not run.
#[derive(Debug, thiserror::Error)]
pub enum FeatureError {
    /// The features are wrong, and nothing was started.
    #[error(transparent)]
    Features(Box<dyn std::error::Error + Send + Sync>),
    /// The harness failed.
    #[error(transparent)]
    Harness(Box<dyn std::error::Error + Send + Sync>),
}

/// Which features to run.
#[derive(Clone, Debug)]
pub struct FeatureRequest {
    /// A directory of .feature files, or one of them.
    pub directory: PathBuf,
    /// Parts of names of scenarios; empty: all.
    pub names: Vec<String>,
    /// Where journals and reports go.
    pub out: PathBuf,
    /// Which images.
    pub system: SystemOptions,
    /// Known bugs that scenarios name stay off.
    pub clean_tablet: bool,
}

/// What a feature run came to.
#[derive(Clone, Debug)]
pub struct FeatureRun {
    /// With which code to exit.
    pub exit: Exit,
    /// Scenarios that ran.
    pub scenarios: u64,
    /// Scenarios that say nothing.
    pub inconclusive: u64,
    /// Faults that landed.
    pub landed: u64,
    /// Why it is not green; empty when it is.
    pub reasons: Vec<String>,
    /// What did not hold, and is excused by a tag.
    pub excused: Vec<String>,
    /// The page to read.
    pub report: PathBuf,
}

pub(super) async fn run(
    args: FeaturesArgs,
    features: &FeatureRunner,
    stop: &CancellationToken,
) -> Result<Exit, Failure> {
    let fresh =
        || Path::new("reports/runs").join(format!("features-{}", engine::docker::Run::fresh_id()));
    let out = args.out.out.unwrap_or_else(fresh);
    let request = FeatureRequest {
        directory: args.directory,
        names: args.names,
        out: out.clone(),
        system: args.images.system(false)?,
        clean_tablet: args.clean_tablet,
    };
    let run = features(request, stop).await.map_err(|error| match &error {
        FeatureError::Features(_) => Failure::usage(&error),
        FeatureError::Harness(_) => Failure::harness(&error),
    })?;
    if let Some(junit) = &args.out.junit {
        std::fs::copy(out.join("junit.xml"), junit).map_err(|error| Failure::harness(&error))?;
    }
    for excused in &run.excused {
        putln!("excused  {excused}");
    }
    let word = match run.exit {
        Exit::Pass => "PASS",
        Exit::Finding => "FAIL",
        Exit::Inconclusive | Exit::Harness | Exit::Usage => "UNCLEAR",
    };
    for reason in &run.reasons {
        putln!("{word:<8} {reason}");
    }
    let unclear = match run.inconclusive {
        0 => String::new(),
        count => format!(", {count} inconclusive"),
    };
    putln!("{word:<8} {} scenarios, {} faults landed{unclear}", run.scenarios, run.landed);
    putln!("report   {}", run.report.display());
    Ok(run.exit)
}
