//! The workload and the history against real MySQL: what is said to be planted is what lies there,
//! in the order said, and what was committed is what is read back.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use engine::docker::{Engine, Run};
use engine::images::{self, Images, Recipe};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, OptsBuilder, Pool};
use records::journal::SidecarChange;
use records::schedule::Workload;
use servers::Servers;
use servers::history::{self, GtidSet, HistoryError, HistoryOptions};
use workload::naive;
use workload::{self, Dataset};

/// For everything; the images may have to be made first.
const DEADLINE: Duration = Duration::from_secs(600);

#[tokio::test(flavor = "multi_thread")]
async fn workload_and_history_hold_on_real_mysql() -> Result<()> {
    let engine = Engine::connect().await?;
    let run = Run::begin(&engine, &Run::fresh_id()).await?;
    let done = tokio::time::timeout(DEADLINE, on_servers(&engine, &run)).await;
    run.remove().await?;
    done.context("the deadline passed")?
}

async fn on_servers(engine: &Engine, run: &Run) -> Result<()> {
    let progress = |line: &str| eprintln!("{line}");
    let mysql = images::ensure_server(engine, &Recipe::mysql(), None, &progress).await?;
    let etcd = images::ensure_server(engine, &Recipe::etcd(), None, &progress).await?;
    // No tablet is started here, so none is built.
    let images = Images { tablet: mysql.clone(), mysql, etcd, helper: None };
    let servers = Servers::start(engine, run, &images).await?;
    let (source, target) = (servers.source.pool(), servers.target.pool());
    planted_is_what_lies_there(&source, &target).await?;
    let (host, port) = servers.target.host_addr();
    let password = servers.target.password().to_owned();
    let server = OptsBuilder::default()
        .ip_or_hostname(host)
        .tcp_port(port)
        .user(Some("root"))
        .pass(Some(password))
        .prefer_socket(false);
    history_is_what_was_committed(&target, server.into()).await?;
    source.disconnect().await?;
    target.disconnect().await?;
    servers.remove().await?;
    Ok(())
}

/// (seed, tables, rows, differences, run length)
type Case = (u64, &'static [&'static str], u64, u32, u64);

const ALL: &[&str] = &["customer", "corder", "product", "event", "document"];
const CASES: [Case; 5] = [
    (1, ALL, 3000, 37, 250),
    (u64::MAX, ALL, 60, 52, 8),
    (42, &["product"], 2000, 37, 250),
    (43, &["document", "event"], 2000, 37, 250),
    (44, &["customer"], 0, 0, 0),
];

// A wrong truth makes the oracle of exactness accuse the innocent, or acquit the guilty; a wrong
// order of keys does the same to the oracle of the cursor.
async fn planted_is_what_lies_there(source: &Pool, target: &Pool) -> Result<()> {
    for (index, (seed, tables, rows, differences, run_length)) in CASES.into_iter().enumerate() {
        let tables = tables.iter().map(|name| (*name).to_owned()).collect();
        let dataset = Dataset::new(&Workload {
            seed,
            tables,
            rows,
            differences,
            run_length,
            keys_alike: false,
        })?;
        let (commerce, customer) = (format!("commerce_{index}"), format!("customer_{index}"));
        workload::load(&dataset, source, &commerce, target, &customer).await?;
        let found = naive::compare(source, &commerce, target, &customer, &dataset.tables()).await?;
        ensure!(found == dataset.truth(), "seed {seed}: found {found:?}, not the planted truth");
        for table in dataset.tables() {
            cursors_follow_mysql(&dataset, &table, source, &commerce, target, &customer).await?;
        }
    }
    Ok(())
}

/// Each key of both sides, in the order in which MySQL merges them, is one further or a pair.
async fn cursors_follow_mysql(
    dataset: &Dataset,
    table: &str,
    source: &Pool,
    source_database: &str,
    target: &Pool,
    target_database: &str,
) -> Result<()> {
    let key: &[&str] = match table {
        "corder" => &["customer_id", "order_no"],
        "product" => &["sku"],
        "document" => &["kind", "id"],
        _ => &["id"],
    };
    for (pool, database) in [(source, source_database), (target, target_database)] {
        let columns = key.join("`, `");
        let text: Vec<String> = key.iter().map(|name| format!("concat(`{name}`)")).collect();
        let sql = format!(
            "select json_object('columns', json_array('{}'), 'values', json_array({})) \
             from `{database}`.`{table}` order by `{columns}`",
            key.join("', '"),
            text.join(", ")
        );
        let cursors: Vec<String> = pool.get_conn().await?.query(sql).await?;
        let mut last = 0;
        for cursor in cursors {
            let ordinal = dataset.cursor_ordinal(table, &cursor).context(cursor.clone())?;
            ensure!(ordinal > last, "{table}: {cursor} is {ordinal}, after {last}");
            last = ordinal;
        }
    }
    Ok(())
}

async fn executed(conn: &mut Conn) -> Result<GtidSet> {
    let text: Option<String> = conn.query_first("select @@global.gtid_executed").await?;
    Ok(text.unwrap_or_default().parse()?)
}

const TABLES: &str = "\
    create database _vt_history;\
    create table _vt_history.vdiff (id bigint auto_increment primary key, state varbinary(64), \
        options json, created_at timestamp default current_timestamp, at timestamp(6) null, \
        last_error varbinary(99), big bigint unsigned);\
    create table _vt_history.vdiff_table (vdiff_id bigint, table_name varbinary(99), \
        lastpk mediumblob, report json, rows_compared bigint, primary key (vdiff_id, table_name));\
    create table _vt_history.strange (id int primary key)";

const CHANGES: &str = "\
    insert into _vt_history.vdiff (state, options, at, last_error, big) values ('pending', \
        '{\"a\": [1, 2.5, null, \"x\"]}', '2026-01-02 03:04:05.000007', x'ff00', ~0);\
    insert into _vt_history.strange values (1);\
    start transaction; insert into _vt_history.vdiff (state) values ('rolled back'); rollback;\
    start transaction; update _vt_history.vdiff set state = 'started'; \
        insert into _vt_history.vdiff_table values (1, 'a', null, \
            '{\"MismatchedRows\": 1, \"MismatchedRowsSample\": [{}]}', 0); commit;\
    set session binlog_row_value_options = 'PARTIAL_JSON';\
    update _vt_history.vdiff_table set report = json_set(report, '$.MismatchedRows', 77), \
        rows_compared = 500, lastpk = '{\"columns\":[\"id\"],\"values\":[\"7\"]}';\
    set session binlog_row_value_options = default, binlog_transaction_compression = 1;\
    delete from _vt_history.vdiff_table";

async fn history_is_what_was_committed(pool: &Pool, server: Opts) -> Result<()> {
    let mut conn = pool.get_conn().await?;
    conn.query_drop("set session time_zone = '+00:00'").await?;
    conn.query_drop(TABLES).await?;
    let mut last = None;
    // With names in the binlog, and without: then information_schema names the columns.
    for metadata in ["MINIMAL", "FULL"] {
        conn.query_drop(format!("set global binlog_row_metadata = {metadata}")).await?;
        conn.query_drop("delete from _vt_history.vdiff; delete from _vt_history.strange").await?;
        conn.query_drop("alter table _vt_history.vdiff auto_increment = 1").await?;
        let after = executed(&mut conn).await?;
        conn.query_drop(CHANGES).await?;
        let upto = executed(&mut conn).await?;
        conn.query_drop("update _vt_history.vdiff set state = 'too late'").await?;
        let options = HistoryOptions {
            server: server.clone(),
            sidecar_database: "_vt_history".to_owned(),
            tables: &["vdiff", "vdiff_table", "vdiff_log", "vreplication"],
            after,
            upto,
            keep_samples: false,
            deadline: Duration::from_secs(20),
        };
        let changes = history::read(&options).await?;
        let told: Vec<String> = changes.iter().map(told).collect();
        ensure!(told == EXPECTED, "{metadata}: {told:#?}");
        ensure!(changes.iter().all(|change| change.commit_us > 1_600_000_000_000_000));
        ensure!(changes[1].gtid == changes[2].gtid && changes[2].gtid != changes[3].gtid);
        last = Some(options);
    }
    what_is_missing_is_said(&mut conn, last.context("no history was read")?).await
}

// A history with a hole would let every oracle that rests on it pass.
async fn what_is_missing_is_said(conn: &mut Conn, options: HistoryOptions) -> Result<()> {
    let upto = format!("{},b2b2b2b2-0000-4000-8000-000000000002:1-3", options.upto).parse()?;
    let unheard_of = HistoryOptions { upto, ..options.clone() };
    let answer = history::read(&unheard_of).await;
    ensure!(matches!(answer, Err(HistoryError::Incomplete { .. })), "{answer:?}");

    conn.query_drop("flush binary logs").await?;
    let (newest, ..): (String, u64, String) =
        conn.query::<_, _>("show binary logs").await?.pop().context("there is no binlog")?;
    conn.query_drop(format!("purge binary logs to '{newest}'")).await?;
    let answer = history::read(&options).await;
    ensure!(matches!(answer, Err(HistoryError::Unreadable { .. })), "{answer:?}");
    Ok(())
}

/// A change in short: what changed, or the whole row.
fn told(change: &SidecarChange) -> String {
    let (before, after) = (change.before.as_ref(), change.after.as_ref());
    let told: Vec<String> = after
        .or(before)
        .into_iter()
        .flatten()
        .filter(|(name, value)| {
            let old = before.and_then(|before| before.get(*name));
            name.as_str() != "created_at" && (after.is_none() || old != Some(value))
        })
        .map(|(name, value)| format!("{name}={}", value.as_deref().unwrap_or("NULL")))
        .collect();
    let how = match (before, after) {
        (None, _) => "+",
        (_, None) => "-",
        _ => "~",
    };
    format!("{how}{} {}", change.table, told.join(" "))
}

const EXPECTED: [&str; 5] = [
    "+vdiff at=2026-01-02 03:04:05.000007 big=18446744073709551615 id=1 last_error=0xff00 \
     options={\"a\":[1,2.5,null,\"x\"]} state=pending",
    "~vdiff state=started",
    "+vdiff_table lastpk=NULL report={\"MismatchedRows\":1} rows_compared=0 table_name=a vdiff_id=1",
    "~vdiff_table lastpk={\"columns\":[\"id\"],\"values\":[\"7\"]} report={\"MismatchedRows\":77} \
     rows_compared=500",
    "-vdiff_table lastpk={\"columns\":[\"id\"],\"values\":[\"7\"]} report={\"MismatchedRows\":77} \
     rows_compared=500 table_name=a vdiff_id=1",
];
