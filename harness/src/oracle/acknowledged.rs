//! I11, acknowledged is durable: what the tablet said yes to is in the binlog and stays; what it did
//! not happened wholly or not at all; stopped stays stopped until somebody resumes.

use reports::journal::VdiffAction;
use reports::verdict::{Invariant, Judgement};

use super::examination::Examination;
use super::history::{Diff, text};
use super::view::{At, CLOCK_STEP_MS_MAX, View};

/// MySQL's clock against the journal's: a larger step is told.
const CLOCK_SLACK_US: u64 = CLOCK_STEP_MS_MAX * 1_000;

pub(super) fn judge(view: &View<'_>) -> Judgement {
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
                nothing_later(exam, view, uuid, id, deleted.change.gtid.as_str(), deleted.seq);
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
    let later = view.history.changes.iter().find(|change| {
        let Some(after) = &change.change.after else { return false };
        let owner = match change.change.table.as_str() {
            "vdiff" => text(after, "vdiff_uuid") == uuid,
            "vdiff_table" | "vdiff_log" => text(after, "vdiff_id") == id,
            _ => false,
        };
        owner && change.seq > seq && change.gtid() != gtid
    });
    exam.check(later.is_none(), later.map(|change| change.seq), || {
        let table = later.map_or("", |change| change.change.table.as_str());
        format!("expected no write under the deleted diff {uuid}; found one in {table}")
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
            let swept = view.history.of("vdiff_table").find(|change| {
                let row = change.change.before.as_ref();
                change.change.after.is_none()
                    && row.is_some_and(|row| text(row, "vdiff_id") == diff.id)
            });
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
        .of("vdiff_table")
        .filter_map(|change| change.state_move())
        .filter(|step| step.to == "stopped" && !with_diff(step.change.gtid()))
        .filter_map(|step| step.change.row())
        .filter(|row| text(row, "vdiff_id") == diff.id)
        .map(|row| text(row, "table_name"))
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
