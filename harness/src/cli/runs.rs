//! `judge`, `merge`: what is done with the directories of runs.

use std::path::Path;

use super::arguments::{JudgeArgs, MergeArgs};
use super::{Exit, Failure, put};
use engine::docker::Run;

pub(super) fn judge(args: &JudgeArgs) -> Result<Exit, Failure> {
    let judged = crate::judge::judge_run(&args.run).map_err(|error| Failure::usage(&error))?;
    let page = args.run.join("index.html");
    let text = reports::render::terminal::render(&judged.summary, &page.display().to_string());
    put(&text);
    Ok(judged.summary.verdict.into())
}

pub(super) fn merge(args: &MergeArgs) -> Result<Exit, Failure> {
    let fresh = || Path::new("reports/runs").join(format!("{}-merged", Run::fresh_id()));
    let out = args.out.out.clone().unwrap_or_else(fresh);
    let merged = crate::merge::merge(&args.runs, &out).map_err(|error| match error.is_usage() {
        true => Failure::usage(&error),
        false => Failure::harness(&error),
    })?;
    if let Some(junit) = &args.out.junit {
        let text = reports::render::junit::render(&merged.summary, &merged.trials);
        std::fs::write(junit, text).map_err(|error| Failure::harness(&error))?;
    }
    let page = out.join("index.html");
    let text = reports::render::terminal::render(&merged.summary, &page.display().to_string());
    put(&text);
    Ok(merged.summary.verdict.into())
}
