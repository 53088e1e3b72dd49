//! Waits on predicates, each with a deadline, each told in the journal when the deadline passes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use records::journal::{Event, Side};
use records::tellings::Telling;

use super::{ActError, During, Stage};
use crate::observer::{ProcessState, Supervised};
use system::{Progress, SystemError};

/// How often a wait looks that is to come at an exact moment.
const LOOK: Duration = Duration::from_millis(5);
/// How often a wait looks for a state that stays. Each look is a query, of each trial at a time.
const LOOK_FOR_REST: Duration = Duration::from_millis(25);
/// A row that was gone so long is not being written anew.
const GONE_FOR: Duration = Duration::from_millis(100);
/// A diff that has not moved for so long beyond what is granted will not: nobody hurts it any more.
const STANDS_LONGER: Duration = Duration::from_secs(10);
/// Each look has a patience of less than a second.
const LOOKED_WITHIN: Duration = Duration::from_secs(3);
/// A small query is answered in this time, also on a busy machine.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// What a wait came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Waited {
    /// It came true.
    Yes {
        /// After so many milliseconds.
        after_ms: u64,
    },
    /// It did not, and will not within this trial's deadlines.
    No {
        /// Why.
        reason: String,
    },
}

/// Tablets that are not asked for their readiness; as long as this is kept.
struct LookedAway([Arc<Supervised>; 2]);

impl Drop for LookedAway {
    fn drop(&mut self) {
        self.0.iter().for_each(|tablet| tablet.set_watched(true));
    }
}

impl Waited {
    /// It came true.
    #[must_use]
    pub fn is_yes(&self) -> bool {
        matches!(self, Waited::Yes { .. })
    }
}

impl Stage {
    /// Waits until the tablet is ready (all four parts), and has been so for `holds`.
    pub async fn wait_ready(&self, side: Side, within: Duration, holds: Duration) -> Waited {
        let began = Instant::now();
        let receiver = self.readiness_of(side);
        let supervised = self.tablet(side).clone();
        let waiting_for = format!("the {} tablet to be ready", side.name());
        let mut tick = tokio::time::interval(LOOK);
        let mut ready_at: Option<Instant> = None;
        loop {
            tick.tick().await;
            if let ProcessState::CrashLoop { .. } = supervised.state_now() {
                let reason = format!("the {} tablet is in a crash loop", side.name());
                return Waited::No { reason };
            }
            let latest = receiver.borrow().clone();
            let current = latest.incarnation == supervised.state_now().incarnation();
            ready_at = match (latest.ready && current, ready_at) {
                (true, known) => known.or(latest.since.map(|since| since.max(began))),
                (false, _) => None,
            };
            if let Some(since) = ready_at {
                if since.elapsed() >= holds {
                    return Waited::Yes { after_ms: records::millis(since - began) };
                }
            } else if began.elapsed() >= within {
                let reason = format!("{waiting_for}: {}", latest.reasons.join("; "));
                return self.passed(reason, began);
            }
            if began.elapsed() >= within + holds * 3 {
                return self.passed(format!("{waiting_for} without interruption"), began);
            }
        }
    }

    /// Waits until the newest VDiff's row in the sidecar fulfils the predicate; looks so often.
    async fn wait_progress(
        &self,
        what: &str,
        within: Duration,
        every: Duration,
        mut fulfilled: impl FnMut(&Progress) -> bool + Send,
    ) -> Result<Waited, ActError> {
        let began = Instant::now();
        let mut tick = tokio::time::interval(every);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            if let ProcessState::CrashLoop { .. } = self.target().state_now() {
                return Ok(Waited::No {
                    reason: "the target tablet is in a crash loop".to_owned(),
                });
            }
            match self.progress().await {
                Ok(progress) if fulfilled(&progress) => {
                    return Ok(Waited::Yes { after_ms: records::millis(began.elapsed()) });
                }
                // MySQL may be down for a while; the deadline decides.
                Ok(_) | Err(_) => {}
            }
            if began.elapsed() >= within {
                return Ok(self.passed(what.to_owned(), began));
            }
        }
    }

    /// Waits until this fraction (0 to 1) of the rows was compared, or the diff ended.
    ///
    /// # Errors
    /// Never for a diff that does not move: that is [`Waited::No`].
    pub async fn wait_fraction(&self, fraction: f64, within: Duration) -> Result<Waited, ActError> {
        let total = self.rows_total();
        // Who saves seldom has compared more than is saved: there the time that a clean diff takes tells too.
        let seldom = self.untold(Telling::Checkpoints);
        let clean = Duration::from_millis(self.environment().calibrated_ms);
        let is_late = || {
            let began = self.diff_started();
            seldom && began.is_some_and(|began| began.elapsed() >= clean.mul_f64(fraction))
        };
        let mut ended = false;
        let what = format!("{:.1} % of the diff", fraction * 100.0);
        let waited = self
            .wait_progress(&what, within, LOOK, |progress| {
                ended = progress.is_at_rest();
                ended || progress.fraction(total) >= fraction || is_late()
            })
            .await?;
        if ended {
            return Ok(Waited::No { reason: "the diff had ended".to_owned() });
        }
        Ok(waited)
    }

    /// Waits until the newest VDiff has come to rest, and records it: completed, stopped, failed for
    /// good, or gone. An ephemeral error announces its next retry, and is no rest.
    ///
    /// # Errors
    /// When the harness fails, not the diff.
    pub async fn wait_settled(&self, within: Duration) -> Result<Waited, ActError> {
        let uuid = self.uuid()?;
        let (waited, state) = self.wait_rest(within).await?;
        if waited.is_yes() {
            self.journal().record(Event::Settled { uuid, state });
        }
        Ok(waited)
    }

    /// As [`Stage::wait_settled`], without a record of the rest; and the state.
    pub(crate) async fn wait_rest(&self, within: Duration) -> Result<(Waited, String), ActError> {
        let mut state = String::new();
        let mut gone_since = None;
        let stands_for = Duration::from_millis(self.schedule().deadlines.stall_ms) + STANDS_LONGER;
        let mut moved = (Instant::now(), Progress::default());
        let away = self.look_away().await;
        let waited = self
            .wait_progress("the diff to settle", within, LOOK_FOR_REST, |progress| {
                state = progress.state.clone().unwrap_or_else(|| "gone".to_owned());
                gone_since = match &progress.state {
                    Some(_) => None,
                    None => gone_since.or_else(|| Some(Instant::now())),
                };
                if moved.1 != *progress {
                    moved = (Instant::now(), progress.clone());
                }
                let stands = moved.0.elapsed() >= stands_for;
                progress.is_at_rest()
                    || stands
                    || gone_since.is_some_and(|since| since.elapsed() >= GONE_FOR)
            })
            .await;
        if let Some(away) = away {
            self.look_again(away).await;
        }
        let waited = match waited? {
            Waited::Yes { .. } if moved.0.elapsed() >= stands_for && !moved.1.is_at_rest() => {
                self.passed(format!("the diff to move again ({state})"), moved.0)
            }
            waited => waited,
        };
        Ok((waited, state))
    }

    /// In an unwatched trial: once both tablets are ready, nobody asks them for it any more.
    async fn look_away(&self) -> Option<LookedAway> {
        if !self.schedule().unwatched {
            return None;
        }
        for side in [Side::Source, Side::Target] {
            self.wait_ready(side, self.ready_within(), Duration::ZERO).await;
        }
        let tablets = [Side::Source, Side::Target].map(|side| Arc::clone(self.tablet(side)));
        tablets.iter().for_each(|tablet| tablet.set_watched(false));
        self.journal().note("nobody asks the tablets while the diff is waited for");
        Some(LookedAway(tablets))
    }

    /// What was known of the tablets' readiness is old: waits until each was asked again.
    async fn look_again(&self, away: LookedAway) {
        let looks = |stage: &Stage| {
            [Side::Source, Side::Target].map(|side| stage.readiness_of(side).borrow().looks)
        };
        let before = looks(self);
        drop(away);
        let began = Instant::now();
        let mut tick = tokio::time::interval(LOOK);
        while began.elapsed() < LOOKED_WITHIN {
            tick.tick().await;
            if looks(self).iter().zip(before).all(|(now, before)| *now > before) {
                return;
            }
        }
        self.passed("a look at both tablets".to_owned(), began);
    }

    /// Waits until a VDiff is in this state.
    ///
    /// # Errors
    /// When the harness fails, not the diff.
    pub async fn wait_state(&self, state: &str, within: Duration) -> Result<Waited, ActError> {
        let what = format!("the diff to be {state}");
        let is_so = |progress: &Progress| progress.state.as_deref() == Some(state);
        self.wait_progress(&what, within, LOOK_FOR_REST, is_so).await
    }

    /// The newest VDiff as it lies in MySQL now.
    ///
    /// # Errors
    /// When MySQL does not answer in time.
    pub async fn progress(&self) -> Result<Progress, ActError> {
        self.progress_of(&self.uuid()?).await
    }

    /// As [`Stage::progress`], of any VDiff.
    pub(super) async fn progress_of(&self, uuid: &str) -> Result<Progress, ActError> {
        answered("reading the diff's state", self.sidecar().progress(uuid)).await
    }

    /// As [`Stage::progress`]; none while there is no VDiff, or no sidecar table.
    ///
    /// # Errors
    /// When MySQL does not answer in time.
    pub async fn progress_if_any(&self) -> Result<Option<Progress>, ActError> {
        if self.uuids().is_empty() {
            return Ok(None);
        }
        match self.progress().await {
            Ok(progress) => Ok(Some(progress)),
            Err(error) if error.is_missing_table() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The same, once the trial's VDiff is there; none if its creation takes longer than `within`.
    ///
    /// # Errors
    /// When MySQL does not answer in time.
    pub async fn progress_once_created(
        &self,
        within: Duration,
    ) -> Result<Option<Progress>, ActError> {
        let began = Instant::now();
        let mut tick = tokio::time::interval(LOOK);
        loop {
            tick.tick().await;
            let progress = self.progress_if_any().await?;
            if progress.is_some() || began.elapsed() >= within {
                return Ok(progress);
            }
        }
    }

    fn passed(&self, waiting_for: String, began: Instant) -> Waited {
        let after_ms = records::millis(began.elapsed());
        self.journal().record(Event::DeadlinePassed { waiting_for: waiting_for.clone(), after_ms });
        Waited::No { reason: format!("{waiting_for} (waited {after_ms} ms)") }
    }
}

/// What the sidecar answers, in time.
pub(super) async fn answered<T>(
    what: &str,
    read: impl Future<Output = Result<T, SystemError>>,
) -> Result<T, ActError> {
    let answer = tokio::time::timeout(ANSWER_WITHIN, read).await.map_err(|_| {
        let late = format!("the sidecar did not answer within {ANSWER_WITHIN:?}");
        ActError::new(format!("{what}: {late}"))
    })?;
    answer.during(what)
}
