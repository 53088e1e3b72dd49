//! A trial's part of the system: two vttablets and a vtctld of its own, on shared servers.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use engine::docker::{Engine, Run};
use engine::errors::chain;
use records::journal::Side;
use records::journal::facts::Dialect;
use servers::Servers;
use sidecar::SidecarDb;
use system::{
    Deployment, ErrorKind, LinkControls, Operator, Sidecar, System, SystemError, Tablet, Topology,
    TrialSpec,
};
use workload::Dataset;

use super::VitessDialect;
use super::cell;
use super::image::Vitess;
use super::links::Links;
use super::names::Names;
use super::tablet::VitessTablet;
use super::vtctld::Vtctld;

/// Vitess on the servers of a slot.
#[derive(Clone)]
pub struct VitessSystem {
    engine: Engine,
    run: Arc<Run>,
    vitess: Arc<Vitess>,
    servers: Arc<Servers>,
    images: BTreeMap<String, String>,
}

impl fmt::Debug for VitessSystem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Vitess {} of {}", self.vitess.release, self.run.id())
    }
}

impl VitessSystem {
    /// This Vitess, in containers of this run; `images` are all that a trial's containers are made of.
    #[must_use]
    pub fn new(
        engine: Engine,
        run: Arc<Run>,
        vitess: Arc<Vitess>,
        servers: Arc<Servers>,
        images: BTreeMap<String, String>,
    ) -> VitessSystem {
        VitessSystem { engine, run, vitess, servers, images }
    }

    async fn users(&self, names: &Names) -> Result<(), SystemError> {
        let sides = [(&self.servers.source, Side::Source), (&self.servers.target, Side::Target)];
        for (server, side) in sides {
            // Without a password: it would pass a plain connection only by another exchange.
            server.create_user(&names.user(side), "").await?;
        }
        Ok(())
    }
}

#[async_trait]
impl System for VitessSystem {
    fn name(&self) -> &'static str {
        "vitess"
    }

    fn dialect(&self) -> &'static dyn Dialect {
        &VitessDialect
    }

    fn images(&self) -> BTreeMap<String, String> {
        self.images.clone()
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
        self.users(&names).await?;
        cell::write(&self.servers.etcd, &names).await?;
        let links = Links::start(
            &self.engine,
            &self.run,
            &self.servers,
            &self.vitess,
            &names,
            (trial.schedule.is_proxied().then_some(&trial.switchboard), &trial.schedule.pace),
        );
        let links = links.await?;
        let [source, target] = [Side::Source, Side::Target].map(|side| {
            let made = (side, links.wiring(side), &trial.schedule.pace);
            let site = self.run.site();
            let (servers, vitess) = (&self.servers, &self.vitess);
            Arc::new(VitessTablet::new(&self.engine, site, servers, vitess, &names, made))
        });
        links.lead_to(&source);
        let vtctld = Vtctld::start(
            &self.engine,
            &self.run,
            &self.vitess,
            &self.servers.etcd,
            &names,
            links.hosts(),
        );
        let vtctld = vtctld.await.map_err(|error| SystemError::new(ErrorKind::Failed, error))?;
        Ok(Arc::new(VitessDeployment {
            names,
            servers: Arc::clone(&self.servers),
            dataset: trial.dataset,
            source,
            target,
            controls: links.controls(),
            links: tokio::sync::Mutex::new(Some(links)),
            vtctld,
            remarks,
            sidecar,
        }))
    }
}

/// What a trial has of the system.
pub(super) struct VitessDeployment {
    names: Names,
    servers: Arc<Servers>,
    dataset: Arc<Dataset>,
    source: Arc<VitessTablet>,
    target: Arc<VitessTablet>,
    vtctld: Vtctld,
    controls: Option<LinkControls>,
    links: tokio::sync::Mutex<Option<Links>>,
    remarks: Vec<String>,
    sidecar: SidecarDb,
}

impl VitessDeployment {
    pub(super) fn vttablet(&self, side: Side) -> &Arc<VitessTablet> {
        match side {
            Side::Source => &self.source,
            Side::Target => &self.target,
        }
    }

    pub(super) fn servers(&self) -> &Servers {
        &self.servers
    }

    pub(super) fn dataset(&self) -> &Dataset {
        &self.dataset
    }

    pub(super) fn vtctld(&self) -> &Vtctld {
        &self.vtctld
    }

    pub(super) fn database(&self) -> &SidecarDb {
        &self.sidecar
    }

    pub(super) fn topo_root(&self) -> &str {
        &self.names.topo_root
    }

    /// Takes away what the trial leaves on servers that others share.
    async fn tidy(&self) -> Vec<String> {
        let (servers, sidecar) = (&self.servers, self.sidecar.name());
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
impl Deployment for VitessDeployment {
    fn tablet(&self, side: Side) -> Arc<dyn Tablet> {
        Arc::clone(self.vttablet(side)) as Arc<dyn Tablet>
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
        table_of_stream(statement)
    }

    fn remarks(&self) -> Vec<String> {
        self.remarks.clone()
    }

    async fn remove(&self) -> Vec<String> {
        let mut left = Vec::new();
        let (source, target) =
            tokio::join!(self.source.contained().remove(), self.target.contained().remove());
        for error in [source, target].into_iter().filter_map(Result::err) {
            left.push(format!("a tablet was not removed: {}", chain(&error)));
        }
        if let Err(error) = self.vtctld.remove().await {
            left.push(format!("the vtctld was not removed: {}", chain(&error)));
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

/// Of ``select id, n from t1 force index (`PRIMARY`) where … order by id``.
fn table_of_stream(statement: &str) -> Option<String> {
    let (_, after) = statement.split_once(" from ")?;
    let (table, rest) = after.split_once(' ')?;
    rest.starts_with("force index").then(|| table.trim_matches('`').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_stream_is_told_by_its_statement() {
        let of = |statement: &str| table_of_stream(statement);
        let v21 = "select /*+ MAX_EXECUTION_TIME(3600000) */ id, n from t1 force index (`PRIMARY`) order by id";
        assert_eq!(of(v21).as_deref(), Some("t1"));
        let v24 = "select id from `t 1` force index (`PRIMARY`) where (id > 5) order by id";
        assert_eq!(of(v24), None, "a name with a blank is not among the workload's");
        assert_eq!(of("select pos, state from vreplication where id=1"), None);
    }
}
