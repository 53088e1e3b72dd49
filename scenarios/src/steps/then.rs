//! What must hold.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use cucumber::then;
use harness::observer::ProcessState;
use records::journal::Event;
use records::verdict::Invariant;

use crate::world::World;

/// An effect that was awaited before is seen in MySQL in this time.
const SEEN_WITHIN: Duration = Duration::from_secs(5);

#[then(expr = "it is ready within {int} seconds and stays ready for {int} seconds")]
async fn ready(world: &mut World, within: u64, holds: u64) -> anyhow::Result<()> {
    world.wait_ready(Duration::from_secs(within), Duration::from_secs(holds)).await
}

#[then(expr = "the VDiff completes within {int} seconds")]
async fn completes(world: &mut World, within: u64) -> anyhow::Result<()> {
    world.wait_settled_as("completed", Duration::from_secs(within)).await
}

#[then(expr = "the VDiff resumes by itself and completes within {int} seconds")]
async fn resumes(world: &mut World, within: u64) -> anyhow::Result<()> {
    ensure!(!world.was_resumed_by_hand(), "an operator resumed it in this scenario");
    world.wait_settled_as("completed", Duration::from_secs(within)).await
}

#[then("the VDiff is stopped")]
async fn stopped(world: &mut World) -> anyhow::Result<()> {
    world.wait_state("stopped", SEEN_WITHIN).await
}

#[then("the VDiff is gone")]
async fn gone(world: &mut World) -> anyhow::Result<()> {
    let state = world.acted(world.stage()?.progress().await)?.state;
    ensure!(state.is_none(), "expected no row of the VDiff, found it {state:?}");
    Ok(())
}

#[then(expr = "the VDiff pauses because of {string}")]
async fn pauses(world: &mut World, why: String) -> anyhow::Result<()> {
    world.wait_state("error", SEEN_WITHIN).await?;
    let shown = world.shown_error().await?;
    ensure!(shown.contains(&why), "expected an error because of {why:?}, found {shown:?}");
    Ok(())
}

#[then(expr = "it has exited with code {int}")]
async fn exited(world: &mut World, code: i64) -> anyhow::Result<()> {
    let state = world.stage()?.target().state_now();
    let ProcessState::Exited { exit_code, .. } = state else {
        anyhow::bail!("expected the target tablet to have ended, found {state:?}");
    };
    ensure!(exit_code == code, "expected exit code {code}, found {exit_code}");
    Ok(())
}

#[then(expr = "it serves as a replica within {int} seconds")]
async fn demoted(world: &mut World, within: u64) -> anyhow::Result<()> {
    let records = world.stage()?.records();
    let probe = records.into_iter().rev().find_map(|record| match record.event {
        Event::TermProbe { demoted, after_ms } => Some((demoted, after_ms)),
        _ => None,
    });
    let (demoted, after_ms) = probe.context("no newer term was written before")?;
    ensure!(demoted, "still primary {after_ms} ms after the newer term was written");
    ensure!(after_ms <= within * 1_000, "demoted after {after_ms} ms, later than {within} s");
    Ok(())
}

#[then("the VDiff is left for the next primary to resume")]
async fn left(world: &mut World) -> anyhow::Result<()> {
    let state = world.acted(world.stage()?.progress().await)?.state;
    let open = matches!(state.as_deref(), Some("pending" | "started"));
    ensure!(open, "expected it pending or started, found {state:?}");
    Ok(())
}

#[then("it reports exactly the planted differences")]
async fn exact(world: &mut World) -> anyhow::Result<()> {
    world.must_hold(&[Invariant::I4]).await
}

#[then("at most one checkpoint interval was compared twice")]
async fn little_lost(world: &mut World) -> anyhow::Result<()> {
    world.must_hold(&[Invariant::I5]).await
}

#[then("nothing is left behind")]
async fn no_residue(world: &mut World) -> anyhow::Result<()> {
    world.must_hold(&[Invariant::I6, Invariant::I7]).await
}

#[then("the tablet never panicked")]
async fn no_panic(world: &mut World) -> anyhow::Result<()> {
    world.must_hold(&[Invariant::I2]).await
}

#[then("every invariant holds")]
async fn everything(world: &mut World) -> anyhow::Result<()> {
    world.must_hold(&Invariant::ALL).await
}
