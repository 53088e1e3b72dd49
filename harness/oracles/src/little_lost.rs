//! I5, little lost: between committed checkpoints lie at most the interval and one packet, in rows and
//! in time;
//! a checkpoint's count is that of its cursor; the cursor never falls; every stream starts exactly
//! at the last committed cursor.

use std::collections::BTreeMap;

use records::journal::facts::{Fact, Said, TableChanged, TableStatus};
use records::schedule::Pace;
use records::tellings::Telling;
use records::verdict::{Invariant, Judgement};

use super::examination::Examination;
use super::history::Change;
use super::oracle::Oracle;
use super::view::View;
use super::windows::{LOAD_MAX, Window, outside};

/// What one slow moment of the disk may add, in milliseconds. 0.33 s was the most in 11,500 pauses of 330
/// trials, with one to three trials at a time on two cores.
const STALL_MS: u64 = 1_000;
/// Where a stream starts that starts after no row.
const BEGINNING: &str = "beginning";
/// So many checkpoints make a rule.
const RULE_MIN: usize = 5;

/// A table of a diff, followed through the history.
#[derive(Default)]
struct TableCheckpoints<'a> {
    rows_compared: u64,
    cursor: Option<&'a str>,
    ordinal: u64,
    epoch: Option<u64>,
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

/// See the module.
pub(super) const ORACLE: Oracle = Oracle { invariant: Invariant::I5, judge };

fn judge(view: &View<'_>) -> Judgement {
    let mut exam = Examination::new(Invariant::I5, view);
    if !exam.needs_history(view) || !view.tells(Telling::Checkpoints) {
        return exam.finish();
    }
    let Some(schedule) = view.schedule() else { return exam.finish() };
    let growth_max = schedule.pace.checkpoint_rows + schedule.pace.packet_rows_max();
    let mut pauses: Vec<Pause> = Vec::new();
    let mut followers: BTreeMap<(&str, &str), TableCheckpoints<'_>> = BTreeMap::new();
    for change in &view.history.facts {
        match change.fact {
            Fact::Table(table) => {
                let key = (table.diff.as_str(), table.table.as_str());
                let Some(after) = &table.after else {
                    followers.remove(&key);
                    continue;
                };
                let follower = followers.entry(key).or_default();
                if follower.checkpoint(&mut exam, view, change.seq, table, after, growth_max) {
                    let at_ms = view.at_ms_of(change.change);
                    let since = follower.saved_ms.replace(at_ms);
                    let pause = |since| Pause { seq: change.seq, window: (since, at_ms) };
                    pauses.extend(since.map(pause));
                }
            }
            Fact::Entry(entry) => {
                let Said::StreamBegan { table, after } = &entry.said else { continue };
                let follower = followers.entry((entry.diff.as_str(), table.as_str())).or_default();
                follower.stream(&mut exam, change, table, after.as_deref());
                follower.saved_ms = Some(view.at_ms_of(change.change));
            }
            Fact::Diff(_) | Fact::Workflow(_) => {}
        }
    }
    in_time(&mut exam, view, &schedule.pace, &pauses);
    exam.finish()
}

/// Whether a new owner, and the start of its stream, would be seen.
fn tells_starts(view: &View<'_>) -> bool {
    view.tells(Telling::Owners) && view.tells(Telling::Story)
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
        view: &View<'_>,
        seq: u64,
        changed: &'a TableChanged,
        after: &'a TableStatus,
        growth_max: u64,
    ) -> bool {
        let table = changed.table.as_str();
        let rows = after.rows;
        let cursor = after.cursor.as_deref();
        if rows == self.rows_compared && cursor == self.cursor {
            return false;
        }
        let at = Some(seq);
        exam.check(rows >= self.rows_compared, at, || {
            format!(
                "{table}: expected the count to grow; it fell from {} to {rows}",
                self.rows_compared
            )
        });
        let grown = rows.saturating_sub(self.rows_compared);
        exam.check(grown <= growth_max, at, || {
            format!(
                "{table}: expected at most {growth_max} rows between checkpoints; found {grown}"
            )
        });
        if grown > 0 && after.owner != self.epoch && tells_starts(view) {
            exam.check(self.streamed, at, || {
                let epoch = after.owner.map_or_else(String::new, |epoch| epoch.to_string());
                format!("{table}: expected a stream's start in the log before rows were compared in epoch {epoch}")
            });
            self.epoch = after.owner;
        }
        if grown > 0 {
            // The next owner has to tell its own start.
            self.streamed = false;
        }
        self.cursor(exam, seq, table, after);
        self.rows_compared = rows;
        self.cursor = cursor;
        grown > 0
    }

    fn cursor(&mut self, exam: &mut Examination, seq: u64, table: &str, after: &TableStatus) {
        let (at, rows) = (Some(seq), after.rows);
        let Some(cursor) = &after.cursor else {
            exam.check(self.cursor.is_none(), at, || {
                let was = self.cursor.unwrap_or_default();
                format!("{table}: expected the cursor to stay; it is gone (was {was})")
            });
            exam.check(rows == 0, at, || {
                format!("{table}: expected a cursor with {rows} rows compared; there is none")
            });
            return;
        };
        let Some(ordinal) = after.place else {
            exam.missing(
                at,
                format!("{table}: the cursor {cursor} was not placed in the workload"),
            );
            return;
        };
        exam.check(ordinal == rows, at, || {
            format!(
                "{table}: expected {ordinal} rows compared at the cursor {cursor}; found {rows}"
            )
        });
        exam.check(ordinal >= self.ordinal, at, || {
            format!(
                "{table}: expected the cursor never to fall; it fell from row {} to {ordinal}",
                self.ordinal
            )
        });
        self.ordinal = ordinal;
    }

    fn stream(
        &mut self,
        exam: &mut Examination,
        change: &Change<'_, Fact>,
        table: &str,
        after: Option<&str>,
    ) {
        exam.check(after == self.cursor, Some(change.seq), || {
            let (after, expected) =
                (after.unwrap_or(BEGINNING), self.cursor.unwrap_or(BEGINNING));
            format!("{table}: expected the stream to start after {expected}, the last committed cursor; it started after {after}")
        });
        self.streamed = true;
    }
}
