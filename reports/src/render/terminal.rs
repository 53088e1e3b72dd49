//! The last lines of a run: verdict, counts, findings with their replay commands, the report's path.

use std::fmt::Write as _;

use crate::summary::{Finding, Summary};
use records::coverage::{Figures, NeverReached};
use records::run::Part;
use records::statistics::{Rate, percent};
use records::text::{clean, duration, plural, shorten, thousands};
use records::verdict::Verdict;

/// Findings that are told; the rest is counted, and stands in the report.
const FINDINGS_MAX: usize = 5;
/// Reasons of a finding that are told.
const REASONS_MAX: usize = 3;
/// Crash points that are named; the rest is counted, and stands in the report.
const NEVER_MAX: usize = 5;
const WIDTH: usize = 160;

/// The last lines of a run; `report` is the path of its page.
#[must_use]
pub fn render(summary: &Summary, report: &str) -> String {
    let mut out = Lines::default();
    out.line(word(summary.verdict), &headline(summary));
    out.line("", &measures(summary));
    out.line("", &speed(summary));
    for apart in &summary.not_judged {
        out.line("", &format!("not judged: {apart}"));
    }
    coverage(&mut out, summary);
    if let Some(rate) = &summary.reproduction {
        out.line("again", &again(rate, summary.trials.inconclusive));
    }
    for reason in &summary.verdict_reasons {
        out.line("", reason);
    }
    for proviso in summary.host.provisos() {
        out.whole("", &proviso);
    }
    for finding in summary.findings.iter().take(FINDINGS_MAX) {
        finding_lines(&mut out, finding);
    }
    if let Some(more) = summary.findings.len().checked_sub(FINDINGS_MAX).filter(|more| *more > 0) {
        out.line("", &format!("… and {} more in the report", plural(more as u64, "finding")));
    }
    for trial in summary.inconclusive.iter().take(FINDINGS_MAX) {
        out.line("unclear", &format!("trial {}: {}", trial.trial, trial.causes.join("; ")));
    }
    out.line("report", report);
    out.text
}

/// The verdict as it stands at the beginning of the line.
#[must_use]
pub fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "PASS",
        Verdict::Fail => "FAIL",
        Verdict::Inconclusive => "UNCLEAR",
    }
}

fn headline(summary: &Summary) -> String {
    let trials = summary.trials;
    let failed = if trials.fail > 0 { format!(", {} failed", trials.fail) } else { String::new() };
    let again =
        if trials.again > 0 { format!(", {} tried again", trials.again) } else { String::new() };
    format!(
        "{}{failed}, {} landed (floor {}), {} missed, {} inconclusive{again}",
        plural(trials.total, "trial"),
        plural(summary.landed_total(), "fault"),
        summary.floor,
        summary.missed,
        trials.inconclusive,
    )
}

fn measures(summary: &Summary) -> String {
    let mut parts = vec![plural(summary.checks, "check")];
    if let (Some(p50), Some(p95)) = (summary.recovery_ms.p50, summary.recovery_ms.p95) {
        parts.push(format!("ready after a restart p50 {}, p95 {}", duration(p50), duration(p95)));
    }
    if summary.landed_total() > 0 {
        let percent = summary.landed_between_5_and_95_percent * 100.0;
        parts.push(format!("{percent:.0} % of the faults mid-diff"));
    }
    parts.join(" · ")
}

/// How fast, and what a fault costs.
fn speed(summary: &Summary) -> String {
    let mut parts = vec![format!("{:.0} trials/h{}", summary.trials_per_hour, with_jobs(summary))];
    if let Some(p50) = summary.kill_to_ready_ms.p50 {
        let floor =
            summary.floor_cycle_ms.map(|ms| format!(" (of that the engine {})", duration(ms)));
        parts.push(format!("kill to ready p50 {}{}", duration(p50), floor.unwrap_or_default()));
    }
    if let Some(p50) = summary.ready_to_moving_ms.p50 {
        parts.push(format!("moving again p50 {}", duration(p50)));
    }
    if let Some(max) = summary.rows_compared_twice.max {
        parts.push(format!("at most {} rows compared twice", thousands(max)));
    }
    parts.join(" · ")
}

/// ` with 2 jobs`; nothing where trials were not dealt to jobs (scenarios).
#[must_use]
pub(super) fn with_jobs(summary: &Summary) -> String {
    match summary.jobs {
        0 => String::new(),
        jobs => format!(" with {}", plural(jobs, "job")),
    }
}

fn coverage(out: &mut Lines, summary: &Summary) {
    let Some(coverage) = &summary.coverage else { return };
    out.line("coverage", &covered(coverage));
    if let Some(note) = shard_note(summary) {
        out.line("", &note);
    }
    let never_reached = never_reached(summary);
    for never in never_reached.iter().take(NEVER_MAX) {
        out.line("never", &never.point);
    }
    if let Some(more) = never_reached.len().checked_sub(NEVER_MAX).filter(|more| *more > 0) {
        out.line("", &format!("… and {} more in the report", plural(more as u64, "point")));
    }
}

/// Points that were not reached. A shard enumerates the others' points too, and strikes none of them: it
/// names those that it has tried.
#[must_use]
pub(super) fn never_reached(summary: &Summary) -> Vec<&NeverReached> {
    let points = summary.coverage.iter().flat_map(|figures| &figures.never_reached);
    let is_shard = matches!(summary.part, Part::Shard { .. });
    points.filter(|point| !is_shard || point.missed > 0).collect()
}

/// What a reader of a shard's coverage must know.
#[must_use]
pub(super) fn shard_note(summary: &Summary) -> Option<String> {
    let Part::Shard { .. } = summary.part else { return None };
    Some(format!("{}: the points of the others count here, and are not struck", summary.part))
}

/// `119 of 120 crash points (99.2 %), 4 time-driven ones apart`
#[must_use]
pub(super) fn covered(figures: &Figures) -> String {
    let apart = match figures.time_driven {
        0 => String::new(),
        count => format!(", {count} time-driven apart"),
    };
    let (landed, percent) = (thousands(figures.landed), percent(figures.percent));
    format!("{landed} of {} ({percent} %){apart}", plural(figures.enumerated, "crash point"))
}

/// `failed 3 of 20 times (15 %, 95 % interval 5.2–36.0 %)`
#[must_use]
pub(super) fn again(rate: &Rate, inconclusive: u64) -> String {
    match inconclusive {
        0 => format!("failed {rate}"),
        count => format!("failed {rate}, and {count} inconclusive"),
    }
}

fn finding_lines(out: &mut Lines, finding: &Finding) {
    let title = format!("trial {}: {} {}", finding.trial, finding.invariant, finding.title);
    out.line("finding", &title);
    for reason in finding.reasons.iter().take(REASONS_MAX) {
        out.line("", &format!("  {reason}"));
    }
    if let Some(more) = finding.reasons.len().checked_sub(REASONS_MAX).filter(|more| *more > 0) {
        out.line("", &format!("  … and {} more", plural(more as u64, "reason")));
    }
    for fault in finding.faults.iter().take(REASONS_MAX) {
        out.line("", &format!("  fault {fault}"));
    }
    // Never cut: it is there to be copied.
    out.whole("", &format!("  replay with  {}", finding.replay));
}

#[derive(Default)]
struct Lines {
    text: String,
}

impl Lines {
    fn line(&mut self, label: &str, text: &str) {
        self.whole(label, &shorten(text, WIDTH));
    }

    fn whole(&mut self, label: &str, text: &str) {
        let line = format!("{label:<8} {}", clean(text));
        writeln!(self.text, "{}", line.trim_end()).expect("a String takes all text");
    }
}
