//! Rates with their uncertainty. A rate without an interval says more than was measured: three
//! failures of twenty may be one in twenty, or one in three.

use serde::{Deserialize, Serialize};

/// The 97.5 % point of the standard normal distribution: two sides of 95 %.
const Z: f64 = 1.959_963_984_540_054;

/// How often something happened, in how many attempts, with the 95 % interval of its rate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rate {
    /// It happened so often.
    pub hits: u64,
    /// Of so many attempts.
    pub of: u64,
    /// The rate in percent; 0 of no attempt.
    pub percent: f64,
    /// The interval's lower end in percent.
    pub low_percent: f64,
    /// The interval's upper end in percent.
    pub high_percent: f64,
}

impl Rate {
    /// `hits` of `of`; more hits than attempts count as all of them.
    #[must_use]
    pub fn new(hits: u64, of: u64) -> Self {
        let hits = hits.min(of);
        let (low, high) = wilson_95(hits, of);
        let fraction = if of == 0 { 0.0 } else { hits as f64 / of as f64 };
        Self {
            hits,
            of,
            percent: percent_of(fraction),
            low_percent: percent_of(low),
            high_percent: percent_of(high),
        }
    }
}

impl std::fmt::Display for Rate {
    /// `3 of 20 times (15 %, 95 % interval 5.2–36.0 %)`
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let times = if self.of == 1 { "time" } else { "times" };
        write!(
            f,
            "{} of {} {times} ({} %, 95 % interval {:.1}–{:.1} %)",
            self.hits,
            self.of,
            percent(self.percent),
            self.low_percent,
            self.high_percent
        )
    }
}

/// The 95 % Wilson score interval of a rate of `hits` in `of`, as fractions. Unlike the textbook's
/// interval it is right for few attempts, and for none or all of them. No attempt: anything from 0 to 1.
#[must_use]
pub fn wilson_95(hits: u64, of: u64) -> (f64, f64) {
    if of == 0 {
        return (0.0, 1.0);
    }
    let n = of as f64;
    let p = hits.min(of) as f64 / n;
    let shrink = 1.0 + Z * Z / n;
    let middle = (p + Z * Z / (2.0 * n)) / shrink;
    let half = Z / shrink * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    // The ends are exact there; the arithmetic is not.
    let low = if hits == 0 { 0.0 } else { (middle - half).max(0.0) };
    let high = if hits >= of { 1.0 } else { (middle + half).min(1.0) };
    (low, high)
}

/// A fraction in percent, with four decimals: short enough to survive a file unchanged.
fn percent_of(fraction: f64) -> f64 {
    (fraction * 1e6).round() / 1e4
}

/// `part` of `whole` in percent, with two decimals, cut and not rounded: nothing is 100 % but the whole.
#[must_use]
pub fn share_percent(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        return 0.0;
    }
    (part as f64 * 1e4 / whole as f64).floor() / 100.0
}

/// A percentage as a person reads it: whole numbers without a fraction, and never rounded to 0 or
/// 100 when it is not.
#[must_use]
pub fn percent(percent: f64) -> String {
    let tenth = (percent * 10.0).round() / 10.0;
    match () {
        () if percent > 0.0 && tenth == 0.0 => "under 0.1".to_owned(),
        () if percent < 100.0 && tenth >= 100.0 => "over 99.9".to_owned(),
        () if tenth.fract() == 0.0 => format!("{tenth:.0}"),
        () => format!("{tenth:.1}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Newcombe, "Two-sided confidence intervals for the single proportion" (Statistics in Medicine
    /// 17, 1998), table I, method 3.
    #[test]
    fn the_interval_is_the_published_one() {
        for (hits, of, low, high) in [
            (81, 263, 0.2553, 0.3662),
            (15, 148, 0.0624, 0.1605),
            (0, 20, 0.0, 0.1611),
            (1, 29, 0.0061, 0.1718),
        ] {
            let (found_low, found_high) = wilson_95(hits, of);
            assert!((found_low - low).abs() < 5e-5, "{hits}/{of}: {found_low}");
            assert!((found_high - high).abs() < 5e-5, "{hits}/{of}: {found_high}");
        }
    }

    #[test]
    fn the_interval_holds_the_rate_mirrors_and_narrows() {
        for of in [1_u64, 2, 7, 20, 1_000] {
            for hits in 0..=of.min(20) {
                let (low, high) = wilson_95(hits, of);
                let rate = hits as f64 / of as f64;
                assert!((0.0..=rate).contains(&low) && (rate..=1.0).contains(&high));
                let (other_low, other_high) = wilson_95(of - hits, of);
                assert!((low - (1.0 - other_high)).abs() < 1e-12);
                assert!((high - (1.0 - other_low)).abs() < 1e-12);
                let (more_low, more_high) = wilson_95(hits * 10, of * 10);
                assert!(more_high - more_low < high - low);
            }
        }
        assert_eq!(wilson_95(0, 0), (0.0, 1.0));
    }

    #[test]
    fn a_rate_is_told_with_its_interval() {
        assert_eq!(Rate::new(3, 20).to_string(), "3 of 20 times (15 %, 95 % interval 5.2–36.0 %)");
        assert_eq!(Rate::new(1, 1).to_string(), "1 of 1 time (100 %, 95 % interval 20.7–100.0 %)");
        assert_eq!(Rate::new(0, 200).to_string(), "0 of 200 times (0 %, 95 % interval 0.0–1.9 %)");
        assert_eq!(share_percent(99_999, 100_000).to_string(), "99.99");
        assert_eq!((share_percent(0, 0), share_percent(7, 7)), (0.0, 100.0));
        assert_eq!(percent(100.0 * 1_199.0 / 1_200.0), "99.9");
        assert_eq!(percent(99.99), "over 99.9");
        assert_eq!(percent(0.01), "under 0.1");
    }
}
