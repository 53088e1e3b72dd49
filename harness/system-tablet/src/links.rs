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

use super::tablets::Names;
use super::{ActError, During, Environment};
use system_tablet::{ContainerTablet, Wiring};
use wire::{
    GrpcLink, GrpcProxy, LinkConditions, MysqlProxy, Normaliser, Pings, STREAM_WINDOW, Switchboard,
    Upstream,
};

/// The proxy's name inside the tablets' containers.
const PROXY: &str = "wire-proxy";

/// What faults of links act on: of each link the conditions, and the port of its proxy.
#[derive(Clone, Debug)]
pub(super) struct LinkControls {
    mysql: (LinkConditions, u16),
    etcd: (LinkConditions, u16),
    source: (LinkConditions, u16),
}

/// Three proxies.
#[derive(Debug)]
pub(super) struct Links {
    gateway: IpAddr,
    mysql: MysqlProxy,
    etcd: GrpcProxy,
    source: GrpcProxy,
    wires: LinkControls,
    /// Where the source tablet is: known once there is one.
    source_tablet: Arc<OnceLock<Arc<ContainerTablet>>>,
}

impl Links {
    /// Starts the proxies.
    pub(super) async fn start(
        environment: &Environment,
        names: &Names<'_>,
        switchboard: &Switchboard,
        pace: &Pace,
    ) -> Result<Links, ActError> {
        let what = "starting the wire proxy";
        let network = environment.run.network();
        let gateway = environment.engine.network_gateway(network).await.during(what)?;
        let at = SocketAddr::new(gateway, 0);
        let [to_mysql, to_etcd, to_source] = Link::ALL.map(|_| LinkConditions::default());
        let source_tablet: Arc<OnceLock<Arc<ContainerTablet>>> = Arc::default();
        let servers = Arc::clone(&environment.servers);
        let mysql = Upstream::new(move || loopback(servers.target.host_addr().1));
        let normal = Normaliser::new([
            (names.sidecar_db, "_vt"),
            (names.topo_root, ""),
            (names.stage, "trial"),
        ]);
        let servers = Arc::clone(&environment.servers);
        let etcd = GrpcLink {
            link: Link::Etcd,
            upstream: Upstream::new(move || loopback(servers.etcd.host_port())),
            conditions: to_etcd.clone(),
            names: normal.clone(),
            pings: Pings::ETCD,
            stream_window: STREAM_WINDOW,
        };
        let tablet = Arc::clone(&source_tablet);
        let source = GrpcLink {
            link: Link::SourceTablet,
            upstream: Upstream::new(move || {
                loopback(tablet.get().map_or(NOBODY, |tablet| tablet.grpc_host_port()))
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
            .during(what)?;
        let etcd = GrpcProxy::start(at, etcd, switchboard.clone()).await.during(what)?;
        let source = at_source_port(gateway, &source, switchboard).await.during(what)?;
        let wires = LinkControls {
            mysql: (to_mysql, mysql.port()),
            etcd: (to_etcd, etcd.port()),
            source: (to_source, source.port()),
        };
        Ok(Links { gateway, mysql, etcd, source, wires, source_tablet })
    }

    /// What faults of links act on.
    pub(super) fn wires(&self) -> LinkControls {
        self.wires.clone()
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
    pub(super) async fn stop(self) -> Result<(), ActError> {
        let Links { mysql, etcd, source, .. } = self;
        let (mysql, etcd, source) = tokio::join!(mysql.stop(), etcd.stop(), source.stop());
        mysql.and(etcd).and(source).during("stopping the wire proxy")
    }
}

impl LinkControls {
    /// The conditions on a link.
    pub(super) fn conditions(&self, link: Link) -> &LinkConditions {
        &self.of(link).0
    }

    /// The port of a link's proxy.
    pub(super) fn port(&self, link: Link) -> u16 {
        self.of(link).1
    }

    fn of(&self, link: Link) -> &(LinkConditions, u16) {
        match link {
            Link::Mysql => &self.mysql,
            Link::Etcd => &self.etcd,
            Link::SourceTablet => &self.source,
        }
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
