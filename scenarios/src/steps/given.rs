//! What a scenario starts from.

use std::time::Duration;

use anyhow::ensure;
use cucumber::given;
use harness::plan;
use records::schedule::{Fault, Step, Trigger};
use system::{SOURCE_KEYSPACE, TARGET_KEYSPACE, WORKFLOW};

use super::{Death, Point};
use crate::world::World;

/// A paced diff shows its first rows in this time.
const RUNNING_WITHIN: Duration = Duration::from_secs(20);

fn known(what: &str, said: &str, expected: &str) -> anyhow::Result<()> {
    ensure!(said == expected, "the {what} is \"{expected}\" in this harness, not {said:?}");
    Ok(())
}

#[given(expr = "a source keyspace {string} and a target keyspace {string}")]
async fn keyspaces(_: &mut World, source: String, target: String) -> anyhow::Result<()> {
    known("source keyspace", &source, SOURCE_KEYSPACE)?;
    known("target keyspace", &target, TARGET_KEYSPACE)
}

#[given(expr = "{int} rows in each of the tables {string}")]
async fn with_tables(world: &mut World, rows: u64, tables: String) -> anyhow::Result<()> {
    let plan = &mut world.description()?.plan;
    plan.rows = rows;
    plan.tables = tables.split(',').map(|table| table.trim().to_owned()).collect();
    Ok(())
}

#[given(expr = "{int} planted differences")]
async fn with_differences(world: &mut World, differences: u32) -> anyhow::Result<()> {
    let said = world.description()?;
    said.differences = Some(differences);
    if differences == 0 {
        // None means none: no runs of them either, unless they are asked for.
        said.run_length.get_or_insert(0);
    }
    Ok(())
}

#[given(expr = "planted runs of {int} differences")]
async fn with_runs(world: &mut World, length: u64) -> anyhow::Result<()> {
    world.description()?.run_length = Some(length);
    Ok(())
}

#[given(expr = "data of the seed {int}")]
async fn with_data(world: &mut World, seed: u64) -> anyhow::Result<()> {
    world.description()?.data_seed = Some(seed);
    Ok(())
}

#[given(expr = "a pace of {int} rows per second")]
async fn with_pace(world: &mut World, rows: u64) -> anyhow::Result<()> {
    world.description()?.rows_per_second = Some(rows);
    Ok(())
}

#[given(expr = "a checkpoint every {int} rows or {int} milliseconds")]
async fn with_checkpoints(world: &mut World, rows: u64, ms: u64) -> anyhow::Result<()> {
    world.description()?.checkpoints = Some((rows, ms));
    Ok(())
}

#[given(expr = "packets of {int} bytes")]
async fn with_packets(world: &mut World, bytes: u64) -> anyhow::Result<()> {
    world.description()?.packet_bytes = Some(bytes);
    Ok(())
}

#[given(expr = "{int} bytes of memory for the tablet")]
async fn with_memory(world: &mut World, bytes: u64) -> anyhow::Result<()> {
    world.description()?.memory_bytes = Some(bytes);
    Ok(())
}

#[given("links of the target tablet that pass the wire proxy")]
async fn proxied(world: &mut World) -> anyhow::Result<()> {
    world.description()?.proxied = true;
    Ok(())
}

#[given("nobody who asks the tablets while the VDiff is waited for")]
async fn unwatched(world: &mut World) -> anyhow::Result<()> {
    world.description()?.unwatched = true;
    Ok(())
}

#[given(expr = "a tablet with the known bug {string}")]
async fn with_bug(world: &mut World, bug: String) -> anyhow::Result<()> {
    let bug = plan::parse_bug(&bug).map_err(anyhow::Error::msg)?;
    world.with_bug(bug)
}

#[given(expr = "the target tablet will be {death} {point}")]
async fn will_die(world: &mut World, death: Death, point: Point) -> anyhow::Result<()> {
    at_point(world, death.into(), point)
}

#[given(expr = "the fault {string} will strike {point}")]
async fn will_strike(world: &mut World, fault: String, point: Point) -> anyhow::Result<()> {
    let fault = plan::parse_fault(&fault).map_err(anyhow::Error::msg)?;
    at_point(world, fault, point)
}

/// Armed before the tablet starts; checked when the workflow is created.
fn at_point(world: &mut World, fault: Fault, point: Point) -> anyhow::Result<()> {
    let trigger = Trigger::CrashPoint { point: point.0 };
    world.description()?.points.push(Step::new(trigger, fault));
    Ok(())
}

#[given(expr = "a workflow {string} from {string} to {string}")]
async fn with_workflow(
    world: &mut World,
    workflow: String,
    source: String,
    target: String,
) -> anyhow::Result<()> {
    known("workflow", &workflow, WORKFLOW)?;
    known("source keyspace", &source, SOURCE_KEYSPACE)?;
    known("target keyspace", &target, TARGET_KEYSPACE)?;
    world.open().await
}

#[given("the operator has stopped the workflow")]
async fn stopped_workflow(world: &mut World) -> anyhow::Result<()> {
    world.acted(world.stage()?.rest_workflow(false).await)
}

#[given("the operator has frozen the workflow")]
async fn frozen_workflow(world: &mut World) -> anyhow::Result<()> {
    world.acted(world.stage()?.rest_workflow(true).await)
}

#[given(expr = "a VDiff of {string} is running")]
async fn running(world: &mut World, workflow: String) -> anyhow::Result<()> {
    known("workflow", &workflow, WORKFLOW)?;
    world.open_if_not().await?;
    world.create_vdiff().await?;
    world.wait_state("started", RUNNING_WITHIN).await
}
