//! I8, legal history: states move along legal transitions only, each move of a diff has its entry in
//! the diff's log in the same transaction, a row that is gone does not come back, an owner's epoch
//! never falls, and no log is flooded.

use std::collections::{BTreeMap, BTreeSet};

use records::journal::facts::Fact;
use records::tellings::Telling;
use records::verdict::{Invariant, Judgement};

use super::examination::Examination;
use super::oracle::Oracle;
use super::storms;
use super::view::View;

/// See the module.
pub(super) const ORACLE: Oracle = Oracle { invariant: Invariant::I8, judge };

fn judge(view: &View<'_>) -> Judgement {
    let mut exam = Examination::new(Invariant::I8, view);
    if !exam.needs_history(view) {
        return exam.finish();
    }
    diffs(&mut exam, view);
    tables(&mut exam, view);
    if view.tells(Telling::Owners) {
        epochs(&mut exam, view);
    }
    storms::do_not_rage(&mut exam, view);
    exam.finish()
}

fn diffs(exam: &mut Examination, view: &View<'_>) {
    let told = told(view);
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    for change in view.history.of_diffs() {
        let seq = Some(change.seq);
        let uuid = change.fact.uuid.as_str();
        if let (None, Some(after)) = (&change.fact.before, &change.fact.after) {
            let state = after.state.as_str();
            exam.check(matches!(state, "pending" | "stopped"), seq, || {
                format!("expected a new diff to be pending; {uuid} was inserted as {state:?}")
            });
            exam.check(seen.insert(uuid), seq, || {
                format!("expected the diff {uuid} to stay gone; its row was inserted again")
            });
        }
        let Some(step) = change.state_move() else { continue };
        exam.check(is_legal(step.from, step.to), seq, || {
            format!(
                "expected a legal transition of the diff {uuid}; found {:?} → {:?}",
                step.from, step.to
            )
        });
        let id = change.fact.diff.as_str();
        if view.tells(Telling::Story) {
            exam.check(told.contains(&(change.gtid(), id, step.to)), seq, || {
                format!(
                    "expected the log of the diff {uuid} to tell that it became {}, in the same \
                     transaction",
                    step.to
                )
            });
        }
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
    let entries = view.history.log();
    entries
        .filter_map(|entry| Some((entry.gtid(), entry.fact.diff.as_str(), entry.told_state()?)))
        .collect()
}

fn open_tables<'a>(view: &View<'a>, id: &str, until_seq: u64) -> Vec<&'a str> {
    let mut states: BTreeMap<&str, &str> = BTreeMap::new();
    let changes = view.history.of_tables().filter(|change| change.seq < until_seq);
    for change in changes.filter(|change| change.fact.diff == id) {
        let table = change.fact.table.as_str();
        match &change.fact.after {
            Some(after) => states.insert(table, &after.state),
            None => states.remove(table),
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
        .of_diffs()
        .filter_map(|change| change.state_move().filter(|step| step.to == "pending"))
        .map(|step| (step.change.gtid(), step.change.fact.diff.as_str()))
        .collect();
    for change in view.history.of_tables() {
        let seq = Some(change.seq);
        let table = change.fact.table.as_str();
        if let (None, Some(after)) = (&change.fact.before, &change.fact.after) {
            let state = after.state.as_str();
            exam.check(state == "pending", seq, || {
                format!("{table}: expected a new row to be pending; it was inserted as {state:?}")
            });
        }
        if let Some(step) = change.state_move().filter(|_| view.tells(Telling::Checkpoints)) {
            let with_parent = resumed.contains(&(change.gtid(), change.fact.diff.as_str()));
            exam.check(is_legal_for_table(step.from, step.to, with_parent), seq, || {
                format!(
                    "{table}: expected a legal transition; found {:?} → {:?}",
                    step.from, step.to
                )
            });
        }
    }
}

/// As a diff's; besides, a table goes back to `pending` together with its diff from any state.
fn is_legal_for_table(from: &str, to: &str, with_parent: bool) -> bool {
    let on_its_own = is_legal(from, to) && (from, to) != ("completed", "pending");
    on_its_own || (to == "pending" && with_parent)
}

/// A clean end may release what it owned; the next owner is never an older one.
fn epochs(exam: &mut Examination, view: &View<'_>) {
    let mut newest: BTreeMap<(&str, &str, &str), u64> = BTreeMap::new();
    for change in &view.history.facts {
        let Some((what, before, after)) = owners(change.fact) else { continue };
        let was = newest.entry(what).or_default();
        *was = (*was).max(before.unwrap_or_default());
        let Some(is) = after else { continue };
        exam.check(is >= *was, Some(change.seq), || {
            let (kind, ..) = what;
            format!("{kind}: expected the owner's epoch never to fall; it fell from {was} to {is}")
        });
        *was = (*was).max(is);
    }
}

/// What is owned, and by whom before and after.
type Owners<'a> = ((&'a str, &'a str, &'a str), Option<u64>, Option<u64>);

/// Of what is still there after a change.
fn owners(fact: &Fact) -> Option<Owners<'_>> {
    match fact {
        Fact::Diff(diff) => {
            let before = diff.before.as_ref().and_then(|status| status.owner);
            Some((("diff", &diff.diff, ""), before, diff.after.as_ref()?.owner))
        }
        Fact::Table(table) => {
            let before = table.before.as_ref().and_then(|status| status.owner);
            Some((("table", &table.diff, &table.table), before, table.after.as_ref()?.owner))
        }
        Fact::Workflow(workflow) => {
            let before = workflow.before.as_ref().and_then(|status| status.owner);
            Some((("workflow", &workflow.workflow, ""), before, workflow.after.as_ref()?.owner))
        }
        Fact::Entry(_) => None,
    }
}
