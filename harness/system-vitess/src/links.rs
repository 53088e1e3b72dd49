//! The tablets' links: to a MySQL that greets as another version where it must, to a source tablet whose rows are
//! held back to the trial's pace, and, where it is asked for, through the wire proxy: to the target's MySQL and to the
//! global topology.
//!
//! The proxies listen on the gateway of the trial's network, where containers reach this host. The source tablet
//! says that it lives there, at the port of its proxy; so its own port inside its container is the same. The cell's
//! own records (tablets, serving graphs) are read without the proxy: their address is one for all.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use engine::docker::{DockerError, Engine, Run};
use records::journal::Side;
use records::schedule::{Link, Pace};
use servers::{MysqlServer, Servers};
use system::{ErrorKind, LinkControls, SystemError};
use wire::{
    Direction, GreetingProxy, GrpcLink, GrpcProxy, LinkConditions, MysqlProxy, Normaliser, Pings,
    STREAM_WINDOW, Switchboard, Upstream, Way,
};

use super::image::Vitess;
use super::names::Names;
use super::tablet::{VitessTablet, Wiring};
use super::terms::bytes_per_second;
use super::vocabulary::VOCABULARY;

/// The proxy's name inside the containers.
const PROXY: &str = "wire-proxy";

/// A proxy could not do its job.
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

/// What stands between a trial's tablets and what they lean on.
#[derive(Debug)]
pub(super) struct Links {
    gateway: IpAddr,
    /// In front of each side's MySQL, source and target.
    greetings: Option<[GreetingProxy; 2]>,
    /// On the way of the source's rows, which it holds back to the trial's pace.
    source: GrpcProxy,
    to_source: LinkConditions,
    proxies: Option<Proxies>,
    /// Where the source tablet is: known once there is one.
    source_tablet: Arc<OnceLock<Arc<VitessTablet>>>,
}

/// The wire proxy's others.
#[derive(Debug)]
struct Proxies {
    mysql: MysqlProxy,
    etcd: GrpcProxy,
    controls: LinkControls,
}

impl Links {
    /// Starts what is needed; with a switchboard, the wire proxy too.
    pub(super) async fn start(
        engine: &Engine,
        run: &Run,
        servers: &Arc<Servers>,
        vitess: &Vitess,
        names: &Names,
        (switchboard, pace): (Option<&Switchboard>, &Pace),
    ) -> Result<Links, LinksError> {
        let gateway = engine.network_gateway(run.network()).await.map_err(LinksError::Gateway)?;
        let source_tablet: Arc<OnceLock<Arc<VitessTablet>>> = Arc::default();
        let greetings = match vitess.greeting {
            None => None,
            Some(version) => {
                let greet = async |server: fn(&Servers) -> &MysqlServer| {
                    let servers = Arc::clone(servers);
                    let upstream = Upstream::new(move || loopback(server(&servers).host_addr().1));
                    GreetingProxy::start(gateway, upstream, version).await
                };
                let source = greet(|servers| &servers.source).await.map_err(LinksError::Start)?;
                let target = greet(|servers| &servers.target).await.map_err(LinksError::Start)?;
                Some([source, target])
            }
        };
        let to_source = LinkConditions::default();
        let paced = Way { bytes_per_second: bytes_per_second(pace), ..Way::FINE };
        to_source.set(Direction::ToClient, paced);
        let tablet = Arc::clone(&source_tablet);
        let source = GrpcLink {
            link: Link::SourceTablet,
            upstream: Upstream::new(move || {
                loopback(tablet.get().and_then(|tablet| tablet.grpc_host_port()).unwrap_or(NOBODY))
            }),
            conditions: to_source.clone(),
            names: normaliser(names),
            pings: Pings::TABLETS,
            // The proxy is one more buffer on the way: at a pace it holds a packet.
            stream_window: match pace.rows_per_second {
                0 => STREAM_WINDOW,
                _ => u32::try_from(pace.packet_bytes).unwrap_or(STREAM_WINDOW),
            },
        };
        let board = switchboard.cloned().unwrap_or_default();
        let source = at_source_port(gateway, &source, &board).await.map_err(LinksError::Start)?;
        let mut links =
            Links { gateway, greetings, source, to_source, proxies: None, source_tablet };
        if let Some(switchboard) = switchboard {
            let started = links.proxies(servers, names, switchboard).await;
            links.proxies = Some(started.map_err(LinksError::Start)?);
        }
        Ok(links)
    }

    async fn proxies(
        &self,
        servers: &Arc<Servers>,
        names: &Names,
        switchboard: &Switchboard,
    ) -> io::Result<Proxies> {
        let (to_mysql, to_etcd) = (LinkConditions::default(), LinkConditions::default());
        let normal = normaliser(names);
        let mysql = match &self.greetings {
            Some([_, target]) => Upstream::fixed(SocketAddr::new(self.gateway, target.port())),
            None => {
                let its = Arc::clone(servers);
                Upstream::new(move || loopback(its.target.host_addr().1))
            }
        };
        let conditions = to_mysql.clone();
        let mysql =
            MysqlProxy::start(self.gateway, mysql, switchboard.clone(), normal.clone(), conditions)
                .await?;
        let its = Arc::clone(servers);
        let etcd = GrpcLink {
            link: Link::Etcd,
            upstream: Upstream::new(move || loopback(its.etcd.host_port())),
            conditions: to_etcd.clone(),
            names: normal,
            pings: Pings::ETCD,
            stream_window: STREAM_WINDOW,
        };
        let etcd =
            GrpcProxy::start(SocketAddr::new(self.gateway, 0), etcd, switchboard.clone()).await?;
        let controls = LinkControls::new([
            (Link::Mysql, to_mysql, mysql.port()),
            (Link::Etcd, to_etcd, etcd.port()),
            (Link::SourceTablet, self.to_source.clone(), self.source.port()),
        ]);
        Ok(Proxies { mysql, etcd, controls })
    }

    /// What faults of links act on; none: the wire proxy does not stand between.
    pub(super) fn controls(&self) -> Option<LinkControls> {
        self.proxies.as_ref().map(|proxies| proxies.controls.clone())
    }

    /// Where the proxies are, for a container's names.
    pub(super) fn hosts(&self) -> Vec<(String, String)> {
        vec![(PROXY.to_owned(), self.gateway.to_string())]
    }

    /// How a tablet is reached, and reaches others.
    pub(super) fn wiring(&self, side: Side) -> Wiring {
        let at = |port: u16| (PROXY.to_owned(), port);
        let greeting = self.greetings.as_ref().map(|[source, target]| match side {
            Side::Source => at(source.port()),
            Side::Target => at(target.port()),
        });
        let usual = Wiring { hosts: self.hosts(), mysql: greeting, ..Wiring::default() };
        match (&self.proxies, side) {
            (_, Side::Source) => Wiring {
                hostname: Some(PROXY.to_owned()),
                grpc_port: Some(self.source.port()),
                ..usual
            },
            (None, Side::Target) => usual,
            (Some(proxies), Side::Target) => Wiring {
                mysql: Some(at(proxies.mysql.port())),
                topo: Some(format!("http://{PROXY}:{}", proxies.etcd.port())),
                ..usual
            },
        }
    }

    /// Says where the source tablet is.
    pub(super) fn lead_to(&self, source: &Arc<VitessTablet>) {
        // Set once: there is one source tablet in a trial, whatever its container's port.
        let _known = self.source_tablet.set(Arc::clone(source));
    }

    /// Ends the proxies and every connection through them.
    pub(super) async fn stop(self) -> Result<(), LinksError> {
        let mut stopped = self.source.stop().await;
        if let Some(Proxies { mysql, etcd, .. }) = self.proxies {
            let (mysql, etcd) = tokio::join!(mysql.stop(), etcd.stop());
            stopped = stopped.and(mysql).and(etcd);
        }
        if let Some([source, target]) = self.greetings {
            let (source, target) = tokio::join!(source.stop(), target.stop());
            stopped = stopped.and(source).and(target);
        }
        stopped.map_err(LinksError::Stop)
    }
}

fn normaliser(names: &Names) -> Normaliser {
    let known = [
        (names.sidecar_db.as_str(), "_vt"),
        (names.topo_root.as_str(), ""),
        (names.trial.as_str(), "trial"),
    ];
    Normaliser::new(known).speaking(VOCABULARY)
}

/// The source tablet listens at this port too, inside its container: below the ports that connections of its own
/// may be given.
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
