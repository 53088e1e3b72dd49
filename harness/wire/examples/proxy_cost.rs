//! What the wire proxy costs without armed points, beside a direct connection:
//!
//! ```console
//! $ cargo run --release -p wire --example proxy_cost
//! ```
//!
//! Starts MySQL in a container and the proxy inside this process, as the harness does, and talks to
//! both ways by turns: for each statement the time from question to answer, and for a stream of rows
//! the CPU time of client and proxy. Both run on threads of their own, so that the kernel's account
//! of each thread tells them apart. Prints medians over pairs, and fails when the proxy adds more than
//! it may.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use engine::docker::{Engine, Run};
use engine::images::{self, Recipe};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder};
use servers::MysqlServer;
use tokio::runtime::{Builder, Runtime};
use wire::{LinkConditions, MysqlProxy, Normaliser, Switchboard, Upstream};

const PAIRS: usize = 11;
/// Of each kind of connection, in each pair.
const STATEMENTS: usize = 400;
const ROWS: u64 = 512 * 512;
const ROW_BYTES: u64 = 1000;
/// The proxy may add so much to a statement, at the median.
const ADDED_MAX_MS: f64 = 0.2;
const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const DEADLINE: Duration = Duration::from_secs(1200);
const MYSQL: &str = "mysql";
const PROXY: &str = "proxy";
const CLIENT: &str = "client";

/// One connection measured once.
#[derive(Clone, Copy, Debug)]
struct Sample {
    statement_ms: f64,
    client_cpu: f64,
    proxy_cpu: f64,
    megabytes_per_second: f64,
}

fn main() -> Result<ExitCode> {
    let host = Builder::new_current_thread().enable_all().build()?;
    let (run, server) = host.block_on(start())?;
    let measured = measure(&server);
    host.block_on(run.remove())?;
    let (direct, proxied) = measured?;
    Ok(report(&direct, &proxied))
}

async fn start() -> Result<(Run, MysqlServer)> {
    let engine = Engine::connect().await?;
    let run = Run::begin(&engine, &Run::fresh_id()).await?;
    let launched = async {
        let progress = |line: &str| eprintln!("{line}");
        let image = images::ensure_server(&engine, &Recipe::mysql(), None, &progress).await?;
        anyhow::Ok(MysqlServer::launch(&engine, &run, &image, MYSQL, None).await?)
    };
    match launched.await {
        Ok(server) => Ok((run, server)),
        Err(error) => {
            run.remove().await?;
            Err(error)
        }
    }
}

fn measure(server: &MysqlServer) -> Result<(Vec<Sample>, Vec<Sample>)> {
    let proxies = runtime(PROXY, 2)?;
    let clients = runtime(CLIENT, 1)?;
    let port = server.host_addr().1;
    let upstream = Upstream::fixed(SocketAddr::new(LOOPBACK, port));
    let (board, names, conditions) =
        (Switchboard::default(), Normaliser::default(), LinkConditions::default());
    let proxy =
        proxies.block_on(MysqlProxy::start(LOOPBACK, upstream, board, names, conditions))?;
    let (direct, proxied) = (opts(server, port), opts(server, proxy.port()));
    let measured = clients.block_on(clients.spawn(async move {
        let all = tokio::time::timeout(DEADLINE, pairs(direct, proxied));
        all.await.context("the deadline passed")?
    }))?;
    proxies.block_on(proxy.stop())?;
    measured
}

fn runtime(name: &str, threads: usize) -> Result<Runtime> {
    Ok(Builder::new_multi_thread()
        .worker_threads(threads)
        .thread_name(name)
        .enable_all()
        .build()?)
}

async fn pairs(direct: OptsBuilder, proxied: OptsBuilder) -> Result<(Vec<Sample>, Vec<Sample>)> {
    let mut direct = Conn::new(direct).await?;
    let mut proxied = Conn::new(proxied).await?;
    let mut samples = (Vec::new(), Vec::new());
    // The first pair warms up.
    for pair in 0..=PAIRS {
        // By turns, so that neither is always the first.
        let (one, other) = if pair % 2 == 0 {
            let one = sample(&mut direct).await?;
            (one, sample(&mut proxied).await?)
        } else {
            let other = sample(&mut proxied).await?;
            (sample(&mut direct).await?, other)
        };
        if pair > 0 {
            samples.0.push(one);
            samples.1.push(other);
        }
    }
    direct.disconnect().await?;
    proxied.disconnect().await?;
    Ok(samples)
}

async fn sample(conn: &mut Conn) -> Result<Sample> {
    let mut times = Vec::with_capacity(STATEMENTS);
    for number in 0..STATEMENTS {
        let statement = format!("select {number}");
        let began = Instant::now();
        conn.query_drop(statement).await?;
        times.push(began.elapsed().as_secs_f64() * 1000.0);
    }
    let before = (cpu_seconds(CLIENT)?, cpu_seconds(PROXY)?);
    let began = Instant::now();
    let bytes = stream(conn).await? as f64;
    let seconds = began.elapsed().as_secs_f64();
    let gigabytes = bytes / 1e9;
    Ok(Sample {
        statement_ms: median(times),
        client_cpu: (cpu_seconds(CLIENT)? - before.0) / gigabytes,
        proxy_cpu: (cpu_seconds(PROXY)? - before.1) / gigabytes,
        megabytes_per_second: bytes / 1e6 / seconds,
    })
}

/// Reads rows; returns the bytes of their values.
async fn stream(conn: &mut Conn) -> Result<u64> {
    let query = format!(
        "with recursive n as (select 1 i union all select i + 1 from n where i < 512) \
         select repeat('r', {ROW_BYTES}) from n a join n b"
    );
    let mut rows = conn.query_iter(query).await?;
    let mut bytes = 0;
    while let Some(row) = rows.next().await? {
        if let Some(mysql_async::Value::Bytes(value)) = row.as_ref(0) {
            bytes += value.len() as u64;
        }
    }
    anyhow::ensure!(bytes == ROWS * ROW_BYTES, "{bytes} bytes came");
    Ok(bytes)
}

/// CPU time, user and system, of the threads of this name.
fn cpu_seconds(name: &str) -> Result<f64> {
    let mut nanoseconds = 0.0;
    for task in fs::read_dir("/proc/self/task")? {
        let task = task?.path();
        if fs::read_to_string(task.join("comm"))?.trim() == name {
            let account = fs::read_to_string(task.join("schedstat"))?;
            let on_cpu = account.split_whitespace().next().context("schedstat is empty")?;
            nanoseconds += on_cpu.parse::<f64>()?;
        }
    }
    Ok(nanoseconds / 1e9)
}

fn report(direct: &[Sample], proxied: &[Sample]) -> ExitCode {
    let of =
        |samples: &[Sample], what: fn(&Sample) -> f64| median(samples.iter().map(what).collect());
    let added = |what: fn(&Sample) -> f64| {
        median(direct.iter().zip(proxied).map(|(one, other)| what(other) - what(one)).collect())
    };
    let statement = |sample: &Sample| sample.statement_ms;
    let all = |sample: &Sample| sample.client_cpu + sample.proxy_cpu;
    let speed = |sample: &Sample| sample.megabytes_per_second;
    let added_ms = added(statement);
    let holds = added_ms <= ADDED_MAX_MS;
    println!(
        "medians of {PAIRS} pairs, {STATEMENTS} statements and {ROWS} rows of {ROW_BYTES} bytes each"
    );
    println!(
        "statement   p50 {:.3} ms direct, {:.3} ms through the proxy: {added_ms:.3} ms added \
         (at most {ADDED_MAX_MS} ms: {})",
        of(direct, statement),
        of(proxied, statement),
        if holds { "holds" } else { "DOES NOT HOLD" },
    );
    println!(
        "row stream  CPU {:.3} s/GB direct, {:.3} s/GB through the proxy: {:.3} s/GB added \
         (of the proxy's own threads {:.3})",
        of(direct, all),
        of(proxied, all),
        added(all),
        of(proxied, |sample| sample.proxy_cpu),
    );
    println!(
        "            {:.0} MB/s direct, {:.0} MB/s through the proxy",
        of(direct, speed),
        of(proxied, speed)
    );
    if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn opts(server: &MysqlServer, port: u16) -> OptsBuilder {
    OptsBuilder::default()
        .ip_or_hostname("127.0.0.1")
        .tcp_port(port)
        .user(Some("root"))
        .pass(Some(server.password()))
        .prefer_socket(false)
}
