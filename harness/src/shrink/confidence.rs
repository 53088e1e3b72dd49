//! How often a candidate is run before it is believed not to fail.
//!
//! A flaky failure may hide: one run that passes proves little. The rate p at which the original fails
//! is measured first. A candidate that fails at that rate passes n runs in a row with probability
//! (1 − p)ⁿ; n is chosen so that this is at most [`MISSED_MAX`].

/// A candidate with the original's rate is taken for a passing one with at most this probability.
pub const MISSED_MAX: f64 = 0.05;
/// Not more runs of a candidate than these, however rare the failure.
pub const RUNS_MAX: u32 = 60;

/// Conclusive runs of one schedule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Runs that failed in the way that is looked for.
    pub failed: u32,
    /// Runs that did not: they passed, or failed otherwise.
    pub others: u32,
    /// Runs that said nothing: not counted, and repeated.
    pub inconclusive: u32,
}

impl Tally {
    /// Runs that count.
    #[must_use]
    pub fn runs(self) -> u32 {
        self.failed + self.others
    }

    /// The failure rate, as if one more run had not failed: five failures of five are no proof of an
    /// always.
    #[must_use]
    pub fn rate(self) -> f64 {
        f64::from(self.failed) / f64::from(self.runs() + 1)
    }

    /// Whether some run did not fail: then a candidate that passed may be looked at again.
    #[must_use]
    pub fn is_flaky(self) -> bool {
        self.others > 0
    }

    /// So many runs without the failure, and a candidate is rejected.
    #[must_use]
    pub fn runs_to_reject(self) -> u32 {
        let runs = MISSED_MAX.ln() / (1.0 - self.rate()).ln();
        if runs.is_finite() { (runs.ceil() as u32).clamp(1, RUNS_MAX) } else { RUNS_MAX }
    }
}

impl std::ops::Add for Tally {
    type Output = Tally;

    fn add(self, other: Tally) -> Tally {
        Tally {
            failed: self.failed + other.failed,
            others: self.others + other.others,
            inconclusive: self.inconclusive + other.inconclusive,
        }
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "failed {} of {}", self.failed, self.runs())?;
        match self.inconclusive {
            0 => Ok(()),
            inconclusive => write!(f, ", {inconclusive} inconclusive"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Too few runs, and a fault that matters not stays; too many, and the budget is gone.
    #[test]
    fn the_rarer_the_failure_the_more_runs_reject_a_candidate() {
        for (failed, others, runs) in
            [(5, 0, 2), (4, 1, 3), (3, 2, 5), (3, 7, 10), (3, 17, 20), (1, 200, RUNS_MAX)]
        {
            let tally = Tally { failed, others, inconclusive: 3 };
            assert_eq!(tally.runs_to_reject(), runs, "{tally}");
            let missed = (1.0 - tally.rate()).powi(runs as i32);
            assert!(missed <= MISSED_MAX || runs == RUNS_MAX, "{tally}: {missed}");
        }
        assert_eq!(Tally::default().runs_to_reject(), RUNS_MAX);
    }
}
