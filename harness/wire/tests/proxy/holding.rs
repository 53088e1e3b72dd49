//! Statements that are held.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use futures::StreamExt;
use mysql_async::prelude::Queryable;
use mysql_async::{BinlogStreamRequest, Conn};
use records::schedule::Moment;
use servers::MysqlServer;
use wire::Class;

use crate::bench::{Bench, caught, kill, root, soon, wait_gone};

/// The checkpoint's shape.
const CHECKPOINT: &str =
    "update held.vdiff_table set rows_compared = ?, lastpk = ? where vdiff_id = ?";

/// How a client says a statement.
#[derive(Clone, Copy, Debug)]
enum Protocol {
    Text,
    Prepared,
}

async fn checkpoint(client: &mut Conn, protocol: Protocol, rows: u64) -> mysql_async::Result<()> {
    let lastpk = format!("{{\"id\": \"{rows}\"}}");
    match protocol {
        Protocol::Text => {
            let table = "`held_t1`.`vdiff_table`";
            let set = format!("rows_compared = {rows}, lastpk = '{lastpk}'");
            client.query_drop(format!("update {table} set {set} where vdiff_id = 1")).await
        }
        Protocol::Prepared => {
            let statement =
                "update held_t1.vdiff_table set rows_compared = ?, lastpk = ? where vdiff_id = ?";
            client.exec_drop(statement, (rows, lastpk, 1)).await
        }
    }
}

async fn saved(root: &mut Conn) -> Result<u64> {
    let query = "select rows_compared from held_t1.vdiff_table where vdiff_id = 1";
    root.query_first(query).await?.context("the row is there")
}

async fn make_table(root: &mut Conn) -> Result<()> {
    root.query_drop("create database if not exists held_t1").await?;
    root.query_drop("drop table if exists held_t1.vdiff_table").await?;
    root.query_drop(
        "create table held_t1.vdiff_table \
         (vdiff_id int primary key, rows_compared bigint, lastpk blob)",
    )
    .await?;
    Ok(root.query_drop("insert into held_t1.vdiff_table values (1, 0, '')").await?)
}

/// The second checkpoint is held and its client dies. At `before` it must never happen, or the point
/// would be another one; at `executed` it has happened, though the client never heard of it.
pub(crate) async fn a_held_write_has_happened_or_not_by_its_moment(
    server: &Arc<MysqlServer>,
) -> Result<()> {
    let mut root = root(server).await?;
    for protocol in [Protocol::Text, Protocol::Prepared] {
        for (moment, expected) in
            [(Moment::Before, 100), (Moment::Executed, 200), (Moment::Replied, 200)]
        {
            let what = format!("{protocol:?} {moment}");
            make_table(&mut root).await?;
            let bench = Bench::before(server).await?;
            let (mut client, wire) = bench.mortal_client().await?;
            let id = client.id();
            let mut armed = bench.arm(CHECKPOINT, 2, moment);
            let work = tokio::spawn(async move {
                checkpoint(&mut client, protocol, 100).await?;
                checkpoint(&mut client, protocol, 200).await?;
                client.query_drop("select 'the next one'").await
            });
            let mut held = caught(&mut armed).await?;
            ensure!(held.exchange().class == Class::Writes && held.exchange().nth == 2, "{what}");
            ensure!(saved(&mut root).await? == expected, "{what}: while it is held");
            kill(&mut held, wire, &mut root, id).await.context(what.clone())?;
            ensure!(saved(&mut root).await? == expected, "{what}: after its client's death");
            ensure!(soon("the client", work).await??.is_err(), "{what}: the client is cut off");
            bench.stop().await?;
        }
    }
    Ok(())
}

/// The unknown outcome of a transaction.
pub(crate) async fn a_held_commit_decides_its_transaction(server: &Arc<MysqlServer>) -> Result<()> {
    let mut root = root(server).await?;
    for (moment, expected) in [(Moment::Before, 0), (Moment::Executed, 100)] {
        make_table(&mut root).await?;
        let bench = Bench::before(server).await?;
        let (mut client, wire) = bench.mortal_client().await?;
        let id = client.id();
        let mut armed = bench.arm("commit", 1, moment);
        let work = tokio::spawn(async move {
            client.query_drop("start transaction").await?;
            checkpoint(&mut client, Protocol::Text, 100).await?;
            client.query_drop("commit").await
        });
        let mut held = caught(&mut armed).await?;
        kill(&mut held, wire, &mut root, id).await?;
        ensure!(saved(&mut root).await? == expected, "commit {moment}");
        ensure!(soon("the client", work).await??.is_err());
        bench.stop().await?;
    }
    Ok(())
}

/// Others pass while one is held; then it goes on, is discarded, or ends with the proxy.
pub(crate) async fn a_hold_stops_its_own_connection_only(server: &Arc<MysqlServer>) -> Result<()> {
    let mut root = root(server).await?;
    make_table(&mut root).await?;
    let bench = Bench::before(server).await?;
    let mut armed = bench.arm(CHECKPOINT, 1, Moment::Executed);
    let mut client = bench.client().await?;
    let work = tokio::spawn(async move {
        checkpoint(&mut client, Protocol::Text, 100).await?;
        mysql_async::Result::Ok(client)
    });
    let held = caught(&mut armed).await?;
    let mut others = tokio::task::JoinSet::new();
    for number in 0..40_u32 {
        let mut other = bench.client().await?;
        others.spawn(async move {
            for round in 0..20_u32 {
                let got: Option<f64> = other.exec_first("select ? + ?", (number, round)).await?;
                assert_eq!(got, Some(f64::from(number + round)));
            }
            other.disconnect().await
        });
    }
    while let Some(other) = soon("the others", others.join_next()).await? {
        other??;
    }
    ensure!(!work.is_finished(), "it is held");
    held.release();
    let mut client = soon("the held statement", work).await???;
    let id = client.id();

    let mut armed = bench.arm("delete from held.vdiff_table", 1, Moment::Before);
    let work =
        tokio::spawn(async move { client.query_drop("delete from held_t1.vdiff_table").await });
    caught(&mut armed).await?.discard();
    ensure!(soon("the client", work).await??.is_err(), "its connection is closed");
    wait_gone(&mut root, id).await?;
    ensure!(saved(&mut root).await? == 100);

    let mut client = bench.client().await?;
    let id = client.id();
    let mut armed = bench.arm("do ?", 1, Moment::Replied);
    let work = tokio::spawn(async move {
        client.query_drop("do 1").await?;
        client.ping().await
    });
    let held = caught(&mut armed).await?;
    bench.stop().await?;
    ensure!(!held.is_held(), "a hold ends with its proxy");
    ensure!(soon("the client", work).await??.is_err());
    wait_gone(&mut root, id).await
}

/// The observers' reader of the binary log goes through it too, when it has to.
pub(crate) async fn a_binary_log_is_passed_as_it_is(server: &Arc<MysqlServer>) -> Result<()> {
    let bench = Bench::before(server).await?;
    let mut root = root(server).await?;
    let (file, _end): (String, u64) = root
        .query_first::<mysql_async::Row, _>("show binary log status")
        .await?
        .and_then(|row| Some((row.get(0)?, row.get(1)?)))
        .context("there is a binary log")?;
    let request = BinlogStreamRequest::new(77).with_filename(file.as_bytes());
    let client = bench.client().await?;
    let mut stream = soon("the stream", client.get_binlog_stream(request)).await??;
    for _ in 0..5 {
        soon("an event", stream.next()).await?.context("there are events")??;
    }
    drop(stream);
    bench.stop().await
}
