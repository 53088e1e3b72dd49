//! I5, little lost: between committed checkpoints lie at most the interval and one packet, in rows and
//! in time;
//! a checkpoint's count is that of its cursor; the cursor never falls; every stream starts exactly
//! at the last committed cursor.

use std::collections::BTreeMap;

use reports::journal::stream_start;
use reports::schedule::Pace;
use reports::verdict::{Invariant, Judgement};
use serde_json::Value;

use super::examination::Examination;
use super::history::{Change, Row, number, text};
use super::view::View;
use super::windows::{LOAD_MAX, Window, outside};

/// What one slow moment of the disk may add, in milliseconds. 0.33 s was the most in 11,500 pauses of 330
/// trials, with one to three trials at a time on two cores.
const STALL_MS: u64 = 1_000;
/// So many checkpoints make a rule.
const RULE_MIN: usize = 5;

/// A table of a diff, followed through the history.
#[derive(Default)]
struct TableCheckpoints<'a> {
    rows_compared: u64,
    lastpk: &'a str,
    ordinal: u64,
    epoch: &'a str,
    streamed: bool,
    /// When the stream began, or saved last.
    saved_ms: Option<u64>,
}

/// From one save of a stream to the next.
#[derive(Clone, Copy)]
struct Pause {
    /// The record of the later one.
    seq: u64,
    window: Window,
}

impl Pause {
    fn took_ms(&self) -> u64 {
        self.window.1.saturating_sub(self.window.0)
    }
}

pub(super) fn judge(view: &View<'_>) -> Judgement {
    let mut exam = Examination::new(Invariant::I5, view);
    if !exam.needs_history(view) {
        return exam.finish();
    }
    let Some(schedule) = view.schedule() else { return exam.finish() };
    let growth_max = schedule.pace.checkpoint_rows + schedule.pace.packet_rows_max();
    let mut pauses: Vec<Pause> = Vec::new();
    let mut followers: BTreeMap<(&str, &str), TableCheckpoints<'_>> = BTreeMap::new();
    for change in &view.history.changes {
        match change.change.table.as_str() {
            "vdiff_table" => {
                let Some(row) = change.row() else { continue };
                let key = (text(row, "vdiff_id"), text(row, "table_name"));
                match &change.change.after {
                    Some(after) => {
                        let follower = followers.entry(key).or_default();
                        let grew = follower.checkpoint(&mut exam, *change, after, growth_max);
                        if grew {
                            let at_ms = view.at_ms_of(change);
                            let since = follower.saved_ms.replace(at_ms);
                            let pause = |since| Pause { seq: change.seq, window: (since, at_ms) };
                            pauses.extend(since.map(pause));
                        }
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
                    follower.saved_ms = Some(view.at_ms_of(change));
                }
            }
            _ => {}
        }
    }
    in_time(&mut exam, view, &schedule.pace, &pauses);
    exam.finish()
}

/// From each save of a stream to the next: at most the interval, and the time that one packet takes at
/// the diff's pace, on a core of its own; with so many runnable tasks on each core, so many times that.
/// Half of the pauses keep to that; each of them, but for a slow moment of the disk.
fn in_time(exam: &mut Examination, view: &View<'_>, pace: &Pace, pauses: &[Pause]) {
    let packet_ms = (pace.packet_rows_max() * 1_000).checked_div(pace.rows_per_second).unwrap_or(0);
    let promised_ms = pace.checkpoint_interval_ms + packet_ms;
    let bound_ms = |window| {
        let load = view.load(window).unwrap_or(LOAD_MAX).clamp(1.0, LOAD_MAX);
        (promised_ms as f64 * load).round() as u64
    };
    let harm = view.harm();
    let is_undisturbed = |pause: &&Pause| outside(pause.window, &harm) == pause.took_ms();
    let mut undisturbed: Vec<Pause> = pauses.iter().filter(is_undisturbed).copied().collect();
    let beyond_ms = |pause: &&Pause| pause.took_ms().saturating_sub(bound_ms(pause.window));
    let Some(worst) = undisturbed.iter().max_by_key(beyond_ms).copied() else { return };
    let at_worst_ms = bound_ms(worst.window) + STALL_MS;
    exam.check_time(view, worst.window, worst.took_ms() <= at_worst_ms, Some(worst.seq), || {
        format!(
            "expected at most {at_worst_ms} ms between checkpoints; found {} ms",
            worst.took_ms()
        )
    });
    if undisturbed.len() >= RULE_MIN {
        undisturbed.sort_unstable_by_key(Pause::took_ms);
        let median = &undisturbed[undisturbed.len() / 2];
        let from = undisturbed.iter().map(|pause| pause.window.0).min().unwrap_or_default();
        let to = undisturbed.iter().map(|pause| pause.window.1).max().unwrap_or_default();
        let as_a_rule_ms = bound_ms((from, to));
        let held = median.took_ms() <= as_a_rule_ms;
        exam.check_time(view, (from, to), held, Some(median.seq), || {
            format!(
                "expected at most {as_a_rule_ms} ms between checkpoints as a rule; half of {} took \
                 {} ms and more",
                undisturbed.len(),
                median.took_ms()
            )
        });
    }
}

impl<'a> TableCheckpoints<'a> {
    /// Judges a checkpoint, and says whether rows were compared since the last.
    fn checkpoint(
        &mut self,
        exam: &mut Examination,
        change: Change<'a>,
        after: &'a Row,
        growth_max: u64,
    ) -> bool {
        let seq = Some(change.seq);
        let table = text(after, "table_name");
        let rows = number(after, "rows_compared").unwrap_or_default();
        let lastpk = text(after, "lastpk");
        if rows == self.rows_compared && lastpk == self.lastpk {
            return false;
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
        grown > 0
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
