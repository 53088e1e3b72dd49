//! What the tablet says to its MySQL, as far as the harness has to understand it: the words that tell
//! one change of state from another, and the statements that announce a diff's phases.

use records::schedule::Phase;
use wire::Vocabulary;

/// The tablet's words.
pub(super) const VOCABULARY: &Vocabulary = &Vocabulary { words: &WORDS, lines: &LINES, announces };

/// States of diffs, tables and workflows, phases, kinds of errors, isolation levels, and the log lines
/// of state changes.
const WORDS: [&str; 23] = [
    "pending",
    "started",
    "stopped",
    "completed",
    "error",
    "snapshot",
    "streaming",
    "reconcile",
    "done",
    "ephemeral",
    "lasting",
    "Init",
    "Running",
    "Stopped",
    "Copying",
    "Error",
    "READ-COMMITTED",
    "REPEATABLE-READ",
    "State changed to: pending",
    "State changed to: started",
    "State changed to: stopped",
    "State changed to: completed",
    "State changed to: error",
];

/// Log lines that go on with a table's name, a cursor or a reason: how they begin, and what stands for
/// them.
const LINES: [(&str, &str); 5] = [
    ("started: ", "started: …"),
    ("streaming: ", "streaming: …"),
    ("reconciling: ", "reconciling: …"),
    ("completed: ", "completed: …"),
    ("error: ", "error: …"),
];

/// The phase of the diff that begins with the statement of this fingerprint; the inner none ends a
/// table's phases.
fn announces(fingerprint: &str) -> Option<Option<Phase>> {
    let (table, rest) = fingerprint.strip_prefix("update ")?.split_once(" set ")?;
    if table != "vdiff_table" && !table.ends_with(".vdiff_table") {
        return None;
    }
    let set = rest.split_once(" where ").map_or(rest, |(set, _)| set);
    let value = |column: &str| {
        let assigned =
            |part: &str| part.strip_prefix(column)?.strip_prefix(" = ").map(str::to_owned);
        set.split(", ").find_map(assigned)
    };
    match (value("phase").as_deref(), value("state").as_deref()) {
        (Some("'snapshot'"), _) => Some(Some(Phase::Snapshot)),
        (Some("'streaming'"), _) => Some(Some(Phase::Streaming)),
        (Some("'reconcile'"), _) => Some(Some(Phase::Reconcile)),
        // Done, or taken back.
        (Some(_), _) => Some(None),
        (None, Some("'started'") | None) => None,
        // Its turn ends, whatever for.
        (None, Some(_)) => Some(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::{Normaliser, Reading};

    #[test]
    fn only_words_of_state_are_spoken() {
        let names = Normaliser::none().speaking(VOCABULARY);
        let spoken = |literal: &str| Reading::of(literal.as_bytes(), &names).fingerprint;
        assert_eq!(spoken("select 'Running'"), "select 'Running'");
        assert_eq!(spoken("select 'running'"), "select ?");
        assert_eq!(spoken("select 'started: table x'"), "select 'started: …'");
        assert_eq!(spoken("select 'started: …'"), "select 'started: …'");
        assert_eq!(spoken("select 'corder'"), "select ?");
    }

    #[test]
    fn a_tables_row_announces_its_phase_and_its_end() {
        let cases = [
            (
                "set state = 'started', phase = 'snapshot' where vdiff_id = ?",
                Some(Some(Phase::Snapshot)),
            ),
            ("set phase = 'streaming' where vdiff_id = ?", Some(Some(Phase::Streaming))),
            ("set phase = 'reconcile' where vdiff_id = ?", Some(Some(Phase::Reconcile))),
            ("set rows_compared = ?, state = 'completed', phase = 'done' where x = ?", Some(None)),
            ("set state = 'pending', phase = ?, owner_epoch = ? where vdiff_id = ?", Some(None)),
            ("set state = 'error' where vdiff_id = ? and state = 'started'", Some(None)),
            ("set rows_compared = ?, lastpk = ? where coalesce(state, ?) <> 'completed'", None),
        ];
        for (rest, phase) in cases {
            assert_eq!(announces(&format!("update _vt.vdiff_table {rest}")), phase, "{rest}");
        }
        assert_eq!(announces("update _vt.vdiff set state = 'completed' where id = ?"), None);
        assert_eq!(announces("select phase from _vt.vdiff_table"), None);
    }
}
