//! Measures: where the time goes, how long the tablet was away, what a fault cost.

use maud::{Markup, html};

use crate::render::terminal::{again, with_jobs};
use crate::summary::{Quantiles, Recovery, Summary, TimeShares};
use records::statistics::percent;
use records::text::{duration, plural, thousands};

use super::text;

/// Narrower parts of the bar have no room for a number.
const LABELLED_MIN: f64 = 0.06;

pub(super) fn section(summary: &Summary) -> Markup {
    html! {
        section.measures {
            h2 { "Measures" }
            @if let Some(shares) = &summary.time_shares { (time(shares)) }
            div.columns {
                div { (facts(summary)) }
                div { (recovery(&summary.recovery)) }
            }
        }
    }
}

fn time(shares: &TimeShares) -> Markup {
    let parts = || shares.parts().into_iter().enumerate();
    html! {
        div.card {
            h4 { "Where the time of trials goes" }
            div.timeshare role="img" aria-label="shares of time" {
                @for (i, (name, share)) in parts().filter(|(_, (_, share))| *share > 0.0) {
                    span class={ "part-" (i) } style={ "flex:" (format!("{:.4}", share)) } title={ (name) " " (whole(share)) } {
                        @if share >= LABELLED_MIN { (whole(share)) }
                    }
                }
            }
            div.legend {
                @for (i, (name, share)) in parts() {
                    span { i class={ "part-" (i) } {} (name) " " b { (whole(share)) } }
                }
            }
        }
    }
}

fn whole(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

fn facts(summary: &Summary) -> Markup {
    let trials = summary.trials;
    html! {
        h4 { "The run" }
        table.facts {
            tbody {
                @if let Some(rate) = &summary.reproduction {
                    (fact("reproduction", &again(rate, trials.inconclusive), "of one schedule, again and again"))
                }
                (fact(
                    "pace",
                    &format!("{:.0} trials per hour", summary.trials_per_hour),
                    with_jobs(summary).trim_start(),
                ))
                (fact(
                    "inconclusive",
                    &format!("{} %", percent(summary.inconclusive_percent)),
                    &format!("{} of {}", trials.inconclusive, trials.total),
                ))
                (fact(
                    "faults",
                    &format!("{} landed, {} missed", thousands(summary.landed_total()), thousands(summary.missed)),
                    "a fault counts only with evidence",
                ))
                (fact(
                    "kill to ready",
                    &quantiles(summary.kill_to_ready_ms, duration),
                    "from the death of the process to the next one's readiness",
                ))
                (fact(
                    "ready to moving",
                    &quantiles(summary.ready_to_moving_ms, duration),
                    "until the new process has saved more rows than there were",
                ))
                (fact(
                    "the engine's floor",
                    &summary.floor_cycle_ms.map_or_else(|| "not measured".to_owned(), duration),
                    "kill to running of a container that does nothing, in this run: no tablet can be faster",
                ))
                (fact(
                    "compared twice",
                    &quantiles(summary.rows_compared_twice, rows),
                    "rows a restart can have cost at most: by its last checkpoint, its pace and its death",
                ))
            }
        }
    }
}

fn fact(name: &str, value: &str, note: &str) -> Markup {
    html! { tr { td { (name) } td { b { (value) } div.dim { (note) } } } }
}

fn rows(count: u64) -> String {
    plural(count, "row")
}

fn quantiles(quantiles: Quantiles, words: impl Fn(u64) -> String) -> String {
    match (quantiles.p50, quantiles.p95, quantiles.max) {
        (Some(p50), Some(p95), Some(max)) => {
            format!("p50 {} · p95 {} · max {}", words(p50), words(p95), words(max))
        }
        _ => "nothing to measure".to_owned(),
    }
}

fn recovery(recovery: &[Recovery]) -> Markup {
    if recovery.is_empty() {
        return html! { h4 { "Recovery" } p.hint { "No tablet was restarted after a fault." } };
    }
    html! {
        h4 { "Recovery, by fault and phase" }
        table.numbers {
            thead {
                tr {
                    th rowspan="2" { "fault" } th rowspan="2" { "phase" } th.num rowspan="2" { "n" }
                    th.over colspan="3" { "kill to ready" } th.over colspan="3" { "ready to moving" }
                }
                tr { @for _ in 0..2 { th.num { "p50" } th.num { "p95" } th.num { "max" } } }
            }
            tbody {
                @for one in recovery {
                    tr {
                        td { (text(&one.fault)) }
                        td { (text(one.phase.as_deref().unwrap_or("–"))) }
                        td.num { (one.kill_to_ready_ms.count) }
                        (cells(one.kill_to_ready_ms))
                        (cells(one.ready_to_moving_ms))
                    }
                }
            }
        }
    }
}

fn cells(quantiles: Quantiles) -> Markup {
    html! {
        @for value in [quantiles.p50, quantiles.p95, quantiles.max] {
            td.num { (value.map_or_else(|| "–".to_owned(), duration)) }
        }
    }
}
