use proptest::prelude::*;
use records::schedule::Phase;

use super::*;
use crate::Vocabulary;

/// A system with states, two phases, and a line that goes on.
const VOCABULARY: &Vocabulary = &Vocabulary {
    words: &[
        "pending",
        "started",
        "snapshot",
        "streaming",
        "Running",
        "Stopped",
        "completed",
        "REPEATABLE-READ",
        "State changed to: started",
    ],
    lines: &[("streaming: ", "streaming: …")],
    announces: |fingerprint| {
        let phases = [("'snapshot'", Phase::Snapshot), ("'streaming'", Phase::Streaming)];
        let begins = phases.into_iter().find(|(word, _)| fingerprint.contains(word));
        begins.map(|(_, phase)| Some(phase))
    },
};

fn names() -> Normaliser {
    Normaliser::new([("_vt_s1_t12", "_vt")]).speaking(VOCABULARY)
}

fn read(statement: &str) -> Reading {
    Reading::of(statement.as_bytes(), &names())
}

fn fingerprint(statement: &str) -> String {
    read(statement).fingerprint
}

/// What the tablet says, and how it reads.
#[test]
fn statements_of_the_tablet_read_well() {
    let cases = [
        (
            r#"update `_vt_s1_t12`.`vdiff_table` set rows_compared = 500, lastpk = '{"id":"5"}', report = '{\"a\":\"it''s\"}', mismatch = 0 where vdiff_id = 1 and table_name = 'corder' and owner_epoch = 3 and coalesce(state, '') <> 'completed'"#,
            "update _vt.vdiff_table set rows_compared = ?, lastpk = ?, report = ?, mismatch = ? \
             where vdiff_id = ? and table_name = ? and owner_epoch = ? \
             and coalesce(state, ?) <> 'completed'",
            Class::Writes,
        ),
        (
            "update `_vt_s1_t12`.`vdiff` set state = 'started', started_at = now(), error_kind = null \
             where id = 1 and state in ('pending', 'started')",
            "update _vt.vdiff set state = 'started', started_at = now(), error_kind = ? \
             where id = ? and state in ('pending', 'started')",
            Class::Writes,
        ),
        (
            "insert into `_vt_s1_t12`.`vdiff_log` (vdiff_id, message) \
             select id, 'State changed to: started' from `_vt_s1_t12`.`vdiff` where id = 1",
            "insert into _vt.vdiff_log (vdiff_id, message) \
             select id, 'State changed to: started' from _vt.vdiff where id = ?",
            Class::Writes,
        ),
        (
            "select id from information_schema.processlist where user in ('t_i1', 't_i2')",
            "select id from information_schema.processlist where user in (?+)",
            Class::Reads,
        ),
        ("lock tables `customer`.`corder` read", "lock tables customer.corder read", Class::Locks),
        ("kill 4711", "kill ?", Class::Locks),
        ("SELECT @@global.gtid_executed", "select @@global.gtid_executed", Class::Reads),
        (
            "start transaction with consistent snapshot, read only",
            "start transaction with consistent snapshot, read only",
            Class::Snapshot,
        ),
        ("commit", "commit", Class::Writes),
        (
            "alter table `_vt_s1_t12`.`vdiff` add column `owner_epoch` bigint null",
            "alter table _vt.vdiff add column owner_epoch bigint null",
            Class::Writes,
        ),
        ("select a from t where b is not null for update", "", Class::Locks),
        ("select 'streaming: table 7'", "select 'streaming: …'", Class::Reads),
        ("select get_lock('x', 3)", "select get_lock(?, ?)", Class::Locks),
        (
            "set session transaction_isolation = 'REPEATABLE-READ'",
            "set session transaction_isolation = 'REPEATABLE-READ'",
            Class::Reads,
        ),
        ("set session transaction read only", "", Class::Snapshot),
        ("set global read_only = 1", "", Class::Writes),
        ("with x as (select 1) delete from t where a in (select * from x)", "", Class::Writes),
        ("with x as (select 1) select * from x", "", Class::Reads),
    ];
    for (statement, expected, class) in cases {
        let reading = read(statement);
        if !expected.is_empty() {
            assert_eq!(reading.fingerprint, expected);
        }
        assert_eq!(reading.class, class, "{statement}");
    }
}

#[test]
fn what_does_not_matter_does_not_show() {
    let cases = [
        "insert into t (a, b) values (1, 'x')",
        "INSERT INTO t (a, b)\n  VALUES (-1,\"x\"), ( +2.5e-3 , _binary'y'), (NULL, x'ff');",
        "insert /* a ; ' */ into `t` (a, b) values -- hint\n (0x00, n'é') # end",
        "insert into t (a, b) /*+ hint */ values (?, ?)",
        r"insert into t (a, b) values ('it\'s', 'it''s'), (true, .5)",
    ];
    for statement in cases {
        assert_eq!(fingerprint(statement), "insert into t (a, b) values (?+)", "{statement}");
    }
    assert_eq!(fingerprint("select _binary _utf8 N'pending'"), "select 'pending'");
    assert_eq!(fingerprint("select a-1,b - -1 from T"), "select a - ?, b - ? from t");
    assert_eq!(fingerprint("select `A b`, `null` from `T`"), "select `A b`, `null` from `T`");
    assert_eq!(
        fingerprint(
            "insert into t values (1, now()), (2, now()) on duplicate key update a = values(a)"
        ),
        "insert into t values (?, now()) on duplicate key update a = values(a)"
    );
}

/// Each change of state is a point of its own, and so is each phase's beginning.
#[test]
fn changes_of_state_stay_apart() {
    let start =
        "update _vt_s1_t12.vdiff_table set state = 'started', phase = 'snapshot' where x = 1";
    assert_eq!(read(start).announces, Some(Some(Phase::Snapshot)));
    let stream = "update _vt_s1_t12.vdiff_table set phase = 'streaming' where x = 1";
    assert_eq!(read(stream).announces, Some(Some(Phase::Streaming)));
    assert_ne!(fingerprint(start), fingerprint(stream));
    assert_ne!(
        fingerprint("update v set state = 'Running'"),
        fingerprint("update v set state = 'Stopped'")
    );
}

#[test]
fn a_long_statement_is_cut_and_stays_itself() {
    let columns = |last: &str| {
        let columns: Vec<String> = (0..60).map(|at| format!("column_{at} bigint null")).collect();
        format!("create table t ({}, {last} int null)", columns.join(", "))
    };
    let (one, other) = (fingerprint(&columns("a")), fingerprint(&columns("b")));
    assert!(one.len() <= LENGTH_MAX && one.starts_with("create table t (column_0 bigint null, "));
    assert_ne!(one, other);
    assert_eq!(fingerprint(&one), one);
}

/// Statements of about the right shape.
fn statement() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        Just("select"),
        Just("insert into"),
        Just("values"),
        Just("in"),
        Just("("),
        Just(")"),
        Just(","),
        Just("."),
        Just("="),
        Just("-"),
        Just("+"),
        Just("*"),
        Just("/"),
        Just("@"),
        Just("'pending'"),
        Just("'x''y'"),
        Just("`a`"),
        Just("`A ``b`"),
        Just("`_binary`"),
        Just("_binary"),
        Just("null"),
        Just("is"),
        Just("not"),
        Just("7"),
        Just("-7"),
        Just("1.5e-3"),
        Just("?"),
        Just("?+"),
        Just("_vt_s1_t12"),
        Just("/* c */"),
        Just("-- c\n"),
        Just("#"),
        Just("x'ff'"),
        Just("N"),
        Just("create"),
        Just("t"),
        Just(";"),
        Just("\\"),
        Just("\""),
    ];
    let glue = prop_oneof![Just(""), Just(" ")];
    prop::collection::vec((word, glue), 0..40)
        .prop_map(|words| words.into_iter().flat_map(|(word, glue)| [word, glue]).collect())
}

proptest! {
    #[test]
    fn a_fingerprint_is_its_own(statement in statement()) {
        let once = fingerprint(&statement);
        prop_assert_eq!(fingerprint(&once), once);
    }

    #[test]
    fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let once = Reading::of(&bytes, &names()).fingerprint;
        prop_assert!(once.len() <= LENGTH_MAX);
        prop_assert_eq!(Reading::of(once.as_bytes(), &names()).fingerprint, once);
    }

    /// A literal that showed would make a crash point of each run's own.
    #[test]
    fn literals_do_not_show(text in "[a-zA-Z\\\\' ]{0,12}", number in any::<i64>(), count in 1..5_usize) {
        let secret = format!("secret{text}");
        let quoted = secret.replace('\\', "\\\\").replace('\'', "''");
        let list = vec![format!("'{quoted}'"); count].join(", ");
        let statement = format!(
            "update t set a = '{quoted}', b = {number}, c = null where d in ({list}) and e = \"x\""
        );
        prop_assert_eq!(
            fingerprint(&statement),
            "update t set a = ?, b = ?, c = ? where d in (?+) and e = ?"
        );
    }
}
