//! How values on the command line are written.

use std::time::Duration;

use records::verdict::Invariant;

const DURATION_MIN: Duration = Duration::from_secs(1);
const DURATION_MAX: Duration = Duration::from_secs(7 * 86_400);

/// A part of a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// So many trials.
    Trials(u32),
    /// So long.
    Time(Duration),
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let read = humantime::parse_duration(text);
    let read =
        read.map_err(|error| format!("`{text}` is no duration ({error}); write 90s, 30m or 8h"))?;
    let within = DURATION_MIN..=DURATION_MAX;
    within
        .contains(&read)
        .then_some(read)
        .ok_or_else(|| format!("`{text}` is not within 1 s and 7 days"))
}

pub(super) fn limit(text: &str) -> Result<Limit, String> {
    if let Ok(trials) = text.parse::<u32>() {
        return match trials {
            0 => Err("a budget of no trials tries nothing".to_owned()),
            _ => Ok(Limit::Trials(trials)),
        };
    }
    let wrong = |_| format!("`{text}` is no budget; write 100 (trials), 30m (time) or 100,30m");
    duration(text).map(Limit::Time).map_err(wrong)
}

pub(super) fn invariant(text: &str) -> Result<Invariant, String> {
    Invariant::ALL.into_iter().find(|one| one.code().eq_ignore_ascii_case(text)).ok_or_else(|| {
        let known = Invariant::ALL.map(Invariant::code).join(", ");
        format!("unknown invariant `{text}`; known are: {known}")
    })
}

pub(super) fn shard(text: &str) -> Result<(u32, u32), String> {
    let parts = text.split_once('/').and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
    match parts {
        Some((index, of)) if of >= 1 && (1..=of).contains(&index) => Ok((index, of)),
        _ => Err(format!("`{text}` is no shard; write 2/3 for the second of three")),
    }
}

pub(super) fn coverage(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix("%-coverage").and_then(|number| number.parse().ok());
    number
        .filter(|percent| (0.0..=100.0).contains(percent))
        .ok_or_else(|| format!("`{text}` is no goal; write 95%-coverage"))
}

pub(super) fn bytes(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is no size; write 64m or 1g");
    let lower = text.to_ascii_lowercase();
    let at = lower.find(|c: char| !c.is_ascii_digit()).unwrap_or(lower.len());
    let (number, unit) = lower.split_at(at);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let factor: u64 = match unit {
        "" | "b" => 1,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        _ => return Err(wrong()),
    };
    number.checked_mul(factor).filter(|bytes| *bytes >= 16 << 20).ok_or_else(|| {
        format!("`{text}` is less than 16m, which no tablet can live on, or too large")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    // A misread size or duration would run another experiment than the one asked for.
    #[test]
    fn durations_shards_and_sizes_are_read_or_refused() {
        assert_eq!(duration("30m"), Ok(Duration::from_secs(1_800)));
        assert_eq!(duration("1h30m"), Ok(Duration::from_secs(5_400)));
        assert_eq!(shard("2/3"), Ok((2, 3)));
        assert_eq!(bytes("64m"), Ok(64 << 20));
        assert_eq!(limit("100"), Ok(Limit::Trials(100)));
        assert_eq!(limit("30m"), Ok(Limit::Time(Duration::from_secs(1_800))));
        assert_eq!(invariant("i10"), Ok(Invariant::I10));
        assert!(limit("0").is_err() && limit("5x").is_err() && invariant("I12").is_err());
        for bad in ["", "m", "5", "5x", "0s", "10ms", "8d", "99999999h"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
        for bad in ["", "3", "0/3", "4/3", "a/b", "1/0"] {
            assert!(shard(bad).is_err(), "{bad}");
        }
        for bad in ["", "m", "1m", "64x", "99999999999999g"] {
            assert!(bytes(bad).is_err(), "{bad}");
        }
    }
}
