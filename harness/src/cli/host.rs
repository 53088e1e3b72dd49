//! `faults`, `doctor`, `images`, `clean`: what this host offers, and what lies on it.

use records::schedule::{Fault, Trigger};

use super::arguments::{CleanArgs, ImageArgs};
use super::{Exit, Failure, put, putln, say};
use crate::plan::TriggerKind;
use engine::clean::{Reach, sweep_with};
use engine::docker::Engine;

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
    let fits = |trigger: Trigger| fault.works_with(&trigger).is_ok();
    match kind {
        TriggerKind::Time => fits(Trigger::Time { fraction: 0.5 }),
        TriggerKind::Progress => fits(Trigger::Progress { fraction: 0.5 }),
        TriggerKind::Phase => {
            records::schedule::Phase::ALL.into_iter().any(|phase| fits(Trigger::Phase { phase }))
        }
        TriggerKind::Recovery => fits(Trigger::DuringRecovery { after_ms: 100 }),
        TriggerKind::Overlap => fits(Trigger::DuringFault { after_ms: 100 }),
    }
}

pub(super) async fn doctor() -> Result<Exit, Failure> {
    let report = crate::doctor::examine().await;
    put(&report.to_string());
    Ok(if report.is_usable() { Exit::Pass } else { Exit::Harness })
}

pub(super) async fn images(args: ImageArgs) -> Result<Exit, Failure> {
    let engine = Engine::connect().await.map_err(|error| Failure::harness(&error))?;
    let images = engine::images::ensure(&engine, &args.of_tablet(false)?, &say)
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
