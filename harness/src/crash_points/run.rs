//! Runs a hunt as one campaign, and writes what it found: `crash-points.json`.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use records::coverage::{self, Coverage, CoverageError};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::hunt::{Entry, Hunt, HuntOptions};
use crate::campaign::{
    self, CampaignError, CampaignOptions, CampaignOutcome, Dealer, Ground, Work,
};
use crate::prepare::Prepared;

/// The list's file in a run's directory.
pub const LIST_FILE: &str = "crash-points.json";

/// What a crash-point run came to.
#[derive(Debug)]
pub struct CrashPointRun {
    /// Its campaign.
    pub outcome: CampaignOutcome,
    /// All points.
    pub entries: Vec<Entry>,
}

/// A crash-point run failed.
#[derive(Debug, thiserror::Error)]
pub enum CrashPointError {
    /// The campaign failed.
    #[error("the crash points could not be tried")]
    Campaign(#[source] CampaignError),
    /// A coverage file cannot be read or written.
    #[error("the coverage cannot be kept")]
    Coverage(#[source] CoverageError),
}

/// A point as the list's file has it.
#[derive(Debug, Serialize)]
struct Line<'a> {
    script: &'a str,
    #[serde(flatten)]
    listed: &'a super::enumerate::Listed,
    count: u32,
    example: &'a str,
}

/// Records, lists, and strikes; `keep` is a coverage file that accumulates over runs.
///
/// # Errors
/// When the campaign cannot run; what fails later is part of its outcome.
pub async fn run(
    hunt: HuntOptions,
    campaign: CampaignOptions,
    keep: Option<&Path>,
    stop: &CancellationToken,
    say: &(dyn Fn(&str) + Send + Sync),
) -> Result<CrashPointRun, CrashPointError> {
    let prepared = Prepared::make(&campaign.system, stop, say).await;
    let prepared = prepared.map_err(CampaignError::Prepare).map_err(CrashPointError::Campaign)?;
    run_on(hunt, campaign, prepared.into(), keep, stop, say).await
}

/// As [`run`], on a prepared ground.
///
/// # Errors
/// As [`run`].
pub async fn run_on(
    hunt: HuntOptions,
    mut campaign: CampaignOptions,
    ground: Ground,
    keep: Option<&Path>,
    stop: &CancellationToken,
    say: &(dyn Fn(&str) + Send + Sync),
) -> Result<CrashPointRun, CrashPointError> {
    let seed = hunt.frame.seed;
    let hunt = Arc::new(Mutex::new(Hunt::new(hunt)));
    campaign.work = Work::Dealt { seed, dealer: Arc::clone(&hunt) as Arc<Mutex<dyn Dealer>> };
    let mut outcome =
        campaign::run_on(&campaign, ground, stop, say).await.map_err(CrashPointError::Campaign)?;
    let hunt = hunt.lock().unwrap_or_else(PoisonError::into_inner);
    let entries = hunt.entries().to_vec();
    // What cannot be kept shall not hide what was found.
    outcome.failures.extend(write_list(&outcome.directory, &entries).err());
    if let Some(keep) = keep {
        let added = add_to(keep, hunt.coverage().clone());
        outcome.failures.extend(added.map_err(CampaignError::Coverage).err());
    }
    Ok(CrashPointRun { outcome, entries })
}

/// Adds to a coverage file that accumulates over runs.
fn add_to(keep: &Path, more: Coverage) -> Result<(), CoverageError> {
    let known = if keep.exists() { coverage::load(keep)? } else { Coverage::default() };
    coverage::save(&known.merge(more), keep)
}

/// The coverage of earlier runs; empty when there is no such file yet.
///
/// # Errors
/// When it cannot be read.
pub fn load_if_any(path: &Path) -> Result<Coverage, CrashPointError> {
    if path.exists() {
        coverage::load(path).map_err(CrashPointError::Coverage)
    } else {
        Ok(Coverage::default())
    }
}

fn write_list(directory: &Path, entries: &[Entry]) -> Result<(), CampaignError> {
    let path = directory.join(LIST_FILE);
    let lines: Vec<Line<'_>> = entries
        .iter()
        .map(|entry| Line {
            script: entry.script.name,
            listed: &entry.listed,
            count: entry.kind.count_min,
            example: &entry.kind.example,
        })
        .collect();
    let text = serde_json::to_string_pretty(&lines).map_err(std::io::Error::other);
    text.and_then(|text| std::fs::write(&path, text + "\n"))
        .map_err(|source| CampaignError::Write { path, source })
}
