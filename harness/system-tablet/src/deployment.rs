//! A trial's part of the system: its two tablets on shared servers, and their links.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use records::journal::facts::Dialect;
use records::journal::{InFlight, Side};
use serde_json::Value;

use super::links::Links;
use super::spec::Names;
use super::{ContainerTablet, TabletDialect, TabletSpec};
use engine::docker::{Engine, Run};
use engine::errors::chain;
use engine::images::Images;
use servers::Servers;
use sidecar::SidecarDb;
use system::{
    Deployment, LinkControls, Operator, SOURCE_DB, Sidecar, System, SystemError, Tablet, Topology,
    TrialSpec,
};
use workload::Dataset;

/// A tablet that runs shows its variables in this time.
const VARS_WITHIN: Duration = Duration::from_secs(1);

/// Tablets of this project on the servers of a slot.
#[derive(Clone)]
pub struct TabletSystem {
    engine: Engine,
    run: Arc<Run>,
    images: Arc<Images>,
    servers: Arc<Servers>,
}

impl fmt::Debug for TabletSystem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tablets of {}", self.run.id())
    }
}

impl TabletSystem {
    /// Of these images, in containers of this run.
    #[must_use]
    pub fn new(engine: Engine, run: Arc<Run>, images: Arc<Images>, servers: Arc<Servers>) -> Self {
        Self { engine, run, images, servers }
    }
}

#[async_trait]
impl System for TabletSystem {
    fn name(&self) -> &'static str {
        "tablet"
    }

    fn dialect(&self) -> &'static dyn Dialect {
        &TabletDialect
    }

    fn images(&self) -> BTreeMap<String, String> {
        self.images.ids()
    }

    fn servers(&self) -> Option<&Arc<Servers>> {
        Some(&self.servers)
    }

    async fn deploy(&self, trial: TrialSpec) -> Result<Arc<dyn Deployment>, SystemError> {
        let names = Names::of(&trial.name);
        // So that the trial's history is read from its own binlog on. Without it, it is read from another one.
        let entered = self.servers.target.enter(&names.sidecar_db).await;
        let remarks = entered.err().map(|error| chain(&error)).into_iter().collect();
        let sidecar = SidecarDb::begin(&self.servers, &trial.dataset, &names.sidecar_db).await?;
        let links = match trial.schedule.is_proxied() {
            true => {
                let (pace, board) = (&trial.schedule.pace, &trial.switchboard);
                let servers = &self.servers;
                let links =
                    Links::start(&self.engine, &self.run, servers, &names, board, pace).await?;
                Some(links)
            }
            false => None,
        };
        let [source, target] = [Side::Source, Side::Target].map(|side| {
            let wiring = links.as_ref().map(|links| links.wiring(side)).unwrap_or_default();
            Arc::new(ContainerTablet::new(
                &self.engine,
                self.run.site(),
                Arc::clone(&self.servers),
                &self.images.tablet,
                TabletSpec::of(&trial, &names, side, wiring),
            ))
        });
        if let Some(links) = &links {
            links.lead_to(&source);
        }
        Ok(Arc::new(TabletDeployment {
            names,
            servers: Arc::clone(&self.servers),
            dataset: trial.dataset,
            source,
            target,
            controls: links.as_ref().map(Links::controls),
            links: tokio::sync::Mutex::new(links),
            remarks,
            sidecar,
        }))
    }
}

/// What a trial has of the system.
pub(super) struct TabletDeployment {
    names: Names,
    servers: Arc<Servers>,
    dataset: Arc<Dataset>,
    source: Arc<ContainerTablet>,
    target: Arc<ContainerTablet>,
    controls: Option<LinkControls>,
    links: tokio::sync::Mutex<Option<Links>>,
    remarks: Vec<String>,
    sidecar: SidecarDb,
}

impl TabletDeployment {
    pub(super) fn container(&self, side: Side) -> &Arc<ContainerTablet> {
        match side {
            Side::Source => &self.source,
            Side::Target => &self.target,
        }
    }

    pub(super) fn servers(&self) -> &Servers {
        &self.servers
    }

    pub(super) fn dataset(&self) -> &Arc<Dataset> {
        &self.dataset
    }

    pub(super) fn sidecar_db(&self) -> &SidecarDb {
        &self.sidecar
    }

    pub(super) fn topo_root(&self) -> &str {
        &self.names.topo_root
    }

    /// Takes away what the trial leaves on servers that others share.
    async fn tidy(&self) -> Vec<String> {
        let servers = &self.servers;
        let sidecar = self.sidecar.name();
        let (source, target, etcd) = tokio::join!(
            servers.source.leave(sidecar, sidecar),
            servers.target.leave(sidecar, sidecar),
            servers.etcd.delete_prefix(self.topo_root()),
        );
        let left = [source, target, etcd.map(drop)].into_iter().filter_map(Result::err);
        left.map(|left| format!("left on its server: {}", chain(&left))).collect()
    }
}

#[async_trait]
impl Deployment for TabletDeployment {
    fn tablet(&self, side: Side) -> Arc<dyn Tablet> {
        Arc::clone(self.container(side)) as Arc<dyn Tablet>
    }

    fn operator(&self) -> &dyn Operator {
        self
    }

    fn sidecar(&self) -> &dyn Sidecar {
        self
    }

    fn topology(&self) -> &dyn Topology {
        self
    }

    fn links(&self) -> Option<&LinkControls> {
        self.controls.as_ref()
    }

    fn table_of_stream(&self, statement: &str) -> Option<String> {
        // ``select … from `vt_commerce`.`corder` …``
        let (_, after) = statement.rsplit_once(&format!("`{SOURCE_DB}`.`"))?;
        after.split_once('`').map(|(table, _)| table.to_owned())
    }

    fn remarks(&self) -> Vec<String> {
        self.remarks.clone()
    }

    async fn in_flight(&self) -> Option<InFlight> {
        let (source, target) = tokio::join!(
            self.source.vars_within(VARS_WITHIN),
            self.target.vars_within(VARS_WITHIN)
        );
        let tables = self.dataset.tables();
        let of_diff = |query: &str| tables.iter().any(|table| reads(query, table));
        in_flight(&source.ok()?, &target.ok()?, of_diff)
    }

    async fn remove(&self) -> Vec<String> {
        let mut left = Vec::new();
        let (source, target) =
            tokio::join!(self.source.contained().remove(), self.target.contained().remove());
        for error in [source, target].into_iter().filter_map(Result::err) {
            left.push(format!("a tablet was not removed: {}", chain(&error)));
        }
        if let Some(links) = self.links.lock().await.take()
            && let Err(error) = links.stop().await
        {
            left.push(chain(&error));
        }
        // On the heap: a trial's future is large enough.
        left.extend(Box::pin(self.tidy()).await);
        left
    }
}

/// Whether a query reads this table.
fn reads(query: &str, table: &str) -> bool {
    query.rsplit_once(" from ").is_some_and(|(_, of)| of == table)
}

/// From the tablets' variables: the newest row stream of the diff, and what was taken of it.
fn in_flight(source: &Value, target: &Value, of_diff: impl Fn(&str) -> bool) -> Option<InFlight> {
    let is_ours = |stream: &&Value| stream["query"].as_str().is_some_and(&of_diff);
    let stream = source["RowStreams"].as_array()?.iter().rev().find(is_ours)?;
    let (_, table) = stream["query"].as_str()?.rsplit_once(" from ")?;
    let sent = stream["rows_sent"].as_u64()?;
    let taken = target["VDiffSourceRowsTaken"].as_u64()?;
    // More than were sent are those of the stream before: this one is not taken from yet.
    let compared = if taken > sent { 0 } else { taken };
    Some(InFlight { table: table.to_owned(), sent, compared })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    // The reader of the fault rpc-drop has a stream of its own, which says nothing of the diff.
    #[test]
    fn what_is_in_flight_is_read_from_the_diffs_own_stream() {
        let source = json!({ "RowStreams": [
            { "query": "select * from corder", "rows_sent": 900 },
            { "query": "select * from a_reader_of_its_own", "rows_sent": 3 },
        ]});
        let target = json!({ "VDiffSourceRowsTaken": 700 });
        let of_diff = |query: &str| reads(query, "corder");
        let found = in_flight(&source, &target, of_diff).unwrap();
        assert_eq!((found.table.as_str(), found.rows()), ("corder", 200));
        assert_eq!(in_flight(&json!({ "RowStreams": [] }), &target, of_diff), None);
        assert_eq!(in_flight(&source, &json!({}), of_diff), None);
    }
}
