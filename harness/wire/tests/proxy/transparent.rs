//! What a client can tell of the proxy: nothing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures::stream;
use mysql_async::prelude::Queryable;
use mysql_async::{ChangeUserOpts, Conn, Row, Value};
use servers::MysqlServer;
use sha2::{Digest, Sha256};
use wire::{Class, Direction, Flow, Way};

use crate::bench::{Bench, SOON, opts, root, soon};

const BOOT: Duration = Duration::from_secs(60);

/// Every kind of request and response; the answers are those of a direct connection.
pub(crate) async fn nothing_tells_that_the_proxy_is_there(server: &Arc<MysqlServer>) -> Result<()> {
    let bench = Bench::before(server).await?;
    let mut root = root(server).await?;
    root.query_drop("create database clear").await?;
    root.query_drop("set global local_infile = 1").await?;
    // A user that nobody has used: its password goes over the wire enciphered by the server's key.
    server.create_user("fresh", "secret").await?;
    let fresh = bench.opts().user(Some("fresh")).pass(Some("secret")).db_name(Some("clear"));
    let mut client = soon("connecting", Conn::new(fresh)).await??;
    client.query_drop("create table t (id int auto_increment primary key, a text)").await?;
    client.query_drop("insert into t (a) values ('x'), (null)").await?;
    ensure!(client.affected_rows() == 2 && client.last_insert_id() == Some(1));
    client.exec_drop("insert into t (a) values (?)", ("prepared",)).await?;
    ensure!(client.last_insert_id() == Some(3));
    let rows: Vec<(u32, Option<String>)> =
        client.exec("select * from t where id > ?", (1,)).await?;
    ensure!(rows == [(2, None), (3, Some("prepared".to_owned()))], "{rows:?}");
    let error = client.query_drop("select nothing").await.err().context("an error passes")?;
    ensure!(error.to_string().contains("1054"), "{error}");
    ensure!(client.prep("not a statement").await.is_err());

    let mut results = client.query_iter("select 1; do 2; select 3 union select 4").await?;
    let first: Vec<u32> = results.collect().await?;
    let second: Vec<u32> = results.collect().await?;
    let third: Vec<u32> = results.collect().await?;
    results.drop_result().await?;
    ensure!((first, second, third) == (vec![1], vec![], vec![3, 4]));
    client.query_drop("create procedure p() begin select 5; select a from t; end").await?;
    let mut results = client.exec_iter("call p()", ()).await?;
    ensure!(results.collect::<u32>().await? == [5]);
    ensure!(results.collect::<Row>().await?.len() == 3);
    results.drop_result().await?;

    let lines = || stream::iter([Ok("7\tseven\n".into()), Ok("8\teight\n".into())]);
    client.set_infile_handler(async move { Ok(Box::pin(lines()) as _) });
    client.query_drop("load data local infile 'any' into table t").await?;
    ensure!(client.query_first::<u32, _>("select count(*) from t").await? == Some(5));
    client.ping().await?;
    client.reset().await?;
    client.query_drop("use mysql").await?;
    let root = ChangeUserOpts::new()
        .with_user(Some("root".to_owned()))
        .with_pass(Some(server.password().to_owned()));
    client.change_user(root).await?;
    ensure!(client.query_first::<String, _>("select user()").await?.is_some());
    let cap: Option<Value> = client.query_first("select 'after all this'").await?;
    ensure!(cap == Some(Value::from("after all this")));
    soon("the end", client.disconnect()).await??;

    let said = bench.board.conversation();
    let find = |fingerprint: &str| {
        let found = said.iter().find(|exchange| &*exchange.fingerprint == fingerprint);
        found.with_context(|| format!("{fingerprint} was recorded"))
    };
    ensure!(find("connect")?.text.ends_with("fresh"));
    ensure!(find("insert into t (a) values (?+)")?.class == Class::Writes);
    find("prepare: select * from t where id > ?")?;
    find("select * from t where id > ?")?;
    bench.stop().await
}

/// 10 MB in many rows, and one row of over 16 MiB, in both protocols.
pub(crate) async fn large_results_pass_byte_for_byte(server: &Arc<MysqlServer>) -> Result<()> {
    let bench = Bench::before(server).await?;
    let many = "with recursive n as (select 1 i union all select i + 1 from n where i < 1000) \
                select i, repeat(char(32 + i % 90), 10 * i % 20011) from n";
    let one = "select repeat('\\0\\xff', 8500000), 7";
    let (mut direct, mut client) = (root(server).await?, bench.client().await?);
    for query in [many, one] {
        let expected = digest(&direct.query(query).await?);
        ensure!(digest(&soon("the rows", client.query(query)).await??) == expected, "{query}");
        ensure!(digest(&soon("the rows", client.exec(query, ())).await??) == expected, "{query}");
    }
    // A large request.
    let text = "x".repeat(17 << 20);
    let length: Option<usize> = client.exec_first("select length(?)", (text.as_str(),)).await?;
    ensure!(length == Some(text.len()));
    bench.stop().await
}

fn digest(rows: &[Row]) -> (usize, Vec<u8>) {
    let (mut hasher, mut length) = (Sha256::new(), 0);
    for row in rows {
        for at in 0..row.len() {
            // Both protocols give the same bytes, but numbers as what they are.
            let bytes = match row.as_ref(at) {
                Some(Value::Bytes(bytes)) => bytes.clone(),
                Some(other) => other.as_sql(true).into_bytes(),
                None => Vec::new(),
            };
            length += bytes.len();
            hasher.update(&bytes);
        }
    }
    (length, hasher.finalize().to_vec())
}

/// Latency, a partition that heals, refusal and reset, on living connections.
pub(crate) async fn link_conditions_act_below_the_statements(
    server: &Arc<MysqlServer>,
) -> Result<()> {
    let bench = Bench::before(server).await?;
    let mut client = bench.client().await?;
    let latency = Duration::from_millis(60);
    for direction in [Direction::ToServer, Direction::ToClient] {
        bench.conditions.set(direction, Way { latency, ..Way::FINE });
    }
    let began = Instant::now();
    client.query_drop("do 1").await?;
    ensure!(began.elapsed() >= 2 * latency, "there and back: {:?}", began.elapsed());
    bench.conditions.clear();

    let stopped = Way { flow: Flow::Stopped, ..Way::FINE };
    bench.conditions.set(Direction::ToClient, stopped);
    let mut waits = tokio::spawn(async move {
        let got = client.query_first::<u32, _>("select 7").await;
        (client, got)
    });
    let early = tokio::time::timeout(Duration::from_millis(100), &mut waits).await;
    ensure!(early.is_err(), "nothing comes back");
    bench.conditions.clear();
    let (mut client, got) = soon("the answer", waits).await??;
    ensure!(got? == Some(7), "nothing is lost");

    bench.conditions.refuse(true);
    ensure!(soon("the refusal", Conn::new(bench.opts())).await?.is_err());
    client.ping().await.context("living connections are spared")?;
    bench.conditions.clear();
    bench.conditions.reset();
    ensure!(soon("the reset", client.ping()).await?.is_err());
    bench.client().await?.ping().await?;
    bench.stop().await
}

/// A tablet keeps the address of its MySQL, whose port changes at a restart.
pub(crate) async fn a_restarted_server_is_found_again(server: &Arc<MysqlServer>) -> Result<()> {
    let bench = Bench::before(server).await?;
    let mut client = bench.client().await?;
    server.kill().await?;
    ensure!(soon("the server's death", client.ping()).await?.is_err());
    let away = tokio::time::timeout(SOON, Conn::new(bench.opts())).await?;
    ensure!(away.is_err(), "MySQL is away");
    server.start().await?;
    server.wait_ready(BOOT).await?;
    bench.client().await?.ping().await?;
    let mut direct = Conn::new(opts(server, server.host_addr().1)).await?;
    direct.ping().await?;
    bench.stop().await
}
