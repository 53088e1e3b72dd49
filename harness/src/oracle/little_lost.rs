//! I5, little lost: between committed checkpoints lie at most the interval and one packet of rows;
//! a checkpoint's count is that of its cursor; the cursor never falls; every stream starts exactly
//! at the last committed cursor.

use std::collections::BTreeMap;

use reports::verdict::{Invariant, Judgement};
use serde_json::Value;

use super::examination::Examination;
use super::history::{Change, Row, number, text};
use super::view::View;

/// The least that a row of any workload takes in a packet, encoded. A tablet may finish the packet in
/// its hands before it saves.
pub(super) const ROW_BYTES_MIN: u64 = 48;

/// A table of a diff, followed through the history.
#[derive(Default)]
struct Follower<'a> {
    rows_compared: u64,
    lastpk: &'a str,
    ordinal: u64,
    epoch: &'a str,
    streamed: bool,
}

pub(super) fn judge(view: &View<'_>) -> Judgement {
    let mut exam = Examination::new(Invariant::I5, view);
    if !exam.needs_history(view) {
        return exam.finish();
    }
    let Some(schedule) = view.schedule() else { return exam.finish() };
    let growth_max = schedule.pace.checkpoint_rows + schedule.pace.packet_bytes / ROW_BYTES_MIN;
    let mut followers: BTreeMap<(&str, &str), Follower<'_>> = BTreeMap::new();
    for change in &view.history.changes {
        match change.change.table.as_str() {
            "vdiff_table" => {
                let Some(row) = change.row() else { continue };
                let key = (text(row, "vdiff_id"), text(row, "table_name"));
                match &change.change.after {
                    Some(after) => {
                        let follower = followers.entry(key).or_default();
                        follower.checkpoint(&mut exam, *change, after, growth_max);
                    }
                    None => {
                        followers.remove(&key);
                    }
                }
            }
            "vdiff_log" => {
                let Some(row) = change.change.after.as_ref() else { continue };
                if let Some((table, after)) = stream_start(text(row, "message")) {
                    let follower = followers.entry((text(row, "vdiff_id"), table)).or_default();
                    follower.stream(&mut exam, *change, table, after);
                }
            }
            _ => {}
        }
    }
    exam.finish()
}

impl<'a> Follower<'a> {
    fn checkpoint(
        &mut self,
        exam: &mut Examination,
        change: Change<'a>,
        after: &'a Row,
        growth_max: u64,
    ) {
        let seq = Some(change.seq);
        let table = text(after, "table_name");
        let rows = number(after, "rows_compared").unwrap_or_default();
        let lastpk = text(after, "lastpk");
        if rows == self.rows_compared && lastpk == self.lastpk {
            return;
        }
        exam.check(rows >= self.rows_compared, seq, || {
            format!(
                "{table}: expected the count to grow; it fell from {} to {rows}",
                self.rows_compared
            )
        });
        let grown = rows.saturating_sub(self.rows_compared);
        exam.check(grown <= growth_max, seq, || {
            format!(
                "{table}: expected at most {growth_max} rows between checkpoints; found {grown}"
            )
        });
        let epoch = text(after, "owner_epoch");
        if grown > 0 && epoch != self.epoch {
            exam.check(self.streamed, seq, || {
                format!("{table}: expected a stream's start in the log before rows were compared in epoch {epoch}")
            });
            self.epoch = epoch;
        }
        if grown > 0 {
            // The next owner has to tell its own start.
            self.streamed = false;
        }
        self.cursor(exam, change, table, rows, lastpk);
        self.rows_compared = rows;
        self.lastpk = lastpk;
    }

    fn cursor(
        &mut self,
        exam: &mut Examination,
        change: Change<'a>,
        table: &str,
        rows: u64,
        lastpk: &str,
    ) {
        let seq = Some(change.seq);
        if lastpk.is_empty() {
            exam.check(self.lastpk.is_empty(), seq, || {
                format!("{table}: expected the cursor to stay; it is gone (was {})", self.lastpk)
            });
            exam.check(rows == 0, seq, || {
                format!("{table}: expected a cursor with {rows} rows compared; there is none")
            });
            return;
        }
        let Some(ordinal) = change.change.cursor_ordinal else {
            exam.missing(
                seq,
                format!("{table}: the cursor {lastpk} was not placed in the workload"),
            );
            return;
        };
        exam.check(ordinal == rows, seq, || {
            format!(
                "{table}: expected {ordinal} rows compared at the cursor {lastpk}; found {rows}"
            )
        });
        exam.check(ordinal >= self.ordinal, seq, || {
            format!(
                "{table}: expected the cursor never to fall; it fell from row {} to {ordinal}",
                self.ordinal
            )
        });
        self.ordinal = ordinal;
    }

    fn stream(&mut self, exam: &mut Examination, change: Change<'a>, table: &str, after: &str) {
        let expected = if self.lastpk.is_empty() { "beginning" } else { self.lastpk };
        exam.check(same_cursor(after, expected), Some(change.seq), || {
            format!("{table}: expected the stream to start after {expected}, the last committed cursor; it started after {after}")
        });
        self.streamed = true;
    }
}

/// `streaming: table 't' after X` as (t, X).
fn stream_start(message: &str) -> Option<(&str, &str)> {
    message.strip_prefix("streaming: table '")?.split_once("' after ")
}

/// Cursors are JSON: spaces and the order of fields say nothing.
fn same_cursor(a: &str, b: &str) -> bool {
    if a == b {
        return true;
    }
    match (serde_json::from_str::<Value>(a), serde_json::from_str::<Value>(b)) {
        (Ok(a), Ok(b)) => a == b,
        _ => false,
    }
}
