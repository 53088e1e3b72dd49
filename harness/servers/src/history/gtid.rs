//! Sets of GTIDs, as `gtid_executed` prints them.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use mysql_async::{GnoInterval, Sid};
use thiserror::Error;
use uuid::Uuid;

/// A text that is no GTID set.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("'{text}' is no GTID set: {part} is neither a UUID, a tag nor an interval")]
pub struct GtidSetError {
    text: String,
    part: String,
}

/// A set of transactions: for each source (UUID, or `UUID:tag`) disjoint intervals of numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GtidSet {
    /// Half-open, sorted, apart from each other.
    intervals: BTreeMap<String, Vec<(u64, u64)>>,
}

impl GtidSet {
    /// Whether transaction `number` of `source` is in the set.
    #[must_use]
    pub fn contains(&self, source: &str, number: u64) -> bool {
        let intervals = self.intervals.get(source).map_or(&[][..], Vec::as_slice);
        intervals.iter().any(|(begin, end)| (*begin..*end).contains(&number))
    }

    /// How many transactions of this set are not in `other`.
    #[must_use]
    pub fn count_without(&self, other: &Self) -> u64 {
        let mut count = 0;
        for (source, intervals) in &self.intervals {
            let others = other.intervals.get(source).map_or(&[][..], Vec::as_slice);
            for (begin, end) in intervals {
                let shared: u64 = others
                    .iter()
                    .map(|(from, to)| to.min(end).saturating_sub(*from.max(begin)))
                    .sum();
                count += end - begin - shared;
            }
        }
        count
    }

    /// For the request of a binlog.
    pub(super) fn sids(&self) -> Vec<Sid<'static>> {
        let sids = self.intervals.iter().filter_map(|(source, intervals)| {
            // Without a tag: parsing has let no other form in that MySQL accepts here.
            let uuid = Uuid::parse_str(source).ok()?;
            let mut sid = Sid::new(*uuid.as_bytes());
            for (begin, end) in intervals {
                sid = sid.with_interval(GnoInterval::new(*begin, *end));
            }
            Some(sid)
        });
        sids.collect()
    }
}

impl FromStr for GtidSet {
    type Err = GtidSetError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = |part: &str| GtidSetError { text: text.to_owned(), part: part.to_owned() };
        let mut set = Self::default();
        for group in text.split(',').map(str::trim).filter(|group| !group.is_empty()) {
            let mut parts = group.split(':').map(str::trim);
            let uuid = parts.next().unwrap_or_default();
            let source = Uuid::parse_str(uuid).map_err(|_| wrong(uuid))?.to_string();
            for part in parts {
                let (begin, end) = part.split_once('-').unwrap_or((part, part));
                let begin: u64 = begin.trim().parse().map_err(|_| wrong(part))?;
                let end: u64 = end.trim().parse().map_err(|_| wrong(part))?;
                if begin == 0 || end < begin || end == u64::MAX {
                    return Err(wrong(part));
                }
                set.intervals.entry(source.clone()).or_default().push((begin, end + 1));
            }
        }
        set.intervals.values_mut().for_each(merge);
        Ok(set)
    }
}

/// Sorts intervals and joins those that touch.
fn merge(intervals: &mut Vec<(u64, u64)>) {
    intervals.sort_unstable();
    let mut merged: Vec<(u64, u64)> = Vec::with_capacity(intervals.len());
    for (begin, end) in intervals.drain(..) {
        match merged.last_mut() {
            Some(last) if begin <= last.1 => last.1 = last.1.max(end),
            _ => merged.push((begin, end)),
        }
    }
    *intervals = merged;
}

impl fmt::Display for GtidSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.intervals.is_empty() {
            return f.write_str("(the beginning)");
        }
        for (index, (source, intervals)) in self.intervals.iter().enumerate() {
            write!(f, "{}{source}", if index > 0 { "," } else { "" })?;
            for (begin, end) in intervals {
                match end - begin {
                    1 => write!(f, ":{begin}")?,
                    _ => write!(f, ":{begin}-{}", end - 1)?,
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "a1a1a1a1-0000-4000-8000-000000000001";
    const B: &str = "b2b2b2b2-0000-4000-8000-000000000002";

    fn set(text: &str) -> GtidSet {
        text.parse().unwrap()
    }

    #[test]
    fn what_mysql_prints_is_read_and_printed_again() {
        let text = format!("{A}:1-5:7:9-12,\n{B}:3");
        let read = set(&text);
        assert_eq!(read.to_string(), text.replace('\n', ""));
        assert!(read.contains(A, 5) && !read.contains(A, 6) && read.contains(B, 3));
        assert_eq!(set(&format!("{A}:3-4:1-2")), set(&format!("{A}:1-4")));
        assert_eq!(set(""), GtidSet::default());
    }

    #[test]
    fn the_transactions_between_two_sets_are_counted() {
        let before = set(&format!("{A}:1-5:8"));
        let after = set(&format!("{A}:1-10,{B}:1-3"));
        assert_eq!(after.count_without(&before), 4 + 3);
        assert_eq!(before.count_without(&after), 0);
        assert_eq!(after.count_without(&GtidSet::default()), 13);
    }

    #[test]
    fn other_texts_are_refused() {
        for wrong in ["x:1", &format!("{A}:0"), &format!("{A}:5-3"), &format!("{A}:tag:1")] {
            assert!(wrong.parse::<GtidSet>().is_err(), "{wrong}");
        }
    }
}
