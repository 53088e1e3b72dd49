//! What holds the tablet while a fault is injected: a row lock in MySQL, or an exchange at the proxy.

use std::time::Duration;

use records::schedule::{Moment, Phase};

use super::Latch;
use crate::stage::{ActError, Stage};
use wire::HeldExchange;

/// The proxy sees in this time that a dead process's connection is gone.
const CLIENT_GONE: Duration = Duration::from_secs(5);

/// Something that waits until it is let go.
#[derive(Debug)]
pub enum Hold {
    /// A statement that waits for our row lock: the diff is held in a phase.
    Phase(Latch),
    /// An exchange that the proxy holds: the tablet is at a crash point.
    Point(HeldExchange),
}

impl Hold {
    /// The diff's phase, where it is in one.
    #[must_use]
    pub fn phase(&self) -> Option<Phase> {
        match self {
            Self::Phase(latch) => Some(latch.phase()),
            Self::Point(held) => held.exchange().phase,
        }
    }

    /// Whether the tablet is held at an exact point: that is the aim then, wherever the diff is.
    #[must_use]
    pub fn is_point(&self) -> bool {
        matches!(self, Self::Point(_))
    }

    /// Whether the tablet has lost its patience with an exchange, and gone another way. One that has its
    /// answer may close the connection next: that is no other way.
    #[must_use]
    pub fn is_given_up(&self) -> bool {
        match self {
            Self::Phase(_) => false,
            Self::Point(held) => held.moment() != Moment::Replied && !held.is_held(),
        }
    }

    /// What was seen, for the journal.
    #[must_use]
    pub fn seen(&self) -> String {
        match self {
            Self::Phase(latch) => latch.seen(),
            Self::Point(held) => {
                format!("connection {}: {}", held.exchange().connection, held.exchange().text)
            }
        }
    }

    /// After the tablet's death: what it had said last must not have an effect any more. A held
    /// request is dropped, a statement that waits in MySQL is killed there.
    ///
    /// # Errors
    /// When a ghost does not go.
    pub async fn dispose(self) -> Result<(), ActError> {
        match self {
            Self::Phase(latch) => latch.dispose().await,
            Self::Point(mut held) => {
                if tokio::time::timeout(CLIENT_GONE, held.client_gone()).await.is_err() {
                    held.discard();
                }
                Ok(())
            }
        }
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// When MySQL fails the harness.
    pub async fn release(self) -> Result<(), ActError> {
        match self {
            Self::Phase(latch) => latch.release().await,
            Self::Point(held) => {
                held.release();
                Ok(())
            }
        }
    }
}

/// Waits until the exchange of the armed crash point is held. The inner error says why it will not be.
///
/// # Errors
/// When no point was armed: the driver arms it before the tablet's start.
pub(super) async fn at_point(
    stage: &Stage,
    within: Duration,
) -> Result<Result<HeldExchange, String>, ActError> {
    let Some(mut armed) = stage.take_armed() else {
        return Err(ActError::new("no crash point was armed"));
    };
    let caught = tokio::time::timeout(within, armed.caught()).await;
    Ok(match caught {
        Ok(Some(held)) => Ok(held),
        Ok(None) => Err("another crash point was armed instead".to_owned()),
        Err(_) => Err(format!("the point was not reached within {} s", within.as_secs())),
    })
}

#[cfg(test)]
mod tests {
    use records::schedule::{CrashPoint, Link};

    use super::*;
    use wire::{Class, ObservedRequest, Passage, Switchboard};

    // On a busy machine a tablet has closed the connection of its last statement before it is struck.
    #[tokio::test]
    async fn who_has_its_answer_and_hangs_up_has_not_given_up() {
        for (moment, expected) in
            [(Moment::Before, true), (Moment::Executed, true), (Moment::Replied, false)]
        {
            let switchboard = Switchboard::default();
            let fingerprint = "unlock tables".to_owned();
            let mut armed = switchboard.arm(CrashPoint {
                link: Link::Mysql,
                fingerprint: fingerprint.clone(),
                phase: None,
                nth: 1,
                moment,
            });
            let exchange = switchboard.begin(ObservedRequest {
                link: Link::Mysql,
                connection: 6,
                fingerprint,
                class: Class::Locks,
                announces: None,
                text: "unlock tables".to_owned(),
            });
            let hangs_up = std::future::ready(());
            assert_eq!(switchboard.pass(&exchange, moment, hangs_up).await, Passage::Drop);
            let held = armed.caught().await.expect("the point was reached");
            assert_eq!(Hold::Point(held).is_given_up(), expected, "{moment:?}");
        }
    }
}
