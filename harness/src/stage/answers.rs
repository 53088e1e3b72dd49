//! How fast a tablet answers, and whether all places tell the same of its role.

use std::future::Future;
use std::time::{Duration, Instant};

use futures::future::join_all;
use records::journal::{Answer, CallOutcome, Event, Roles, Side};

use super::{ActError, During, Stage};
use crate::observer::ProcessState;
use system::{ErrorKind, SystemError};

/// No answer in this time is none.
const PATIENCE: Duration = Duration::from_secs(10);
/// Twice what the shard sync loop waits before it tries again, and the time to publish the role.
const AGREED_WITHIN: Duration = Duration::from_secs(4);
const LOOK: Duration = Duration::from_millis(25);

/// Times a call. A tablet that says no has answered.
pub(super) async fn timed<T>(
    call: &str,
    asked: impl Future<Output = Result<T, SystemError>>,
) -> Answer {
    let began = Instant::now();
    let outcome = match tokio::time::timeout(PATIENCE, asked).await {
        Ok(Ok(_)) => CallOutcome::Done,
        Ok(Err(error)) if *error.kind() == ErrorKind::NotFound => CallOutcome::NotFound,
        Ok(Err(error)) if error.is_refusal() => CallOutcome::Refused(engine::errors::chain(&error)),
        Ok(Err(error)) => CallOutcome::Silence(engine::errors::chain(&error)),
        Err(_) => {
            CallOutcome::Silence(format!("no answer within {} ms", records::millis(PATIENCE)))
        }
    };
    Answer { call: call.to_owned(), took_ms: records::millis(began.elapsed()), outcome }
}

impl Stage {
    /// Asks both tablets everything at once, and records how long each answer took.
    pub async fn ask_for_answers(&self) {
        tokio::join!(self.ask(Side::Source), self.ask(Side::Target));
    }

    async fn ask(&self, side: Side) {
        if !matches!(self.tablet(side).state_now(), ProcessState::Running { .. }) {
            return;
        }
        let tablet = self.tablet(side).tablet();
        let questions = tablet.questions().iter();
        let answers = join_all(questions.map(|asked| timed(asked, tablet.ask(asked)))).await;
        self.journal().record(Event::Answers { side, answers });
    }

    /// Looks until health stream, Tablet record and shard record of a living tablet agree on its role,
    /// or the time for it is over; records the last look.
    ///
    /// # Errors
    /// When etcd does not answer.
    pub async fn look_at_roles(&self, side: Side) -> Result<(), ActError> {
        let began = Instant::now();
        let mut tick = tokio::time::interval(LOOK);
        loop {
            tick.tick().await;
            if !matches!(self.tablet(side).state_now(), ProcessState::Running { .. }) {
                return Ok(());
            }
            let mut roles = self.roles(side).await?;
            roles.after_ms = records::millis(began.elapsed());
            if roles.agree() || began.elapsed() >= AGREED_WITHIN {
                self.journal().record(Event::Roles(roles));
                return Ok(());
            }
        }
    }

    async fn roles(&self, side: Side) -> Result<Roles, ActError> {
        let roles = self.topology().roles(side).await;
        roles.during("reading the records of a tablet's role")
    }
}
