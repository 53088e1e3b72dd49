//! I7, no residue, as far as MySQL and etcd show it: no connection, statement, transaction or lock of
//! a dead incarnation is left.

use reports::journal::Event;
use reports::verdict::{Invariant, Judgement};

use super::examination::Examination;
use super::view::View;

pub(super) fn judge(view: &View<'_>) -> Judgement {
    let mut exam = Examination::new(Invariant::I7, view);
    let residues = view.events(|event| match event {
        Event::Residue(residue) => Some(residue),
        _ => None,
    });
    if residues.is_empty() {
        exam.missing(None, "nobody looked for what dead incarnations left");
    }
    for residue in &residues {
        let seq = Some(residue.seq);
        if residue.what.looked_at.is_empty() {
            exam.missing(seq, "the search for residue looked at nothing");
        }
        for _ in &residue.what.looked_at {
            exam.check(true, None, String::new);
        }
        let kinds = [
            ("connection", &residue.what.connections),
            ("running statement", &residue.what.statements),
            ("open transaction", &residue.what.transactions),
            ("lock", &residue.what.locks),
        ];
        for (kind, left) in kinds {
            for thing in left {
                exam.fail(seq, format!("expected no {kind} of a dead incarnation; found {thing}"));
            }
        }
    }
    exam.finish()
}
