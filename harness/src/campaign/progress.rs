//! What a user sees while a campaign runs.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use records::TrialRecord;
use records::coverage::{Coverage, Figures};
use records::journal::Event;
use records::verdict::Verdict;

/// Without a terminal, a line so often.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// A bar on a terminal; else a line now and then.
pub(super) struct Bar<'a> {
    bar: Option<ProgressBar>,
    say: &'a (dyn Fn(&str) + Send + Sync),
    begun: Instant,
    last_line: Instant,
    tally: Tally,
}

impl<'a> Bar<'a> {
    pub(super) fn new(say: &'a (dyn Fn(&str) + Send + Sync)) -> Bar<'a> {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("trials   {msg}") {
            bar.set_style(style);
        }
        let shown = !bar.is_hidden();
        Bar {
            bar: shown.then_some(bar),
            say,
            begun: Instant::now(),
            last_line: Instant::now(),
            tally: Tally::default(),
        }
    }

    /// How far the campaign is to go, as far as is known by now.
    pub(super) fn aim(&mut self, planned: Option<u64>, left: Option<Duration>) {
        self.tally.planned = planned;
        self.tally.time_left = left;
    }

    pub(super) fn trial(&mut self, trial: &TrialRecord, coverage: Option<&Coverage>) {
        self.tally.trial(trial);
        self.tally.coverage = coverage.map(Coverage::figures);
        self.draw();
    }

    pub(super) fn tick(&mut self) {
        match &self.bar {
            Some(_) => self.draw(),
            None if self.last_line.elapsed() >= LINE_EVERY => {
                self.last_line = Instant::now();
                self.line();
            }
            None => {}
        }
    }

    pub(super) fn finish(self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        self.line();
    }

    fn draw(&self) {
        if let Some(bar) = &self.bar {
            bar.set_message(self.tally.line(self.begun.elapsed(), true));
            bar.tick();
        }
    }

    fn line(&self) {
        (self.say)(&format!("trials   {}", self.tally.line(self.begun.elapsed(), false)));
    }
}

/// What is known of the trials so far.
#[derive(Default)]
struct Tally {
    planned: Option<u64>,
    /// Until no more trials are begun, where that is a matter of time.
    time_left: Option<Duration>,
    ended: u64,
    findings: u64,
    landed: BTreeMap<String, u64>,
    coverage: Option<Figures>,
}

/// Characters of the bar on a terminal.
const BAR_WIDTH: u64 = 16;

impl Tally {
    fn trial(&mut self, trial: &TrialRecord) {
        self.ended += 1;
        self.findings += u64::from(trial.verdict() == Verdict::Fail);
        for record in &trial.records {
            if let Event::FaultLanded(landed) = &record.event {
                *self.landed.entry(landed.fault.name().to_owned()).or_default() += 1;
            }
        }
    }

    /// `7/12  landed 5 sigkill · 1 oom  coverage 34 of 120 (28 %)  1 failed  412/h  1:01, about 0:44 left`
    fn line(&self, elapsed: Duration, with_bar: bool) -> String {
        let mut parts = vec![match self.planned {
            Some(planned) => format!("{}/{planned}", self.ended),
            None => self.ended.to_string(),
        }];
        if let Some(planned) = self.planned.filter(|_| with_bar) {
            let full = self.ended.min(planned) * BAR_WIDTH / planned.max(1);
            let (full, empty) =
                ("█".repeat(full as usize), "░".repeat((BAR_WIDTH - full) as usize));
            parts.push(format!("{full}{empty}"));
        }
        parts.push(match self.landed.is_empty() {
            true => "nothing landed yet".to_owned(),
            false => format!("landed {}", records::text::counts(&self.landed, "none")),
        });
        if let Some(coverage) = self.coverage.as_ref().filter(|figures| figures.enumerated > 0) {
            let percent = records::statistics::percent(coverage.percent);
            let Figures { landed, enumerated, .. } = coverage;
            parts.push(format!("coverage {landed} of {enumerated} ({percent} %)"));
        }
        if self.findings > 0 {
            parts.push(format!("{} failed", self.findings));
        }
        let seconds = elapsed.as_secs_f64();
        if self.ended > 0 && seconds >= 1.0 {
            parts.push(format!("{:.0}/h", self.ended as f64 * 3_600.0 / seconds));
        }
        let left = self.left(elapsed).map(|left| format!(", about {} left", clock(left)));
        parts.push(format!("{}{}", clock(elapsed), left.unwrap_or_default()));
        parts.join("  ")
    }

    /// By the trials that ended so far; a campaign that is bounded by time knows better.
    fn left(&self, elapsed: Duration) -> Option<Duration> {
        let open = self.planned.map(|planned| planned.saturating_sub(self.ended));
        let by_trials = open
            .filter(|open| *open > 0 && self.ended > 0)
            .map(|open| elapsed.mul_f64(open as f64 / self.ended as f64));
        match (by_trials, self.time_left.filter(|left| !left.is_zero())) {
            (Some(trials), Some(time)) => Some(trials.min(time)),
            (one, other) => one.or(other),
        }
    }
}

/// `1:01`, `2:07:30`.
fn clock(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    match hours {
        0 => format!("{minutes}:{seconds:02}"),
        _ => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally() -> Tally {
        Tally {
            planned: Some(12),
            ended: 3,
            landed: BTreeMap::from([("oom".to_owned(), 1), ("sigkill".to_owned(), 2)]),
            ..Tally::default()
        }
    }

    #[test]
    fn the_line_says_how_far_how_fast_and_what_came_of_it() {
        let line = tally().line(Duration::from_secs(30), false);
        assert_eq!(line, "3/12  landed 1 oom · 2 sigkill  360/h  0:30, about 1:30 left");
        let figures = Figures { enumerated: 120, landed: 34, percent: 28.33, ..Figures::default() };
        let found = Tally { findings: 1, coverage: Some(figures), ..tally() };
        let line = found.line(Duration::from_secs(30), true);
        assert!(line.starts_with("3/12  ████░░░░░░░░░░░░  landed"), "{line}");
        assert!(line.contains("  coverage 34 of 120 (28.3 %)  1 failed  360/h  "), "{line}");
    }

    #[test]
    fn nothing_is_foretold_of_nothing() {
        let new = Tally { planned: Some(12), ..Tally::default() };
        assert_eq!(new.line(Duration::ZERO, false), "0/12  nothing landed yet  0:00");
        let endless = Tally { planned: None, ..tally() };
        assert!(endless.line(Duration::from_secs(30), true).ends_with("  0:30"));
        let bounded = Tally { time_left: Some(Duration::from_secs(8_000)), ..endless };
        assert!(bounded.line(Duration::from_secs(30), true).ends_with("0:30, about 2:13:20 left"));
        let over = Tally { ended: 12, ..tally() };
        assert!(over.line(Duration::from_secs(30), false).ends_with("  0:30"));
    }
}
