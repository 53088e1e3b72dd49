//! What a coverage comes to, in numbers and names.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Coverage, Point, PointKey};
use crate::schedule::{Fault, Phase};
use crate::statistics::share_percent;

/// What the time outside a table's phases is called.
pub(super) const OUTSIDE: &str = "outside";

/// What a coverage comes to. Points that come with the clock stand apart, in `time_driven` only.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Crash points that there are.
    pub enumerated: u64,
    /// Points at which a fault landed.
    pub landed: u64,
    /// `landed` of `enumerated`.
    pub percent: f64,
    /// Points at which this fault landed.
    pub by_fault: BTreeMap<String, u64>,
    /// By the diff's phase, in order; `outside` is the time outside a table's phases.
    pub by_phase: Vec<PhaseFigures>,
    /// Points at which no fault landed.
    pub never_reached: Vec<NeverReached>,
    /// Points that come with the clock.
    pub time_driven: u64,
    /// Those of them at which a fault landed.
    pub time_driven_landed: u64,
}

/// The coverage of one phase.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PhaseFigures {
    /// The phase.
    pub phase: String,
    /// Crash points in it.
    pub enumerated: u64,
    /// Points in it at which a fault landed.
    pub landed: u64,
    /// `landed` of `enumerated`.
    pub percent: f64,
    /// Points in it at which this fault landed.
    pub by_fault: BTreeMap<String, u64>,
}

/// A point at which no fault landed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NeverReached {
    /// The point in words.
    pub point: String,
    /// Faults that were tried there, and missed.
    pub missed: u64,
}

impl Coverage {
    /// What it comes to.
    #[must_use]
    pub fn figures(&self) -> Figures {
        let (clock, work): (Vec<_>, Vec<_>) =
            self.points.iter().partition(|(_, point)| point.time_driven);
        let mut phases: Vec<Option<Phase>> = work.iter().map(|(key, _)| key.phase).collect();
        phases.sort_unstable();
        phases.dedup();
        let by_phase = phases.into_iter().map(|phase| {
            let inside: Vec<_> =
                work.iter().filter(|(key, _)| key.phase == phase).copied().collect();
            PhaseFigures {
                phase: phase.map_or(OUTSIDE, Phase::name).to_owned(),
                enumerated: inside.len() as u64,
                landed: landed(&inside, None),
                percent: percent(&inside),
                by_fault: by_fault(&inside),
            }
        });
        Figures {
            enumerated: work.len() as u64,
            landed: landed(&work, None),
            percent: percent(&work),
            by_fault: by_fault(&work),
            by_phase: by_phase.collect(),
            never_reached: work
                .iter()
                .filter_map(|(key, point)| never_reached(key, point))
                .collect(),
            time_driven: clock.len() as u64,
            time_driven_landed: landed(&clock, None),
        }
    }
}

type Points<'a> = [(&'a PointKey, &'a Point)];

fn landed(points: &Points<'_>, by: Option<Fault>) -> u64 {
    points.iter().filter(|(_, point)| point.is_landed(by)).count() as u64
}

/// Nothing enumerated is nothing covered.
fn percent(points: &Points<'_>) -> f64 {
    share_percent(landed(points, None), points.len() as u64)
}

fn by_fault(points: &Points<'_>) -> BTreeMap<String, u64> {
    let tried = points.iter().flat_map(|(_, point)| point.tries.keys());
    let counted = tried.map(|fault| (fault.name().to_owned(), landed(points, Some(*fault))));
    counted.collect()
}

fn never_reached(key: &PointKey, point: &Point) -> Option<NeverReached> {
    let missed = point.tries.values().map(|tries| tries.missed).sum();
    (!point.is_landed(None)).then(|| NeverReached { point: key.to_string(), missed })
}
