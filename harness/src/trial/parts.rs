//! A trial's tablets: how they are specified, created and removed.

use reports::journal::{Event, Side};
use reports::schedule::Schedule;

use super::stage::{SHARD, SOURCE_DB, SOURCE_KEYSPACE, TARGET_DB, TARGET_KEYSPACE};
use super::{ActError, During, Environment};
use crate::journal::Journal;
use crate::observer::side_name;
use crate::tablet::{ContainerTablet, TabletSpec};

/// Names that a trial's tablets share.
pub(super) struct Names<'a> {
    pub(super) stage: &'a str,
    pub(super) sidecar_db: &'a str,
    pub(super) topo_root: &'a str,
}

/// Creates both tablets; neither runs yet. Nothing is left of one when the other fails.
pub(super) async fn create(
    environment: &Environment,
    schedule: &Schedule,
    names: &Names<'_>,
    journal: &Journal,
) -> Result<(ContainerTablet, ContainerTablet), ActError> {
    let [source, target] = [Side::Source, Side::Target].map(|side| {
        let spec = spec(environment, schedule, names, side);
        async move {
            ContainerTablet::launch(spec)
                .await
                .during(format!("creating the {} tablet", side_name(side)))
        }
    });
    match tokio::join!(source, target) {
        (Ok(source), Ok(target)) => Ok((source, target)),
        (Ok(made), Err(error)) | (Err(error), Ok(made)) => {
            remove(&made, journal).await;
            Err(error)
        }
        (Err(error), Err(_)) => Err(error),
    }
}

/// Removes a tablet; one that does not go falls to the run's own removal.
pub(super) async fn remove(tablet: &ContainerTablet, journal: &Journal) {
    if let Err(error) = tablet.remove().await {
        let text = format!("a tablet was not removed: {}", super::chain(&error));
        journal.record(Event::Note { text });
    }
}
