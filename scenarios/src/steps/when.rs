//! What goes wrong, and what supervisors and operators do.

use cucumber::when;
use harness::plan::{self, PlanOptions, TriggerKind};
use records::schedule::{Fault, Step};

use super::{At, Death, FaultPhrase, Manner};
use crate::world::World;

#[when(expr = "the target tablet is {death} {moment}")]
#[when(expr = "the target tablet is {death} again {moment}")]
async fn dies(world: &mut World, death: Death, at: At) -> anyhow::Result<()> {
    world.strike(at.0, death.into()).await
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

#[when("the target tablet is killed")]
async fn killed(world: &mut World) -> anyhow::Result<()> {
    world.strike_now(Fault::Sigkill).await
}

#[when(expr = "the target tablet is killed {moment}, and the operator deletes the VDiff's row")]
async fn row_surgery(world: &mut World, at: At) -> anyhow::Result<()> {
    world.strike(at.0, Fault::RowSurgery).await
}

#[when(expr = "the target tablet and its MySQL die together {moment}")]
async fn host_crash(world: &mut World, at: At) -> anyhow::Result<()> {
    world.strike(at.0, Fault::HostCrash).await
}

#[when("etcd is restarted")]
async fn etcd_restart(world: &mut World) -> anyhow::Result<()> {
    world.strike_now(Fault::EtcdRestart).await
}

#[when(expr = "etcd is restarted {moment}")]
async fn etcd_restart_at(world: &mut World, at: At) -> anyhow::Result<()> {
    world.strike(at.0, Fault::EtcdRestart).await
}

#[when(expr = "the fault {string} strikes {moment}")]
async fn any_fault(world: &mut World, fault: String, at: At) -> anyhow::Result<()> {
    any_fault_so(world, fault, Manner { link: None, lasts_ms: None }, at).await
}

#[when(expr = "the fault {string} strikes {manner} {moment}")]
async fn any_fault_so(
    world: &mut World,
    fault: String,
    manner: Manner,
    at: At,
) -> anyhow::Result<()> {
    let fault = plan::parse_fault(&fault).map_err(anyhow::Error::msg)?;
    fault.works_with(&at.0).map_err(anyhow::Error::msg)?;
    let Manner { link, lasts_ms } = manner;
    world.strike_with(Step { trigger: at.0, fault, lasts_ms, link }).await
}

#[when("the crash points are behind it")]
async fn points_passed(world: &mut World) -> anyhow::Result<()> {
    world.pass_points().await
}

#[when(expr = "a reader of the source's rows goes away {moment}")]
async fn rpc_drop(world: &mut World, at: At) -> anyhow::Result<()> {
    world.strike(at.0, Fault::RpcDrop).await
}

#[when(expr = "the target tablet's memory fills up slowly {moment}")]
async fn squeeze(world: &mut World, at: At) -> anyhow::Result<()> {
    world.strike(at.0, Fault::MemorySqueeze).await
}

#[when(expr = "{harm} {moment}")]
async fn befalls(world: &mut World, harm: FaultPhrase, at: At) -> anyhow::Result<()> {
    world.strike(at.0, harm.0).await
}

#[when(expr = "the target tablet is frozen for {int} milliseconds {moment}")]
async fn freeze(world: &mut World, lasts_ms: u64, at: At) -> anyhow::Result<()> {
    world.strike_for(at.0, Fault::Freeze, lasts_ms).await
}

#[when("that is over")]
async fn over(world: &mut World) -> anyhow::Result<()> {
    world.heal_all().await
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

#[when(expr = "the operator stops the VDiff {moment}")]
async fn stop(world: &mut World, at: At) -> anyhow::Result<()> {
    world.strike(at.0, Fault::Cancel).await
}

#[when(expr = "the operator deletes the VDiff {moment}")]
async fn delete(world: &mut World, at: At) -> anyhow::Result<()> {
    world.strike(at.0, Fault::Delete).await
}

#[when("another tablet becomes the primary of the target shard")]
async fn usurp(world: &mut World) -> anyhow::Result<()> {
    let stage = world.stage()?;
    if let Some(refused) = stage.environment().survey.refuses_fault(Fault::Demote) {
        return Err(world.skip(refused.to_string()));
    }
    world.acted(stage.probe_term().await)
}
