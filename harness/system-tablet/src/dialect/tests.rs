use records::journal::facts::{DiffChanged, TableChanged, WorkflowChanged};

use super::*;

fn row(columns: &[(&str, &str)]) -> Option<Row> {
    let column = |(name, value): &(&str, &str)| ((*name).to_owned(), Some((*value).to_owned()));
    Some(columns.iter().map(column).collect())
}

fn facts(table: &str, before: Option<Row>, after: Option<Row>) -> Vec<Fact> {
    let change = SidecarChange {
        table: table.to_owned(),
        gtid: String::new(),
        commit_us: 0,
        before,
        after,
        cursor_ordinal: Some(40),
        facts: Vec::new(),
    };
    TabletDialect.facts(&change)
}

#[test]
fn a_diff_tells_its_state_its_error_and_who_retries_it() {
    let columns = |state, error, kind| {
        row(&[
            ("id", "1"),
            ("vdiff_uuid", "u"),
            ("state", state),
            ("last_error", error),
            ("error_kind", kind),
            ("owner_epoch", "7"),
        ])
    };
    let fell = facts(
        "vdiff",
        columns("started", "", ""),
        columns("error", "memory pressure: 80 %", "ephemeral"),
    );
    let [Fact::Diff(DiffChanged { diff, uuid, before: Some(before), after: Some(after) })] =
        &fell[..]
    else {
        panic!("{fell:?}")
    };
    assert_eq!((diff.as_str(), uuid.as_str(), before.state.as_str()), ("1", "u", "started"));
    assert_eq!((before.retry, before.memory_was_short), (None, false));
    assert_eq!((after.retry, after.memory_was_short), (Some(Retry::Tablet), true));
    assert_eq!(after.owner, Some(7));
    let gone = facts("vdiff", columns("error", "lost", "lasting"), None);
    let [Fact::Diff(DiffChanged { before: Some(before), after: None, .. })] = &gone[..] else {
        panic!("{gone:?}")
    };
    assert_eq!(before.retry, Some(Retry::Operator));
}

// A cursor that is written with spaces, or with its fields in another order, is the same cursor.
#[test]
fn a_cursor_is_one_text_in_the_row_and_in_the_log() {
    let saved = facts(
        "vdiff_table",
        None,
        row(&[
            ("vdiff_id", "1"),
            ("table_name", "t"),
            ("rows_compared", "40"),
            ("lastpk", r#"{"values":["40"],"columns":["id"]}"#),
        ]),
    );
    let [Fact::Table(TableChanged { after: Some(after), .. })] = &saved[..] else {
        panic!("{saved:?}")
    };
    assert_eq!((after.rows, after.place), (40, Some(40)));
    let cursor = after.cursor.as_deref().unwrap();
    let start = r#"streaming: table 't' after { "columns": ["id"], "values": [ "40" ] }"#;
    let began = |after: Option<&str>| Said::StreamBegan {
        table: "t".to_owned(),
        after: after.map(str::to_owned),
    };
    assert_eq!(TabletDialect.said(start), began(Some(cursor)));
    assert_eq!(TabletDialect.said("streaming: table 't' after beginning"), began(None));
}

#[test]
fn a_line_of_the_log_tells_what_it_says() {
    let moved = |to: &str| Said::StateMoved { to: to.to_owned() };
    assert_eq!(TabletDialect.said("State changed to: stopped (by user request)"), moved("stopped"));
    assert_eq!(TabletDialect.said("completed: table 't'"), Said::StreamEnded);
    assert_eq!(TabletDialect.said("started: table 't'"), Said::Other);
    let line = row(&[("vdiff_id", "1"), ("message", "started: table 't'")]);
    assert_eq!(facts("vdiff_log", None, line.clone()).len(), 1);
    assert_eq!(facts("vdiff_log", line, None), [], "swept");
}

#[test]
fn a_workflow_tells_who_holds_it() {
    let workflow = |state, message| row(&[("id", "1"), ("state", state), ("message", message)]);
    let holds = |message| {
        let told = facts("vreplication", workflow("Running", ""), workflow("Stopped", message));
        let [Fact::Workflow(WorkflowChanged { after: Some(after), .. })] = &told[..] else {
            panic!("{told:?}")
        };
        after.hold
    };
    assert_eq!(holds("for vdiff"), Some(WorkflowHold::Diff));
    assert_eq!(holds("FROZEN"), Some(WorkflowHold::Frozen));
    assert_eq!(holds("maintenance"), None);
}

// A panic that is not recognised would pass as an ordinary log line.
#[test]
fn panics_are_recognised_in_both_forms_and_nothing_else_is() {
    let json =
        r#"{"level":"ERROR","event":"panic","caught":true,"location":"a.rs:1","message":"m"}"#;
    let raw = "thread 'main' panicked at src/x.rs:1:1:";
    let panicked =
        |caught, message: &str| Some(LogWord::Panicked { caught, message: message.to_owned() });
    for (line, expected) in [
        (json, panicked(true, "m at a.rs:1")),
        (raw, panicked(false, raw)),
        (r#"{"event":"start","message":"panicked at"}"#, Some(LogWord::Started)),
        (r#"{"event":"stop"}"#, None),
        ("free text that says panic", None),
    ] {
        assert_eq!(TabletDialect.log_word(line), expected, "{line}");
    }
}
