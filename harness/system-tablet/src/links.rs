//! The target tablet's links through the wire proxy: to its MySQL, to etcd, to the source tablet.
//!
//! The proxies listen on the gateway of the trial's network, where containers reach this host. The
//! source tablet says that it lives there, at the port of its proxy; so its own port inside its
//! container is the same.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use records::journal::Side;
use records::schedule::{Link, Pace};

use super::ContainerTablet;
use super::spec::{Names, Wiring};
use super::vocabulary::VOCABULARY;
use engine::docker::{DockerError, Engine, Run};
use servers::Servers;
use system::{ErrorKind, LinkControls, SystemError};
use wire::{
    GrpcLink, GrpcProxy, LinkConditions, MysqlProxy, Normaliser, Pings, STREAM_WINDOW, Switchboard,
    Upstream,
};

/// The proxy's name inside the tablets' containers.
const PROXY: &str = "wire-proxy";

/// The wire proxy could not do its job.
#[derive(Debug, thiserror::Error)]
pub(super) enum LinksError {
    /// The engine does not say where containers reach this host.
    #[error("asking for the network's gateway failed")]
    Gateway(#[source] DockerError),
    /// A proxy could not listen.
    #[error("starting the wire proxy failed")]
    Start(#[source] io::Error),
    /// A proxy did not end in order.
    #[error("stopping the wire proxy failed")]
    Stop(#[source] io::Error),
}

impl From<LinksError> for SystemError {
    fn from(error: LinksError) -> SystemError {
        SystemError::new(ErrorKind::Failed, error)
    }
}

/// Three proxies.
#[derive(Debug)]
pub(super) struct Links {
    gateway: IpAddr,
    mysql: MysqlProxy,
    etcd: GrpcProxy,
    source: GrpcProxy,
    controls: LinkControls,
    /// Where the source tablet is: known once there is one.
    source_tablet: Arc<OnceLock<Arc<ContainerTablet>>>,
}

impl Links {
    /// Starts the proxies.
    pub(super) async fn start(
        engine: &Engine,
        run: &Run,
        servers: &Arc<Servers>,
        names: &Names,
        switchboard: &Switchboard,
        pace: &Pace,
    ) -> Result<Links, LinksError> {
        let gateway = engine.network_gateway(run.network()).await.map_err(LinksError::Gateway)?;
        let at = SocketAddr::new(gateway, 0);
        let [to_mysql, to_etcd, to_source] = Link::ALL.map(|_| LinkConditions::default());
        let source_tablet: Arc<OnceLock<Arc<ContainerTablet>>> = Arc::default();
        let its = Arc::clone(servers);
        let mysql = Upstream::new(move || loopback(its.target.host_addr().1));
        let normal = Normaliser::new([
            (names.sidecar_db.as_str(), "_vt"),
            (names.topo_root.as_str(), ""),
            (names.trial.as_str(), "trial"),
        ])
        .speaking(VOCABULARY);
        let its = Arc::clone(servers);
        let etcd = GrpcLink {
            link: Link::Etcd,
            upstream: Upstream::new(move || loopback(its.etcd.host_port())),
            conditions: to_etcd.clone(),
            names: normal.clone(),
            pings: Pings::ETCD,
            stream_window: STREAM_WINDOW,
        };
        let tablet = Arc::clone(&source_tablet);
        let source = GrpcLink {
            link: Link::SourceTablet,
            upstream: Upstream::new(move || {
                loopback(tablet.get().and_then(|tablet| tablet.grpc_host_port()).unwrap_or(NOBODY))
            }),
            conditions: to_source.clone(),
            names: normal.clone(),
            pings: Pings::TABLETS,
            // As much as the target tablet asks for itself: the proxy is one more buffer on the way.
            stream_window: match pace.rows_per_second {
                0 => STREAM_WINDOW,
                _ => u32::try_from(pace.packet_bytes).unwrap_or(STREAM_WINDOW),
            },
        };
        let conditions = to_mysql.clone();
        let mysql = MysqlProxy::start(gateway, mysql, switchboard.clone(), normal, conditions)
            .await
            .map_err(LinksError::Start)?;
        let etcd =
            GrpcProxy::start(at, etcd, switchboard.clone()).await.map_err(LinksError::Start)?;
        let source =
            at_source_port(gateway, &source, switchboard).await.map_err(LinksError::Start)?;
        let controls = LinkControls::new([
            (Link::Mysql, to_mysql, mysql.port()),
            (Link::Etcd, to_etcd, etcd.port()),
            (Link::SourceTablet, to_source, source.port()),
        ]);
        Ok(Links { gateway, mysql, etcd, source, controls, source_tablet })
    }

    /// What faults of links act on.
    pub(super) fn controls(&self) -> LinkControls {
        self.controls.clone()
    }

    /// How a tablet is reached, and reaches others, with the proxies between.
    pub(super) fn wiring(&self, side: Side) -> Wiring {
        let hosts = vec![(PROXY.to_owned(), self.gateway.to_string())];
        match side {
            Side::Source => Wiring {
                hosts,
                hostname: Some(PROXY.to_owned()),
                grpc_port: Some(self.source.port()),
                ..Wiring::default()
            },
            Side::Target => Wiring {
                hosts,
                mysql: Some((PROXY.to_owned(), self.mysql.port())),
                topo: Some(format!("http://{PROXY}:{}", self.etcd.port())),
                ..Wiring::default()
            },
        }
    }

    /// Says where the source tablet is.
    pub(super) fn lead_to(&self, source: &Arc<ContainerTablet>) {
        // Set once: there is one source tablet in a trial, whatever its container's port.
        let _known = self.source_tablet.set(Arc::clone(source));
    }

    /// Ends the proxies and every connection through them.
    pub(super) async fn stop(self) -> Result<(), LinksError> {
        let Links { mysql, etcd, source, .. } = self;
        let (mysql, etcd, source) = tokio::join!(mysql.stop(), etcd.stop(), source.stop());
        mysql.and(etcd).and(source).map_err(LinksError::Stop)
    }
}

/// The source tablet listens at this port too, inside its container: below the ports that connections
/// of its own may be given.
const SOURCE_PORTS: Range<u16> = 20_000..30_000;
/// Other trials' proxies have some of them.
const PORT_TRIES: u32 = 50;

async fn at_source_port(
    gateway: IpAddr,
    link: &GrpcLink,
    switchboard: &Switchboard,
) -> io::Result<GrpcProxy> {
    let mut tries = 0;
    loop {
        tries += 1;
        let at = SocketAddr::new(gateway, rand::random_range(SOURCE_PORTS));
        match GrpcProxy::start(at, link.clone(), switchboard.clone()).await {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && tries < PORT_TRIES => {}
            other => return other,
        }
    }
}

/// The discard port, where nobody listens.
const NOBODY: u16 = 9;

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}
