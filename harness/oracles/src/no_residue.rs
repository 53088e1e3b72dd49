//! I7, no residue: no connection, statement, transaction, lock or lease of a dead incarnation is left
//! in MySQL and etcd; the living hold no more than at rest; a deleted diff leaves no row behind.

use records::journal::{Event, Evidence, Residue, SNAPSHOT_GONE};
use records::schedule::Fault;
use records::tellings::Telling;
use records::verdict::{Invariant, Judgement};

use super::examination::Examination;
use super::oracle::Oracle;
use super::view::{At, View};
use super::{resources, verbs};

/// See the module.
pub(super) const ORACLE: Oracle = Oracle { invariant: Invariant::I7, judge };

fn judge(view: &View<'_>) -> Judgement {
    let mut exam = Examination::new(Invariant::I7, view);
    let residues = view.events(|event| match event {
        Event::Residue(residue) => Some(residue),
        _ => None,
    });
    if residues.is_empty() {
        exam.missing(None, "nobody looked for what dead incarnations left");
    }
    for residue in &residues {
        is_empty(&mut exam, residue);
    }
    snapshots_end(&mut exam, view);
    if view.tells(Telling::Resources) {
        resources::does_not_grow(&mut exam, view);
    }
    for verbs in verbs::tried(view) {
        if !view.tells(Telling::Sweeping) {
            break;
        }
        let orphans = &verbs.what.orphans;
        exam.check(orphans.is_empty(), Some(verbs.seq), || {
            let left: Vec<String> =
                orphans.iter().map(|(table, rows)| format!("{rows} in {table}")).collect();
            format!("expected no row without its parent after a delete; found {}", left.join(", "))
        });
    }
    exam.finish()
}

/// The snapshot of a reader that went away ends.
fn snapshots_end(exam: &mut Examination, view: &View<'_>) {
    for record in view.records {
        let Event::FaultLanded(landed) = &record.event else { continue };
        let Evidence::State { after, .. } = &landed.evidence else { continue };
        if landed.fault == Fault::RpcDrop {
            exam.check(after.starts_with(SNAPSHOT_GONE), Some(record.seq), || {
                format!("expected the snapshot of a reader that went away to end; it was {after}")
            });
        }
    }
}

fn is_empty(exam: &mut Examination, residue: &At<&Residue>) {
    let seq = Some(residue.seq);
    if residue.what.looked_at.is_empty() {
        exam.missing(seq, "the search for residue looked at nothing");
    }
    for what in &residue.what.not_looked_at {
        exam.missing(seq, format!("not looked at: {what}"));
    }
    for _ in &residue.what.looked_at {
        exam.check(true, None, String::new);
    }
    for (kind, left) in residue.what.left() {
        for thing in left {
            exam.fail(seq, format!("expected no {kind} of a dead incarnation; found {thing}"));
        }
    }
}
