//! A system on its servers, and what it deploys for a trial.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use records::journal::facts::Dialect;
use records::journal::{InFlight, Side};
use records::schedule::{Link, Schedule};
use servers::Servers;
use wire::{LinkConditions, Switchboard};
use workload::Dataset;

use super::{Operator, Sidecar, SystemError, Tablet, Topology};

/// What a deployment is for.
#[derive(Clone, Debug)]
pub struct TrialSpec {
    /// Unique within the run: it names containers, databases and the topology's root.
    pub name: String,
    /// The trial: its pace, its seeded bug, and whether its links pass the wire proxy.
    pub schedule: Schedule,
    /// The data under comparison.
    pub dataset: Arc<Dataset>,
    /// Where the target tablet's conversation passes, if the schedule asks for it.
    pub switchboard: Switchboard,
}

/// A system under test on the servers of a slot.
#[async_trait]
pub trait System: Send + Sync + fmt::Debug {
    /// Its name in journals and reports.
    fn name(&self) -> &'static str;

    /// How it tells its facts.
    fn dialect(&self) -> &'static dyn Dialect;

    /// What it runs, by name: the ids of its images.
    fn images(&self) -> BTreeMap<String, String>;

    /// The MySQL and etcd that it stands on; none: it has none of its own, and no fault of servers is dealt.
    fn servers(&self) -> Option<&Arc<Servers>>;

    /// Prepares a trial's tablets, not started, and all that belongs to them; its history begins here.
    async fn deploy(&self, trial: TrialSpec) -> Result<Arc<dyn Deployment>, SystemError>;
}

/// What faults of links act on: of each link the conditions, and the port of its proxy on this host.
#[derive(Clone, Debug)]
pub struct LinkControls {
    links: BTreeMap<Link, (LinkConditions, u16)>,
}

impl LinkControls {
    /// Of these links.
    #[must_use]
    pub fn new(links: impl IntoIterator<Item = (Link, LinkConditions, u16)>) -> LinkControls {
        let links = links.into_iter().map(|(link, conditions, port)| (link, (conditions, port)));
        LinkControls { links: links.collect() }
    }

    /// The conditions on a link; none: it passes no proxy.
    #[must_use]
    pub fn conditions(&self, link: Link) -> Option<&LinkConditions> {
        self.links.get(&link).map(|(conditions, _)| conditions)
    }

    /// The port of a link's proxy.
    #[must_use]
    pub fn port(&self, link: Link) -> Option<u16> {
        self.links.get(&link).map(|(_, port)| *port)
    }
}

/// A trial's part of a system.
#[async_trait]
pub trait Deployment: Send + Sync {
    /// A tablet by its side.
    fn tablet(&self, side: Side) -> Arc<dyn Tablet>;

    /// The operator's verbs.
    fn operator(&self) -> &dyn Operator;

    /// The diffs, as they lie on disk.
    fn sidecar(&self) -> &dyn Sidecar;

    /// The topology.
    fn topology(&self) -> &dyn Topology;

    /// The links that pass the wire proxy; none: they do not.
    fn links(&self) -> Option<&LinkControls> {
        None
    }

    /// How many rows of the diff's source are on their way, by the tablets' own words; none: nobody tells.
    async fn in_flight(&self) -> Option<InFlight> {
        None
    }

    /// The table whose rows are streamed by a statement on the source's MySQL; none: it is no row stream.
    fn table_of_stream(&self, statement: &str) -> Option<String>;

    /// What did not go as it should when it was deployed, and hinders nobody; in words.
    fn remarks(&self) -> Vec<String> {
        Vec::new()
    }

    /// Removes all of it; what could not be removed, in words.
    async fn remove(&self) -> Vec<String>;
}
