//! What a scenario starts from.

use std::time::Duration;

use anyhow::ensure;
use cucumber::given;
use harness::trial::{SOURCE_KEYSPACE, TARGET_KEYSPACE, WORKFLOW};

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
    let plan = world.plan()?;
    plan.rows = rows;
    plan.tables = tables.split(',').map(|table| table.trim().to_owned()).collect();
    Ok(())
}

#[given(expr = "{int} planted differences")]
async fn with_differences(world: &mut World, differences: u32) -> anyhow::Result<()> {
    world.plant(differences)
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
    Ok(world.stage()?.rest_workflow(false).await?)
}

#[given("the operator has frozen the workflow")]
async fn frozen_workflow(world: &mut World) -> anyhow::Result<()> {
    Ok(world.stage()?.rest_workflow(true).await?)
}

#[given(expr = "a VDiff of {string} is running")]
async fn running(world: &mut World, workflow: String) -> anyhow::Result<()> {
    known("workflow", &workflow, WORKFLOW)?;
    world.create_vdiff().await?;
    world.wait_state("started", RUNNING_WITHIN).await
}
