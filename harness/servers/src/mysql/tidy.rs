//! What an ended trial leaves on servers that others share is taken away: its database, and the binlogs
//! that no trial reads any more. Hundreds of trials run on one server.

use std::collections::BTreeMap;
use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row};

use super::{MysqlServer, no_answer};
use crate::ClusterError;

/// A call to a server, and all of a trial's tidying there.
const WITHIN: Duration = Duration::from_secs(5);
/// A lock that somebody else has on a table of the database is not waited for longer, in seconds.
const LOCKED_SECONDS: u32 = 3;

/// By trial, the first binlog that its history needs; empty: all of them.
#[derive(Debug, Default)]
pub(super) struct Needed {
    trials: BTreeMap<String, String>,
}

impl Needed {
    /// The first binlog that is to stay when this trial has ended; none: all of them.
    fn ended(&mut self, trial: &str, newest: &str) -> Option<String> {
        self.trials.remove(trial);
        let oldest = self.trials.values().map(String::as_str).min_by_key(|file| order(file));
        Some(oldest.unwrap_or(newest).to_owned()).filter(|file| !file.is_empty())
    }
}

/// `binlog.999999` comes before `binlog.1000000`.
fn order(file: &str) -> (usize, &str) {
    (file.len(), file)
}

impl MysqlServer {
    /// Begins a new binlog for a trial, and keeps it until [`Self::leave`]: its history is read from
    /// there, and not through those of all trials before it.
    ///
    /// # Errors
    /// When MySQL does not do it; then no binlog is purged while the trial runs.
    pub async fn enter(&self, trial: &str) -> Result<(), ClusterError> {
        // Held throughout: who purges meanwhile would not know of it.
        let mut needed = self.needed.lock().await;
        needed.trials.insert(trial.to_owned(), String::new());
        let begun = self.tidying("beginning a binlog", async |conn| {
            conn.query_drop("flush binary logs").await?;
            newest(conn).await
        });
        let file = begun.await?;
        needed.trials.insert(trial.to_owned(), file);
        Ok(())
    }

    /// Drops an ended trial's database, and purges the binlogs that no running trial needs.
    ///
    /// # Errors
    /// When MySQL does not do it in time: then it stays until its server goes.
    pub async fn leave(&self, trial: &str, database: &str) -> Result<(), ClusterError> {
        let mut needed = self.needed.lock().await;
        let dropped = self.tidying("dropping the database of a trial", async |conn| {
            // Not for the binlog: it is no part of any history.
            conn.query_drop("set sql_log_bin = 0").await?;
            conn.query_drop(format!("set lock_wait_timeout = {LOCKED_SECONDS}")).await?;
            conn.query_drop(format!("drop database if exists `{database}`")).await
        });
        let dropped = dropped.await;
        let purged = self.tidying("purging binlogs", async |conn| {
            let newest = newest(conn).await?;
            match needed.ended(trial, &newest) {
                Some(first) => conn.query_drop(format!("purge binary logs to '{first}'")).await,
                None => Ok(()),
            }
        });
        let purged = purged.await;
        needed.trials.remove(trial);
        dropped.and(purged)
    }

    /// By a connection of its own, whose settings end with it.
    async fn tidying<T>(
        &self,
        what: &'static str,
        work: impl AsyncFnOnce(&mut Conn) -> Result<T, mysql_async::Error>,
    ) -> Result<T, ClusterError> {
        let mut conn = self.connect().await?;
        let done = tokio::time::timeout(WITHIN, work(&mut conn)).await;
        let done = done.unwrap_or_else(|_| Err(no_answer()));
        if let Err(error) = conn.disconnect().await {
            tracing::debug!(%error, "a connection for tidying did not close in order");
        }
        done.map_err(self.failed(what))
    }
}

/// The name of the binlog that is written now.
async fn newest(conn: &mut Conn) -> Result<String, mysql_async::Error> {
    let files: Vec<Row> = conn.query("show binary logs").await?;
    Ok(files.last().and_then(|row| row.get::<String, _>(0)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needed(files: &[(&str, &str)]) -> Needed {
        let owned = |(trial, file): &(&str, &str)| ((*trial).to_owned(), (*file).to_owned());
        Needed { trials: files.iter().map(owned).collect() }
    }

    // A binlog that a running trial has begun in is its only history.
    #[test]
    fn what_a_running_trial_needs_is_kept() {
        let mut some = needed(&[("a", "binlog.000003"), ("b", "binlog.000005")]);
        assert_eq!(some.ended("b", "binlog.000006").as_deref(), Some("binlog.000003"));
        assert_eq!(some.ended("a", "binlog.000006").as_deref(), Some("binlog.000006"));
        let mut many = needed(&[("a", "binlog.1000000"), ("b", "binlog.999999"), ("c", "x")]);
        many.trials.remove("c");
        assert_eq!(many.ended("z", "binlog.1000001").as_deref(), Some("binlog.999999"));
    }

    #[test]
    fn a_trial_whose_begin_is_not_known_keeps_them_all() {
        let mut some = needed(&[("a", ""), ("b", "binlog.000005")]);
        assert_eq!(some.ended("b", "binlog.000006"), None);
    }
}
