//! The Markdown summary, for the step summary of a hosted pipeline: short, and never over its limit
//! (a step summary of more than 1 MiB is refused whole).

use std::fmt::Write as _;

use crate::render::terminal::word;
use crate::summary::{Finding, Summary};
use crate::text::{clean, counts, duration, plural, shorten};

/// Bytes; well below 1 MiB, since a pipeline may append more.
const SIZE_MAX: usize = 512 * 1024;
const FINDINGS_MAX: usize = 50;
const REASONS_MAX: usize = 12;
const CELL_MAX: usize = 400;

/// The summary as Markdown.
#[must_use]
pub fn render(summary: &Summary) -> String {
    let mut out = String::new();
    head(&mut out, summary).expect("a String takes all text");
    let mut left_out = summary.findings.len().saturating_sub(FINDINGS_MAX);
    for (i, item) in summary.findings.iter().take(FINDINGS_MAX).enumerate() {
        let mut text = String::new();
        finding(&mut text, item).expect("a String takes all text");
        if out.len() + text.len() > SIZE_MAX {
            left_out = summary.findings.len() - i;
            break;
        }
        out.push_str(&text);
    }
    if left_out > 0 {
        let more = plural(left_out as u64, "more finding");
        writeln!(out, "\n… and {more} in the report.").expect("a String takes all text");
    }
    unclear(&mut out, summary).expect("a String takes all text");
    out
}

fn head(out: &mut String, summary: &Summary) -> std::fmt::Result {
    let trials = summary.trials;
    writeln!(out, "## vdiff-chaos: {}\n", word(summary.verdict))?;
    writeln!(
        out,
        "{} (seed {}): {} passed, {} failed, {} inconclusive in {}.\n",
        plural(trials.total, "trial"),
        summary.seed,
        trials.pass,
        trials.fail,
        trials.inconclusive,
        duration(summary.duration_ms),
    )?;
    for reason in &summary.verdict_reasons {
        writeln!(out, "> {}\n", escape(reason))?;
    }
    writeln!(out, "| | |\n| --- | --- |")?;
    let landed = counts(&summary.landed, "none");
    let total = summary.landed_total();
    row(out, "landed faults", &format!("{total} (floor {}): {landed}", summary.floor))?;
    row(out, "missed", &summary.missed.to_string())?;
    row(out, "phases hit", &counts(&summary.landed_phases, "none"))?;
    let middle = summary.landed_between_5_and_95_percent * 100.0;
    row(out, "between 5 % and 95 % of the diff", &format!("{middle:.0} %"))?;
    let recovery = summary.recovery_ms;
    if let (Some(p50), Some(p95), Some(max)) = (recovery.p50, recovery.p95, recovery.max) {
        let times = format!("p50 {}, p95 {}, max {}", duration(p50), duration(p95), duration(max));
        row(out, "restart to ready", &times)?;
    }
    row(out, "checks", &crate::text::thousands(summary.checks))?;
    row(out, "trials per hour", &format!("{:.0}", summary.trials_per_hour))?;
    row(out, "host", &summary.host.to_string())?;
    for (name, id) in &summary.images {
        row(out, &format!("image {name}"), id)?;
    }
    Ok(())
}

fn row(out: &mut String, name: &str, value: &str) -> std::fmt::Result {
    writeln!(out, "| {} | {} |", escape(name), escape(value))
}

fn finding(out: &mut String, finding: &Finding) -> std::fmt::Result {
    let title = format!("{} {}", finding.invariant, finding.title);
    writeln!(out, "\n### Finding: trial {}, {}\n", finding.trial, escape(&title))?;
    writeln!(out, "{}\n", finding.invariant.sentence())?;
    for reason in finding.reasons.iter().take(REASONS_MAX) {
        writeln!(out, "- {}", escape(reason))?;
    }
    if finding.reasons.len() > REASONS_MAX {
        writeln!(out, "- … and {} more", finding.reasons.len() - REASONS_MAX)?;
    }
    if !finding.faults.is_empty() {
        writeln!(out, "\nFaults:\n")?;
    }
    for fault in finding.faults.iter().take(REASONS_MAX) {
        writeln!(out, "- {}", escape(fault))?;
    }
    writeln!(out, "\n```sh\n{}\n```", clean(&finding.replay).replace("```", ""))
}

fn unclear(out: &mut String, summary: &Summary) -> std::fmt::Result {
    if summary.inconclusive.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n### Inconclusive\n\n| trial | cause |\n| --- | --- |")?;
    for trial in summary.inconclusive.iter().take(FINDINGS_MAX) {
        writeln!(out, "| {} | {} |", trial.trial, escape(&trial.causes.join("; ")))?;
    }
    Ok(())
}

/// Text that Markdown shows as it is, in a table's cell too.
fn escape(text: &str) -> String {
    let mut out = String::new();
    for c in shorten(&clean(text), CELL_MAX).chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '|' | '`' | '*' | '_' | '[' | ']' | '\\' | '#' | '~' | '@' => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out
}
