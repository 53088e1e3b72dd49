//! The page of a run: one self-contained file, readable without scripts, in light and dark. Findings
//! come first, then what was tried, then each trial with its timeline, folded.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::render::terminal::with_jobs;
use crate::summary::{InconclusiveTrial, Summary};
use records::run::{Part, TrialRecord};
use records::statistics::percent;
use records::text::{clean, counts, duration, plural, thousands};
use records::verdict::Verdict;

mod coverage;
mod finding;
mod landings;
mod measures;
mod timeline;
mod trial;

const STYLE: &str = include_str!("html/style.css");

/// Samples drawn of all trials together; each gets at least [`POINTS_MIN`].
const POINTS_TOTAL: usize = 24_000;
const POINTS_MIN: usize = 60;
const POINTS_MAX: usize = 400;

/// The run as one page.
#[must_use]
pub fn render(summary: &Summary, trials: &[TrialRecord]) -> String {
    let points = (POINTS_TOTAL / trials.len().max(1)).clamp(POINTS_MIN, POINTS_MAX);
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { "vdiff-chaos · " (summary.verdict) " · " (text(&summary.run)) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                (header(summary))
                main {
                    (tiles(summary))
                    (findings(summary, trials))
                    (unclear(&summary.inconclusive))
                    (landings::section(summary, trials))
                    (measures::section(summary))
                    (coverage::section(summary))
                    section {
                        h2 { "Trials" }
                        @for trial in trials { (trial::section(trial, points)) }
                    }
                }
                (footer(summary))
            }
        }
    };
    page.into_string()
}

/// Text that came from somewhere else: cleaned; maud escapes it.
fn text(raw: &str) -> String {
    clean(raw)
}

fn verdict_class(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "pass",
        Verdict::Fail => "fail",
        Verdict::Inconclusive => "unclear",
    }
}

fn badge(verdict: Verdict) -> Markup {
    html! { span class={ "badge " (verdict_class(verdict)) } { (verdict) } }
}

fn header(summary: &Summary) -> Markup {
    let trials = summary.trials;
    html! {
        header class=(verdict_class(summary.verdict)) {
            div.wrap {
                div.brand { "vdiff-chaos" }
                h1 { span.word { (crate::render::terminal::word(summary.verdict)) } (sentence(summary)) }
                p.lead {
                    (plural(trials.total, "trial")) " in " (duration(summary.duration_ms)) ": "
                    (trials.pass) " passed, " (trials.fail) " failed, "
                    (trials.inconclusive) " inconclusive. "
                    (plural(summary.checks, "check")) " made."
                }
                @for reason in &summary.verdict_reasons { p.doubt { (text(reason)) } }
                @for apart in &summary.not_judged { p.meta { "Not judged: " (text(apart)) "." } }
                @for proviso in summary.host.provisos() { p.meta { (text(&proviso)) } }
                p.meta {
                    span { "seed " b { (summary.seed) } }
                    span { "run " b { (text(&summary.run)) } }
                    @if summary.part != Part::Whole { span { (summary.part) } }
                    @if let Some(began) = chrono::DateTime::from_timestamp_millis(summary.started_wall_ms.cast_signed()) {
                        span { (began.format("%Y-%m-%d %H:%M UTC")) }
                    }
                }
            }
        }
    }
}

fn sentence(summary: &Summary) -> String {
    let landed = plural(summary.landed_total(), "fault");
    match summary.verdict {
        Verdict::Pass => format!("{landed} landed, and the tablet came back from each"),
        Verdict::Fail => {
            let invariants: std::collections::BTreeSet<_> =
                summary.findings.iter().map(|finding| finding.invariant).collect();
            let broken = plural(invariants.len() as u64, "invariant");
            format!("{broken} broken in {}", plural(summary.trials.fail, "trial"))
        }
        Verdict::Inconclusive => "This run says too little to be green".to_owned(),
    }
}

fn tile(value: &str, label: &str, note: &str) -> Markup {
    html! {
        div.tile {
            div.value { (value) }
            div.label { (label) }
            @if !note.is_empty() { div.note { (note) } }
        }
    }
}

fn tiles(summary: &Summary) -> Markup {
    let trials = summary.trials;
    let recovery = summary.recovery_ms;
    let middle = summary.landed_between_5_and_95_percent * 100.0;
    html! {
        section.tiles {
            div.tile {
                div.value { (trials.pass) span.of { "/" (trials.total) } }
                div.label { "trials passed" }
                (share_bar(summary))
            }
            (tile(
                &thousands(summary.landed_total()),
                "faults landed",
                &format!("floor {} · {} missed", summary.floor, summary.missed),
            ))
            (tile(&format!("{middle:.0} %"), "hit between 5 % and 95 % of the diff", &counts(&summary.landed_phases, "")))
            (tile(
                &recovery.p50.map_or_else(|| "–".to_owned(), duration),
                "restart to ready, median",
                &match (recovery.p95, recovery.max) {
                    (Some(p95), Some(max)) => format!("p95 {} · max {}", duration(p95), duration(max)),
                    _ => "no restart was measured".to_owned(),
                },
            ))
            (tile(
                &format!("{:.0}", summary.trials_per_hour),
                "trials per hour",
                with_jobs(summary).trim_start(),
            ))
            @if let Some(coverage) = &summary.coverage {
                (tile(
                    &format!("{} %", percent(coverage.percent)),
                    "of the crash points covered",
                    &format!("{} of {}", thousands(coverage.landed), thousands(coverage.enumerated)),
                ))
            }
        }
    }
}

fn share_bar(summary: &Summary) -> Markup {
    let trials = summary.trials;
    let shares = [("pass", trials.pass), ("fail", trials.fail), ("unclear", trials.inconclusive)];
    html! {
        div.share {
            @for (class, count) in shares.into_iter().filter(|(_, count)| *count > 0) {
                span class=(class) style={ "flex:" (count) } title={ (count) " " (class) } {}
            }
        }
    }
}

fn findings(summary: &Summary, trials: &[TrialRecord]) -> Markup {
    if summary.findings.is_empty() {
        return html! {};
    }
    html! {
        section {
            h2 { "Findings" span.count { (summary.findings.len()) } }
            @for findings in summary.findings.chunk_by(|a, b| a.trial == b.trial) {
                (finding::card(findings, trials.iter().find(|trial| trial.number() == findings[0].trial)))
            }
        }
    }
}

fn unclear(inconclusive: &[InconclusiveTrial]) -> Markup {
    if inconclusive.is_empty() {
        return html! {};
    }
    html! {
        section {
            h2 { "Inconclusive" span.count { (inconclusive.len()) } }
            p.hint { "The harness could not do its job here, or the fault never landed. These trials say nothing of the tablet." }
            table {
                thead { tr { th { "trial" } th { "cause" } } }
                tbody {
                    @for trial in inconclusive {
                        tr {
                            td { a href={ "#trial-" (trial.trial) } { (trial.trial) } }
                            td { @for cause in &trial.causes { div { (text(cause)) } } code.command { (text(&trial.replay)) } }
                        }
                    }
                }
            }
        }
    }
}

fn footer(summary: &Summary) -> Markup {
    html! {
        footer {
            div.wrap {
                p { (text(&summary.host.to_string())) }
                @for (name, id) in &summary.images { p { (text(name)) " " code { (text(id)) } } }
                p { "Judge these journals again: " code { "vdiff-chaos judge " (text(&records::text::shell_argument(&summary.directory))) } }
            }
        }
    }
}
