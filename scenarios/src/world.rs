//! The world of a scenario: what was said of the trial, the stage it plays on, and its judgement.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use harness::fault::{self, Struck};
use harness::plan;
use harness::stage::{ActError, Action, Stage, Waited};
use harness::systems::SystemKind;
use records::journal::{Event, Record, Scenario, Side};
use records::schedule::{Bug, Fault, Step, Trigger};
use records::verdict::Judgement;
use tokio::sync::OwnedMutexGuard;

use crate::description::TrialDescription;
use crate::points::Points;
use crate::suite::Suite;
use crate::tags;

mod judging;

static SUITE: OnceLock<Arc<Suite>> = OnceLock::new();

/// Hands the suite to the worlds that cucumber makes.
///
/// # Errors
/// When there is one already: one feature run a process.
pub(crate) fn install(suite: Arc<Suite>) -> anyhow::Result<()> {
    SUITE.set(suite).map_err(|_| anyhow::anyhow!("a feature run is under way in this process"))
}

/// One scenario's state.
#[derive(cucumber::World)]
#[world(init = Self::new)]
pub(crate) struct World {
    suite: Arc<Suite>,
    trial: u32,
    said: TrialDescription,
    own_servers: Option<OwnedMutexGuard<()>>,
    small_disk: bool,
    scenario: Option<Scenario>,
    stage: Option<Arc<Stage>>,
    points: Option<Points>,
    struck: Vec<Struck>,
    judgements: Option<Vec<Judgement>>,
    stopped: Mutex<Option<Stopped>>,
}

/// Why a scenario could not go on, when that is no finding.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Stopped {
    /// A fault did not land, an act of the harness failed, or the scenario asks for what cannot be.
    Doubt(String),
    /// There is nothing to play on: no engine, image or server.
    Harness(String),
    /// It needs what the system under test does not do.
    Skipped(String),
}

impl std::fmt::Debug for World {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("World").field("trial", &self.trial).finish_non_exhaustive()
    }
}

impl World {
    fn new() -> anyhow::Result<Self> {
        let suite = SUITE.get().context("scenarios run under the feature run only")?;
        Ok(Self {
            suite: Arc::clone(suite),
            trial: suite.next_trial(),
            said: TrialDescription::of(suite.system()),
            own_servers: None,
            small_disk: false,
            scenario: None,
            stage: None,
            points: None,
            struck: Vec::new(),
            judgements: None,
            stopped: Mutex::default(),
        })
    }

    /// Says which scenario this is.
    pub(crate) fn name(&mut self, scenario: Scenario) {
        self.scenario = Some(scenario);
    }

    /// Why the scenario cannot go on, as an error that is no finding.
    pub(crate) fn doubt(&self, why: impl Into<String>) -> anyhow::Error {
        let why = why.into();
        self.stop(Stopped::Doubt(why.clone()));
        anyhow::Error::msg(why)
    }

    /// Why the scenario is not for this system, as an error that is no finding.
    pub(crate) fn skip(&self, why: impl Into<String>) -> anyhow::Error {
        let why = why.into();
        self.stop(Stopped::Skipped(why.clone()));
        anyhow::Error::msg(why)
    }

    /// A scenario that names what one system alone has is skipped on another one.
    pub(crate) fn is_only_for(&self, only: &str) {
        let system = self.suite.system().name().unwrap_or("tablet");
        if only != system {
            self.skip(format!("it is tagged for the system {only} only, and this one is {system}"));
        }
    }

    fn stop(&self, why: Stopped) {
        self.stopped.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(why);
    }

    fn stopped(&self) -> Option<Stopped> {
        self.stopped.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What an act of the harness came to; that it failed is no finding.
    ///
    /// # Errors
    /// When it failed.
    pub(crate) fn acted<T>(&self, act: Result<T, ActError>) -> anyhow::Result<T> {
        act.map_err(|error| match error.is_unsupported() {
            true => self.skip(error.chain()),
            false => self.doubt(error.chain()),
        })
    }

    /// Waits for the turn of a scenario that hurts its servers, or fills a disk.
    pub(crate) async fn take_own_servers(&mut self, small_disk: bool) {
        self.small_disk = small_disk;
        self.own_servers = Some(self.suite.turn_with_own_servers().await);
    }

    /// What is said of the trial; only before the workflow is there.
    ///
    /// # Errors
    /// When the workflow is there already.
    pub(crate) fn description(&mut self) -> anyhow::Result<&mut TrialDescription> {
        if self.stage.is_some() {
            let late =
                "say this before the workflow: its tables are loaded and its tablets started";
            return Err(self.doubt(late));
        }
        Ok(&mut self.said)
    }

    /// A known bug, switched on in the target tablet; off where the run keeps bugs off.
    ///
    /// # Errors
    /// As [`World::said`].
    pub(crate) fn with_bug(&mut self, bug: Bug) -> anyhow::Result<()> {
        if self.suite.system() == SystemKind::Vitess {
            return Err(self.skip("known bugs are switched on in this project's tablet only"));
        }
        let is_off = self.suite.keeps_bugs_off();
        let said = self.description()?;
        said.seeded = true;
        said.plan.bug = (!is_off).then_some(bug);
        Ok(())
    }

    /// Starts the tablets and creates the workflow.
    ///
    /// # Errors
    /// When the harness fails.
    pub(crate) async fn open(&mut self) -> anyhow::Result<()> {
        if self.stage.is_some() {
            return Err(self.doubt("a scenario has one workflow"));
        }
        if let Some(Stopped::Skipped(why)) = self.stopped() {
            anyhow::bail!(why);
        }
        let schedule = self.said.schedule(self.trial)?;
        for step in &schedule.steps {
            self.servers_suffice(step.fault)?;
        }
        let own = self.own_servers.is_some();
        let mut needs = schedule.clone();
        if self.small_disk {
            let start = Trigger::Progress { fraction: 0.0 };
            needs.steps.push(Step::new(start, Fault::DiskFull));
        }
        let environment = match self.suite.environment(&needs, own, self.said.seeded).await {
            Ok(environment) => environment,
            Err(error) => {
                self.stop(Stopped::Harness(format!("{error:#}")));
                return Err(error);
            }
        };
        if let Some(refused) = environment.survey.refuses(&schedule) {
            return Err(self.skip(refused.to_string()));
        }
        let name = format!("f{:03}", self.trial);
        let directory = self.suite.trial_directory(self.trial);
        let stage = Stage::open(&environment, &schedule, &name, &directory).await;
        let stage = Arc::new(self.acted(stage)?);
        self.stage = Some(Arc::clone(&stage));
        if let Some(scenario) = self.scenario.clone() {
            stage.journal().record(Event::Scenario(scenario));
        }
        self.points = Points::begin(&stage);
        self.acted(stage.launch().await)?;
        self.acted(stage.start_workflow().await)
    }

    /// As [`World::open`], where no step has asked for the workflow: a VDiff has one.
    ///
    /// # Errors
    /// As [`World::open`].
    pub(crate) async fn open_if_not(&mut self) -> anyhow::Result<()> {
        if self.stage.is_none() { self.open().await } else { Ok(()) }
    }

    /// Refuses a fault that hurts servers which others use.
    fn servers_suffice(&self, fault: Fault) -> anyhow::Result<()> {
        let own = self.own_servers.is_some();
        tags::servers_suffice(fault, own, self.small_disk).map_err(|why| self.doubt(why))
    }

    /// The stage, for acts; not once the trial was judged.
    ///
    /// # Errors
    /// When there is no workflow yet, or the trial was judged.
    pub(crate) fn stage(&self) -> anyhow::Result<&Arc<Stage>> {
        if self.judgements.is_some() {
            let late = "a step before this one judged the trial, which ended it: say this earlier";
            return Err(self.doubt(late));
        }
        self.stage.as_ref().ok_or_else(|| self.doubt("say `Given a workflow …` first"))
    }

    /// Creates a VDiff.
    ///
    /// # Errors
    /// When the tablet does not acknowledge it.
    pub(crate) async fn create_vdiff(&self) -> anyhow::Result<()> {
        let stage = self.stage()?;
        let uuid = match u32::try_from(stage.uuids().len())? {
            0 => stage.schedule().vdiff_uuid.clone(),
            nth => plan::following_uuid(stage.schedule(), nth),
        };
        self.acted(stage.create_vdiff(&uuid).await)
    }

    /// Waits for the trigger and injects the fault, which must land.
    ///
    /// # Errors
    /// When it missed: the scenario says nothing then.
    pub(crate) async fn strike(&mut self, trigger: Trigger, fault: Fault) -> anyhow::Result<()> {
        self.strike_with(Step::new(trigger, fault)).await
    }

    /// As [`World::strike`], of a fault that lasts so long.
    ///
    /// # Errors
    /// When it missed: the scenario says nothing then.
    pub(crate) async fn strike_for(
        &mut self,
        trigger: Trigger,
        fault: Fault,
        lasts_ms: u64,
    ) -> anyhow::Result<()> {
        self.strike_with(Step { lasts_ms: Some(lasts_ms), ..Step::new(trigger, fault) }).await
    }

    /// As [`World::strike`], of a whole step.
    ///
    /// # Errors
    /// When it missed: the scenario says nothing then.
    pub(crate) async fn strike_with(&mut self, step: Step) -> anyhow::Result<()> {
        self.servers_suffice(step.fault)?;
        let survey = &self.stage()?.environment().survey;
        let in_phase = matches!(step.trigger, Trigger::Phase { .. });
        let refused =
            survey.refuses_fault(step.fault).or_else(|| survey.phases().filter(|_| in_phase));
        if let Some(refused) = refused {
            return Err(self.skip(refused.to_string()));
        }
        let struck = self.acted(self.stage()?.strike(step).await)?;
        let landed = struck.landed;
        self.struck.push(struck.clone());
        if !landed {
            // A harm that missed its aim is harm all the same: a frozen tablet would not end in order.
            self.acted(fault::heal_if_injected(self.stage()?, &struck).await)?;
            return Err(self.doubt(format!("the fault did not land: {}", self.why_missed())));
        }
        self.suite.record().landed(1);
        Ok(())
    }

    /// Injects the fault now, wherever the diff is: it need not be in its middle.
    ///
    /// # Errors
    /// When the harness fails.
    pub(crate) async fn strike_now(&mut self, fault: Fault) -> anyhow::Result<()> {
        self.servers_suffice(fault)?;
        let stage = self.stage()?;
        if let Some(refused) = stage.environment().survey.refuses_fault(fault) {
            return Err(self.skip(refused.to_string()));
        }
        let step = stage.add_step(Step::new(Trigger::Progress { fraction: 0.0 }, fault));
        let struck = self.acted(fault::inject(stage, step, fault, None).await)?;
        self.struck.push(struck);
        Ok(())
    }

    fn records(&self) -> Vec<Record> {
        self.stage.as_ref().map(|stage| stage.records()).unwrap_or_default()
    }

    fn why_missed(&self) -> String {
        let records = self.records();
        let missed = records.into_iter().rev().find_map(|record| match record.event {
            Event::FaultMissed { reason, .. } => Some(reason),
            _ => None,
        });
        missed.unwrap_or_else(|| "for an unknown reason".to_owned())
    }

    /// Ends the harm of the last fault of these kinds.
    ///
    /// # Errors
    /// When there was none, or the harness fails.
    pub(crate) async fn heal(&self, faults: &[Fault]) -> anyhow::Result<()> {
        let last = self.struck.iter().rev().find(|struck| faults.contains(&struck.fault));
        let never = || self.doubt(format!("none of {faults:?} was injected before"));
        let struck = last.ok_or_else(never)?;
        self.acted(self.stage()?.heal(struck).await)
    }

    /// Ends the harm of all faults that are still at work.
    ///
    /// # Errors
    /// As [`World::heal`].
    pub(crate) async fn heal_all(&self) -> anyhow::Result<()> {
        if self.struck.is_empty() {
            return Err(self.doubt("no fault was injected before"));
        }
        let records = self.records();
        let healed = |step: usize| {
            records.iter().any(
                |record| matches!(record.event, Event::FaultHealed { step: it, .. } if it == step),
            )
        };
        let at_work = self.struck.iter().filter(|struck| !healed(struck.step)).cloned().collect();
        self.acted(fault::heal_all(self.stage()?, at_work).await)
    }

    /// Waits until the target tablet was struck at all of its crash points, and is started again.
    ///
    /// # Errors
    /// When there are none, one was not reached, or the harness fails.
    pub(crate) async fn pass_points(&mut self) -> anyhow::Result<()> {
        self.stage()?;
        let Some(mut points) = self.points.take() else {
            let none = "no crash point is armed: say `Given the target tablet will be killed …` \
                        before the workflow";
            return Err(self.doubt(none));
        };
        let passed = points.pass().await;
        self.points = Some(points);
        let landed = passed.map_err(|error| self.doubt(format!("{error:#}")))?;
        self.suite.record().landed(landed);
        Ok(())
    }

    /// Whether an operator resumed the VDiff.
    #[must_use]
    pub(crate) fn was_resumed_by_hand(&self) -> bool {
        let resumed = Action::Resume.name();
        self.records().iter().any(|record| match &record.event {
            Event::VdiffAction(action) => action.action == resumed,
            _ => false,
        })
    }

    /// Waits until the diff is in this state.
    ///
    /// # Errors
    /// When it is not, in time.
    pub(crate) async fn wait_state(&self, state: &str, within: Duration) -> anyhow::Result<()> {
        yes(self.acted(self.stage()?.wait_state(state, within).await)?)
    }

    /// The VDiff's last error, as `show` tells it.
    ///
    /// # Errors
    /// When the tablet does not answer.
    pub(crate) async fn shown_error(&self) -> anyhow::Result<String> {
        let stage = self.stage()?;
        let uuid = self.acted(stage.uuid())?;
        let shown = stage.operator().report(&uuid).await;
        let report = shown.map_err(|error| self.doubt(format!("asking show: {error}")))?;
        Ok(report.map(|report| report.last_error).unwrap_or_default())
    }

    /// Waits until the diff came to rest, which must be in this state.
    ///
    /// # Errors
    /// When it did not, in time, or in another state.
    pub(crate) async fn wait_settled_as(
        &self,
        state: &str,
        within: Duration,
    ) -> anyhow::Result<()> {
        let stage = self.stage()?;
        yes(self.acted(stage.wait_settled(within).await)?)?;
        let found = self.acted(stage.progress().await)?.state;
        ensure!(
            found.as_deref() == Some(state),
            "expected the VDiff to be {state}, found {found:?}: {}",
            self.shown_error().await?
        );
        Ok(())
    }

    /// Waits until the target tablet is ready, and has been so for a while.
    ///
    /// # Errors
    /// When it is not, in time.
    pub(crate) async fn wait_ready(&self, within: Duration, holds: Duration) -> anyhow::Result<()> {
        yes(self.stage()?.wait_ready(Side::Target, within, holds).await)
    }
}

/// A wait that came true.
fn yes(waited: Waited) -> anyhow::Result<()> {
    match waited {
        Waited::Yes { .. } => Ok(()),
        Waited::No { reason } => bail!("waited in vain for {reason}"),
    }
}
