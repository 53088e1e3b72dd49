//! `judge`, `merge`, `faults`, `memory`, `doctor`, `images`, `clean`.

use std::path::Path;

use reports::schedule::{Fault, Trigger};
use tokio_util::sync::CancellationToken;

use super::arguments::{CleanArgs, ImageArgs, JudgeArgs, MemoryArgs, MergeArgs};
use super::{Exit, Failure, put, putln, say};
use crate::clean::{Reach, sweep_with};
use crate::docker::{Engine, Run};
use crate::ground::GroundError;
use crate::memory::{self, MemoryError, MemoryOptions};
use crate::plan::{self, TriggerKind};

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

pub(super) async fn faults() -> Result<Exit, Failure> {
    putln!(
        "{:<22} {:<42} what it does, and needs; its effect, and what proves it",
        "fault",
        "triggers"
    );
    for fault in Fault::ALL {
        let triggers: Vec<&str> = TriggerKind::ALL
            .into_iter()
            .filter(|kind| fits(fault, *kind))
            .map(TriggerKind::name)
            .collect();
        let facts = fault.facts();
        putln!("{:<22} {:<42} {}", facts.name, triggers.join(", "), facts.does);
        putln!("{:<65} needs {}", "", facts.needs);
        putln!("{:<65} effect: {}", "", facts.effect);
        putln!("{:<65} proven by: {}", "", facts.evidence);
    }
    putln!("\nWhat of it works on this host:");
    doctor().await
}

fn fits(fault: Fault, kind: TriggerKind) -> bool {
    let fits = |trigger: Trigger| plan::works_with(fault, &trigger).is_ok();
    match kind {
        TriggerKind::Time => fits(Trigger::Time { fraction: 0.5 }),
        TriggerKind::Progress => fits(Trigger::Progress { fraction: 0.5 }),
        TriggerKind::Phase => {
            reports::schedule::Phase::ALL.into_iter().any(|phase| fits(Trigger::Phase { phase }))
        }
        TriggerKind::Recovery => fits(Trigger::DuringRecovery { after_ms: 100 }),
        TriggerKind::Overlap => fits(Trigger::DuringFault { after_ms: 100 }),
    }
}

pub(super) async fn memory(args: MemoryArgs, stop: &CancellationToken) -> Result<Exit, Failure> {
    let mut rows = args.rows.clone();
    if let [one] = rows.as_slice() {
        rows.insert(0, (*one / 10).max(100));
    }
    let limit_bytes = args.limit;
    let times = args.times;
    let options = MemoryOptions { rows, times, limit_bytes, images: args.images.options(false) };
    let all = memory::run(&options, stop, &say).await.map_err(|error| match error {
        MemoryError::Plan(_) => Failure::usage(&error),
        MemoryError::Stopped | MemoryError::Ground(GroundError::Stopped) => {
            Failure::stopped(&error)
        }
        _ => Failure::harness(&error),
    })?;
    put(&memory::table(&all, limit_bytes));
    let broken = memory::broken(&all);
    for line in &broken {
        putln!("FAIL     {line}");
    }
    if broken.is_empty() {
        putln!("PASS     memory does not follow the size of the table");
        return Ok(Exit::Pass);
    }
    Ok(Exit::Finding)
}

pub(super) async fn doctor() -> Result<Exit, Failure> {
    let report = crate::doctor::examine().await;
    put(&report.to_string());
    Ok(if report.is_usable() { Exit::Pass } else { Exit::Harness })
}

pub(super) async fn images(args: ImageArgs) -> Result<Exit, Failure> {
    let engine = Engine::connect().await.map_err(|error| Failure::harness(&error))?;
    let images = crate::images::ensure(&engine, &args.options(false), &say)
        .await
        .map_err(|error| Failure::harness(&error))?;
    for (name, image) in [("mysql", images.mysql), ("etcd", images.etcd), ("tablet", images.tablet)]
    {
        putln!("{name:<8} {}  {}", image.reference, image.id);
    }
    Ok(Exit::Pass)
}

pub(super) async fn clean(args: CleanArgs) -> Result<Exit, Failure> {
    let engine = Engine::connect().await.map_err(|error| Failure::harness(&error))?;
    let reach = if args.all { Reach::All } else { Reach::Dead };
    let report = sweep_with(&engine, reach).await.map_err(|error| Failure::harness(&error))?;
    for line in &report.removed {
        putln!("removed  {line}");
    }
    for line in &report.kept {
        putln!("kept     {line}");
    }
    if report.removed.is_empty() {
        putln!("nothing to remove");
    }
    Ok(Exit::Pass)
}
