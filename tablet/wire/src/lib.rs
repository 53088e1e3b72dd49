//! The messages that tablets, harness and etcd exchange: Vitess's names and field numbers for what
//! exists in Vitess, etcd's for etcd. This crate has no behaviour.
//!
//! `generated/` is made from `proto/` and checked in, so that no build compiles a proto compiler;
//! `tests/generated.rs` says whether it is fresh, and how to make it anew.
#![expect(missing_docs, reason = "the generated types are documented by the protos")]

macro_rules! packages {
    ($($name:ident = $package:literal),+ $(,)?) => {
        $(pub mod $name {
            include!(concat!("generated/", $package, ".rs"));
        })+
    };
}

packages! {
    binlogdata = "binlogdata",
    etcdserverpb = "etcdserverpb",
    query = "query",
    queryservice = "queryservice",
    tabletmanagerdata = "tabletmanagerdata",
    tabletmanagerservice = "tabletmanagerservice",
    topodata = "topodata",
    vttime = "vttime",
}
