//! The messages that tablets, harness and etcd exchange: Vitess's names and field numbers for what
//! exists in Vitess, etcd's for etcd. Generated from `proto/`; this crate has no behaviour.
#![expect(missing_docs, reason = "the generated types are documented by the protos")]

macro_rules! packages {
    ($($name:ident = $package:literal),+ $(,)?) => {
        $(pub mod $name {
            tonic::include_proto!($package);
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
