//! Faults that end the target tablet's process.

use std::time::{Duration, Instant};

use records::journal::{Event, Evidence, Hit, HitKind, Interrupted, Side};
use records::schedule::{Fault, Phase};

use super::effect::Effect;
use super::{GIVEN_UP, Strike, Struck, arrival, effect, release};
use crate::observer::ProcessState;
use crate::stage::{ActError, Action, During, Stage};
use crate::trigger::Hold;
use system::{ErrorKind, Means, OomEvidence, Progress, Signal};

/// A container's start comes back in this time, also on a busy machine.
const STARTED_WITHIN: Duration = Duration::from_secs(10);
/// A signal that cannot be refused has its effect in this time.
const KILL_WITHIN: Duration = Duration::from_secs(10);
/// SIGTERM: the tablet has this long to end in order, plus the watcher's lag.
const TERM_WITHIN: Duration = Duration::from_secs(12);

pub(super) async fn inject(
    strike: &Strike<'_>,
    hold: Option<Box<Hold>>,
) -> Result<Struck, ActError> {
    let target = strike.stage.target();
    let state = match strike.at_point {
        true => target.wait_started(STARTED_WITHIN).await,
        false => target.state_now(),
    };
    let incarnation = match state {
        ProcessState::Running { incarnation, .. } => incarnation,
        other => {
            release(hold).await?;
            return Ok(strike.missed(format!("the target tablet does not run: {other:?}"), false));
        }
    };
    if hold.as_ref().is_some_and(|hold| hold.is_given_up()) {
        return Ok(strike.missed(GIVEN_UP.to_owned(), false));
    }
    // MySQL dies with the host: its state is read in the last moment before.
    let before = match strike.fault {
        Fault::HostCrash => Some(strike.look().await?),
        _ => None,
    };
    target.expect_exit(strike.step, if strike.fault == Fault::Sigterm { 0 } else { 137 });
    let (oom, hold) = match strike.fault {
        Fault::Sigterm => {
            let Some(means) = signal(strike, Signal::SIGTERM).await? else {
                return ended_before(strike, hold).await;
            };
            strike.injected(format!("SIGTERM {means}"));
            if hold.is_some() {
                arrival::of_sigterm(strike.stage).await;
            }
            release(hold).await?;
            (None, None)
        }
        Fault::Oom => {
            strike.injected("memory of the container filled from within, until the kernel kills");
            let evidence = target.tablet().oom().await.during("running the tablet out of memory");
            if let Ok(OomEvidence::Survived { why }) = &evidence {
                target.expect_no_exit(strike.step);
                release(hold).await?;
                return Ok(strike.missed(format!("the tablet survived: {why}"), false));
            }
            (Some(evidence), hold)
        }
        Fault::HostCrash => {
            let mysql = &strike.stage.servers()?.target;
            let (tablet, mysql) = tokio::join!(signal(strike, Signal::SIGKILL), mysql.kill());
            mysql.during("killing the target's MySQL")?;
            strike.injected(match tablet? {
                Some(means) => format!("SIGKILL {means}, and its MySQL"),
                None => "SIGKILL of its MySQL; the tablet had ended".to_owned(),
            });
            (None, hold)
        }
        _ => {
            let Some(means) = signal(strike, Signal::SIGKILL).await? else {
                return ended_before(strike, hold).await;
            };
            strike.injected(format!("SIGKILL {means}"));
            (None, hold)
        }
    };
    let exit_code = wait_exit(strike, incarnation).await?;
    if let Some(hold) = hold {
        hold.dispose().await?;
    }
    let Some(exit_code) = exit_code else {
        target.expect_no_exit(strike.step);
        return Ok(strike.missed("the process did not end as it was asked to".to_owned(), false));
    };
    let evidence = match oom {
        None => Evidence::Exit { exit_code },
        Some(evidence) => match evidence?.into_evidence(exit_code) {
            Some(evidence) => evidence,
            None => {
                let reason =
                    "the process died, but nothing proves that the kernel ran out of memory";
                return Ok(strike.missed(reason.to_owned(), false));
            }
        },
    };
    died(strike, incarnation, exit_code, evidence, before).await
}

/// What the death left, and what it hit.
async fn died(
    strike: &Strike<'_>,
    incarnation: u32,
    exit_code: i64,
    evidence: Evidence,
    before: Option<Progress>,
) -> Result<Struck, ActError> {
    let interrupted = read_interrupted(strike, before).await?;
    let effect = match strike.fault {
        Fault::RowSurgery => by_hand(strike).await?,
        _ => Effect::from(process(incarnation, exit_code, interrupted.as_ref())),
    };
    Ok(match interrupted {
        Some(interrupted) => strike.proven(evidence, interrupted, effect),
        None => strike.landed(evidence, None, effect),
    })
}

/// The process that died, and what it was at.
fn process(incarnation: u32, exit_code: i64, at: Option<&Interrupted>) -> Hit {
    let work = at.map_or_else(
        || "before there was a diff".to_owned(),
        |diff| format!("{} of {} rows compared", diff.rows_compared, diff.rows_total),
    );
    let text = format!(
        "incarnation {incarnation} of the target tablet, which ended with {exit_code}: {work}"
    );
    effect::hit(HitKind::Process, text)
}

async fn by_hand(strike: &Strike<'_>) -> Result<Effect, ActError> {
    let uuid = strike.stage.uuid()?;
    let rows = strike.stage.delete_row_by_hand(&uuid).await?;
    strike.stage.journal().note(format!("{rows} row of vdiff deleted by hand: {uuid}"));
    let row = effect::hit(HitKind::Row, format!("the row of {uuid}, deleted by hand"));
    Ok(if rows > 0 { Effect::from(row) } else { Effect::none() })
}

pub(super) async fn heal(stage: &Stage, struck: &Struck) -> Result<(), ActError> {
    stage.start(Side::Target).await?;
    match struck.fault {
        Fault::HostCrash => {
            let mysql = &stage.servers()?.target;
            mysql.start().await.during("starting the target's MySQL")?;
            let within = Duration::from_secs(30);
            mysql.wait_ready(within).await.during("waiting for the target's MySQL")?;
        }
        Fault::RowSurgery => create_following(stage).await?,
        _ => {}
    }
    Ok(())
}

/// Sends a signal; none when the process has ended by itself meanwhile.
async fn signal(strike: &Strike<'_>, signal: Signal) -> Result<Option<Means>, ActError> {
    match strike.stage.target().tablet().kill(signal).await {
        Ok(means) => Ok(Some(means)),
        Err(error) if *error.kind() == ErrorKind::NotRunning => Ok(None),
        Err(error) => Err(error).during("sending a signal to the target tablet"),
    }
}

/// While it was held at a crash point on its way out, say.
async fn ended_before(strike: &Strike<'_>, hold: Option<Box<Hold>>) -> Result<Struck, ActError> {
    strike.stage.target().expect_no_exit(strike.step);
    if let Some(hold) = hold {
        hold.dispose().await?;
    }
    Ok(strike.missed("the process ended before it was struck".to_owned(), false))
}

/// Creates the VDiff that follows a deleted one, as soon as the tablet takes it.
pub(super) async fn create_following(stage: &Stage) -> Result<(), ActError> {
    let nth = u32::try_from(stage.uuids().len()).unwrap_or(u32::MAX);
    let uuid = crate::plan::following_uuid(stage.schedule(), nth);
    stage.insist(Action::Create, &uuid).await?;
    Ok(())
}

/// The exit code, when the process ended as asked; one that does not end is killed for good.
async fn wait_exit(strike: &Strike<'_>, incarnation: u32) -> Result<Option<i64>, ActError> {
    let target = strike.stage.target();
    let within = if strike.fault == Fault::Sigterm { TERM_WITHIN } else { KILL_WITHIN };
    let began = Instant::now();
    match target.wait_exited(incarnation, within).await {
        Some(ProcessState::Exited { incarnation: now, exit_code, scheduled_by })
            if now == incarnation && scheduled_by == Some(strike.step) =>
        {
            return Ok(Some(exit_code));
        }
        Some(_) => return Ok(None),
        None => {}
    }
    strike.stage.journal().record(Event::DeadlinePassed {
        waiting_for: format!("the target tablet to end after {}", strike.fault.name()),
        after_ms: records::millis(began.elapsed()),
    });
    target.expect_exit(strike.step, 137);
    target.tablet().kill(Signal::SIGKILL).await.during("killing what did not end")?;
    target.wait_exited(incarnation, KILL_WITHIN).await;
    Ok(None)
}

/// The diff as it lies in MySQL between death and restart. Nothing is waited for: a statement that the
/// dead process had sent may still commit after this look, so it can tell fewer rows than the next
/// incarnation will find, and no oracle takes it for the exact state.
async fn read_interrupted(
    strike: &Strike<'_>,
    before: Option<Progress>,
) -> Result<Option<Interrupted>, ActError> {
    if let Some(before) = before {
        return Ok(Some(strike.interrupted(&before)));
    }
    // At a crash point there may be no diff yet, and no sidecar table.
    let progress = match strike.at_point {
        true => strike.stage.progress_if_any().await?,
        false => Some(strike.look().await?),
    };
    let Some(progress) = progress else { return Ok(None) };
    let mut interrupted = strike.interrupted(&progress);
    let all_done = !progress.tables.is_empty()
        && progress.tables.iter().all(|table| table.state == "completed");
    if all_done && interrupted.phase.is_none() {
        interrupted.phase = Some(Phase::Completing);
    }
    Ok(Some(interrupted))
}
