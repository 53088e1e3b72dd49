//! What goes wrong, and what supervisors and operators do.

use cucumber::when;
use harness::plan::{self, PlanOptions, TriggerKind};
use reports::schedule::{Fault, Trigger};

use super::{Death, Harm, InPhase, at};
use crate::world::World;

#[when(expr = "the target tablet is {death} at {int}% of the diff")]
async fn dies(world: &mut World, death: Death, percent: u8) -> anyhow::Result<()> {
    world.strike(at(percent), death.into()).await
}

#[when(expr = "the target tablet is killed at a random moment of the diff, seed {int}")]
async fn random_death(world: &mut World, seed: u64) -> anyhow::Result<()> {
    let one = PlanOptions {
        faults: vec![Fault::Sigkill],
        triggers: vec![TriggerKind::Time],
        ..PlanOptions::default()
    };
    let drawn = plan::schedule(seed, 0, &one)?;
    let step = drawn.steps.first().cloned();
    let step = step.ok_or_else(|| anyhow::anyhow!("the seed draws no step"))?;
    world.strike(step.trigger, step.fault).await
}

#[when(expr = "the target tablet is {death} in the {phase} phase")]
async fn death_in_phase(world: &mut World, death: Death, phase: InPhase) -> anyhow::Result<()> {
    world.strike(Trigger::Phase { phase: phase.0 }, death.into()).await
}

#[when(expr = "the target tablet is killed again {int} milliseconds after its start")]
async fn again(world: &mut World, after_ms: u64) -> anyhow::Result<()> {
    world.strike(Trigger::DuringRecovery { after_ms }, Fault::Sigkill).await
}

#[when("the target tablet is killed")]
async fn killed(world: &mut World) -> anyhow::Result<()> {
    world.strike_now(Fault::Sigkill).await
}

#[when(
    expr = "the target tablet is killed at {int}% of the diff, and the operator deletes the VDiff's row"
)]
async fn row_surgery(world: &mut World, percent: u8) -> anyhow::Result<()> {
    world.strike(at(percent), Fault::RowSurgery).await
}

#[when(expr = "the target tablet and its MySQL die together at {int}% of the diff")]
async fn host_crash(world: &mut World, percent: u8) -> anyhow::Result<()> {
    world.strike(at(percent), Fault::HostCrash).await
}

#[when("etcd is restarted")]
async fn etcd_restart(world: &mut World) -> anyhow::Result<()> {
    world.strike_now(Fault::EtcdRestart).await
}

#[when(expr = "a reader of the source's rows goes away at {int}% of the diff")]
async fn rpc_drop(world: &mut World, percent: u8) -> anyhow::Result<()> {
    world.strike(at(percent), Fault::RpcDrop).await
}

#[when(expr = "the target tablet's memory fills up slowly at {int}% of the diff")]
async fn squeeze(world: &mut World, percent: u8) -> anyhow::Result<()> {
    world.strike(at(percent), Fault::MemorySqueeze).await
}

#[when(expr = "{harm} at {int}% of the diff")]
async fn harm(world: &mut World, harm: Harm, percent: u8) -> anyhow::Result<()> {
    world.strike(at(percent), harm.0).await
}

#[when(expr = "the target tablet is frozen for {int} milliseconds at {int}% of the diff")]
async fn freeze(world: &mut World, lasts_ms: u64, percent: u8) -> anyhow::Result<()> {
    world.strike_for(at(percent), Fault::Freeze, lasts_ms).await
}

#[when("that is over")]
async fn over(world: &mut World) -> anyhow::Result<()> {
    world.heal(&Fault::ALL).await
}

#[when("the supervisor restarts it")]
#[when("the supervisor restarts it, and the operator creates a new VDiff")]
async fn restart(world: &mut World) -> anyhow::Result<()> {
    world
        .heal(&[Fault::Sigkill, Fault::Sigterm, Fault::Oom, Fault::RowSurgery, Fault::HostCrash])
        .await
}

#[when("the memory is released")]
async fn release(world: &mut World) -> anyhow::Result<()> {
    world.heal(&[Fault::MemorySqueeze]).await
}

#[when("the operator resumes the VDiff")]
async fn resume(world: &mut World) -> anyhow::Result<()> {
    world.heal(&[Fault::Cancel]).await
}

#[when("the operator creates a new VDiff")]
async fn create(world: &mut World) -> anyhow::Result<()> {
    world.heal(&[Fault::Delete]).await
}

#[when(expr = "the operator stops the VDiff at {int}% of the diff")]
async fn stop(world: &mut World, percent: u8) -> anyhow::Result<()> {
    world.strike(at(percent), Fault::Cancel).await
}

#[when(expr = "the operator deletes the VDiff at {int}% of the diff")]
async fn delete(world: &mut World, percent: u8) -> anyhow::Result<()> {
    world.strike(at(percent), Fault::Delete).await
}

#[when("another tablet becomes the primary of the target shard")]
async fn usurp(world: &mut World) -> anyhow::Result<()> {
    Ok(world.stage()?.probe_term().await?)
}
