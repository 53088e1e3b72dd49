//! What an operator does to a running diff: cancel (and resume later), delete (and create another).

use std::time::Duration;

use records::journal::{Evidence, HitKind};
use records::schedule::Fault;

use super::{GIVEN_UP, Strike, Struck, arrival, effect, kill, release};
use crate::stage::{ActError, Action, Stage};
use crate::trigger::Hold;

/// At a crash point the answer to the VDiff's creation may still be on its way.
const CREATED_WITHIN: Duration = Duration::from_secs(2);

pub(super) async fn inject(
    strike: &Strike<'_>,
    hold: Option<Box<Hold>>,
) -> Result<Struck, ActError> {
    let stage = strike.stage;
    let within = if strike.at_point { CREATED_WITHIN } else { Duration::ZERO };
    let Some(before) = stage.progress_once_created(within).await? else {
        release(hold).await?;
        return Ok(strike.missed("there was no diff yet".to_owned(), false));
    };
    if hold.as_ref().is_some_and(|hold| hold.is_given_up()) {
        return Ok(strike.missed(GIVEN_UP.to_owned(), false));
    }
    let uuid = before.uuid.clone();
    let action = if strike.fault == Fault::Delete { Action::Delete } else { Action::Stop };
    strike.injected(format!("{} over gRPC", action.name()));
    let arrived = if hold.is_some() { arrival::actions(stage).await } else { None };
    let let_go = async {
        if let Some(before) = arrived {
            arrival::of_action(stage, before).await;
        }
        release(hold).await
    };
    let (answer, released) = tokio::join!(stage.act_on(action, &uuid), let_go);
    released?;
    let answer = answer?;
    let after = stage.progress().await?;
    let after_state = after.state.clone().unwrap_or_else(|| "gone".to_owned());
    if after.is_completed() {
        return Ok(strike.missed("the diff completed before it was cancelled".to_owned(), true));
    }
    let wanted = if action == Action::Delete { "gone" } else { "stopped" };
    if !answer.acknowledged || after_state != wanted {
        let refused = answer.tries.iter().any(|tried| tried.refused);
        let error = answer.error.unwrap_or_default();
        let reason = format!("wanted {wanted}, found {after_state}; the tablet said: {error:?}");
        return Ok(match refused {
            true => strike.refused(reason),
            false => strike.missed(reason, false),
        });
    }
    let interrupted = strike.interrupted(&before);
    let row = format!("the row of {uuid}: {} before, {after_state} after", interrupted.state);
    let evidence = Evidence::State { before: interrupted.state.clone(), after: after_state };
    Ok(strike.proven(evidence, interrupted, effect::hit(HitKind::Row, row)))
}

pub(super) async fn heal(stage: &Stage, struck: &Struck) -> Result<(), ActError> {
    match (struck.fault, struck.diff_ended) {
        (Fault::Cancel, false) => {
            let uuid = stage.uuid()?;
            stage.insist(Action::Resume, &uuid).await?;
            Ok(())
        }
        (Fault::Delete, _) => {
            // One over which the tablet died may not have happened.
            stage.insist(Action::Delete, &stage.uuid()?).await?;
            kill::create_following(stage).await
        }
        _ => Ok(()),
    }
}
