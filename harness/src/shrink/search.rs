//! The search for the smallest schedule that still fails in the same way. It executes nothing itself:
//! a [`Laboratory`] does, and unit tests put a made-up one in its place.
//!
//! What a candidate must do to be accepted: fail once, by every invariant that the original breaks.
//! What it takes to reject it: so many runs without that as [`Tally::runs_to_reject`] asks for.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::time::Instant;

use records::schedule::Schedule;
use records::verdict::Invariant;

use super::confidence::Tally;
use super::moves::{self, Aspect, Candidate};

/// The original's rate is measured until it has failed so often, or was run four times as often as
/// was asked for.
const FAILURES_WANTED: u32 = 3;
const RATE_RUNS_FACTOR: u32 = 4;
/// Inconclusive runs of a candidate in a row, and it is given up: its fault does not land.
const INCONCLUSIVE_MAX: u32 = 4;

/// What one run of a schedule came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It broke these invariants.
    Broke(BTreeSet<Invariant>),
    /// It broke none.
    Held,
    /// It said nothing.
    Inconclusive,
}

/// Runs schedules.
pub trait Laboratory {
    /// Why it cannot go on.
    type Error;

    /// So many runs at a time cost as much time as one.
    fn at_a_time(&self) -> u32;

    /// Runs a schedule so often.
    fn run(
        &mut self,
        schedule: &Schedule,
        times: u32,
    ) -> impl Future<Output = Result<Vec<Seen>, Self::Error>>;

    /// Told of each schedule that is the smallest so far.
    ///
    /// # Errors
    /// When it cannot be kept.
    fn keep(&mut self, smallest: &Schedule, told: &str) -> Result<(), Self::Error>;

    /// Told of everything else.
    fn tell(&mut self, line: &str);
}

/// When the search ends, minimal or not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Budget {
    /// After so many trials.
    pub trials: Option<u32>,
    /// At this time.
    pub until: Option<Instant>,
}

/// What the search begins with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Aim {
    /// The invariants that must keep failing; empty: those that every failure of the original breaks.
    pub broken: BTreeSet<Invariant>,
    /// Runs of the original, to measure its rate.
    pub runs: u32,
    /// When it ends.
    pub budget: Budget,
}

/// Why the search ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Nothing that is left can be taken away.
    Minimal,
    /// The budget was used up before that.
    OutOfBudget,
}

/// What the search came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Shrunk {
    /// The smallest schedule that failed.
    pub schedule: Schedule,
    /// Why it ended.
    pub ending: Ending,
    /// The invariants that kept failing.
    pub broken: BTreeSet<Invariant>,
    /// The original's runs.
    pub before: Tally,
    /// The smallest one's runs, all that were made of it.
    pub after: Tally,
    /// All trials, inconclusive ones too.
    pub trials: u32,
    /// Candidates that were run.
    pub candidates: u32,
    /// Candidates that were accepted, in order.
    pub accepted: Vec<String>,
    /// Other failures that were seen on the way, and how often: findings of their own.
    pub otherwise: BTreeMap<BTreeSet<Invariant>, u32>,
}

/// Why there is nothing to shrink.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum SearchError<E> {
    /// The laboratory failed.
    #[error("a trial could not be run")]
    Laboratory(#[source] E),
    /// The original did not fail.
    #[error("the schedule {0} by what is looked for: nothing to shrink")]
    NeverFailed(Tally),
}

/// Shrinks a schedule.
///
/// # Errors
/// When the laboratory fails, or the original never did.
pub async fn shrink<L: Laboratory>(
    original: &Schedule,
    aim: &Aim,
    laboratory: &mut L,
) -> Result<Shrunk, SearchError<L::Error>> {
    let mut search = Search {
        laboratory,
        budget: aim.budget,
        smallest: original.clone(),
        broken: aim.broken.clone(),
        before: Tally::default(),
        after: Tally::default(),
        rejected: Vec::new(),
        trials: 0,
        candidates: 0,
        accepted: Vec::new(),
        otherwise: BTreeMap::new(),
    };
    let ended = match search.measure(aim.runs).await {
        Ok(()) if search.before.failed == 0 => Err(Cut::NeverFailed),
        Ok(()) => search.minimise().await,
        Err(cut) => Err(cut),
    };
    let ending = match ended {
        Ok(()) => Ending::Minimal,
        Err(Cut::OutOfBudget) if search.before.failed > 0 => Ending::OutOfBudget,
        Err(Cut::OutOfBudget | Cut::NeverFailed) => {
            return Err(SearchError::NeverFailed(search.before));
        }
        Err(Cut::Laboratory(error)) => return Err(SearchError::Laboratory(error)),
    };
    Ok(Shrunk {
        schedule: search.smallest,
        ending,
        broken: search.broken,
        before: search.before,
        after: search.after,
        trials: search.trials,
        candidates: search.candidates,
        accepted: search.accepted,
        otherwise: search.otherwise,
    })
}

/// Why the search goes no further.
enum Cut<E> {
    OutOfBudget,
    NeverFailed,
    Laboratory(E),
}

struct Search<'a, L> {
    laboratory: &'a mut L,
    budget: Budget,
    smallest: Schedule,
    broken: BTreeSet<Invariant>,
    before: Tally,
    after: Tally,
    /// Candidates that did not fail.
    rejected: Vec<Schedule>,
    trials: u32,
    candidates: u32,
    accepted: Vec<String>,
    otherwise: BTreeMap<BTreeSet<Invariant>, u32>,
}

impl<L: Laboratory> Search<'_, L> {
    /// Runs the original until its rate is known well enough, and settles what must keep failing.
    async fn measure(&mut self, runs: u32) -> Result<(), Cut<L::Error>> {
        let original = self.smallest.clone();
        let mut seen = Vec::new();
        let mut inconclusive = 0;
        loop {
            self.before = tally(&seen, &self.broken);
            let enough = self.before.runs() >= runs && self.before.failed >= FAILURES_WANTED;
            let hopeless =
                self.before.runs() >= runs * RATE_RUNS_FACTOR || inconclusive >= INCONCLUSIVE_MAX;
            if enough || hopeless {
                break;
            }
            let wanted = runs.saturating_sub(self.before.runs()).max(1);
            let new = match self.run(&original, wanted).await {
                Ok(new) => new,
                // What was measured until then is all that is known.
                Err(Cut::OutOfBudget) => break,
                Err(cut) => return Err(cut),
            };
            inconclusive = if is_silent(&new) { inconclusive + count(new.len()) } else { 0 };
            seen.extend(new);
            if self.broken.is_empty() {
                self.laboratory.tell(&format!("original {}", tally(&seen, &self.broken)));
            }
        }
        if self.broken.is_empty() {
            self.broken = common(&seen);
        }
        self.before = tally(&seen, &self.broken);
        self.after = self.before;
        for one in &seen {
            self.note_other(one);
        }
        self.laboratory.tell(&format!(
            "original {}, by {}; a candidate is rejected after {} runs without that (missed with a \
             probability of at most 5 %)",
            self.before,
            names(&self.broken),
            self.before.runs_to_reject()
        ));
        Ok(())
    }

    /// Takes away what can be taken away, until nothing can.
    async fn minimise(&mut self) -> Result<(), Cut<L::Error>> {
        loop {
            let before = self.accepted.len();
            self.remove_faults().await?;
            for aspect in Aspect::ALL {
                self.simplify(aspect).await?;
            }
            if self.accepted.len() == before {
                return self.confirm().await;
            }
        }
    }

    /// Measures the rate of the smallest one too: a rarer failure is harder to work with.
    async fn confirm(&mut self) -> Result<(), Cut<L::Error>> {
        let smallest = self.smallest.clone();
        if self.accepted.is_empty() {
            return Ok(());
        }
        let mut seen = Vec::new();
        while seen.len() < self.before.runs() as usize {
            let wanted = self.before.runs() - count(seen.len());
            match self.run(&smallest, wanted).await {
                Ok(new) => seen.extend(new),
                // It is minimal all the same.
                Err(Cut::OutOfBudget) => break,
                Err(cut) => return Err(cut),
            }
        }
        self.after = self.after + tally(&seen, &self.broken);
        Ok(())
    }

    /// Delta debugging over the steps: all of them, halves, quarters … single ones.
    async fn remove_faults(&mut self) -> Result<(), Cut<L::Error>> {
        let mut size = self.smallest.steps.len();
        while size > 0 {
            let mut at = 0;
            while at < self.smallest.steps.len() {
                let to = (at + size).min(self.smallest.steps.len());
                let is_gone = match moves::without(&self.smallest, at, to) {
                    Some(candidate) => self.accepts(candidate).await?,
                    None => false,
                };
                if !is_gone {
                    at += size;
                }
            }
            size = if size > 1 { size.div_ceil(2) } else { 0 };
        }
        Ok(())
    }

    /// The boldest candidate that still fails, again and again.
    async fn simplify(&mut self, aspect: Aspect) -> Result<(), Cut<L::Error>> {
        'smaller: loop {
            for candidate in aspect.candidates(&self.smallest) {
                if self.accepts(candidate.clone()).await? {
                    continue 'smaller;
                }
                // Also one that stayed unclear: with so few rows, say, its fault does not land.
                self.reject(candidate.schedule);
            }
            return Ok(());
        }
    }

    /// Whether a candidate fails as the original does; then it is the smallest from now on.
    async fn accepts(&mut self, candidate: Candidate) -> Result<bool, Cut<L::Error>> {
        // One that was rejected is looked at again only where passing may have been luck; a fault whose
        // removal stayed unclear always is, for noise is no reason to keep it.
        if !self.before.is_flaky() && self.rejected.contains(&candidate.schedule) {
            return Ok(false);
        }
        self.candidates += 1;
        let needed = self.before.runs_to_reject();
        let mut seen = Vec::new();
        let mut silent = 0;
        loop {
            let tally = tally(&seen, &self.broken);
            if tally.failed > 0 {
                return self.accepted(candidate, tally);
            }
            let decided = tally.runs() >= needed;
            if decided || silent >= INCONCLUSIVE_MAX {
                let why = if decided { "needed" } else { "unclear" };
                let (what, trials) = (&candidate.what, self.trials);
                self.laboratory.tell(&format!("{why:<8} {what}: {tally} ({trials} trials so far)"));
                if decided {
                    self.reject(candidate.schedule);
                }
                return Ok(false);
            }
            let new = self.run(&candidate.schedule, needed - tally.runs()).await?;
            silent = if is_silent(&new) { silent + count(new.len()) } else { 0 };
            new.iter().for_each(|one| self.note_other(one));
            seen.extend(new);
        }
    }

    fn reject(&mut self, schedule: Schedule) {
        if !self.rejected.contains(&schedule) {
            self.rejected.push(schedule);
        }
    }

    fn accepted(&mut self, candidate: Candidate, tally: Tally) -> Result<bool, Cut<L::Error>> {
        self.smallest = candidate.schedule;
        self.after = tally;
        let told = format!("smaller  {}: {tally} ({} trials so far)", candidate.what, self.trials);
        self.laboratory.keep(&self.smallest, &told).map_err(Cut::Laboratory)?;
        self.accepted.push(candidate.what);
        Ok(true)
    }

    /// Runs a schedule at most so often: as many as run at a time, and as the budget has left.
    async fn run(&mut self, schedule: &Schedule, wanted: u32) -> Result<Vec<Seen>, Cut<L::Error>> {
        if self.budget.until.is_some_and(|until| Instant::now() >= until) {
            return Err(Cut::OutOfBudget);
        }
        let left = self.budget.trials.map_or(u32::MAX, |trials| trials.saturating_sub(self.trials));
        let times = wanted.min(self.laboratory.at_a_time()).min(left);
        if times == 0 {
            return Err(Cut::OutOfBudget);
        }
        self.trials += times;
        self.laboratory.run(schedule, times).await.map_err(Cut::Laboratory)
    }

    fn note_other(&mut self, seen: &Seen) {
        if let Seen::Broke(invariants) = seen
            && !is_same(seen, &self.broken)
        {
            *self.otherwise.entry(invariants.clone()).or_default() += 1;
        }
    }
}

/// Whether a run failed by all of these; where none are known yet: by any.
fn is_same(seen: &Seen, broken: &BTreeSet<Invariant>) -> bool {
    match seen {
        Seen::Broke(found) => broken.is_subset(found),
        Seen::Held | Seen::Inconclusive => false,
    }
}

fn tally(seen: &[Seen], broken: &BTreeSet<Invariant>) -> Tally {
    let failed = count(seen.iter().filter(|one| is_same(one, broken)).count());
    let inconclusive = count(seen.iter().filter(|one| **one == Seen::Inconclusive).count());
    Tally { failed, others: count(seen.len()) - failed - inconclusive, inconclusive }
}

/// What all failures break; where they have nothing in common, what the most frequent one breaks.
fn common(seen: &[Seen]) -> BTreeSet<Invariant> {
    let failures = || {
        seen.iter().filter_map(|one| match one {
            Seen::Broke(found) => Some(found),
            Seen::Held | Seen::Inconclusive => None,
        })
    };
    let all = failures().cloned().reduce(|one, other| &one & &other).unwrap_or_default();
    if !all.is_empty() {
        return all;
    }
    let often = |wanted: &BTreeSet<Invariant>| failures().filter(|found| *found == wanted).count();
    failures().max_by_key(|found| often(found)).cloned().unwrap_or_default()
}

fn is_silent(seen: &[Seen]) -> bool {
    seen.iter().all(|one| *one == Seen::Inconclusive)
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// `I1, I2`.
#[must_use]
pub fn names(invariants: &BTreeSet<Invariant>) -> String {
    let names: Vec<&str> = invariants.iter().map(|invariant| invariant.code()).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests;
