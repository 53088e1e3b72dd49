//! An oracle's work sheet: checks made, what broke, what evidence was missing.

use records::journal::Side;
use records::verdict::{Cause, Invariant, Judgement, Reason, Verdict};

use super::view::View;
use super::windows::Window;

/// Reasons kept of one judgement; the rest is counted.
const REASONS_MAX: usize = 24;

/// One invariant under examination.
pub(super) struct Examination {
    invariant: Invariant,
    checks: u64,
    failures: Vec<Reason>,
    missing: Vec<Reason>,
}

impl Examination {
    /// Begins; what the journal as a whole lacks is missing here too.
    pub(super) fn new(invariant: Invariant, view: &View<'_>) -> Self {
        Self { invariant, checks: 0, failures: Vec::new(), missing: view.gaps() }
    }

    /// The trial cannot test this invariant.
    pub(super) fn not_applicable(invariant: Invariant) -> Judgement {
        Judgement {
            invariant,
            verdict: Verdict::Inconclusive,
            checks: 0,
            reasons: Vec::new(),
            not_applicable: true,
            excused: false,
        }
    }

    /// One check; `broken` tells what was expected and what was found.
    pub(super) fn check(&mut self, held: bool, seq: Option<u64>, broken: impl FnOnce() -> String) {
        self.checks += 1;
        if !held {
            self.failures.push(Reason::new(seq, broken()));
        }
    }

    /// A check of a time: what came too late is the tablet's doing, unless the machine did not let the
    /// harness itself look in that window; then nothing can be said.
    pub(super) fn check_time(
        &mut self,
        view: &View<'_>,
        window: Window,
        held: bool,
        seq: Option<u64>,
        broken: impl FnOnce() -> String,
    ) {
        match view.slow_machine(window).filter(|_| !held) {
            Some(why) => {
                self.missing_for(Cause::Overloaded, seq, format!("{}, {why}", broken()));
            }
            None => self.check(held, seq, broken),
        }
    }

    /// A check that did not hold.
    pub(super) fn fail(&mut self, seq: Option<u64>, text: String) {
        self.check(false, seq, || text);
    }

    /// Evidence that is not there.
    pub(super) fn missing(&mut self, seq: Option<u64>, text: impl Into<String>) {
        self.missing.push(Reason::new(seq, text));
    }

    /// Evidence that is not there for a reason of the harness's own.
    pub(super) fn missing_for(&mut self, cause: Cause, seq: Option<u64>, text: impl Into<String>) {
        self.missing.push(Reason { cause: Some(cause), ..Reason::new(seq, text) });
    }

    /// The silence of this observer of every tablet must prove something. True when it does.
    pub(super) fn needs_observer(&mut self, view: &View<'_>, name: &str) -> bool {
        self.needs_observer_of(view, name, &[Side::Source, Side::Target])
    }

    /// As [`Self::needs_observer`], of some tablets.
    pub(super) fn needs_observer_of(
        &mut self,
        view: &View<'_>,
        name: &str,
        sides: &[Side],
    ) -> bool {
        let problems = view.observer_problems(name, sides);
        let whole = problems.is_empty();
        let gaps = problems.into_iter();
        self.missing.extend(gaps.map(|gap| Reason { cause: Some(Cause::ObserverGap), ..gap }));
        whole
    }

    /// The binlog's history must be whole. True when it is.
    pub(super) fn needs_history(&mut self, view: &View<'_>) -> bool {
        let problem = view.history.problem();
        let whole = problem.is_none();
        self.missing.extend(problem);
        whole
    }

    /// The judgement.
    pub(super) fn finish(self) -> Judgement {
        let Self { invariant, checks, mut failures, mut missing } = self;
        missing.dedup_by(|a, b| a.text == b.text);
        let verdict = match (failures.is_empty(), missing.is_empty()) {
            (false, _) => Verdict::Fail,
            (true, false) => Verdict::Inconclusive,
            (true, true) if checks == 0 => return Self::not_applicable(invariant),
            (true, true) => Verdict::Pass,
        };
        failures.append(&mut missing);
        let more = failures.len().saturating_sub(REASONS_MAX);
        failures.truncate(REASONS_MAX);
        if more > 0 {
            failures.push(Reason::new(None, format!("… and {more} more")));
        }
        Judgement {
            invariant,
            verdict,
            checks,
            reasons: failures,
            not_applicable: false,
            excused: false,
        }
    }
}
