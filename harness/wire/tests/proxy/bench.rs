//! A proxy before a server, and clients that can be cut off.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder};
use records::schedule::{CrashPoint, Link, Moment};
use servers::MysqlServer;
use wire::{
    Armed, HeldExchange, LinkConditions, Listener, MysqlProxy, Normaliser, Switchboard, Upstream,
};

pub(crate) const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// What a single wait may take on a busy machine.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// Where the server is now.
pub(crate) fn upstream(server: &Arc<MysqlServer>) -> Upstream {
    let server = Arc::clone(server);
    Upstream::new(move || SocketAddr::new(LOOPBACK, server.host_addr().1))
}

/// A proxy and what controls it.
pub(crate) struct Bench {
    server: Arc<MysqlServer>,
    pub(crate) board: Switchboard,
    pub(crate) conditions: LinkConditions,
    pub(crate) proxy: MysqlProxy,
}

impl Bench {
    pub(crate) async fn before(server: &Arc<MysqlServer>) -> Result<Self> {
        let (board, conditions) = (Switchboard::default(), LinkConditions::default());
        let (to, names) = (upstream(server), Normaliser::new([("held_t1", "held")]));
        let proxy =
            MysqlProxy::start(LOOPBACK, to, board.clone(), names, conditions.clone()).await?;
        Ok(Self { server: Arc::clone(server), board, conditions, proxy })
    }

    pub(crate) fn opts(&self) -> OptsBuilder {
        opts(&self.server, self.proxy.port())
    }

    pub(crate) async fn client(&self) -> Result<Conn> {
        Ok(soon("connecting", Conn::new(self.opts())).await??)
    }

    /// A client behind a wire of its own, which closes as the kernel closes a dead process's sockets.
    pub(crate) async fn mortal_client(&self) -> Result<(Conn, Listener)> {
        let to = Upstream::fixed(SocketAddr::new(LOOPBACK, self.proxy.port()));
        let wire =
            Listener::start((LOOPBACK, 0).into(), LinkConditions::default(), move |mut client| {
                let to = to.clone();
                async move {
                    let mut proxy = to.connect().await.expect("the proxy listens");
                    let _cut = tokio::io::copy_bidirectional(&mut client, &mut proxy).await;
                }
            });
        let wire = wire.await?;
        let client = Conn::new(opts(&self.server, wire.port()));
        Ok((soon("connecting", client).await??, wire))
    }

    pub(crate) fn arm(&self, fingerprint: &str, nth: u32, moment: Moment) -> Armed {
        let fingerprint = fingerprint.to_owned();
        self.board.arm(CrashPoint { link: Link::Mysql, fingerprint, phase: None, nth, moment })
    }

    pub(crate) async fn stop(self) -> Result<()> {
        Ok(self.proxy.stop().await?)
    }
}

pub(crate) async fn caught(armed: &mut Armed) -> Result<HeldExchange> {
    soon("the point", armed.caught()).await?.context("the point was disarmed")
}

/// Kills the client of a held exchange, and waits until the server has seen its connection end.
pub(crate) async fn kill(
    held: &mut HeldExchange,
    wire: Listener,
    root: &mut Conn,
    id: u32,
) -> Result<()> {
    ensure!(held.is_held(), "it is held while its client lives");
    wire.stop().await?;
    soon("the client's end to be seen", held.client_gone()).await?;
    wait_gone(root, id).await
}

/// Waits until the server has no connection of this number: then nothing of it can happen any more.
pub(crate) async fn wait_gone(root: &mut Conn, id: u32) -> Result<()> {
    let gone = async {
        let mut tick = tokio::time::interval(Duration::from_millis(5));
        let query = "select id from information_schema.processlist where id = ?";
        while root.exec_first::<u32, _, _>(query, (id,)).await?.is_some() {
            tick.tick().await;
        }
        Ok(())
    };
    soon("the connection's end", gone).await?
}

pub(crate) async fn soon<T>(what: &str, wait: impl Future<Output = T>) -> Result<T> {
    let waited = tokio::time::timeout(SOON, wait).await;
    waited.with_context(|| format!("{what} did not come within {SOON:?}"))
}

/// As root, straight to the server.
pub(crate) async fn root(server: &MysqlServer) -> Result<Conn> {
    Ok(Conn::new(opts(server, server.host_addr().1)).await?)
}

pub(crate) fn opts(server: &MysqlServer, port: u16) -> OptsBuilder {
    OptsBuilder::default()
        .ip_or_hostname("127.0.0.1")
        .tcp_port(port)
        .user(Some("root"))
        .pass(Some(server.password()))
        .prefer_socket(false)
        .stmt_cache_size(0)
}
