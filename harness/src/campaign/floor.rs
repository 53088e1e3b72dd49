//! The floor of any restart: how long the engine itself takes from a kill to a running container.
//! Recovery times and trials an hour are read beside it.

use std::time::{Duration, Instant};

use engine::docker::{ContainerSpec, DockerError, Engine, Run};
use engine::images::Images;

/// Cycles measured; the median of an odd number is one of them.
const CYCLES: usize = 3;
/// A killed process is gone in this time.
const EXIT_WITHIN: Duration = Duration::from_secs(10);

/// The median of some cycles from SIGKILL to running, of a container that does nothing, in
/// milliseconds. What it makes is removed.
///
/// # Errors
/// When the engine fails.
pub(super) async fn measure(
    engine: &Engine,
    images: &Images,
    id: &str,
) -> Result<u64, DockerError> {
    let run = Run::begin(engine, &format!("{id}-floor")).await?;
    let measured = cycles(engine, &run, images).await;
    let removed = run.remove().await;
    let mut times_ms = measured?;
    removed?;
    times_ms.sort_unstable();
    Ok(times_ms[times_ms.len() / 2])
}

async fn cycles(engine: &Engine, run: &Run, images: &Images) -> Result<Vec<u64>, DockerError> {
    // An image that is there in any case, whose program lives on without a peer.
    let spec = ContainerSpec {
        what: "floor".to_owned(),
        image: images.etcd.reference.clone(),
        command: ["etcd", "--data-dir=/var/lib/etcd", "--unsafe-no-fsync", "--log-level=error"]
            .map(str::to_owned)
            .to_vec(),
        ..ContainerSpec::default()
    };
    let container = engine.launch(run.site(), spec).await?;
    let mut times_ms = Vec::with_capacity(CYCLES);
    for _ in 0..CYCLES {
        let began = Instant::now();
        engine.kill(container.id(), "SIGKILL").await?;
        engine.wait_exit(container.id(), EXIT_WITHIN).await?;
        engine.start(container.id()).await?;
        times_ms.push(records::millis(began.elapsed()));
    }
    Ok(times_ms)
}
