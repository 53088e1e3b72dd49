//! One MySQL server in a container.

mod tidy;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use mysql_async::prelude::{FromRow, Queryable};
use mysql_async::{Conn, Opts, OptsBuilder, Pool, PoolConstraints, PoolOpts};

use super::disk::SmallDisk;
use super::{BOOT, ClusterError};
use engine::docker::{Container, ContainerSpec, Engine, Run, narrow_sending};
use engine::images::{Image, MYSQL_SETTINGS};
use tidy::Needed;

/// MySQL's port inside the container.
const PORT: u16 = 3306;
const INIT_FILE: &str = "/etc/mysql/vdiff-chaos-init.sql";
const SETTINGS: &str = "/etc/mysql/conf.d/vdiff-chaos.cnf";
const DATA: &str = "/var/lib/mysql";
/// The root's connections at a time, from the host.
const POOL_MAX: usize = 32;
/// One attempt to connect.
const CONNECT: Duration = Duration::from_secs(2);

/// A running MySQL server.
#[derive(Debug)]
pub struct MysqlServer {
    engine: Engine,
    container: Container,
    network: String,
    server: String,
    password: String,
    /// Replaced at each start: the loopback port may change.
    access: Mutex<Access>,
    disk: Option<SmallDisk>,
    /// Binlogs that running trials need.
    needed: tokio::sync::Mutex<Needed>,
}

#[derive(Debug)]
struct Access {
    port: u16,
    pool: Pool,
}

impl MysqlServer {
    /// Creates and starts a server of this name, and waits until it answers.
    pub async fn launch(
        engine: &Engine,
        run: &Run,
        image: &Image,
        what: &str,
        disk: Option<SmallDisk>,
    ) -> Result<Self, ClusterError> {
        let password = hex::encode(rand::random::<[u8; 12]>());
        let mut spec = spec(image, what, &password);
        if let Some(disk) = &disk {
            spec.volumes.clear();
            spec.mounts = vec![(disk.volume().to_owned(), DATA.to_owned())];
        }
        let failed = |phase| ClusterError::engine(what, phase);
        let container = engine.launch(run.site(), spec).await.map_err(failed("the start"))?;
        let port = engine.host_port(container.id(), PORT).await.map_err(failed("the start"))?;
        let access = Mutex::new(Access { port, pool: Pool::new(opts(port, &password)) });
        let (engine, server) = (engine.clone(), what.to_owned());
        let needed = tokio::sync::Mutex::default();
        let network = run.network().to_owned();
        let server = Self { engine, container, network, server, password, access, disk, needed };
        server.wait_ready(BOOT).await?;
        Ok(server)
    }

    /// Connections as root from the host. Ask again after a restart.
    #[must_use]
    pub fn pool(&self) -> Pool {
        self.access.lock().expect("no panic while locked").pool.clone()
    }

    /// Address and port on the host's loopback. Ask again after a restart.
    #[must_use]
    pub fn host_addr(&self) -> (String, u16) {
        ("127.0.0.1".to_owned(), self.access.lock().expect("no panic while locked").port)
    }

    /// The root's password.
    #[must_use]
    pub fn password(&self) -> &str {
        &self.password
    }

    /// Its name on the run's network.
    #[must_use]
    pub fn network_name(&self) -> &str {
        self.container.name()
    }

    /// The container's id.
    #[must_use]
    pub fn container_id(&self) -> &str {
        self.container.id()
    }

    /// Kills the server (SIGKILL), and returns when it is dead; its exit code.
    pub async fn kill(&self) -> Result<i64, ClusterError> {
        let failed = || ClusterError::engine(&self.server, "the kill");
        let id = self.container.id();
        self.engine.kill(id, "SIGKILL").await.map_err(failed())?;
        self.engine.wait_exit(id, Duration::from_secs(10)).await.map_err(failed())
    }

    /// Takes the running server off its network without a word to those who are connected.
    pub async fn unplug(&self) -> Result<(), ClusterError> {
        let unplugged = self.engine.unplug(&self.network, self.container.id()).await;
        unplugged.map_err(ClusterError::engine(&self.server, "taking it off its network"))
    }

    /// Puts the dead server on its network again; it may get another address there.
    pub async fn plug_in(&self) -> Result<(), ClusterError> {
        let plugged = self.engine.plug_in(&self.network, self.container.id()).await;
        plugged.map_err(ClusterError::engine(&self.server, "putting it on its network"))
    }

    /// Starts the dead server again; its port on the host changes. Does not wait until it answers.
    pub async fn start(&self) -> Result<(), ClusterError> {
        let failed = || ClusterError::engine(&self.server, "the start");
        let id = self.container.id();
        self.engine.start(id).await.map_err(failed())?;
        let port = self.engine.host_port(id, PORT).await.map_err(failed())?;
        let pool = Pool::new(opts(port, &self.password));
        let old = std::mem::replace(
            &mut *self.access.lock().expect("no panic while locked"),
            Access { port, pool },
        );
        // Its connections are dead; letting it go is all there is to do.
        drop(old);
        Ok(())
    }

    /// Waits until a statement is answered.
    pub async fn wait_ready(&self, deadline: Duration) -> Result<(), ClusterError> {
        self.wait_for(&["select 1"], deadline).await
    }

    /// Waits until a write is committed.
    pub async fn wait_writable(&self, deadline: Duration) -> Result<(), ClusterError> {
        let write = ["create database if not exists chaos_probe", "drop database chaos_probe"];
        self.wait_for(&write, deadline).await
    }

    /// Waits until all these statements succeed, one after the other.
    async fn wait_for(
        &self,
        statements: &[&'static str],
        deadline: Duration,
    ) -> Result<(), ClusterError> {
        let mut last = String::from("no attempt ended");
        let attempts = async {
            let mut pause = tokio::time::interval(Duration::from_millis(25));
            loop {
                pause.tick().await;
                let attempt = async {
                    // Straight, not through the pool: a pool would keep a connection that hangs.
                    let mut conn = Conn::new(opts(self.host_addr().1, &self.password)).await?;
                    for statement in statements {
                        conn.query_drop(*statement).await?;
                    }
                    Ok::<(), mysql_async::Error>(())
                };
                match tokio::time::timeout(CONNECT, attempt).await {
                    Ok(Ok(())) => return,
                    Ok(Err(error)) => last = error.to_string(),
                    Err(_) => last = format!("no answer within {CONNECT:?}"),
                }
            }
        };
        if tokio::time::timeout(deadline, attempts).await.is_ok() {
            return Ok(());
        }
        let log = self.engine.last_log_lines(self.container.id(), 10).await.join("\n");
        Err(ClusterError::NotReady { server: self.server.clone(), deadline, last, log })
    }

    /// The GTID set of everything committed.
    pub async fn gtid_executed(&self) -> Result<String, ClusterError> {
        let query = "select @@global.gtid_executed";
        let set: String = self.value("reading gtid_executed", query).await?;
        Ok(set.replace('\n', ""))
    }

    /// Its clock, microseconds since the Unix epoch.
    pub async fn now_us(&self) -> Result<u64, ClusterError> {
        let query = "select cast(unix_timestamp(now(6)) * 1000000 as unsigned)";
        self.value("reading its clock", query).await
    }

    /// The value that a query yields.
    async fn value<T>(&self, what: &'static str, query: &str) -> Result<T, ClusterError>
    where
        T: FromRow + Send + 'static,
    {
        let read = async {
            let mut conn = self.pool().get_conn().await?;
            conn.query_first::<T, _>(query).await?.ok_or_else(no_answer)
        };
        let read = tokio::time::timeout(CONNECT * 5, read).await;
        read.unwrap_or_else(|_| Err(no_answer())).map_err(self.failed(what))
    }

    /// The key columns of a database's tables, in key order.
    pub async fn key_columns(
        &self,
        database: &str,
    ) -> Result<BTreeMap<String, Vec<String>>, ClusterError> {
        let read = async {
            let mut conn = self.pool().get_conn().await?;
            conn.exec::<(String, String), _, _>(
                "select table_name, column_name from information_schema.statistics \
                 where table_schema = ? and index_name = 'PRIMARY' order by table_name, seq_in_index",
                (database,),
            )
            .await
        };
        let read = tokio::time::timeout(CONNECT * 5, read).await;
        let rows = read.unwrap_or_else(|_| Err(no_answer()));
        let mut keys: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (table, column) in rows.map_err(self.failed("reading its tables' keys"))? {
            keys.entry(table).or_default().push(column);
        }
        Ok(keys)
    }

    /// A connection of root's that belongs to no pool: what it holds ends with it.
    pub async fn connect(&self) -> Result<Conn, ClusterError> {
        let connect = Conn::new(opts(self.host_addr().1, &self.password));
        let connect = tokio::time::timeout(CONNECT, connect).await;
        connect.unwrap_or_else(|_| Err(no_answer())).map_err(self.failed("connecting"))
    }

    /// Leaves little room on its disk, if that is a small one.
    pub async fn narrow_disk(&self) -> Result<(), ClusterError> {
        match &self.disk {
            Some(disk) => disk.narrow(&self.engine, self.container.id(), DATA).await,
            None => Ok(()),
        }
    }

    /// Fills its disk up to the last byte.
    pub async fn fill_disk(&self) -> Result<(), ClusterError> {
        let disk = self
            .disk
            .as_ref()
            .ok_or_else(|| ClusterError::LargeDisk { server: self.server.clone() })?;
        disk.fill(&self.engine, self.container.id(), DATA).await
    }

    /// Frees its disk again.
    pub async fn free_disk(&self) -> Result<(), ClusterError> {
        match &self.disk {
            Some(disk) => disk.free(&self.engine, self.container.id(), DATA).await,
            None => Ok(()),
        }
    }

    /// Whether its process runs.
    pub async fn is_running(&self) -> Result<bool, ClusterError> {
        let state = self.engine.inspect(self.container.id()).await;
        Ok(state.map_err(ClusterError::engine(&self.server, "the look at its process"))?.running)
    }

    /// Creates a user with every right on everything.
    pub async fn create_user(&self, user: &str, password: &str) -> Result<(), ClusterError> {
        let create = async {
            let mut conn = self.pool().get_conn().await?;
            // Not for the binlog: the history of a trial is the tablet's, and nobody replicates.
            conn.query_drop("set sql_log_bin = 0").await?;
            conn.query_drop(format!("create user '{user}'@'%' identified by '{password}'")).await?;
            conn.query_drop(format!("grant all on *.* to '{user}'@'%' with grant option")).await?;
            conn.query_drop("set sql_log_bin = 1").await
        };
        let create = tokio::time::timeout(CONNECT * 2, create).await;
        let create = create.unwrap_or_else(|_| Err(no_answer()));
        create.map_err(self.failed("creating a user"))
    }

    /// Removes the server.
    pub async fn remove(self) -> Result<(), ClusterError> {
        self.container.remove().await.map_err(ClusterError::engine(&self.server, "the removal"))
    }

    pub(super) fn failed(
        &self,
        phase: &'static str,
    ) -> impl FnOnce(mysql_async::Error) -> ClusterError {
        let server = self.server.clone();
        move |source| ClusterError::Mysql { server, phase, source: Box::new(source) }
    }
}

pub(super) fn no_answer() -> mysql_async::Error {
    std::io::Error::new(std::io::ErrorKind::TimedOut, "no answer in time").into()
}

fn opts(port: u16, password: &str) -> Opts {
    let constraints = PoolConstraints::new(0, POOL_MAX).expect("0 is at most POOL_MAX");
    OptsBuilder::default()
        .ip_or_hostname("127.0.0.1")
        .tcp_port(port)
        .user(Some("root"))
        .pass(Some(password))
        .prefer_socket(false)
        .pool_opts(PoolOpts::default().with_constraints(constraints))
        .into()
}

fn spec(image: &Image, what: &str, password: &str) -> ContainerSpec {
    // Source and target must differ, or replication between them would be refused.
    let server_id = rand::random_range(1..u32::MAX);
    let mut command = vec!["mysqld".to_owned()];
    let mut env = Vec::new();
    let mut files = Vec::new();
    if image.by_recipe {
        let init = format!(
            "set sql_log_bin = 0;\n\
             create user if not exists 'root'@'%' identified by '{password}';\n\
             grant all on *.* to 'root'@'%' with grant option;\n\
             alter user 'root'@'localhost' identified by '{password}';\n"
        );
        files.push((INIT_FILE.to_owned(), 0o600, init.into_bytes()));
        command.push(format!("--defaults-file={SETTINGS}"));
        command.push("--user=root".to_owned());
        command.push(format!("--datadir={DATA}"));
        command.push(format!("--init-file={INIT_FILE}"));
    } else {
        // The official image reads this directory, and makes the root user itself.
        files.push((SETTINGS.to_owned(), 0o644, MYSQL_SETTINGS.as_bytes().to_vec()));
        env.push(("MYSQL_ROOT_PASSWORD".to_owned(), password.to_owned()));
        env.push(("MYSQL_ROOT_HOST".to_owned(), "%".to_owned()));
    }
    command.push(format!("--server-id={server_id}"));
    ContainerSpec {
        what: what.to_owned(),
        image: image.reference.clone(),
        command,
        env,
        files,
        ports: vec![PORT],
        volumes: vec![DATA.to_owned()],
        sysctls: vec![narrow_sending()],
        ..Default::default()
    }
}
