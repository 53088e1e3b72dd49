//! Looks for what dead incarnations left in the databases and in the topology.

use std::time::{Duration, Instant};

use records::journal::{Event, Residue, Side};

use super::{ActError, During, Stage};
use crate::observer::ProcessState;

/// What a dead incarnation held must be gone in this time: the life of its lease, and what etcd and
/// MySQL need to notice.
const GONE_WITHIN: Duration = Duration::from_secs(8);
/// Not more often: the server refreshes its list of transactions only when it is left alone for 100 ms.
const LOOK: Duration = Duration::from_millis(250);

impl Stage {
    /// Looks until nothing is left, or the time in which it must be gone is over; records the last
    /// look.
    ///
    /// # Errors
    /// When MySQL or etcd do not answer.
    pub async fn look_for_residue(&self) -> Result<Residue, ActError> {
        let began = Instant::now();
        let mut tick = tokio::time::interval(LOOK);
        loop {
            tick.tick().await;
            let residue = self.residue().await?;
            if residue.is_clean() || began.elapsed() >= GONE_WITHIN {
                self.journal().record(Event::Residue(residue.clone()));
                return Ok(residue);
            }
        }
    }

    async fn residue(&self) -> Result<Residue, ActError> {
        let lives =
            |side: &Side| matches!(self.tablet(*side).state_now(), ProcessState::Running { .. });
        let living: Vec<Side> = [Side::Source, Side::Target].into_iter().filter(lives).collect();
        self.topology().residue(&living).await.during("looking for residue")
    }
}
