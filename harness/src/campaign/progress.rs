//! What a user sees while a campaign runs.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use reports::TrialRecord;
use reports::journal::Event;
use reports::verdict::Verdict;

/// Without a terminal, a line so often.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// A bar on a terminal; else a line now and then.
pub(super) struct Bar<'a> {
    bar: Option<ProgressBar>,
    say: &'a (dyn Fn(&str) + Send + Sync),
    planned: Option<u64>,
    begun: Instant,
    last_line: Instant,
    ended: u64,
    failed: u64,
    landed: std::collections::BTreeMap<&'static str, u64>,
}

impl<'a> Bar<'a> {
    pub(super) fn new(planned: Option<u64>, say: &'a (dyn Fn(&str) + Send + Sync)) -> Bar<'a> {
        let bar = ProgressBar::with_draw_target(planned, ProgressDrawTarget::stderr());
        let template = match planned {
            Some(_) => "trials   {pos}/{len}  {bar:20}  {msg}  {elapsed} (about {eta} left)",
            None => "trials   {pos}  {spinner}  {msg}  {elapsed}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        let shown = !bar.is_hidden();
        Bar {
            bar: shown.then_some(bar),
            say,
            planned,
            begun: Instant::now(),
            last_line: Instant::now(),
            ended: 0,
            failed: 0,
            landed: std::collections::BTreeMap::new(),
        }
    }

    pub(super) fn trial(&mut self, trial: &TrialRecord) {
        self.ended += 1;
        self.failed += u64::from(trial.verdict() == Verdict::Fail);
        for record in &trial.records {
            if let Event::FaultLanded(landed) = &record.event {
                *self.landed.entry(landed.fault.name()).or_default() += 1;
            }
        }
        if let Some(bar) = &self.bar {
            bar.set_position(self.ended);
            bar.set_message(self.message());
        }
    }

    pub(super) fn tick(&mut self) {
        match &self.bar {
            Some(bar) => bar.tick(),
            None if self.last_line.elapsed() >= LINE_EVERY => {
                self.last_line = Instant::now();
                self.line();
            }
            None => {}
        }
    }

    pub(super) fn finish(self) {
        match &self.bar {
            Some(bar) => {
                bar.finish_and_clear();
                self.line();
            }
            None => self.line(),
        }
    }

    fn line(&self) {
        let of = self.planned.map(|planned| format!("/{planned}")).unwrap_or_default();
        let elapsed = self.begun.elapsed().as_secs();
        (self.say)(&format!(
            "trials   {}{of}  {}  {}:{:02}{}",
            self.ended,
            self.message(),
            elapsed / 60,
            elapsed % 60,
            self.left(elapsed)
        ));
    }

    fn left(&self, elapsed: u64) -> String {
        match self.planned.map(|planned| planned.saturating_sub(self.ended)) {
            Some(open) if open > 0 && self.ended > 0 => {
                format!(" (about {} s left)", elapsed * open / self.ended)
            }
            Some(_) | None => String::new(),
        }
    }

    fn message(&self) -> String {
        let landed: Vec<String> =
            self.landed.iter().map(|(fault, count)| format!("{count} {fault}")).collect();
        let failed =
            if self.failed > 0 { format!("{} failed, ", self.failed) } else { String::new() };
        if landed.is_empty() {
            return format!("{failed}nothing landed yet");
        }
        format!("{failed}landed {}", landed.join(" · "))
    }
}
