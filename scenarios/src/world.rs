//! The world of a scenario: what was said of the trial, the stage it plays on, and its judgement.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use harness::fault::{self, Struck};
use harness::plan;
use harness::trial::{Action, Stage, WORKFLOW, Waited};
use reports::TrialRecord;
use reports::journal::{Record, Side};
use reports::schedule::{Bug, Fault, Step, Trigger};
use reports::verdict::{Invariant, Judgement, Verdict};
use tokio::sync::OwnedMutexGuard;

use crate::points::Points;
use crate::said::Said;
use crate::suite::Suite;

/// Collecting a trial's evidence takes at most this long.
const COLLECT_WITHIN: Duration = Duration::from_secs(120);
/// Removing its containers takes at most this long.
const CLOSE_WITHIN: Duration = Duration::from_secs(60);

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
    said: Said,
    own_servers: Option<OwnedMutexGuard<()>>,
    small_disk: bool,
    stage: Option<Arc<Stage>>,
    points: Option<Points>,
    struck: Vec<Struck>,
    judgements: Option<Vec<Judgement>>,
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
            said: Said::default(),
            own_servers: None,
            small_disk: false,
            stage: None,
            points: None,
            struck: Vec::new(),
            judgements: None,
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
    pub(crate) fn said(&mut self) -> anyhow::Result<&mut Said> {
        ensure!(
            self.stage.is_none(),
            "say this before the workflow: its tables are loaded and its tablets started by then"
        );
        Ok(&mut self.said)
    }

    /// A known bug, switched on in the target tablet; off where the run keeps bugs off.
    ///
    /// # Errors
    /// As [`World::said`].
    pub(crate) fn with_bug(&mut self, bug: Bug) -> anyhow::Result<()> {
        let is_off = self.suite.keeps_bugs_off();
        let said = self.said()?;
        said.seeded = true;
        said.plan.bug = (!is_off).then_some(bug);
        Ok(())
    }

    /// Starts the tablets and creates the workflow.
    ///
    /// # Errors
    /// When the harness fails.
    pub(crate) async fn open(&mut self) -> anyhow::Result<()> {
        ensure!(self.stage.is_none(), "a scenario has one workflow");
        let schedule = self.said.schedule(self.trial)?;
        let own = self.own_servers.is_some();
        let mut needs = schedule.clone();
        if self.small_disk {
            let start = Trigger::Progress { fraction: 0.0 };
            needs.steps.push(Step::new(start, Fault::DiskFull));
        }
        let environment = self.suite.environment(&needs, own, self.said.seeded).await?;
        let name = format!("f{:03}", self.trial);
        let directory = self.suite.trial_directory(self.trial);
        let stage = Stage::open(&environment, &schedule, &name, &directory).await?;
        let stage = self.stage.insert(Arc::new(stage));
        self.points = Points::begin(stage);
        stage.launch().await?;
        stage.start_workflow().await?;
        Ok(())
    }

    /// The stage, for acts; not once the trial was judged.
    ///
    /// # Errors
    /// When there is no workflow yet, or the trial was judged.
    pub(crate) fn stage(&self) -> anyhow::Result<&Arc<Stage>> {
        ensure!(
            self.judgements.is_none(),
            "the trial was judged by a step before this one, which ended it: say this earlier"
        );
        self.stage.as_ref().context("say `Given a workflow …` first")
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
        Ok(stage.create_vdiff(&uuid).await?)
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
        let struck = self.stage()?.strike(step).await?;
        let landed = struck.landed;
        self.struck.push(struck);
        ensure!(landed, "the fault did not land: {}", self.why_missed());
        self.suite.record().landed(1);
        Ok(())
    }

    /// Injects the fault now, wherever the diff is: it need not be in its middle.
    ///
    /// # Errors
    /// When the harness fails.
    pub(crate) async fn strike_now(&mut self, fault: Fault) -> anyhow::Result<()> {
        let stage = self.stage()?;
        let step = stage.add_step(Step::new(Trigger::Progress { fraction: 0.0 }, fault));
        let struck = fault::inject(stage, step, fault, None).await?;
        self.struck.push(struck);
        Ok(())
    }

    fn records(&self) -> Vec<Record> {
        self.stage.as_ref().map(|stage| stage.records()).unwrap_or_default()
    }

    fn why_missed(&self) -> String {
        let records = self.records();
        let missed = records.into_iter().rev().find_map(|record| match record.event {
            reports::journal::Event::FaultMissed { reason, .. } => Some(reason),
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
        let struck = last.with_context(|| format!("none of {faults:?} was injected before"))?;
        Ok(self.stage()?.heal(struck).await?)
    }

    /// Ends the harm of all faults that are still at work.
    ///
    /// # Errors
    /// As [`World::heal`].
    pub(crate) async fn heal_all(&self) -> anyhow::Result<()> {
        ensure!(!self.struck.is_empty(), "no fault was injected before");
        let records = self.records();
        let healed = |step: usize| {
            records.iter().any(
                |record| matches!(record.event, reports::journal::Event::FaultHealed { step: it, .. } if it == step),
            )
        };
        let at_work = self.struck.iter().filter(|struck| !healed(struck.step)).cloned().collect();
        Ok(fault::heal_all(self.stage()?, at_work).await?)
    }

    /// Waits until the target tablet was struck at all of its crash points, and is started again.
    ///
    /// # Errors
    /// When there are none, one was not reached, or the harness fails.
    pub(crate) async fn pass_points(&mut self) -> anyhow::Result<()> {
        self.stage()?;
        let points = self.points.as_mut().context(
            "no crash point is armed: say `Given the target tablet will be killed …` before the \
             workflow",
        )?;
        let landed = points.pass().await?;
        self.suite.record().landed(landed);
        Ok(())
    }

    /// Whether an operator resumed the VDiff.
    #[must_use]
    pub(crate) fn was_resumed_by_hand(&self) -> bool {
        let resumed = Action::Resume.name();
        self.records().iter().any(|record| match &record.event {
            reports::journal::Event::VdiffAction(action) => action.action == resumed,
            _ => false,
        })
    }

    /// Collects the evidence, ends the trial and judges it, once.
    ///
    /// # Errors
    /// When the harness fails.
    pub(crate) async fn judge(&mut self) -> anyhow::Result<&[Judgement]> {
        if self.judgements.is_none() {
            if let Some(points) = self.points.take() {
                points.end().await;
            }
            let stage = self.stage.as_ref().context("say `Given a workflow …` first")?;
            tokio::time::timeout(COLLECT_WITHIN, stage.collect())
                .await
                .context("the evidence was not collected in time")?;
            self.end().await?;
        }
        self.judgements.as_deref().context("the trial was not judged")
    }

    /// The invariants must have passed (or not be touched by this trial).
    ///
    /// # Errors
    /// With what the oracles say, when one did not pass.
    pub(crate) async fn must_hold(&mut self, which: &[Invariant]) -> anyhow::Result<()> {
        let which: BTreeSet<Invariant> = which.iter().copied().collect();
        let judged = self.judge().await?;
        let mut broken = Vec::new();
        let mut passed = 0_u32;
        for judgement in judged.iter().filter(|judgement| which.contains(&judgement.invariant)) {
            match (judgement.not_applicable, judgement.verdict) {
                (true, _) => {}
                (false, Verdict::Pass) => passed += 1,
                (false, Verdict::Fail | Verdict::Inconclusive) => broken.push(told(judgement)),
            }
        }
        ensure!(broken.is_empty(), "{}", broken.join("\n"));
        ensure!(passed > 0, "none of {which:?} was tried by this trial");
        Ok(())
    }

    /// Ends and judges the trial, wherever the scenario stopped; removes its containers.
    ///
    /// # Errors
    /// When the harness fails.
    pub(crate) async fn end(&mut self) -> anyhow::Result<()> {
        if self.judgements.is_some() {
            return Ok(());
        }
        if let Some(points) = self.points.take() {
            points.end().await;
        }
        let Some(stage) = self.stage.as_ref() else { return Ok(()) };
        let closed = tokio::time::timeout(CLOSE_WITHIN, stage.close()).await;
        stage.journal().finish().context("writing the journal")?;
        let records = stage.records();
        let judgements = harness::oracle::judge(&records);
        let schedule = stage.executed_schedule();
        reports::schedule::save(
            &schedule,
            &self.suite.trial_directory(self.trial).join("schedule.json"),
        )?;
        self.suite.keep(TrialRecord { schedule, records, judgements: judgements.clone() });
        self.judgements = Some(judgements);
        closed.context("the scenario's tablets were not removed in time")
    }

    /// Waits until the diff is in this state.
    ///
    /// # Errors
    /// When it is not, in time.
    pub(crate) async fn wait_state(&self, state: &str, within: Duration) -> anyhow::Result<()> {
        yes(self.stage()?.wait_state(state, within).await?)
    }

    /// The VDiff's last error, as `show` tells it.
    ///
    /// # Errors
    /// When the tablet does not answer.
    pub(crate) async fn shown_error(&self) -> anyhow::Result<String> {
        let stage = self.stage()?;
        let rows = stage.target().tablet().vdiff_show(WORKFLOW, &stage.uuid()?).await?;
        let error = rows.first().and_then(|row| row.get("last_error")).cloned().flatten();
        Ok(error.unwrap_or_default())
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
        yes(stage.wait_settled(within).await?)?;
        let found = stage.progress().await?.state;
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

fn told(judgement: &Judgement) -> String {
    let reasons: Vec<&str> = judgement.reasons.iter().map(|reason| reason.text.as_str()).collect();
    format!("{:?} {:?}: {}", judgement.invariant, judgement.verdict, reasons.join("; "))
}
