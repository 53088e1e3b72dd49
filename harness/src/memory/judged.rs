//! What the measured peaks must keep to.

use super::Measured;

/// The largest table may need this much of the smallest one's memory…
const RATIO_MAX: f64 = 1.2;
/// …or so many bytes more.
const MORE_BYTES_MAX: u64 = 4 << 20;

/// What breaks the rule: no death, and memory that does not follow the table's size. Empty: nothing.
#[must_use]
pub fn broken(all: &[Measured]) -> Vec<String> {
    let mut broken = Vec::new();
    for one in all {
        for diff in one.diffs.iter().filter(|diff| diff.died || diff.state != "completed") {
            let died = if diff.died { ", and the tablet died" } else { "" };
            broken.push(format!("{} rows: the diff ended {}{died}", one.rows, diff.state));
        }
    }
    let equal = || all.iter().filter(|one| one.differences == 0);
    let smallest = equal().min_by_key(|one| one.rows);
    let largest = equal().max_by_key(|one| one.rows);
    if let (Some(small), Some(large)) = (smallest, largest) {
        let allowed = ((small.peak_rss_bytes() as f64 * RATIO_MAX) as u64)
            .max(small.peak_rss_bytes() + MORE_BYTES_MAX);
        if large.peak_rss_bytes() > allowed {
            broken.push(format!(
                "{} rows took {} KiB of memory, {} rows {} KiB: more than {RATIO_MAX} times and {} MiB more",
                large.rows,
                large.peak_rss_bytes() >> 10,
                small.rows,
                small.peak_rss_bytes() >> 10,
                MORE_BYTES_MAX >> 20
            ));
        }
    }
    broken
}

/// A table for people.
#[must_use]
pub fn table(all: &[Measured], limit_bytes: u64) -> String {
    let mut text = format!(
        "{:>12}  {:>11}  {:>14}  {:>19}  {:>11}  {:>10}  {:>6}  {}\n",
        "rows",
        "differences",
        "peak RSS KiB",
        "least to most",
        "charged KiB",
        "limit KiB",
        "time s",
        "end"
    );
    for one in all {
        let peaks = || one.diffs.iter().map(|diff| diff.peak_rss_bytes >> 10);
        let died = one.diffs.iter().any(|diff| diff.died);
        let last = one.diffs.last();
        text.push_str(&format!(
            "{:>12}  {:>11}  {:>14}  {:>19}  {:>11}  {:>10}  {:>6.1}  {}\n",
            one.rows,
            one.differences,
            one.peak_rss_bytes() >> 10,
            format!("{} to {}", peaks().min().unwrap_or(0), peaks().max().unwrap_or(0)),
            one.diffs.iter().map(|diff| diff.peak_charged_bytes >> 10).max().unwrap_or(0),
            limit_bytes >> 10,
            last.map_or(0.0, |diff| diff.took_ms as f64 / 1_000.0),
            if died { "the tablet died" } else { last.map_or("", |diff| &diff.state) }
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::OneDiff;
    use super::*;

    fn measured(rows: u64, mib: &[u64]) -> Measured {
        let of = |mib: &u64| OneDiff {
            peak_rss_bytes: mib << 20,
            peak_charged_bytes: mib << 20,
            took_ms: 1,
            state: "completed".to_owned(),
            died: false,
        };
        Measured { rows, differences: 0, diffs: mib.iter().map(of).collect() }
    }

    // The rule of the issue: 1.2 times, or 4 MiB more, whichever is more; and nobody dies.
    #[test]
    fn memory_may_grow_a_little_and_no_more() {
        assert!(broken(&[measured(100_000, &[10]), measured(1_000_000, &[14])]).is_empty());
        assert!(broken(&[measured(100_000, &[40]), measured(1_000_000, &[48])]).is_empty());
        assert_eq!(broken(&[measured(100_000, &[40]), measured(1_000_000, &[49])]).len(), 1);
        let mut dead = measured(1_000_000, &[10]);
        dead.diffs[0].died = true;
        assert_eq!(broken(&[measured(100_000, &[10]), dead]).len(), 1);
    }

    // The same tablet must get the same verdict: chance moves one peak, not the middle one.
    #[test]
    fn one_peak_of_several_does_not_decide() {
        let small = measured(100_000, &[10, 10, 10]);
        assert!(broken(&[small.clone(), measured(1_000_000, &[11, 30, 11])]).is_empty());
        assert_eq!(broken(&[small, measured(1_000_000, &[30, 11, 30])]).len(), 1);
    }

    // Samples that are kept grow with the differences, which is no growth with the table.
    #[test]
    fn what_differences_take_is_not_the_tables_size() {
        let differing = Measured { differences: 3_787, ..measured(100_000, &[40]) };
        let all = [measured(100_000, &[10]), measured(1_000_000, &[10]), differing];
        assert!(broken(&all).is_empty());
    }
}
