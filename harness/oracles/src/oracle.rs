//! What an oracle is, and how several of one invariant are one judgement.

use records::verdict::{Invariant, Judgement};

use super::view::View;

/// One oracle: a file of this crate, and a line in its list.
pub(super) struct Oracle {
    /// The invariant that it watches. Several may watch one.
    pub(super) invariant: Invariant,
    /// Its judgement of a journal.
    pub(super) judge: fn(&View<'_>) -> Judgement,
}

/// Two judgements of one invariant: the worse verdict, all checks, each reason once. One that does not apply
/// says nothing.
pub(super) fn joined(mut one: Judgement, other: Judgement) -> Judgement {
    if other.not_applicable {
        return one;
    }
    if one.not_applicable {
        return other;
    }
    one.verdict = one.verdict.max(other.verdict);
    one.checks += other.checks;
    let is_new = |known: &Judgement, text: &str| known.reasons.iter().all(|it| it.text != text);
    for reason in other.reasons {
        if is_new(&one, &reason.text) {
            one.reasons.push(reason);
        }
    }
    one
}

#[cfg(test)]
mod tests {
    use records::verdict::{Reason, Verdict};

    use super::*;

    // Of two that watch one invariant, the one that failed must not be outvoted, nor silence be a doubt.
    #[test]
    fn the_worse_of_two_judgements_counts_and_silence_does_not() {
        let judged = |verdict, texts: &[&str]| Judgement {
            invariant: Invariant::I4,
            verdict,
            checks: 3,
            reasons: texts.iter().map(|text| Reason::new(None, *text)).collect(),
            not_applicable: false,
            excused: false,
        };
        let silent = Judgement { not_applicable: true, ..judged(Verdict::Inconclusive, &[]) };
        let (good, bad) = (judged(Verdict::Pass, &[]), judged(Verdict::Fail, &["a", "b"]));
        let worse = joined(good.clone(), bad.clone());
        assert_eq!((worse.verdict, worse.checks, worse.reasons.len()), (Verdict::Fail, 6, 2));
        assert_eq!(joined(bad, judged(Verdict::Inconclusive, &["b", "c"])).reasons.len(), 3);
        assert_eq!(joined(silent.clone(), good.clone()), good);
        assert_eq!(joined(good.clone(), silent), good);
    }
}
