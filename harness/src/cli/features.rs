//! `features`. The steps lie in a crate above this one, so the program hands their runner in.

use std::path::{Path, PathBuf};
use std::pin::Pin;

use tokio_util::sync::CancellationToken;

use super::arguments::FeaturesArgs;
use super::{Exit, Failure};
use crate::images::ImageOptions;

/// Runs features.
pub type FeatureRunner =
    dyn for<'a> Fn(
        FeatureRequest,
        &'a CancellationToken,
    ) -> Pin<Box<dyn Future<Output = Result<FeatureRun, FeatureError>> + 'a>>;

/// Why features could not be run: an error and its causes.
pub type FeatureError = Box<dyn std::error::Error + Send + Sync>;

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
    pub images: ImageOptions,
    /// Known bugs that scenarios name stay off.
    pub clean_tablet: bool,
}

/// What a feature run came to.
#[derive(Clone, Debug)]
pub struct FeatureRun {
    /// Scenarios that ran.
    pub scenarios: u64,
    /// Faults that landed.
    pub landed: u64,
    /// Why it is not green; empty when it is.
    pub reasons: Vec<String>,
    /// The page to read.
    pub report: PathBuf,
}

pub(super) async fn run(
    args: FeaturesArgs,
    features: &FeatureRunner,
    stop: &CancellationToken,
) -> Result<Exit, Failure> {
    let fresh =
        || Path::new("reports/runs").join(format!("features-{}", crate::docker::Run::fresh_id()));
    let out = args.out.out.unwrap_or_else(fresh);
    let request = FeatureRequest {
        directory: args.directory,
        names: args.names,
        out: out.clone(),
        images: args.images.options(false),
        clean_tablet: args.clean_tablet,
    };
    let mut run =
        features(request, stop).await.map_err(|error| Failure::harness(error.as_ref()))?;
    if run.scenarios == 0 && run.reasons.is_empty() {
        run.reasons
            .push("nothing was tried: no scenario has one of these texts in its name".to_owned());
    }
    if let Some(junit) = &args.out.junit {
        std::fs::copy(out.join("junit.xml"), junit).map_err(|error| Failure::harness(&error))?;
    }
    for reason in &run.reasons {
        println!("FAIL     {reason}");
    }
    let verdict = if run.reasons.is_empty() { "PASS" } else { "FAIL" };
    println!("{verdict}     {} scenarios, {} faults landed", run.scenarios, run.landed);
    println!("report   {}", run.report.display());
    Ok(match (run.reasons.is_empty(), run.scenarios, stop.is_cancelled()) {
        (_, _, true) | (_, 0, _) => Exit::Inconclusive,
        (true, _, _) => Exit::Pass,
        (false, _, _) => Exit::Finding,
    })
}
