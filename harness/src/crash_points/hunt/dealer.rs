//! A hunt as a campaign sees it: it deals schedules, and is told what became of them.

use std::path::Path;

use records::TrialRecord;
use records::coverage::Coverage;
use records::run::Part;
use records::schedule::Schedule;

use super::{Hunt, HuntError, Purpose, numbering};
use crate::campaign::{Dealer, Problem};
use crate::crash_points::plan::{Frame, SCRIPTS};

impl Dealer for Hunt {
    fn next(&mut self) -> Option<Schedule> {
        if !self.goes_on() {
            return None;
        }
        let purpose = self.queue.pop_front()?;
        match self.schedule(&purpose) {
            Ok(schedule) => {
                self.running.insert(schedule.trial, purpose);
                Some(schedule)
            }
            Err(error) => {
                self.problem = Some(HuntError::Plan(error));
                None
            }
        }
    }

    fn ended(&mut self, trial: &TrialRecord, directory: &Path) {
        match self.running.remove(&trial.number()) {
            Some(Purpose::Record { script, tries }) => {
                self.recorded(script, tries, trial, directory);
            }
            Some(purpose) => self.struck(purpose, trial, directory),
            None => {}
        }
    }

    fn undone(&self) -> Vec<String> {
        let failing = self.failing.iter().map(|script| SCRIPTS[*script].name);
        let mut undone: Vec<String> = failing
            .map(|name| format!("script \"{name}\" failed unstruck: its points are not known"))
            .collect();
        let left = self.left();
        match self.options.until_percent {
            Some(percent) if !self.is_enough() => {
                undone.push(format!("{percent} % of the crash points were to be covered"));
            }
            // What is sampled leaves points by design; what only lists strikes at none.
            None if left > 0 && !self.options.during_recovery => {
                undone.push(format!("{left} crash points were to be struck, and were not"));
            }
            Some(_) | None => {}
        }
        undone
    }

    fn problem(&mut self) -> Option<Problem> {
        self.problem.take().map(Into::into)
    }

    fn planned(&self) -> Option<u64> {
        // Before the recordings have ended nobody knows.
        let known = !self.entries.is_empty() && !self.options.during_recovery;
        let (first, step) = numbering(self.options.shard);
        let dealt = (self.next_trial - first) / step;
        known.then(|| u64::from(dealt) + self.queue.len() as u64)
    }

    fn plan(&self) -> String {
        let Frame { rows, tables, bug, .. } = &self.options.frame;
        let faults: Vec<&str> = self.options.faults.iter().map(|fault| fault.name()).collect();
        let duration = self.options.duration.map(|duration| format!(", {} s", duration.as_secs()));
        let until = self.options.until_percent.map(|percent| format!(", until {percent} %"));
        format!(
            "crash points, faults {}{}{}{}, {rows} rows in {}, {}",
            faults.join(","),
            if self.options.during_recovery { ", during recovery" } else { "" },
            duration.unwrap_or_default(),
            until.unwrap_or_default(),
            tables.join(","),
            bug.map_or("no bug", records::schedule::Bug::name),
        )
    }

    fn is_exhaustive(&self) -> bool {
        self.options.is_exhaustive()
    }

    fn part(&self) -> Part {
        self.options.shard.map_or(Part::Whole, |(index, of)| Part::Shard { index, of })
    }

    fn coverage(&self) -> Option<Coverage> {
        (!self.entries.is_empty()).then(|| self.coverage.clone())
    }
}
