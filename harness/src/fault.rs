//! Faults: each one is injected, proven and healed.
//!
//! [`inject`] does the harm, waits until it took effect, and records either that it landed (with the
//! evidence that ARCHITECTURE.md's definition asks for) or that it missed. [`heal`] ends the harm: it
//! restarts, resumes, releases, or creates the diff that follows a deleted one. Nothing here judges.

mod arrival;
mod connections;
mod demote;
mod disk;
mod effect;
mod freeze;
mod kill;
mod lease;
mod link;
mod operator;
mod replace;
mod servers;
mod source;
mod squeeze;
mod starve;
mod stream;
mod vanish;
mod writes;

use std::sync::Arc;
use std::time::{Duration, Instant};

use mysql_async::Conn;

use records::journal::{Event, Evidence, FaultLanded, Interrupted, MissKind};
use records::schedule::{Fault, Link, Phase, Step};
use records::tellings::Telling;

use crate::stage::{ActError, Stage};
use crate::trigger::Hold;
use effect::Effect;
use system::{Predecessor, Progress};

/// A fault that was injected.
#[derive(Clone, Debug)]
pub struct Struck {
    /// Index of the schedule's step.
    pub step: usize,
    /// The fault.
    pub fault: Fault,
    /// The evidence came.
    pub landed: bool,
    /// It missed because the diff had ended: a new diff may be aimed at again.
    pub diff_ended: bool,
    harm: Undo,
}

/// What is to be undone, and when.
#[derive(Clone, Debug, Default)]
struct Undo {
    /// Not before this.
    until: Option<Instant>,
    /// Holds locks for as long as it lives.
    holder: Option<Arc<tokio::sync::Mutex<Conn>>>,
    /// The tablet that was replaced.
    predecessor: Option<Predecessor>,
}

impl Struck {
    /// One that did not come as far as an injection.
    pub(crate) fn missed(step: usize, fault: Fault, diff_ended: bool) -> Struck {
        Struck { step, fault, landed: false, diff_ended, harm: Undo::default() }
    }

    /// Its harm goes on until then.
    fn lasting_until(mut self, until: Instant) -> Struck {
        self.harm.until = Some(until);
        self
    }
}

/// Ends the harm of a fault that came as far as the injection, and was not healed since.
///
/// # Errors
/// As [`heal`].
pub async fn heal_if_injected(stage: &Stage, struck: &Struck) -> Result<(), ActError> {
    match was_injected(stage, struck.step) {
        true => heal(stage, struck).await,
        false => Ok(()),
    }
}

/// Whether the last attempt of this step came as far as the injection: only then is there harm to heal.
pub(crate) fn was_injected(stage: &Stage, step: usize) -> bool {
    stage.journal().inspect(|records| {
        let last = records.iter().rev().find_map(|record| match &record.event {
            Event::FaultHealed { step: healed, .. } if *healed == step => Some(false),
            Event::FaultInjected { step: injected, .. } if *injected == step => Some(true),
            _ => None,
        });
        last.unwrap_or(false)
    })
}

/// Injects a fault now. A hold, where the trigger was an exact one, is released in any case.
///
/// # Errors
/// When the harness cannot do it; a fault that misses its aim is [`Struck::landed`] false.
pub async fn inject(
    stage: &Stage,
    step: usize,
    fault: Fault,
    hold: Option<Box<Hold>>,
) -> Result<Struck, ActError> {
    let planned = stage.executed_schedule().steps.get(step).cloned();
    let on_top = planned.as_ref().is_some_and(Step::is_on_top);
    let strike = Strike {
        stage,
        step,
        fault,
        phase: hold.as_ref().and_then(|hold| hold.phase()),
        at_point: hold.as_ref().is_some_and(|hold| hold.is_point()),
        on_top,
        lasts: planned.as_ref().and_then(|planned| planned.lasts_ms).map(Duration::from_millis),
        link: planned.and_then(|planned| planned.link),
    };
    if hold.as_ref().is_some_and(|hold| hold.is_given_up()) {
        return Ok(strike.missed(GIVEN_UP.to_owned(), false));
    }
    match fault {
        Fault::Sigkill | Fault::Sigterm | Fault::Oom | Fault::RowSurgery | Fault::HostCrash => {
            kill::inject(&strike, hold).await
        }
        Fault::MemorySqueeze => squeeze::inject(&strike).await,
        Fault::Cancel | Fault::Delete => operator::inject(&strike, hold).await,
        Fault::RpcDrop => stream::inject(&strike).await,
        Fault::EtcdRestart => servers::restart_etcd(&strike).await,
        Fault::EtcdKill | Fault::MysqlKill | Fault::MysqlSourceKill => servers::kill(&strike).await,
        Fault::MysqlSourceVanish => vanish::inject(&strike).await,
        Fault::SourceKill => releasing(hold, source::inject(&strike)).await,
        Fault::MysqlConnectionKill => releasing(hold, connections::inject(&strike)).await,
        Fault::MysqlReadonly | Fault::LockTable => writes::inject(&strike).await,
        Fault::DiskFull => disk::inject(&strike).await,
        Fault::LeaseExpiry => lease::inject(&strike, hold).await,
        Fault::Freeze => releasing(hold, freeze::inject(&strike)).await,
        Fault::Demote => demote::inject(&strike).await,
        Fault::TabletReplace => replace::inject(&strike).await,
        Fault::Partition | Fault::Latency | Fault::Reset => link::inject(&strike).await,
        Fault::CpuStarve => starve::inject(&strike).await,
    }
}

/// Why a fault missed whose crash point was lost before it struck.
const GIVEN_UP: &str = "the tablet gave the exchange up before it was struck";

/// Strikes while the tablet is held, and lets it go.
async fn releasing(
    hold: Option<Box<Hold>>,
    strike: impl Future<Output = Result<Struck, ActError>>,
) -> Result<Struck, ActError> {
    let struck = strike.await;
    release(hold).await?;
    struck
}

async fn release(hold: Option<Box<Hold>>) -> Result<(), ActError> {
    match hold {
        Some(hold) => hold.release().await,
        None => Ok(()),
    }
}

/// Ends the harm of a fault when its time has come, and records it. A tablet that was killed is
/// started, not awaited.
///
/// # Errors
/// When the harness cannot do it.
pub async fn heal(stage: &Stage, struck: &Struck) -> Result<(), ActError> {
    if let Some(until) = struck.harm.until {
        tokio::time::sleep_until(until.into()).await;
    }
    match struck.fault {
        Fault::Sigkill | Fault::Sigterm | Fault::Oom | Fault::RowSurgery | Fault::HostCrash => {
            kill::heal(stage, struck).await?;
        }
        Fault::EtcdKill | Fault::MysqlKill | Fault::MysqlSourceKill => {
            servers::start(stage, struck.fault).await?;
        }
        Fault::MysqlSourceVanish => vanish::heal(stage).await?,
        Fault::SourceKill => source::heal(stage).await?,
        Fault::MysqlReadonly => writes::allow(stage).await?,
        Fault::LockTable => writes::unlock(struck.harm.holder.as_ref()).await?,
        Fault::DiskFull => disk::heal(stage).await?,
        Fault::Freeze => freeze::heal(stage).await?,
        Fault::CpuStarve => starve::heal(stage).await?,
        Fault::Partition | Fault::Latency => link::heal(stage)?,
        Fault::Demote => demote::heal(stage).await?,
        Fault::TabletReplace => {
            replace::heal(stage, struck.step, struck.harm.predecessor.as_ref()).await?;
        }
        Fault::MemorySqueeze => squeeze::heal(stage).await?,
        Fault::Cancel | Fault::Delete => operator::heal(stage, struck).await?,
        Fault::RpcDrop
        | Fault::EtcdRestart
        | Fault::MysqlConnectionKill
        | Fault::LeaseExpiry
        | Fault::Reset => {}
    }
    stage.journal().record(Event::FaultHealed { step: struck.step, fault: struck.fault });
    Ok(())
}

/// Ends the harm of several faults, each when its time has come: the shortest first.
///
/// # Errors
/// When the harness cannot do it.
pub async fn heal_all(stage: &Stage, mut struck: Vec<Struck>) -> Result<(), ActError> {
    struck.sort_by_key(|struck| struck.harm.until);
    for struck in &struck {
        heal(stage, struck).await?;
    }
    Ok(())
}

/// One injection under way.
struct Strike<'a> {
    stage: &'a Stage,
    step: usize,
    fault: Fault,
    phase: Option<Phase>,
    /// The tablet is held at a crash point, which is the aim then.
    at_point: bool,
    /// It comes on top of another fault: it aims at that one's harm, not at the middle of the diff.
    on_top: bool,
    /// The length that the schedule gives it.
    lasts: Option<Duration>,
    /// The link that the schedule gives it.
    link: Option<Link>,
}

impl Strike<'_> {
    /// The diff as it lies in MySQL; while MySQL is away, as it was seen last: nobody can have
    /// changed it since.
    async fn look(&self) -> Result<Progress, ActError> {
        match self.stage.progress().await {
            Err(_) if self.on_top => Ok(self.stage.sampled()),
            looked => looked,
        }
    }

    fn injected(&self, means: impl Into<String>) {
        self.stage.journal().record(Event::FaultInjected {
            step: self.step,
            fault: self.fault,
            means: means.into(),
        });
    }

    /// Lands if the diff was hit where it was aimed at, and the fault had its effect; or else misses.
    fn proven(
        &self,
        evidence: Evidence,
        interrupted: Interrupted,
        effect: impl Into<Effect>,
    ) -> Struck {
        match self.aim_error(&interrupted) {
            None => self.landed(evidence, Some(interrupted), effect.into()),
            Some(reason) => {
                let ended = interrupted.state == "completed";
                self.missed(reason, ended)
            }
        }
    }

    fn landed(
        &self,
        evidence: Evidence,
        interrupted: Option<Interrupted>,
        effect: Effect,
    ) -> Struck {
        let Effect { hits, in_flight } = effect;
        let (step, fault) = (self.step, self.fault);
        let landed = FaultLanded { step, fault, evidence, interrupted, hits, in_flight };
        if !landed.had_its_effect() {
            let on_the_way = landed.in_flight.map_or_else(String::new, |way| {
                let (rows, sent, table) = (way.rows(), way.sent, way.table);
                format!(" ({rows} of the {sent} rows of {table} that were sent were on their way)")
            });
            let wanted = fault.facts().evidence;
            return self.missed(format!("had no effect: not found{on_the_way}: {wanted}"), false);
        }
        self.stage.journal().record(Event::FaultLanded(landed));
        Struck { landed: true, ..Struck::missed(step, fault, false) }
    }

    fn missed(&self, reason: String, diff_ended: bool) -> Struck {
        self.missed_as(MissKind::of(diff_ended), reason)
    }

    /// The tablet said no: the oracles judge it.
    fn refused(&self, reason: String) -> Struck {
        self.missed_as(MissKind::Refused, reason)
    }

    fn missed_as(&self, kind: MissKind, reason: String) -> Struck {
        let (step, fault) = (self.step, self.fault);
        self.stage.journal().record(Event::FaultMissed { step, fault, reason, kind });
        Struck::missed(step, fault, kind == MissKind::Moot)
    }

    /// Why the diff was not hit in its middle. In the completing phase all rows are compared, and the
    /// statement that was seen waiting is the proof of the aim.
    fn aim_error(&self, interrupted: &Interrupted) -> Option<String> {
        if self.at_point || self.on_top {
            return None;
        }
        let completing = self.phase == Some(Phase::Completing);
        let open = matches!(interrupted.state.as_str(), "pending" | "started");
        // Who saves seldom has compared more than is saved.
        let seldom = self.stage.untold(Telling::Checkpoints);
        let ended_in_order = self.fault == Fault::Sigterm && interrupted.state == "error";
        let begun = seldom && (open || ended_in_order);
        if begun
            || interrupted.is_mid_diff()
            || (completing && open && interrupted.rows_compared > 0)
        {
            return None;
        }
        Some(format!(
            "the diff was not in its middle: state {}, {} of {} rows compared",
            interrupted.state, interrupted.rows_compared, interrupted.rows_total
        ))
    }

    fn interrupted(&self, progress: &Progress) -> Interrupted {
        let at_work = progress.at_work().and_then(|table| table.phase);
        Interrupted {
            state: progress.state.clone().unwrap_or_else(|| "gone".to_owned()),
            rows_compared: progress.rows_compared,
            rows_total: self.stage.rows_total(),
            phase: self.phase.or(at_work),
        }
    }
}
