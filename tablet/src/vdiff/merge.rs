//! One step of the comparison of two ordered streams: a pure function of the two rows at their heads.
//!
//! The step always consumes the smallest key. So every row up to the key consumed last, of both
//! sides, has been counted: that key is the cursor, also inside runs of extra rows.

use std::cmp::Ordering;

use super::key;
use super::table_plan::{KeyAt, Plan, PlanKey};
use crate::vstreamer::RowCells;

/// What the heads of both streams are to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Equal: both are consumed.
    Match,
    /// One key, other bytes: both are consumed.
    Mismatch,
    /// Only the source's is consumed.
    ExtraSource,
    /// Only the target's is consumed.
    ExtraTarget,
    /// Both streams have ended.
    End,
}

/// A key that has no place in the order.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the key column '{0}' holds a value that is not of its type")]
pub(super) struct KeyOrderError(pub(super) String);

/// Decides the next step.
pub(super) fn step(
    plan: &Plan,
    source: Option<&RowCells>,
    target: Option<&RowCells>,
) -> Result<Step, KeyOrderError> {
    let (source, target) = match (source, target) {
        (None, None) => return Ok(Step::End),
        (Some(_), None) => return Ok(Step::ExtraSource),
        (None, Some(_)) => return Ok(Step::ExtraTarget),
        (Some(source), Some(target)) => (source, target),
    };
    if plan.same_order && source.same_beginning(target, plan.columns.len()) {
        return Ok(Step::Match);
    }
    let order = compare_keys(&plan.key, source, |key| key.source, target, |key| key.target)?;
    Ok(match order {
        Ordering::Less => Step::ExtraSource,
        Ordering::Greater => Step::ExtraTarget,
        Ordering::Equal => {
            let equal = plan
                .columns
                .iter()
                .all(|column| source.get(column.source_at) == target.get(column.target_at));
            if equal { Step::Match } else { Step::Mismatch }
        }
    })
}

/// Compares the keys of two rows, each read where its side has it.
pub(super) fn compare_keys(
    keys: &[PlanKey],
    a: &RowCells,
    a_at: impl Fn(&PlanKey) -> KeyAt,
    b: &RowCells,
    b_at: impl Fn(&PlanKey) -> KeyAt,
) -> Result<Ordering, KeyOrderError> {
    for column in keys {
        let (a, b) = (a.get(a_at(column).order), b.get(b_at(column).order));
        match key::compare(&column.kind, a, b) {
            Some(Ordering::Equal) => {}
            Some(order) => return Ok(order),
            None => return Err(KeyOrderError(column.name.clone())),
        }
    }
    Ok(Ordering::Equal)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tablet_wire::query::Type;

    use super::super::table_plan::tests::header;
    use super::*;
    use crate::mysql::Value;
    use crate::vstreamer::encode_row;

    fn row(values: &[Option<&str>]) -> RowCells {
        let cells = values.iter().map(|value| value.map_or(Value::NULL, Value::from)).collect();
        RowCells::new(encode_row(cells), values.len()).unwrap()
    }

    fn plan() -> Plan {
        let header = header(&[("id", Type::Int64), ("v", Type::Varchar)], 1);
        Plan::new("t", &header, &header).unwrap()
    }

    fn step_of(source: &[Option<&str>], target: &[Option<&str>]) -> Step {
        step(&plan(), Some(&row(source)), Some(&row(target))).unwrap()
    }

    #[test]
    fn null_and_empty_are_a_mismatch() {
        assert_eq!(step_of(&[Some("1"), None], &[Some("1"), Some("")]), Step::Mismatch);
        assert_eq!(step_of(&[Some("1"), None], &[Some("1"), None]), Step::Match);
    }

    #[test]
    fn the_smaller_key_goes_first_by_value() {
        assert_eq!(step_of(&[Some("9"), None], &[Some("10"), None]), Step::ExtraSource);
        assert_eq!(step_of(&[Some("10"), None], &[Some("9"), None]), Step::ExtraTarget);
    }

    /// A case-insensitive key that differs in case is one row that differs, not two extra rows.
    #[test]
    fn keys_equal_under_their_collation_with_other_bytes_are_a_mismatch() {
        let header = header(&[("name", Type::Varchar)], 1);
        let plan = Plan::new("t", &header, &header).unwrap();
        let (a, b) = (row(&[Some("Ann"), Some("W")]), row(&[Some("ann"), Some("W")]));
        assert_eq!(step(&plan, Some(&a), Some(&b)).unwrap(), Step::Mismatch);
    }

    #[test]
    fn a_key_without_order_is_an_error() {
        let error = step(&plan(), Some(&row(&[None, None])), Some(&row(&[Some("1"), None])));
        assert_eq!(error, Err(KeyOrderError("id".to_owned())));
    }

    type Table = std::collections::BTreeMap<i16, u8>;

    /// Merges from `after` on for at most `steps`; returns the counts and the cursor.
    fn merge(
        source: &Table,
        target: &Table,
        after: Option<i16>,
        steps: usize,
    ) -> ([u64; 4], Option<i16>) {
        let plan = plan();
        let rows = |table: &Table| -> Vec<(i16, RowCells)> {
            let beyond = table.iter().filter(|(key, _)| after.is_none_or(|after| **key > after));
            beyond.map(|(k, v)| (*k, row(&[Some(&k.to_string()), Some(&v.to_string())]))).collect()
        };
        let (left, right) = (rows(source), rows(target));
        let (mut l, mut r, mut counts, mut cursor) = (0, 0, [0; 4], after);
        for _ in 0..steps {
            let (a, b) = (left.get(l), right.get(r));
            match step(&plan, a.map(|a| &a.1), b.map(|b| &b.1)).unwrap() {
                Step::End => break,
                Step::Match => {
                    counts[0] += 1;
                    cursor = a.map(|a| a.0);
                    l += 1;
                    r += 1;
                }
                Step::Mismatch => {
                    counts[1] += 1;
                    cursor = a.map(|a| a.0);
                    l += 1;
                    r += 1;
                }
                Step::ExtraSource => {
                    counts[2] += 1;
                    cursor = a.map(|a| a.0);
                    l += 1;
                }
                Step::ExtraTarget => {
                    counts[3] += 1;
                    cursor = b.map(|b| b.0);
                    r += 1;
                }
            }
        }
        (counts, cursor)
    }

    proptest! {
        /// However often it is interrupted, and wherever: the sum of the parts is the whole.
        #[test]
        fn an_interrupted_merge_counts_the_same(
            source in prop::collection::btree_map(0i16..60, 0u8..2, 0..40),
            target in prop::collection::btree_map(0i16..60, 0u8..2, 0..40),
            parts in prop::collection::vec(0usize..12, 0..20),
        ) {
            let (whole, _) = merge(&source, &target, None, usize::MAX);
            let (mut sum, mut cursor) = ([0; 4], None);
            for steps in parts.into_iter().chain([usize::MAX]) {
                let (part, next) = merge(&source, &target, cursor, steps);
                for (total, count) in sum.iter_mut().zip(part) {
                    *total += count;
                }
                prop_assert!(next >= cursor);
                cursor = next;
            }
            prop_assert_eq!(sum, whole);
        }
    }
}
