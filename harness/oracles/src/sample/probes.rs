//! What single looks see in a good trial.

use std::collections::BTreeMap;

use records::journal::{Answer, CallOutcome, CountedWhen, ResourceCount, Roles, Side, Told, Verbs};

const ALIAS: &str = "zone1-0000000200";
const TERM_S: i64 = 1_700_000_000;

pub(crate) fn held(moment: CountedWhen, incarnation: u32) -> ResourceCount {
    let kinds = [("socket", 20), ("file", 5), ("anon_inode:[eventpoll]", 2)];
    ResourceCount {
        side: Side::Target,
        incarnation,
        moment,
        descriptors: Some(kinds.map(|(kind, count)| (kind.to_owned(), count)).into()),
        tasks: Some(18),
        not_looked_at: Vec::new(),
    }
}

pub(crate) fn answer(call: &str, outcome: CallOutcome) -> Answer {
    Answer { call: call.to_owned(), took_ms: 4, outcome }
}

pub(crate) fn answers() -> Vec<Answer> {
    ["ping", "show", "healthz", "debug-vars"].map(|call| answer(call, CallOutcome::Done)).into()
}

pub(crate) fn primary() -> Roles {
    let told = || Told { kind: "PRIMARY".to_owned(), term_s: TERM_S };
    Roles {
        side: Side::Target,
        alias: ALIAS.to_owned(),
        health: told(),
        serving: true,
        tablet_record: told(),
        shard_primary: ALIAS.to_owned(),
        shard_term_s: TERM_S,
        after_ms: 3,
    }
}

pub(crate) fn replica() -> Roles {
    let told = || Told { kind: "REPLICA".to_owned(), term_s: 0 };
    Roles {
        health: told(),
        serving: false,
        tablet_record: told(),
        shard_primary: "zone1-0000000999".to_owned(),
        shard_term_s: TERM_S + 1,
        ..primary()
    }
}

pub(crate) fn verbs(uuid: &str) -> Verbs {
    let refused = CallOutcome::Refused("it is completed already".to_owned());
    Verbs {
        uuid: uuid.to_owned(),
        state: "completed".to_owned(),
        after_stop: Some("completed".to_owned()),
        after_resume: Some("started".to_owned()),
        before: vec![
            answer("show", CallOutcome::Done),
            answer("stop", refused),
            answer("resume", CallOutcome::Done),
            answer("delete", CallOutcome::Done),
        ],
        after: ["show", "stop", "resume", "delete"]
            .map(|call| answer(call, CallOutcome::NotFound))
            .into(),
        still_there: false,
        orphans: BTreeMap::new(),
        workflow: "Running".to_owned(),
    }
}
