//! The scripted system behind the boundary: no server, no container, no address.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use async_trait::async_trait;
use harness::campaign::{Slot, SlotError, SlotSource};
use harness::stage::Environment;
use harness::survey::Survey;
use records::journal::facts::{Dialect, Fact, LogWord, WorkflowHold};
use records::journal::{
    Difference, DifferenceKind, FinalReport, Residue, Roles, Side, SidecarChange, TableReport, Told,
};
use records::schedule::{Capability, Workload};
use records::tellings::Telling;
use servers::Servers;
use system::{
    Action, Deployment, ErrorKind, Operator, Progress, Sidecar, System, SystemError, Tablet,
    Topology, TrialSpec, WorkflowRow,
};
use workload::Dataset;

use crate::tablet::{ScriptedTablet, Shared};
use crate::world::{World, now_us};
use crate::{Lie, SOURCE_ALIAS, TARGET_ALIAS};

const TERM_S: i64 = 1_700_000_000;
const USURPER: &str = "zone1-0000000999";

/// Every change has its facts from the begin.
#[derive(Debug)]
struct ScriptedDialect;

impl Dialect for ScriptedDialect {
    fn facts(&self, change: &SidecarChange) -> Vec<Fact> {
        change.facts.clone()
    }

    fn log_word(&self, line: &str) -> Option<LogWord> {
        let panicked =
            |message: &str| LogWord::Panicked { caught: false, message: message.to_owned() };
        match line {
            "start" => Some(LogWord::Started),
            _ => line.strip_prefix("panic: ").map(panicked),
        }
    }

    fn workflow_hold(&self, message: &str) -> Option<WorkflowHold> {
        match message {
            "for vdiff" => Some(WorkflowHold::Diff),
            "FROZEN" => Some(WorkflowHold::Frozen),
            _ => None,
        }
    }

    fn untold(&self) -> Vec<Telling> {
        Vec::new()
    }
}

/// Where scripted slots come from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ScriptedSlots {
    pub(crate) lie: Option<Lie>,
    /// Whether what its tablet says can be held. No link can be cut all the same: nothing passes a proxy.
    pub(crate) is_heard: bool,
}

#[async_trait]
impl SlotSource for ScriptedSlots {
    fn images(&self) -> BTreeMap<String, String> {
        BTreeMap::from([("scripted".to_owned(), "in process".to_owned())])
    }

    fn lacks(&self) -> Vec<(Capability, String)> {
        let mut lacks = vec![
            Capability::MemoryAccount,
            Capability::ProcessorAccount,
            Capability::Servers,
            Capability::PhaseLocks,
            Capability::Lease,
            Capability::Replacement,
        ];
        if !self.is_heard {
            lacks.push(Capability::WireProxy);
        }
        let why = || "the scripted system has none of it".to_owned();
        lacks.into_iter().map(|capability| (capability, why())).collect()
    }

    async fn start(
        &self,
        id: &str,
        workload: &Workload,
        _small_disk: bool,
    ) -> Result<Box<dyn Slot>, SlotError> {
        let dataset = Dataset::new(workload).map_err(SlotError::Workload)?;
        let system = ScriptedSystem { lie: self.lie };
        let kept = tempfile::tempdir().expect("a directory for what is no trial");
        let (id, dataset) = (id.to_owned(), Arc::new(dataset));
        Ok(Box::new(ScriptedSlot { id, system, dataset, kept }))
    }
}

struct ScriptedSlot {
    id: String,
    system: ScriptedSystem,
    dataset: Arc<Dataset>,
    /// Gone with it.
    kept: tempfile::TempDir,
}

#[async_trait]
impl Slot for ScriptedSlot {
    fn environment(
        &self,
        survey: &Arc<Survey>,
        calibrated_ms: u64,
        _tablet: Option<&engine::images::Image>,
    ) -> Environment {
        Environment {
            system: Arc::new(self.system),
            run: self.id.clone(),
            directory: self.kept.path().to_owned(),
            dataset: Arc::clone(&self.dataset),
            calibrated_ms,
            survey: Arc::clone(survey),
        }
    }

    fn rows_total(&self) -> u64 {
        self.dataset.rows_total()
    }

    fn is_used(&self) -> bool {
        false
    }

    async fn is_well(&self) -> bool {
        true
    }

    async fn remove(&self) -> Result<(), engine::docker::DockerError> {
        Ok(())
    }
}

#[derive(Clone, Copy, Debug)]
struct ScriptedSystem {
    lie: Option<Lie>,
}

#[async_trait]
impl System for ScriptedSystem {
    fn name(&self) -> &'static str {
        "scripted"
    }

    fn dialect(&self) -> &'static dyn Dialect {
        &ScriptedDialect
    }

    fn images(&self) -> BTreeMap<String, String> {
        BTreeMap::new()
    }

    fn servers(&self) -> Option<&Arc<Servers>> {
        None
    }

    async fn deploy(&self, trial: TrialSpec) -> Result<Arc<dyn Deployment>, SystemError> {
        let truth = trial.dataset.truth();
        let rows = truth.tables.iter().map(|(name, table)| (name.clone(), table.processed));
        // A clean diff is measured by an honest tablet.
        let lie = self.lie.filter(|_| !trial.schedule.steps.is_empty());
        let shared = Arc::new(Shared {
            world: Mutex::new(World::default()),
            rows: rows.collect(),
            lie,
            switchboard: trial.switchboard,
            primary: Mutex::new((TARGET_ALIAS.to_owned(), Instant::now())),
        });
        let source = ScriptedTablet::new(Side::Source, &shared);
        let target = ScriptedTablet::new(Side::Target, &shared);
        Ok(Arc::new(ScriptedDeployment { shared, source, target, dataset: trial.dataset }))
    }
}

struct ScriptedDeployment {
    shared: Arc<Shared>,
    source: Arc<ScriptedTablet>,
    target: Arc<ScriptedTablet>,
    dataset: Arc<Dataset>,
}

impl ScriptedDeployment {
    /// Whom an operator speaks to.
    fn answers(&self) -> Result<(), SystemError> {
        match self.target.is_running() {
            true => Ok(()),
            false => Err(SystemError::new(ErrorKind::Failed, "nobody answers")),
        }
    }

    fn state_of(&self, uuid: &str) -> Option<String> {
        self.shared.world().progress(uuid).state
    }
}

#[async_trait]
impl Deployment for ScriptedDeployment {
    fn tablet(&self, side: Side) -> Arc<dyn Tablet> {
        match side {
            Side::Source => Arc::clone(&self.source) as Arc<dyn Tablet>,
            Side::Target => Arc::clone(&self.target) as Arc<dyn Tablet>,
        }
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

    fn table_of_stream(&self, _statement: &str) -> Option<String> {
        None
    }

    async fn remove(&self) -> Vec<String> {
        self.source.end(137);
        self.target.end(137);
        Vec::new()
    }
}

#[async_trait]
impl Operator for ScriptedDeployment {
    async fn act(&self, action: Action, uuid: &str) -> Result<(), SystemError> {
        self.answers()?;
        let state = self.state_of(uuid);
        let none = || SystemError::new(ErrorKind::NotFound, format!("no vdiff {uuid}"));
        let refuses = |why: &str| {
            let text = format!("the vdiff {uuid} {why}");
            Err(SystemError::new(ErrorKind::Refused, text))
        };
        let mut world = self.shared.world();
        match action {
            Action::Create => {
                if state.is_none() {
                    world.create(uuid, self.shared.rows.keys().cloned());
                }
                Ok(())
            }
            Action::Stop => match state.ok_or_else(none)?.as_str() {
                "completed" => refuses("is completed"),
                "stopped" => Ok(()),
                _ => {
                    // A lie that only a crash right after would show is shown by a resume of its own.
                    world.move_to(uuid, "stopped", None);
                    if self.shared.lies(Lie::ForgetsAStop) {
                        world.move_to(uuid, "pending", None);
                    }
                    Ok(())
                }
            },
            Action::Resume => match state.ok_or_else(none)?.as_str() {
                "stopped" | "completed" | "error" => {
                    if self.shared.lies(Lie::JumpsStates) {
                        world.move_to(uuid, "started", None);
                    } else {
                        world.move_to(uuid, "pending", None);
                    }
                    Ok(())
                }
                _ => Ok(()),
            },
            Action::Delete => {
                state.ok_or_else(none)?;
                world.delete(uuid);
                Ok(())
            }
        }
    }

    async fn show(&self, uuid: &str) -> Result<(), SystemError> {
        self.report(uuid).await.map(drop)
    }

    async fn report(&self, uuid: &str) -> Result<Option<FinalReport>, SystemError> {
        self.answers()?;
        let none = || SystemError::new(ErrorKind::NotFound, format!("no vdiff {uuid}"));
        let state = self.state_of(uuid).ok_or_else(none)?;
        let mut tables = BTreeMap::new();
        for (name, truth) in self.dataset.truth().tables {
            let of = |kind: DifferenceKind, keys: &[String]| -> Vec<Difference> {
                keys.iter().map(|key| Difference { kind, key: key.clone() }).collect()
            };
            let mut differences = of(DifferenceKind::Mismatch, &truth.mismatched);
            differences.extend(of(DifferenceKind::ExtraSource, &truth.extra_source));
            differences.extend(of(DifferenceKind::ExtraTarget, &truth.extra_target));
            let wrong = u64::from(self.shared.lies(Lie::MissesADifference));
            let mismatched = truth.mismatched.len() as u64;
            differences.drain(..usize::from(wrong > 0 && mismatched > 0));
            tables.insert(
                name,
                TableReport {
                    state: "completed".to_owned(),
                    processed: truth.processed,
                    matching: truth.matching,
                    mismatched: mismatched.saturating_sub(wrong),
                    extra_source: truth.extra_source.len() as u64,
                    extra_target: truth.extra_target.len() as u64,
                    differences,
                },
            );
        }
        let last_error = String::new();
        Ok(Some(FinalReport { uuid: uuid.to_owned(), state, last_error, tables }))
    }

    async fn create_workflow(&self) -> Result<(), SystemError> {
        self.answers()?;
        self.shared.world().set_workflow("Running", "", None);
        Ok(())
    }

    async fn rest_workflow(&self, freeze: bool) -> Result<(), SystemError> {
        self.answers()?;
        match freeze {
            true => {
                let mut world = self.shared.world();
                world.set_workflow("Running", "FROZEN", Some(WorkflowHold::Frozen));
            }
            false => self.shared.world().set_workflow("Stopped", "by an operator", None),
        }
        Ok(())
    }
}

#[async_trait]
impl Sidecar for ScriptedDeployment {
    async fn progress(&self, uuid: &str) -> Result<Progress, SystemError> {
        Ok(self.shared.world().progress(uuid))
    }

    async fn workflow(&self) -> Result<Option<WorkflowRow>, SystemError> {
        let workflow = self.shared.world().workflow.clone();
        Ok(workflow.map(|it| WorkflowRow {
            state: it.state,
            message: it.message,
            stop_pos: String::new(),
            hold: it.hold,
        }))
    }

    async fn delete_row(&self, uuid: &str) -> Result<u64, SystemError> {
        self.shared.world().delete(uuid);
        Ok(1)
    }

    async fn orphans(&self) -> Result<BTreeMap<String, u64>, SystemError> {
        Ok(BTreeMap::new())
    }

    async fn now_us(&self) -> Result<u64, SystemError> {
        Ok(now_us())
    }

    async fn end_history(&self) -> Result<(), SystemError> {
        let mut world = self.shared.world();
        let length = world.changes.len();
        world.ended.get_or_insert(length);
        Ok(())
    }

    async fn history(&self) -> Result<Vec<SidecarChange>, SystemError> {
        Ok(self.shared.world().history())
    }
}

#[async_trait]
impl Topology for ScriptedDeployment {
    async fn roles(&self, side: Side) -> Result<Roles, SystemError> {
        let tablet = self.tablet(side);
        let (primary, term_s) = match side {
            Side::Source => (SOURCE_ALIAS.to_owned(), TERM_S),
            Side::Target => {
                let primary = self.shared.primary().0;
                let newer = i64::from(primary == USURPER);
                (primary, TERM_S + newer)
            }
        };
        let kind = tablet.role().await.unwrap_or_default();
        let is_primary = kind == "PRIMARY";
        let told = || Told { kind: kind.clone(), term_s: if is_primary { term_s } else { 0 } };
        Ok(Roles {
            side,
            alias: tablet.alias().to_owned(),
            health: told(),
            serving: is_primary,
            tablet_record: told(),
            shard_primary: primary,
            shard_term_s: term_s,
            after_ms: 0,
        })
    }

    async fn usurp(&self) -> Result<String, SystemError> {
        self.shared.set_primary(USURPER);
        Ok(USURPER.to_owned())
    }

    async fn give_back(&self) -> Result<(), SystemError> {
        self.shared.set_primary(TARGET_ALIAS);
        Ok(())
    }

    async fn residue(&self, _living: &[Side]) -> Result<Residue, SystemError> {
        let left = self.shared.lies(Lie::LeavesALock).then(|| "a lock of a dead life".to_owned());
        Ok(Residue {
            locks: left.into_iter().collect(),
            looked_at: vec!["the script".to_owned()],
            ..Residue::default()
        })
    }
}
