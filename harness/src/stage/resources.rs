//! What living tablets hold: file descriptors and tasks.

use std::time::{Duration, Instant};

use records::journal::{CountedWhen, Event, ResourceCount, Side};
use records::tellings::Telling;

use super::Stage;
use crate::observer::{ProcessState, Ready};
use oracles::held_growth_is_bounded;

/// What the end of a diff leaves in the making may take so long to end.
const SETTLED_WITHIN: Duration = Duration::from_secs(5);
const TASKS_UNTOLD: &str = "tasks: such a tablet does not tell them";
const LOOK: Duration = Duration::from_millis(50);

impl Stage {
    /// Records what both tablets hold before the first diff.
    pub async fn held_at_rest(&self) {
        tokio::join!(self.rested_held(Side::Source), self.rested_held(Side::Target));
    }

    /// A crash point may strike at this very moment: then the next incarnation is looked at, once it is
    /// ready.
    async fn rested_held(&self, side: Side) {
        let began = Instant::now();
        let ready = self.readiness_of(side);
        let mut tick = tokio::time::interval(LOOK);
        loop {
            tick.tick().await;
            let held = self.held(side, CountedWhen::AtRest).await;
            if let Some(held) = held.filter(|held| is_of_rest(held, &ready.borrow())) {
                self.journal().record(Event::ResourcesCounted(held));
                return;
            }
            if began.elapsed() >= self.ready_within() {
                return;
            }
        }
    }

    /// Looks until both tablets hold what they held at rest, or the time for it is over; records the
    /// last look.
    pub async fn held_at_end(&self) {
        tokio::join!(self.settled_held(Side::Source), self.settled_held(Side::Target));
    }

    async fn settled_held(&self, side: Side) {
        let began = Instant::now();
        let rest = self.journal().inspect(|records| {
            records.iter().find_map(|record| match &record.event {
                Event::ResourcesCounted(held)
                    if held.side == side && held.moment == CountedWhen::AtRest =>
                {
                    Some(held.clone())
                }
                _ => None,
            })
        });
        let mut tick = tokio::time::interval(LOOK);
        loop {
            tick.tick().await;
            let Some(now) = self.held(side, CountedWhen::AtEnd).await else { return };
            let settled = rest.as_ref().is_none_or(|rest| held_growth_is_bounded(rest, &now));
            let unpromised = self.untold(Telling::Resources);
            if unpromised || (settled && is_counted(&now)) || began.elapsed() >= SETTLED_WITHIN {
                self.journal().record(Event::ResourcesCounted(now));
                return;
            }
        }
    }

    /// None when the tablet does not run.
    async fn held(&self, side: Side, moment: CountedWhen) -> Option<ResourceCount> {
        let supervised = self.tablet(side);
        let ProcessState::Running { incarnation, .. } = supervised.state_now() else { return None };
        let tablet = supervised.tablet();
        let mut not_looked_at = Vec::new();
        let tasks = tablet.tasks().await;
        let tasks = match tasks {
            Ok(Some(tasks)) => Some(tasks),
            Ok(None) => {
                not_looked_at.push(TASKS_UNTOLD.to_owned());
                None
            }
            Err(why) => {
                not_looked_at.push(format!("tasks: {why}"));
                None
            }
        };
        let descriptors = tablet.descriptors();
        let descriptors =
            descriptors.map_err(|why| not_looked_at.push(format!("file descriptors: {why}"))).ok();
        Some(ResourceCount { side, incarnation, moment, descriptors, tasks, not_looked_at })
    }
}

/// Its tasks were counted, as far as such a tablet tells them.
fn is_counted(held: &ResourceCount) -> bool {
    held.tasks.is_some() || held.not_looked_at.iter().any(|what| what == TASKS_UNTOLD)
}

/// A tablet that still starts holds less than it will at rest.
fn is_of_rest(held: &ResourceCount, latest: &Ready) -> bool {
    is_counted(held) && latest.ready && latest.incarnation == held.incarnation
}

#[cfg(test)]
mod tests {
    use super::*;

    // What a restart opens later would be told as leaked.
    #[test]
    fn a_tablet_that_still_starts_is_not_at_rest() {
        let held = |tasks| ResourceCount {
            side: Side::Target,
            incarnation: 2,
            moment: CountedWhen::AtRest,
            descriptors: None,
            tasks,
            not_looked_at: Vec::new(),
        };
        let seen = |ready, incarnation| Ready { ready, incarnation, ..Ready::default() };
        assert!(is_of_rest(&held(Some(13)), &seen(true, 2)));
        assert!(!is_of_rest(&held(Some(13)), &seen(false, 2)));
        assert!(!is_of_rest(&held(Some(13)), &seen(true, 1)), "its predecessor was ready");
        assert!(!is_of_rest(&held(None), &seen(true, 2)));
    }
}
