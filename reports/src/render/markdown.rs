//! The Markdown summary, for the step summary of a hosted pipeline: short, and never over its limit
//! (a step summary of more than 1 MiB is refused whole).

use std::fmt::Write as _;

use crate::render::terminal::{again, covered, never_reached, shard_note, with_jobs, word};
use crate::summary::{Finding, Summary};
use records::statistics::percent;
use records::text::{clean, counts, duration, plural, shorten, thousands};

/// Bytes; well below 1 MiB, since a pipeline may append more.
const SIZE_MAX: usize = 512 * 1024;
const FINDINGS_MAX: usize = 50;
const REASONS_MAX: usize = 12;
const CELL_MAX: usize = 400;
/// Crash points that are named.
const NEVER_MAX: usize = 40;

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
    for part in [unclear, recovery, coverage] {
        part(&mut out, summary).expect("a String takes all text");
    }
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
    for apart in &summary.not_judged {
        writeln!(out, "Not judged: {}.\n", escape(apart))?;
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
    row(out, "checks", &thousands(summary.checks))?;
    speed(out, summary)?;
    row(out, "host", &summary.host.to_string())?;
    for proviso in summary.host.provisos() {
        row(out, "", &proviso)?;
    }
    for (name, id) in &summary.images {
        row(out, &format!("image {name}"), id)?;
    }
    Ok(())
}

fn speed(out: &mut String, summary: &Summary) -> std::fmt::Result {
    let jobs = with_jobs(summary);
    row(out, "trials per hour", &format!("{:.0}{jobs}", summary.trials_per_hour))?;
    row(out, "inconclusive", &format!("{} %", percent(summary.inconclusive_percent)))?;
    if let Some(rate) = &summary.reproduction {
        row(out, "again", &again(rate, summary.trials.inconclusive))?;
    }
    if let Some(floor_ms) = summary.floor_cycle_ms {
        row(out, "the engine's own cycle, kill to running", &duration(floor_ms))?;
    }
    let twice = summary.rows_compared_twice;
    if let (Some(p95), Some(max)) = (twice.p95, twice.max) {
        let rows = format!("p95 {}, max {}", thousands(p95), thousands(max));
        row(out, "rows compared twice by a restart, at most", &rows)?;
    }
    if let Some(shares) = &summary.time_shares {
        let parts = shares.parts().map(|(name, share)| format!("{name} {:.0} %", share * 100.0));
        row(out, "where time goes", &parts.join(" · "))?;
    }
    if let Some(coverage) = &summary.coverage {
        row(out, "coverage", &covered(coverage))?;
    }
    Ok(())
}

fn recovery(out: &mut String, summary: &Summary) -> std::fmt::Result {
    if summary.recovery.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n### Recovery\n")?;
    writeln!(
        out,
        "| fault | phase | n | kill to ready p50 | p95 | max | ready to moving p50 | p95 | max |"
    )?;
    writeln!(out, "| --- | --- | --: | --: | --: | --: | --: | --: | --: |")?;
    for one in &summary.recovery {
        let (ready, moving) = (one.kill_to_ready_ms, one.ready_to_moving_ms);
        let phase = one.phase.as_deref().unwrap_or("–");
        write!(out, "| {} | {} | {} |", escape(&one.fault), escape(phase), ready.count)?;
        for value in [ready.p50, ready.p95, ready.max, moving.p50, moving.p95, moving.max] {
            write!(out, " {} |", value.map_or_else(|| "–".to_owned(), duration))?;
        }
        writeln!(out)?;
    }
    Ok(())
}

fn coverage(out: &mut String, summary: &Summary) -> std::fmt::Result {
    let Some(figures) = &summary.coverage else { return Ok(()) };
    writeln!(
        out,
        "\n### Coverage\n\n| phase | crash points | landed | % |\n| --- | --: | --: | --: |"
    )?;
    for one in &figures.by_phase {
        let name = escape(&one.phase);
        writeln!(
            out,
            "| {name} | {} | {} | {} |",
            one.enumerated,
            one.landed,
            percent(one.percent)
        )?;
    }
    if let Some(note) = shard_note(summary) {
        writeln!(out, "\n{note}")?;
    }
    let never_reached = never_reached(summary);
    if !never_reached.is_empty() {
        writeln!(out, "\nNever reached:\n")?;
    }
    for never in never_reached.iter().take(NEVER_MAX) {
        writeln!(out, "- {}", escape(&never.point))?;
    }
    if let Some(more) = never_reached.len().checked_sub(NEVER_MAX).filter(|more| *more > 0) {
        writeln!(out, "- … and {more} more in the report")?;
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
