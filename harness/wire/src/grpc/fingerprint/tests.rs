use proptest::prelude::*;
use tablet_wire::binlogdata::VStreamRowsRequest;
use tablet_wire::etcdserverpb::compare::{CompareResult, CompareTarget};
use tablet_wire::etcdserverpb::{WatchCancelRequest, WatchCreateRequest};
use tablet_wire::query::{QueryResult, Row, Target};

use super::*;

fn names() -> Normaliser {
    Normaliser::new([("/t7", "")])
}

fn framed(content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).unwrap().to_be_bytes();
    [&[0][..], &length, content].concat()
}

fn says(path: &str, message: &impl Message) -> (String, Class) {
    let spoken = read(path, &framed(&message.encode_to_vec()), &names());
    (spoken.fingerprint, spoken.class)
}

fn put(key: &str, value: &str, lease: i64) -> PutRequest {
    PutRequest { key: key.into(), value: value.into(), lease, prev_kv: false }
}

fn if_at(key: &str, revision: i64) -> Compare {
    Compare {
        result: CompareResult::Equal.into(),
        target: CompareTarget::Mod.into(),
        key: key.into(),
        target_union: Some(TargetUnion::ModRevision(revision)),
    }
}

fn txn(compare: Vec<Compare>, success: Vec<Op>) -> TxnRequest {
    let success = success.into_iter().map(|request| RequestOp { request: Some(request) });
    TxnRequest { compare, success: success.collect(), failure: Vec::new() }
}

#[test]
fn keys_stay_and_what_differs_between_trials_goes() {
    let shard = "/t7/global/keyspaces/customer/shards/0/Shard";
    let range = RangeRequest { key: shard.into(), revision: 17, ..Default::default() };
    let bare = "/global/keyspaces/customer/shards/0/Shard";
    assert_eq!(
        says("/etcdserverpb.KV/Range", &range),
        (format!("etcd KV/Range {bare}"), Class::Reads)
    );
    let prefix = RangeRequest { range_end: "/t7/global0".into(), ..range };
    assert_eq!(says("/etcdserverpb.KV/Range", &prefix).0, format!("etcd KV/Range {bare}*"));
    let one = says("/etcdserverpb.KV/Put", &put(shard, "a", 0));
    assert_eq!(one, (format!("etcd KV/Put {bare}"), Class::Writes));
    assert_eq!(one, says("/etcdserverpb.KV/Put", &put(shard, "b", 0)));
    let leased = says("/etcdserverpb.KV/Put", &put(shard, "a", 8));
    assert_eq!(leased.0, format!("etcd KV/Put {bare} leased"));
    assert_eq!(leased, says("/etcdserverpb.KV/Put", &put(shard, "a", 9)));
}

#[test]
fn transactions_are_told_by_what_they_expect_and_do() {
    let tablet = "/t7/zone1/tablets/zone1-0000000200/Tablet";
    let claim = |revision, lease| {
        txn(vec![if_at(tablet, revision)], vec![Op::RequestPut(put(tablet, "x", lease))])
    };
    let bare = "/zone1/tablets/zone1-0000000200/Tablet";
    let (fingerprint, class) = says("/etcdserverpb.KV/Txn", &claim(0, 1));
    assert_eq!(fingerprint, format!("etcd KV/Txn if {bare} absent then put {bare} leased"));
    assert_eq!(class, Class::Writes);
    let (fingerprint, _) = says("/etcdserverpb.KV/Txn", &claim(5, 1));
    assert_eq!(fingerprint, format!("etcd KV/Txn if {bare} unchanged then put {bare} leased"));
    assert_eq!(fingerprint, says("/etcdserverpb.KV/Txn", &claim(6, 2)).0);
    let read = txn(vec![], vec![Op::RequestRange(RangeRequest::default())]);
    assert_eq!(says("/etcdserverpb.KV/Txn", &read).1, Class::Reads);
}

#[test]
fn locks_and_leases_are_told_from_writes() {
    let lock = "/t7/global/internal/named_locks/customer/w/lock";
    assert_eq!(says("/etcdserverpb.KV/Put", &put(lock, "", 1)).1, Class::Locks);
    let take = txn(vec![if_at(lock, 0)], vec![Op::RequestPut(put(lock, "", 1))]);
    assert_eq!(says("/etcdserverpb.KV/Txn", &take).1, Class::Locks);
    let both = [Op::RequestPut(put(lock, "", 1)), Op::RequestPut(put("/t7/x", "", 1))];
    assert_eq!(says("/etcdserverpb.KV/Txn", &txn(vec![], both.to_vec())).1, Class::Writes);
    assert_eq!(
        says("/etcdserverpb.Lease/LeaseGrant", &LeaseGrantRequest { ttl: 5, id: 0 }),
        ("etcd Lease/LeaseGrant".to_owned(), Class::Locks)
    );
    for id in [7, 8] {
        assert_eq!(
            says("/etcdserverpb.Lease/LeaseRevoke", &LeaseRevokeRequest { id }),
            ("etcd Lease/LeaseRevoke".to_owned(), Class::Locks)
        );
    }
}

#[test]
fn watches_and_row_streams_are_told_by_what_they_read() {
    let create =
        WatchCreateRequest { key: "/t7/a".into(), start_revision: 3, ..Default::default() };
    let watch = |union| WatchRequest { request_union: Some(union) };
    assert_eq!(
        says("/etcdserverpb.Watch/Watch", &watch(RequestUnion::CreateRequest(create))),
        ("etcd Watch/Watch create /a".to_owned(), Class::Reads)
    );
    let cancel = RequestUnion::CancelRequest(WatchCancelRequest { watch_id: 4 });
    assert_eq!(says("/etcdserverpb.Watch/Watch", &watch(cancel)).0, "etcd Watch/Watch cancel");
    let target = Target { keyspace: "commerce".into(), shard: "0".into(), ..Default::default() };
    let mut rows = VStreamRowsRequest {
        target: Some(target),
        query: "select `id`, t1  from t where a = 'it''s' and b > 12.5".into(),
        ..Default::default()
    };
    let bare = "Query/VStreamRows commerce/0 select id, t1 from t where a = ? and b > ?";
    let path = "/queryservice.Query/VStreamRows";
    assert_eq!(says(path, &rows), (bare.to_owned(), Class::Snapshot));
    let row = Row { lengths: vec![1], values: b"7".to_vec() };
    rows.lastpk = Some(QueryResult { rows: vec![row], ..Default::default() });
    assert_eq!(says(path, &rows).0, format!("{bare} after"));
}

/// Values, ids and revisions are in the text, where people look for them.
#[test]
fn the_text_tells_all() {
    let spoken =
        read("/etcdserverpb.KV/Put", &framed(&put("/t7/a", "v", 255).encode_to_vec()), &names());
    assert_eq!(spoken.text, "etcd KV/Put /t7/a = “v” lease ff");
}

#[test]
fn the_unknown_is_named_by_its_method() {
    assert_eq!(read("/a.b.Some/Thing", &framed(b"x"), &names()).fingerprint, "Some/Thing");
    let compressed = [1, 0, 0, 0, 1, 9];
    let spoken = read("/etcdserverpb.KV/Put", &compressed, &names());
    assert_eq!((spoken.fingerprint.as_str(), spoken.class), ("etcd KV/Put", Class::Writes));
}

const PATHS: [&str; 10] = [
    "/etcdserverpb.KV/Range",
    "/etcdserverpb.KV/Put",
    "/etcdserverpb.KV/DeleteRange",
    "/etcdserverpb.KV/Txn",
    "/etcdserverpb.Watch/Watch",
    "/etcdserverpb.Lease/LeaseGrant",
    "/etcdserverpb.Lease/LeaseRevoke",
    "/etcdserverpb.Lease/LeaseKeepAlive",
    "/queryservice.Query/VStreamRows",
    "rubbish",
];

proptest! {
    #[test]
    fn rubbish_never_panics(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        path in prop::sample::select(&PATHS[..]),
    ) {
        read(path, &bytes, &names());
        read(path, &framed(&bytes), &names());
    }
}
