//! Samples the diff's progress and the tablet's memory, for triggers and pictures.

use std::sync::Arc;
use std::time::Duration;

use mysql_async::prelude::Queryable;
use records::journal::{Event, Sample};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::process::{ProcessState, Supervised};
use super::{load, name, pulse::Pulse};
use crate::journal::Journal;

const EVERY: Duration = Duration::from_millis(50);
/// A query that takes longer is given up; the next one may do better.
const PATIENCE: Duration = Duration::from_millis(800);

/// What is sampled.
#[derive(Clone)]
pub struct SamplerOptions {
    /// The servers; the target's MySQL may move to another port when it is restarted.
    pub servers: Arc<servers::Servers>,
    /// The sidecar database.
    pub sidecar_db: String,
    /// Rows an exact diff processes.
    pub rows_total: u64,
    /// Which VDiff: the newest one that the trial has created.
    pub uuid: watch::Receiver<Option<String>>,
}

/// How far the diff is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Progress {
    /// Which VDiff.
    pub uuid: String,
    /// `_vt.vdiff.state`; none: there is no such row.
    pub state: Option<String>,
    /// `_vt.vdiff.error_kind`, in state `error`.
    pub error_kind: Option<String>,
    /// Sum of rows compared.
    pub rows_compared: u64,
    /// Tables of it that are not completed, with their phases.
    pub tables: Vec<TableProgress>,
}

/// How far one table is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TableProgress {
    /// Its name.
    pub table: String,
    /// `_vt.vdiff_table.state`.
    pub state: String,
    /// `_vt.vdiff_table.phase`.
    pub phase: Option<String>,
    /// Rows compared.
    pub rows_compared: u64,
}

impl Progress {
    /// Reads it from MySQL.
    ///
    /// # Errors
    /// When MySQL does not answer, or the sidecar tables are not there yet.
    pub async fn read(
        pool: &mysql_async::Pool,
        sidecar_db: &str,
        uuid: &str,
    ) -> Result<Progress, mysql_async::Error> {
        let mut conn = pool.get_conn().await?;
        Progress::read_on(&mut conn, sidecar_db, uuid).await
    }

    pub(crate) async fn read_on(
        conn: &mut mysql_async::Conn,
        sidecar_db: &str,
        uuid: &str,
    ) -> Result<Progress, mysql_async::Error> {
        let query = format!(
            "select cast(v.state as char), cast(v.error_kind as char), cast(t.table_name as char), cast(t.state as char), \
             cast(t.phase as char), cast(coalesce(t.rows_compared, 0) as unsigned) \
             from `{sidecar_db}`.vdiff v left join `{sidecar_db}`.vdiff_table t \
             on t.vdiff_id = v.id where v.vdiff_uuid = ? order by t.table_name"
        );
        type Row = (String, Option<String>, Option<String>, Option<String>, Option<String>, u64);
        let rows: Vec<Row> = conn.exec(query, (uuid,)).await?;
        let mut progress = Progress { uuid: uuid.to_owned(), ..Progress::default() };
        for (state, error_kind, table, table_state, phase, rows_compared) in rows {
            progress.state = Some(state);
            progress.error_kind = error_kind;
            progress.rows_compared += rows_compared;
            if let Some(table) = table {
                let state = table_state.unwrap_or_default();
                progress.tables.push(TableProgress { table, state, phase, rows_compared });
            }
        }
        Ok(progress)
    }

    /// Done rows as a fraction of all.
    #[must_use]
    pub fn fraction(&self, rows_total: u64) -> f64 {
        self.rows_compared as f64 / rows_total.max(1) as f64
    }

    /// The table at work.
    #[must_use]
    pub fn at_work(&self) -> Option<&TableProgress> {
        self.tables.iter().find(|table| table.state == "started")
    }

    /// It has come to rest.
    #[must_use]
    pub fn is_completed(&self) -> bool {
        self.state.as_deref() == Some("completed")
    }
}

/// Keeps the latest progress known. Ends when told to.
pub(super) async fn poll_sidecar(
    options: SamplerOptions,
    latest: watch::Sender<Progress>,
    journal: Journal,
    stop: CancellationToken,
) {
    let mut pulse = Pulse::start(&journal, name("sidecar", records::journal::Side::Target));
    stop.run_until_cancelled(async {
        let mut tick = tokio::time::interval(EVERY);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            let uuid = options.uuid.borrow().clone();
            let Some(uuid) = uuid else {
                pulse.beat();
                continue;
            };
            let pool = options.servers.target.pool();
            let read = Progress::read(&pool, &options.sidecar_db, &uuid);
            // MySQL may be down: that was looked at, too.
            if let Ok(Ok(progress)) = tokio::time::timeout(PATIENCE, read).await {
                latest.send_replace(progress);
            }
            pulse.beat();
        }
    })
    .await;
    pulse.stop();
}

/// Samples memory, and records it with the latest progress. Ends when told to.
pub(super) async fn poll_memory(
    supervised: Arc<Supervised>,
    options: SamplerOptions,
    latest: watch::Receiver<Progress>,
    stop: CancellationToken,
) {
    let mut pulse = Pulse::start(supervised.journal(), name("memory", supervised.side()));
    stop.run_until_cancelled(async {
        let mut tick = tokio::time::interval(EVERY);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut machine = load::Machine::default();
        loop {
            let lag_ms = load::lag_ms(tick.tick().await);
            let up = matches!(supervised.state_now(), ProcessState::Running { .. });
            let tablet = supervised.tablet();
            let progress = latest.borrow().clone();
            let load = machine.look(tablet.cgroup().as_ref().filter(|_| up));
            pulse.beat();
            supervised.journal().record(Event::Sample(Sample {
                rss_bytes: if up { tablet.rss_bytes() } else { None },
                cgroup_bytes: if up { tablet.charged_bytes() } else { None },
                state: progress.state,
                rows_compared: progress.rows_compared,
                rows_total: options.rows_total,
                runnable_per_core: load.runnable_per_core,
                timer_lag_ms: Some(lag_ms),
                cpu_stalled: load.cpu_stalled,
                throttled: load.throttled,
            }));
        }
    })
    .await;
    pulse.stop();
}
