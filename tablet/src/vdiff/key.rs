//! The order of keys: exactly MySQL's, or the merge of two ordered streams would go wrong.

use std::cmp::Ordering;

use crate::vstreamer::{Cell, KeyKind};

/// Compares two values of a key column. For texts these are their weights. `None`: a value is NULL
/// or not of its type, which no key column of MySQL can deliver.
pub(super) fn compare(kind: &KeyKind, a: Cell<'_>, b: Cell<'_>) -> Option<Ordering> {
    let (a, b) = (a?, b?);
    match kind {
        KeyKind::Integer | KeyKind::Decimal => compare_decimal(a, b),
        KeyKind::Float => {
            let parse = |value| std::str::from_utf8(value).ok()?.parse::<f64>().ok();
            parse(a)?.partial_cmp(&parse(b)?)
        }
        KeyKind::Time => Some(time_micros(a)?.cmp(&time_micros(b)?)),
        KeyKind::Temporal { .. } | KeyKind::Bytes | KeyKind::Bits | KeyKind::Text { .. } => {
            Some(a.cmp(b))
        }
    }
}

/// Decimal texts of any length and scale (also whole numbers up to 64 bits, signed or not), without
/// going through a number type that could not hold them.
fn compare_decimal(a: &[u8], b: &[u8]) -> Option<Ordering> {
    let (a, b) = (Decimal::parse(a)?, Decimal::parse(b)?);
    Some(match (a.negative, b.negative) {
        (false, true) => Ordering::Greater,
        (true, false) => Ordering::Less,
        (false, false) => a.magnitude(&b),
        (true, true) => b.magnitude(&a),
    })
}

struct Decimal<'a> {
    negative: bool,
    whole: &'a [u8],
    fraction: &'a [u8],
}

impl<'a> Decimal<'a> {
    fn parse(text: &'a [u8]) -> Option<Decimal<'a>> {
        let (negative, digits) = match text.strip_prefix(b"-") {
            Some(digits) => (true, digits),
            None => (false, text),
        };
        let point = digits.iter().position(|byte| *byte == b'.');
        let (whole, fraction) = match point {
            Some(at) => (&digits[..at], &digits[at + 1..]),
            None => (digits, &digits[..0]),
        };
        let all_digits = |part: &[u8]| part.iter().all(u8::is_ascii_digit);
        if digits.is_empty() || !all_digits(whole) || !all_digits(fraction) {
            return None;
        }
        let zeros = whole.iter().take_while(|byte| **byte == b'0').count();
        let whole = &whole[zeros..];
        let tail = fraction.iter().rev().take_while(|byte| **byte == b'0').count();
        let fraction = &fraction[..fraction.len() - tail];
        let zero = whole.is_empty() && fraction.is_empty();
        Some(Decimal { negative: negative && !zero, whole, fraction })
    }

    fn magnitude(&self, other: &Decimal<'_>) -> Ordering {
        self.whole
            .len()
            .cmp(&other.whole.len())
            .then_with(|| self.whole.cmp(other.whole))
            .then_with(|| self.fraction.cmp(other.fraction))
    }
}

/// `-838:59:59.000000` as microseconds.
fn time_micros(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (clock, fraction) = text.split_once('.').unwrap_or((text, ""));
    let mut seconds = 0i64;
    for part in clock.split(':') {
        seconds = seconds.checked_mul(60)?.checked_add(part.parse().ok()?)?;
    }
    let micros: i64 = format!("{fraction:0<6}").get(..6)?.parse().ok()?;
    let all = seconds.checked_mul(1_000_000)?.checked_add(micros)?;
    Some(if negative { -all } else { all })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn order(kind: &KeyKind, a: &str, b: &str) -> Option<Ordering> {
        compare(kind, Some(a.as_bytes()), Some(b.as_bytes()))
    }

    #[test]
    fn whole_numbers_are_ordered_by_value_not_by_text() {
        for (a, b) in [
            ("9", "10"),
            ("-10", "-9"),
            ("-1", "0"),
            ("9223372036854775807", "18446744073709551615"),
        ] {
            assert_eq!(order(&KeyKind::Integer, a, b), Some(Ordering::Less), "{a} {b}");
        }
    }

    #[test]
    fn decimals_of_different_scale_are_equal_when_their_values_are() {
        for (a, b) in [("1.10", "1.1"), ("-0.0", "0"), ("007", "7"), (".5", "0.5")] {
            assert_eq!(order(&KeyKind::Decimal, a, b), Some(Ordering::Equal), "{a} {b}");
        }
        assert_eq!(order(&KeyKind::Decimal, "-1.5", "-1.25"), Some(Ordering::Less));
        assert_eq!(order(&KeyKind::Decimal, "0.09", "0.1"), Some(Ordering::Less));
    }

    #[test]
    fn times_may_be_negative() {
        for (a, b) in [
            ("-838:59:59", "-00:00:01"),
            ("-00:00:01", "00:00:00"),
            ("99:00:00", "100:00:00"),
            ("00:00:00", "00:00:00.000001"),
        ] {
            assert_eq!(order(&KeyKind::Time, a, b), Some(Ordering::Less), "{a} {b}");
        }
    }

    #[test]
    fn values_that_no_key_can_hold_have_no_order() {
        assert_eq!(compare(&KeyKind::Bytes, None, Some(b"")), None);
        for text in ["", "-", "1a", "1.2.3", "é"] {
            assert_eq!(order(&KeyKind::Decimal, text, "1"), None, "{text}");
            assert_eq!(order(&KeyKind::Time, text, "1"), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn whole_numbers_order_as_numbers(a in any::<i64>(), b in any::<i64>()) {
            prop_assert_eq!(order(&KeyKind::Integer, &a.to_string(), &b.to_string()), Some(a.cmp(&b)));
        }

        #[test]
        fn decimals_order_as_scaled_numbers(a in any::<i32>(), b in any::<i32>()) {
            let text = |n: i32| {
                let (sign, n) = (if n < 0 { "-" } else { "" }, i64::from(n).abs());
                format!("{sign}{}.{:03}", n / 1000, n % 1000)
            };
            prop_assert_eq!(order(&KeyKind::Decimal, &text(a), &text(b)), Some(a.cmp(&b)));
        }

        #[test]
        fn no_bytes_panic(a in any::<Vec<u8>>(), b in any::<Vec<u8>>()) {
            for kind in [KeyKind::Integer, KeyKind::Float, KeyKind::Time, KeyKind::Bytes] {
                compare(&kind, Some(&a), Some(&b));
            }
        }
    }
}
