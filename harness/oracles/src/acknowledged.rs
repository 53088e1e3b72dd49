//! I11, acknowledged is durable: what the tablet said yes to is in the binlog and stays; what it did
//! not happened wholly or not at all; stopped stays stopped until somebody resumes.

use records::journal::VdiffAction;
use records::journal::facts::Fact;
use records::verdict::{Invariant, Judgement};

use super::examination::Examination;
use super::history::Diff;
use super::oracle::Oracle;
use super::view::{At, CLOCK_STEP_MS_MAX, View};

/// MySQL's clock against the journal's: a larger step is told.
const CLOCK_SLACK_US: u64 = CLOCK_STEP_MS_MAX * 1_000;

/// See the module.
pub(super) const ORACLE: Oracle = Oracle { invariant: Invariant::I11, judge };

fn judge(view: &View<'_>) -> Judgement {
    let mut exam = Examination::new(Invariant::I11, view);
    if view.actions.is_empty() && view.head.is_some() {
        return Examination::not_applicable(Invariant::I11);
    }
    if !exam.needs_history(view) {
        return exam.finish();
    }
    let diffs = view.history.diffs();
    for action in &view.actions {
        let found = diffs.iter().find(|diff| diff.uuid == action.what.uuid);
        if action.what.acknowledged {
            is_durable(&mut exam, view, action, found);
        } else {
            is_whole(&mut exam, view, action, found);
        }
    }
    for diff in &diffs {
        stays_stopped(&mut exam, view, diff);
    }
    exam.finish()
}

fn is_durable(
    exam: &mut Examination,
    view: &View<'_>,
    action: &At<&VdiffAction>,
    diff: Option<&Diff<'_>>,
) {
    let (what, seq) = (action.what, Some(action.seq));
    let uuid = &what.uuid;
    let count = |name: &str| asked(view, action, name);
    let moved =
        |to: &str| diff.map_or(0, |diff| diff.moves.iter().filter(|step| step.to == to).count());
    match what.action.as_str() {
        "create" => exam.check(diff.is_some_and(|diff| diff.inserted.is_some()), seq, || {
            format!("expected the acknowledged diff {uuid} in the history; it was never inserted")
        }),
        "stop" => {
            exam.check(moved("stopped") >= count("stop"), seq, || {
                format!("expected the acknowledged stop of {uuid} in the history; it never became stopped")
            });
        }
        "resume" => {
            // A resume of a diff that runs, because its stop was not taken, moves nothing.
            let rests = moved("stopped") + moved("error");
            exam.check(moved("pending") >= count("resume").min(rests), seq, || {
                format!("expected the acknowledged resume of {uuid} in the history; it never became pending again")
            });
        }
        "delete" => match diff.and_then(|diff| diff.deleted) {
            None => exam.fail(seq, format!(
                "expected the acknowledged delete of {uuid} in the history; its row was not deleted"
            )),
            Some(deleted) => {
                let id = diff.map(|diff| diff.id).unwrap_or_default();
                nothing_later(exam, view, uuid, id, deleted.gtid(), deleted.seq);
            }
        },
        _ => {}
    }
}

/// How often this action was acknowledged for the same diff, up to and with the given one; one that
/// repeats its forerunner (a stop of a stopped diff) moves nothing and is not counted.
fn asked(view: &View<'_>, action: &At<&VdiffAction>, name: &str) -> usize {
    let mut asked = 0;
    let mut before = "";
    let same_diff = |a: &&At<&VdiffAction>| a.what.acknowledged && a.what.uuid == action.what.uuid;
    for earlier in view.actions.iter().filter(|a| a.seq <= action.seq).filter(same_diff) {
        let what = earlier.what.action.as_str();
        asked += usize::from(what == name && before != name);
        before = what;
    }
    asked
}

/// After a delete nothing is written under the diff; sweeping its tables is no such write.
fn nothing_later(
    exam: &mut Examination,
    view: &View<'_>,
    uuid: &str,
    id: &str,
    gtid: &str,
    seq: u64,
) {
    let is_written = |fact: &Fact| match fact {
        Fact::Diff(diff) => diff.after.is_some() && diff.uuid == uuid,
        Fact::Table(table) => table.after.is_some() && table.diff == id,
        Fact::Entry(entry) => entry.diff == id,
        Fact::Workflow(_) => false,
    };
    let mut facts = view.history.facts.iter();
    let later = facts.find(|it| is_written(it.fact) && it.seq > seq && it.gtid() != gtid);
    exam.check(later.is_none(), later.map(|change| change.seq), || {
        let what = match later.map(|change| change.fact) {
            Some(Fact::Table(table)) => format!("one to its table {}", table.table),
            Some(Fact::Entry(_)) => "one to its log".to_owned(),
            Some(Fact::Diff(_) | Fact::Workflow(_)) | None => "one to its status".to_owned(),
        };
        format!("expected no write under the deleted diff {uuid}; found {what}")
    });
}

/// Not acknowledged: wholly or not at all.
fn is_whole(
    exam: &mut Examination,
    view: &View<'_>,
    action: &At<&VdiffAction>,
    diff: Option<&Diff<'_>>,
) {
    let (what, seq) = (action.what, Some(action.seq));
    let Some(diff) = diff else {
        exam.check(true, None, String::new);
        return;
    };
    match what.action.as_str() {
        "create" => exam.check(diff.inserted.is_some(), seq, || {
            format!(
                "expected the diff {} created wholly or not at all; it has changes and no insert",
                what.uuid
            )
        }),
        "stop" => {
            let halves = half_stopped(view, diff);
            exam.check(halves.is_empty(), seq, || {
                format!(
                    "expected the diff {} stopped wholly or not at all; stopped without it: {}",
                    what.uuid,
                    halves.join(", ")
                )
            });
        }
        "delete" => {
            let swept = view
                .history
                .of_tables()
                .find(|change| change.fact.after.is_none() && change.fact.diff == diff.id);
            exam.check(diff.deleted.is_some() || swept.is_none(), seq, || {
                format!(
                    "expected the diff {} deleted wholly or not at all; it lost tables only",
                    what.uuid
                )
            });
        }
        _ => exam.check(true, None, String::new),
    }
}

/// Tables that a transaction stopped without stopping their diff.
fn half_stopped<'a>(view: &View<'a>, diff: &Diff<'_>) -> Vec<&'a str> {
    let with_diff = |gtid: &str| {
        diff.moves.iter().any(|step| step.to == "stopped" && step.change.gtid() == gtid)
    };
    view.history
        .of_tables()
        .filter(|change| change.fact.diff == diff.id)
        .filter_map(|change| change.state_move())
        .filter(|step| step.to == "stopped" && !with_diff(step.change.gtid()))
        .map(|step| step.change.fact.table.as_str())
        .collect()
}

/// Each move away from `stopped` has an operator's resume, called before it.
fn stays_stopped(exam: &mut Examination, view: &View<'_>, diff: &Diff<'_>) {
    let mut calls_us =
        view.actions.iter().filter(|a| a.what.action == "resume" && a.what.uuid == diff.uuid).map(
            |a| {
                let ago_ms = a.what.asked_ms_ago.unwrap_or(a.what.took_ms);
                view.begin_us + a.at_ms.saturating_sub(ago_ms) * 1_000
            },
        );
    for step in diff.moves.iter().filter(|step| step.from == "stopped") {
        let seq = Some(step.change.seq);
        match calls_us.next() {
            None => exam.fail(
                seq,
                format!(
                    "expected the diff {} to stay stopped; it became {} with no resume",
                    diff.uuid, step.to
                ),
            ),
            Some(call_us) => {
                let commit_us = step.change.change.commit_us;
                exam.check(commit_us + CLOCK_SLACK_US >= call_us, seq, || {
                    let early_ms = (call_us - commit_us) / 1_000;
                    format!(
                        "expected the diff {} to stay stopped until it was resumed; it became {} {early_ms} ms before",
                        diff.uuid, step.to
                    )
                });
            }
        }
    }
}
