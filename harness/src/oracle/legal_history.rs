//! I8, legal history: states move along legal transitions only, each move of a diff has its entry in
//! `vdiff_log` in the same transaction, a row that is gone does not come back, an owner's epoch
//! never falls, and no log is flooded.

use std::collections::{BTreeMap, BTreeSet};

use reports::verdict::{Invariant, Judgement};

use super::examination::Examination;
use super::history::{Move, number, text};
use super::storms;
use super::view::View;

pub(super) fn judge(view: &View<'_>) -> Judgement {
    let mut exam = Examination::new(Invariant::I8, view);
    if !exam.needs_history(view) {
        return exam.finish();
    }
    diffs(&mut exam, view);
    tables(&mut exam, view);
    epochs(&mut exam, view);
    storms::do_not_rage(&mut exam, view);
    exam.finish()
}

fn diffs(exam: &mut Examination, view: &View<'_>) {
    let told = told(view);
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    for change in view.history.of("vdiff") {
        let seq = Some(change.seq);
        if let (None, Some(row)) = (&change.change.before, &change.change.after) {
            let (uuid, state) = (text(row, "vdiff_uuid"), text(row, "state"));
            exam.check(matches!(state, "pending" | "stopped"), seq, || {
                format!("expected a new diff to be pending; {uuid} was inserted as {state:?}")
            });
            exam.check(seen.insert(uuid), seq, || {
                format!("expected the diff {uuid} to stay gone; its row was inserted again")
            });
        }
        let (Some(step), Some(row)) = (change.state_move(), change.row()) else { continue };
        let uuid = text(row, "vdiff_uuid");
        exam.check(is_legal(step.from, step.to), seq, || {
            format!(
                "expected a legal transition of the diff {uuid}; found {:?} → {:?}",
                step.from, step.to
            )
        });
        let id = text(row, "id");
        exam.check(told.contains(&(change.gtid(), id, step.to)), seq, || {
            format!("expected \"State changed to: {}\" of the diff {uuid} in the log, in the same transaction", step.to)
        });
        if step.to == "completed" {
            let open = open_tables(view, id, change.seq);
            exam.check(open.is_empty(), seq, || {
                format!(
                    "expected every table completed before the diff {uuid}; not so: {}",
                    open.join(", ")
                )
            });
        }
    }
}

/// (transaction, diff, state) as the log tells them.
fn told<'a>(view: &View<'a>) -> BTreeSet<(&'a str, &'a str, &'a str)> {
    view.history
        .log()
        .filter_map(|(change, id, message)| {
            let state = message.strip_prefix("State changed to: ")?;
            let state = state.split([' ', ',', '(']).next().unwrap_or_default();
            Some((change.gtid(), id, state))
        })
        .collect()
}

fn open_tables<'a>(view: &View<'a>, id: &str, until_seq: u64) -> Vec<&'a str> {
    let mut states: BTreeMap<&str, &str> = BTreeMap::new();
    for change in view.history.of("vdiff_table").filter(|change| change.seq < until_seq) {
        let Some(row) = change.row().filter(|row| text(row, "vdiff_id") == id) else { continue };
        match change.change.after {
            Some(_) => states.insert(text(row, "table_name"), text(row, "state")),
            None => states.remove(text(row, "table_name")),
        };
    }
    states.into_iter().filter(|(_, state)| *state != "completed").map(|(table, _)| table).collect()
}

/// A diff's transitions. `pending` and `started` outlive restarts, which is no transition.
fn is_legal(from: &str, to: &str) -> bool {
    match to {
        "started" => from == "pending",
        "completed" => from == "started",
        "error" => matches!(from, "pending" | "started"),
        "stopped" => matches!(from, "pending" | "started" | "error"),
        // A resume, or the retry of an ephemeral error.
        "pending" => matches!(from, "stopped" | "error" | "completed"),
        _ => false,
    }
}

fn tables(exam: &mut Examination, view: &View<'_>) {
    let resumed: BTreeSet<(&str, &str)> = view
        .history
        .of("vdiff")
        .filter_map(|change| change.state_move().filter(|step| step.to == "pending"))
        .filter_map(|step| Some((step.change.gtid(), text(step.change.row()?, "id"))))
        .collect();
    for change in view.history.of("vdiff_table") {
        let seq = Some(change.seq);
        let Some(row) = change.row() else { continue };
        let table = text(row, "table_name");
        if change.change.before.is_none() {
            let state = text(row, "state");
            exam.check(state == "pending", seq, || {
                format!("{table}: expected a new row to be pending; it was inserted as {state:?}")
            });
        }
        if let Some(step) = change.state_move() {
            let with_parent = resumed.contains(&(change.gtid(), text(row, "vdiff_id")));
            exam.check(is_legal_for_table(step, with_parent), seq, || {
                format!(
                    "{table}: expected a legal transition; found {:?} → {:?}",
                    step.from, step.to
                )
            });
        }
    }
}

/// As a diff's; besides, a table goes back to `pending` together with its diff from any state.
fn is_legal_for_table(step: Move<'_>, with_parent: bool) -> bool {
    let on_its_own =
        is_legal(step.from, step.to) && (step.from, step.to) != ("completed", "pending");
    on_its_own || (step.to == "pending" && with_parent)
}

/// A clean end may release a row (its epoch becomes NULL); the next owner is never an older one.
fn epochs(exam: &mut Examination, view: &View<'_>) {
    let mut newest: BTreeMap<(&str, &str, &str), u64> = BTreeMap::new();
    for change in &view.history.changes {
        let (Some(row), table) = (&change.change.after, change.change.table.as_str()) else {
            continue;
        };
        let key = match table {
            "vdiff" | "vreplication" => (table, text(row, "id"), ""),
            "vdiff_table" => (table, text(row, "vdiff_id"), text(row, "table_name")),
            _ => continue,
        };
        let before = change.change.before.as_ref().and_then(|row| number(row, "owner_epoch"));
        let was = newest.entry(key).or_default();
        *was = (*was).max(before.unwrap_or_default());
        let Some(is) = number(row, "owner_epoch") else { continue };
        exam.check(is >= *was, Some(change.seq), || {
            format!("{table}: expected the owner's epoch never to fall; it fell from {was} to {is}")
        });
        *was = (*was).max(is);
    }
}
