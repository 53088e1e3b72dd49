//! Which crash points there are, and which of them were tried (`coverage.json`).
//!
//! A file holds an enumeration, each point by its key, and for each point how often each fault landed
//! there or missed. Files of several runs are merged: enumerations are united, counts are added.
//! Points that come with the clock (heartbeats, back-off) are listed apart: how many of them a trial
//! meets is chance, so that they are no part of the percentage.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::journal::Event;
use crate::run::TrialRecord;
use crate::schedule::{CrashPoint, Fault, Link, Moment, Phase, Trigger};
use crate::verdict::Verdict;

mod figures;
mod file;

pub use figures::{Figures, NeverReached, PhaseFigures};
pub use file::{CoverageError, load, parse, print, save};

/// The version of the coverage file's format that this build reads and writes.
pub const FORMAT: u32 = 1;

/// The step of a schedule whose crash point is of the first order; later ones hit the recovery from it.
const FIRST_ORDER: usize = 0;

/// What makes a crash point the same one in another run. Sorted as a diff meets them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PointKey {
    /// The diff's phase; none outside a table's phases.
    pub phase: Option<Phase>,
    /// With whom the tablet speaks.
    pub link: Link,
    /// What is said, without its literals.
    pub fingerprint: String,
    /// Which of the equal exchanges of its phase.
    pub occurrence: Occurrence,
    /// The moment of the exchange.
    pub moment: Moment,
}

/// Which of the equal exchanges of a phase. The numbers differ from run to run, the class does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Occurrence {
    /// The first.
    First,
    /// The second.
    Second,
    /// One in the middle.
    Middle,
    /// The last.
    Last,
    /// This one, from 1: of a statement that is so rare that each is tried.
    Nth(u32),
}

/// A crash point of the enumeration, and what came of trying it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Point {
    /// Which of the equal exchanges it was when it was enumerated, from 1; of several, the greatest.
    pub nth: u32,
    /// It comes with the clock, not with the work.
    pub time_driven: bool,
    /// What came of each fault that was tried there.
    pub tries: BTreeMap<Fault, Tries>,
}

/// What came of one fault at one point.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tries {
    /// It landed so often, in a trial that could be judged.
    pub landed: u64,
    /// It missed so often: the point did not come, its aim was gone, or its trial could not be judged.
    pub missed: u64,
}

/// Crash points, with what came of trying them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    points: BTreeMap<PointKey, Point>,
}

impl Coverage {
    /// Adds a point to the enumeration; one that is there already keeps its counts.
    pub fn enumerate(&mut self, key: PointKey, nth: u32, time_driven: bool) {
        self.points.entry(key).or_default().unite(nth, time_driven);
    }

    /// All points, in order.
    pub fn points(&self) -> impl Iterator<Item = (&PointKey, &Point)> {
        self.points.iter()
    }

    /// A point; none when it was not enumerated.
    #[must_use]
    pub fn point(&self, key: &PointKey) -> Option<&Point> {
        self.points.get(key)
    }

    /// Counts what came of a trial's crash point. Only the schedule's first step counts: a later one
    /// hits the recovery from it, which is another point. A trial that could not be judged covers
    /// nothing, whatever landed in it: nobody knows what came of that.
    pub fn count(&mut self, trial: &TrialRecord) {
        let is_judged = trial.verdict() != Verdict::Inconclusive;
        let first = trial.schedule.steps.get(FIRST_ORDER);
        let Some(Trigger::CrashPoint { point }) = first.map(|step| &step.trigger) else { return };
        let mut tries: BTreeMap<Fault, Tries> = BTreeMap::new();
        for record in &trial.records {
            match &record.event {
                Event::FaultLanded(landed)
                    if landed.step == FIRST_ORDER && landed.had_its_effect() =>
                {
                    let tries = tries.entry(landed.fault).or_default();
                    match is_judged {
                        true => tries.landed += 1,
                        false => tries.missed += 1,
                    }
                }
                Event::FaultMissed { step: FIRST_ORDER, fault, .. } => {
                    tries.entry(*fault).or_default().missed += 1;
                }
                _ => {}
            }
        }
        for (_, at) in self.points.iter_mut().filter(|(key, at)| key.is_at(at.nth, point)) {
            at.add(&tries);
        }
    }

    /// The same enumeration, with what came of these trials and no others.
    #[must_use]
    pub fn recounted(&self, trials: &[TrialRecord]) -> Self {
        let mut counted = self.clone();
        counted.points.values_mut().for_each(|point| point.tries.clear());
        trials.iter().for_each(|trial| counted.count(trial));
        counted
    }

    /// Makes a point one that comes with the clock.
    pub fn set_apart(&mut self, key: &PointKey) {
        if let Some(point) = self.points.get_mut(key) {
            point.time_driven = true;
        }
    }

    /// Adds what another one has counted at the points of this enumeration.
    pub fn adopt(&mut self, other: &Self) {
        for (key, point) in &mut self.points {
            if let Some(known) = other.points.get(key) {
                point.add(&known.tries);
            }
        }
    }

    /// Both enumerations as one, with both counts added.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        for (key, point) in other.points {
            let mine = self.points.entry(key).or_default();
            mine.unite(point.nth, point.time_driven);
            mine.add(&point.tries);
        }
        self
    }
}

impl Point {
    /// It was hit: by this fault, or by any.
    #[must_use]
    pub fn is_landed(&self, by: Option<Fault>) -> bool {
        let of = |fault: &Fault| by.is_none_or(|by| by == *fault);
        self.tries.iter().any(|(fault, tries)| of(fault) && tries.landed > 0)
    }

    fn unite(&mut self, nth: u32, time_driven: bool) {
        self.nth = self.nth.max(nth);
        self.time_driven |= time_driven;
    }

    fn add(&mut self, tries: &BTreeMap<Fault, Tries>) {
        for (fault, more) in tries {
            let mine = self.tries.entry(*fault).or_default();
            mine.landed = mine.landed.saturating_add(more.landed);
            mine.missed = mine.missed.saturating_add(more.missed);
        }
    }
}

impl PointKey {
    /// The point as a schedule's trigger takes it.
    #[must_use]
    pub fn crash_point(&self, nth: u32) -> CrashPoint {
        CrashPoint {
            link: self.link,
            fingerprint: self.fingerprint.clone(),
            phase: self.phase,
            nth,
            moment: self.moment,
        }
    }

    /// Which of so many shards the point is struck by, from 1. Every machine comes to the same one,
    /// whatever else it has seen, and in whatever order.
    #[must_use]
    pub fn shard(&self, of: u32) -> u32 {
        let Self { phase, link, fingerprint, occurrence, moment } = self;
        let phase = phase.map_or(figures::OUTSIDE, Phase::name);
        let text = [phase, link.name(), fingerprint, &occurrence.to_string(), moment.name()];
        let share = stable_hash(&text.join("\u{1f}")) % u64::from(of.max(1));
        u32::try_from(share).unwrap_or(0) + 1
    }

    fn is_at(&self, nth: u32, point: &CrashPoint) -> bool {
        let CrashPoint { link, fingerprint, phase, nth: fired, moment } = point;
        (self.link, &self.fingerprint, self.phase, nth, self.moment)
            == (*link, fingerprint, *phase, *fired, *moment)
    }
}

/// FNV-1a, its bits mixed once more: the same in every build and on every machine, which the standard
/// library's hasher does not promise.
fn stable_hash(text: &str) -> u64 {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let mixed = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    mixed ^ (mixed >> 33)
}

impl Occurrence {
    /// The classes of so many equal exchanges, each with the number of its exchange: no exchange is
    /// in two classes.
    #[must_use]
    pub fn classes(count: u32) -> Vec<(Self, u32)> {
        let mut classes = vec![(Self::First, 1), (Self::Second, 2)];
        if count >= 4 {
            classes.push((Self::Middle, count.div_ceil(2).max(3)));
        }
        if count >= 3 {
            classes.push((Self::Last, count));
        }
        classes.retain(|(_, nth)| *nth <= count);
        classes
    }
}

impl std::fmt::Display for Occurrence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::First => f.write_str("first"),
            Self::Second => f.write_str("second"),
            Self::Middle => f.write_str("middle"),
            Self::Last => f.write_str("last"),
            Self::Nth(nth) => write!(f, "nth-{nth}"),
        }
    }
}

impl From<Occurrence> for String {
    fn from(occurrence: Occurrence) -> Self {
        occurrence.to_string()
    }
}

impl TryFrom<String> for Occurrence {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "first" => Ok(Self::First),
            "second" => Ok(Self::Second),
            "middle" => Ok(Self::Middle),
            "last" => Ok(Self::Last),
            other => {
                let nth = other.strip_prefix("nth-").and_then(|nth| nth.parse().ok());
                nth.filter(|nth| *nth > 0).map(Self::Nth).ok_or_else(|| {
                    format!(
                        "occurrence `{text}`, expected first, second, middle, last or nth-<number>"
                    )
                })
            }
        }
    }
}

impl std::fmt::Display for PointKey {
    /// `streaming: mysql “update …”, last, executed`
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { phase, link, fingerprint, occurrence, moment } = self;
        let phase = phase.map_or(figures::OUTSIDE, Phase::name);
        write!(f, "{phase}: {link} “{fingerprint}”, {occurrence}, {moment}")
    }
}

#[cfg(test)]
mod tests;
