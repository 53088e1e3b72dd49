//! Looks for what dead incarnations left in MySQL and etcd.

mod in_etcd;
mod in_mysql;

use std::time::{Duration, Instant};

use records::journal::{Event, Residue, Side};

use super::{ActError, Stage};

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
        let (source, target, etcd) = tokio::try_join!(
            self.mysql_residue(Side::Source),
            self.mysql_residue(Side::Target),
            self.etcd_residue()
        )?;
        let mut residue = source;
        residue.take_in(target);
        residue.take_in(etcd);
        Ok(residue)
    }
}
