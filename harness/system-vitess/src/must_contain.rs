//! What the conversation of a vttablet must contain, whatever its release does besides: the statements and calls of a
//! VDiff's windows.

use records::schedule::Link;
use system::Demand;

/// What it is, where it is said, and parts of its fingerprint.
const LIST: [(&str, Link, &[&str]); 8] = [
    ("a new diff", Link::Mysql, &["insert into _vt.vdiff", "vdiff_uuid"]),
    ("a diff is taken up", Link::Mysql, &["update _vt.vdiff ", "'started'"]),
    (
        "the workflow is stopped for the diff",
        Link::Mysql,
        &["update _vt.vreplication", "for vdiff"],
    ),
    (
        "it runs up to the snapshot",
        Link::Mysql,
        &["update _vt.vreplication", "synchronizing for vdiff"],
    ),
    ("progress is saved", Link::Mysql, &["update _vt.vdiff_table", "lastpk"]),
    ("a table is done", Link::Mysql, &["update _vt.vdiff_table", "'completed'"]),
    ("the diff is done", Link::Mysql, &["update _vt.vdiff ", "'completed'"]),
    ("the workflow's lock", Link::Etcd, &["named_locks"]),
];

/// The list.
#[must_use]
pub fn must_contain() -> Vec<Demand> {
    let demand = |(what, link, words): &(&str, Link, &[&str])| Demand {
        what: (*what).to_owned(),
        link: *link,
        words: words.iter().map(|word| (*word).to_owned()).collect(),
    };
    LIST.iter().map(demand).collect()
}
