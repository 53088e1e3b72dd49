//! The comparison of one table: two ordered streams are merged, counts, samples and cursor are saved
//! together every so often, and on every way out.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::Context;
use super::controller::or_cancelled;
use super::cursor::Cursor;
use super::error::DiffError;
use super::merge::{self, Step};
use super::options::DiffOptions;
use super::pace::Pace;
use super::report::{Report, Sampler};
use super::schema::{Progress, TableRow};
use super::snapshot::{self, Sides, SnapshotOf};
use super::table_plan::TableToDiff;
use crate::engine::{Pressure, VdiffPhase, VdiffProgress};
use crate::seeded_bugs::SeededBug;
use crate::vstreamer::TableSchema;

/// The clock and the memory guard are looked at once in so many rows.
const LOOK_EVERY: u64 = 16;
/// The last checkpoint of a diff that was told to end must not keep the one who told it waiting.
const LAST_CHECKPOINT_DEADLINE: Duration = Duration::from_secs(2);

/// One table of one diff, in work.
pub(super) struct TableDiffer<'a> {
    pub(super) context: &'a Context,
    pub(super) id: i64,
    pub(super) uuid: &'a str,
    pub(super) workflow: &'a str,
    pub(super) from: &'a tablet_wire::binlogdata::BinlogSource,
    pub(super) table: &'a TableToDiff,
    pub(super) options: &'a DiffOptions,
    pub(super) cancel: &'a CancellationToken,
}

/// What is known of the table so far, and how much of it is saved.
struct Work {
    report: Report,
    cursor: Option<Cursor>,
    /// Rows processed since the last checkpoint.
    unsaved: u64,
    saved_at: Instant,
    /// The side whose last row holds the cursor; `None` before the first row.
    cursor_in: Option<super::error::SideName>,
}

impl TableDiffer<'_> {
    /// Compares the table from its saved cursor to its end.
    pub(super) async fn run(&self, saved: &TableRow) -> Result<(), DiffError> {
        let name = &self.table.name;
        or_cancelled(self.cancel, self.context.store.table_started(self.id, name)).await?;
        let mut work = self.restore(saved)?;
        self.show(VdiffPhase::Snapshot, &work);
        let mut sides = self.snapshot(work.cursor.as_ref()).await?;
        let after = work.cursor.as_ref().map_or("beginning".to_owned(), Cursor::to_json);
        let streaming = self.context.store.table_streaming(self.id, name, &after);
        or_cancelled(self.cancel, streaming).await?;
        self.show(VdiffPhase::Streaming, &work);
        work.saved_at = Instant::now();
        let outcome = self.compare(&mut sides, &mut work).await;
        if let Err(error) = outcome {
            self.save_on_the_way_out(&mut sides, &mut work, &error).await;
            return Err(error);
        }
        self.save(&mut sides, &mut work).await?;
        drop(sides); // Both snapshots end before the rest is done.
        self.finish(work).await
    }

    fn restore(&self, saved: &TableRow) -> Result<Work, DiffError> {
        let name = &self.table.name;
        let mut report: Report = match &saved.report {
            None => Report::new(name),
            Some(text) => serde_json::from_str(text).map_err(|error| {
                DiffError::Lasting(format!(
                    "the saved report of table '{name}' is malformed: {error}"
                ))
            })?,
        };
        let cursor = saved.lastpk.as_deref().map(Cursor::parse).transpose();
        let mut cursor = cursor.map_err(|error| self.lasting(&error))?;
        let bugs = self.context.deps.bugs;
        if bugs.has(SeededBug::CursorForgotten) {
            // vitessio/vitess#20601: a resumed diff compares rows again that it has counted.
            cursor = None;
        }
        if bugs.has(SeededBug::ReportDroppedOnResume) {
            // As Vitess trims a report and goes on with what is left of it (`report.go`).
            report.forget_samples();
        }
        Ok(Work { report, cursor, unsaved: 0, saved_at: Instant::now(), cursor_in: None })
    }

    fn lasting(&self, error: &dyn std::fmt::Display) -> DiffError {
        DiffError::Lasting(format!("table '{}': {error}", self.table.name))
    }

    async fn snapshot(&self, cursor: Option<&Cursor>) -> Result<Sides, DiffError> {
        let after = match cursor {
            None => None,
            Some(cursor) => {
                let schema = or_cancelled(self.cancel, self.own_schema()).await?;
                let values = cursor.key_values(&schema.key);
                Some(values.map_err(|error| self.lasting(&error))?)
            }
        };
        let after_text = cursor.map_or("beginning".to_owned(), Cursor::to_json);
        let of = SnapshotOf {
            uuid: self.uuid,
            workflow: self.workflow,
            from: self.from,
            table: self.table,
            after: after.as_deref(),
            after_text: &after_text,
        };
        or_cancelled(self.cancel, snapshot::open(self.context, &of, self.cancel)).await
    }

    async fn own_schema(&self) -> Result<TableSchema, DiffError> {
        let side = super::error::SideName::Target;
        let table = self.table.name.clone();
        let mut session = self.context.store.db().session().await?;
        let db_name = self.context.store.sidecar.db_name();
        TableSchema::read(&mut session, db_name, &self.table.name)
            .await
            .map_err(|source| DiffError::Stream { side, table, source })
    }

    async fn compare(&self, sides: &mut Sides, work: &mut Work) -> Result<(), DiffError> {
        let sampler =
            Sampler { table: &self.table.name, plan: &sides.plan.clone(), options: self.options };
        let mut pace = Pace::new(Instant::now());
        let mut rows = 0u64;
        let mut pressure = self.look_around()?;
        loop {
            self.fill(sides, work).await?;
            let (source, target) = (sides.source.head(), sides.target.head());
            let step =
                merge::step(&sides.plan, source, target).map_err(|error| self.lasting(&error))?;
            if step == Step::End {
                return Ok(());
            }
            work.report.count(step, source, target, &sampler);
            work.consume(step, sides)?;
            if step != Step::ExtraTarget {
                self.context.deps.stats.source_rows_taken.fetch_add(1, Ordering::Relaxed);
            }
            rows += 1;
            if rows.is_multiple_of(LOOK_EVERY) || work.unsaved >= self.rows_max() {
                pressure = self.look_around()?;
                self.save_if_due(sides, work).await?;
            }
            let settings = &self.context.deps.limits;
            let mut wait = pace.row(Instant::now(), settings, pressure);
            while let Some(piece) = wait {
                self.pause(piece).await?;
                pressure = self.look_around()?;
                self.save_if_due(sides, work).await?;
                wait = pace.wait(Instant::now());
            }
        }
    }

    /// Waits until both heads are known. A stream that stalls does not keep progress from being
    /// saved.
    async fn fill(&self, sides: &mut Sides, work: &mut Work) -> Result<(), DiffError> {
        let interval = self.context.deps.options.checkpoint_interval;
        let mut memory = self.context.deps.memory.clone();
        while !sides.source.is_ready() || !sides.target.is_ready() {
            let due = tokio::time::Instant::from_std(work.saved_at + interval);
            let side = if sides.source.is_ready() { &mut sides.target } else { &mut sides.source };
            tokio::select! {
                biased;
                () = self.cancel.cancelled() => return Err(DiffError::Cancelled),
                received = side.receive(&sides.plan) => received?,
                error = memory_pressure(&mut memory) => return Err(error),
                () = tokio::time::sleep_until(due), if work.unsaved > 0 => {
                    self.save(sides, work).await?;
                }
            }
        }
        Ok(())
    }

    /// Whether to go on, and how fast.
    fn look_around(&self) -> Result<Pressure, DiffError> {
        if self.cancel.is_cancelled() {
            return Err(DiffError::Cancelled);
        }
        match *self.context.deps.memory.borrow() {
            Pressure::High => Err(DiffError::MemoryPressure),
            pressure @ (Pressure::None | Pressure::Slow) => Ok(pressure),
        }
    }

    async fn pause(&self, piece: Duration) -> Result<(), DiffError> {
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(DiffError::Cancelled),
            () = tokio::time::sleep(piece) => Ok(()),
        }
    }

    fn rows_max(&self) -> u64 {
        self.context.deps.options.checkpoint_rows.max(1)
    }

    async fn save_if_due(&self, sides: &mut Sides, work: &mut Work) -> Result<(), DiffError> {
        let old = work.saved_at.elapsed() >= self.context.deps.options.checkpoint_interval;
        if work.unsaved >= self.rows_max() || (old && work.unsaved > 0) {
            self.save(sides, work).await?;
        }
        Ok(())
    }

    async fn save(&self, sides: &mut Sides, work: &mut Work) -> Result<(), DiffError> {
        if work.unsaved == 0 {
            return Ok(());
        }
        work.take_cursor(sides);
        // Cancelled, it is saved again on the way out, with a deadline of its own.
        or_cancelled(self.cancel, self.checkpoint(work)).await?;
        self.note_saved(work);
        if self.context.deps.bugs.has(SeededBug::LivesWhenAsked) {
            self.wait_until_asked().await?;
        }
        Ok(())
    }

    /// As a task that is woken by somebody else's request only. Only a seeded bug does that.
    async fn wait_until_asked(&self) -> Result<(), DiffError> {
        let asked = || self.context.deps.stats.readiness_asked_total.load(Ordering::Relaxed);
        let before = asked();
        while asked() == before {
            self.pause(Duration::from_millis(5)).await?;
        }
        Ok(())
    }

    async fn checkpoint(&self, work: &Work) -> Result<(), DiffError> {
        let (store, table) = (&self.context.store, &self.table.name);
        let progress = self.progress(work)?;
        if self.context.deps.bugs.has(SeededBug::SplitCheckpoint) {
            // vitessio/vitess#20877: counts and cursor are not one unit of progress. Resumed after
            // a crash between them, a diff counts the rows after the cursor once more.
            store.counts_alone(self.id, table, &progress).await?;
        }
        store.checkpoint(self.id, table, &progress).await
    }

    fn note_saved(&self, work: &mut Work) {
        let stats = &self.context.deps.stats;
        stats.checkpoints_total.fetch_add(1, Ordering::Relaxed);
        stats.rows_compared_total.fetch_add(work.unsaved, Ordering::Relaxed);
        work.unsaved = 0;
        work.saved_at = Instant::now();
        self.show(VdiffPhase::Streaming, work);
    }

    async fn save_on_the_way_out(&self, sides: &mut Sides, work: &mut Work, error: &DiffError) {
        let writable = match error {
            DiffError::Gone | DiffError::TakenOver(_) => false,
            DiffError::Cancelled
            | DiffError::MemoryPressure
            | DiffError::Db(_)
            | DiffError::Workflow(_)
            | DiffError::Stream { .. }
            | DiffError::Remote { .. }
            | DiffError::Ephemeral(_)
            | DiffError::Lasting(_)
            | DiffError::Panicked(_) => true,
        };
        if !writable || work.unsaved == 0 {
            return;
        }
        work.take_cursor(sides);
        match tokio::time::timeout(LAST_CHECKPOINT_DEADLINE, self.checkpoint(work)).await {
            Ok(Ok(())) => self.note_saved(work),
            Ok(Err(error)) => {
                let rows = work.unsaved;
                tracing::warn!(uuid = self.uuid, %error, rows, "the last checkpoint failed");
            }
            Err(_) => {
                let rows = work.unsaved;
                tracing::warn!(uuid = self.uuid, rows, "the last checkpoint took too long");
            }
        }
    }

    fn progress(&self, work: &Work) -> Result<Progress, DiffError> {
        Ok(Progress {
            rows_compared: work.report.processed_rows,
            lastpk: work.cursor.as_ref().map(Cursor::to_json),
            report: serde_json::to_string(&work.report).map_err(|error| self.lasting(&error))?,
            mismatch: work.report.has_mismatch(),
        })
    }

    /// Extra rows of both sides are matched, and the table is completed with its final report.
    async fn finish(&self, mut work: Work) -> Result<(), DiffError> {
        let name = &self.table.name;
        self.show(VdiffPhase::Reconcile, &work);
        let finish = async {
            self.context.store.table_reconciling(self.id, name).await?;
            work.report.reconcile(self.options);
            let progress = self.progress(&work)?;
            self.context.store.table_completed(self.id, name, &progress).await
        };
        // Both statements are transactions: cancelled, each is wholly done or not at all.
        or_cancelled(self.cancel, finish).await
    }

    fn show(&self, phase: VdiffPhase, work: &Work) {
        let progress = VdiffProgress {
            table: self.table.name.clone(),
            phase,
            rows_compared: work.report.processed_rows,
        };
        self.context.deps.stats.set(self.uuid, progress);
    }
}

/// Ends when memory runs short.
async fn memory_pressure(memory: &mut watch::Receiver<Pressure>) -> DiffError {
    match memory.wait_for(|pressure| *pressure == Pressure::High).await {
        Ok(_) => DiffError::MemoryPressure,
        Err(_) => DiffError::Cancelled, // The guard ends with the process.
    }
}

impl Work {
    /// Takes the rows of a step off their sides.
    fn consume(&mut self, step: Step, sides: &mut Sides) -> Result<(), DiffError> {
        use super::error::SideName::{Source, Target};
        self.cursor_in = Some(if step == Step::ExtraTarget { Target } else { Source });
        self.unsaved += 1;
        if step != Step::ExtraTarget {
            sides.source.advance(&sides.plan)?;
        }
        if step != Step::ExtraSource {
            sides.target.advance(&sides.plan)?;
        }
        Ok(())
    }

    /// The key consumed last is the greatest one so far.
    fn take_cursor(&mut self, sides: &Sides) {
        use super::error::SideName::{Source, Target};
        let row = match self.cursor_in {
            None => return,
            Some(Source) => sides.source.last().map(|row| (row, Source)),
            Some(Target) => sides.target.last().map(|row| (row, Target)),
        };
        if let Some((row, side)) = row {
            self.cursor = Some(Cursor::of_row(&sides.plan, row, |key| match side {
                Source => key.source,
                Target => key.target,
            }));
        }
    }
}
