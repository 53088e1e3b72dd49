//! Coverage: crash points by phase and fault, and the names of those that were never reached.

use std::collections::BTreeMap;

use maud::{Markup, html};

use crate::render::terminal::{covered, never_reached, shard_note};
use crate::summary::Summary;
use records::coverage::{Figures, NeverReached};
use records::statistics::percent;
use records::text::{plural, thousands};

use super::text;

/// More names than these are folded.
const UNFOLDED_MAX: usize = 12;

pub(super) fn section(summary: &Summary) -> Markup {
    let Some(figures) = &summary.coverage else { return html! {} };
    html! {
        section.measures {
            h2 { "Coverage" span.count { (covered(figures)) } }
            p.hint {
                "A crash point is an exchange of the target tablet and a moment of it: before it is sent, executed "
                "and not answered, answered. It is covered when a fault landed exactly there."
            }
            @if let Some(note) = shard_note(summary) { p.hint { (note) } }
            (table(figures))
            (never(&never_reached(summary)))
        }
    }
}

fn table(figures: &Figures) -> Markup {
    let faults: Vec<&String> = figures.by_fault.keys().collect();
    html! {
        table.numbers.coverage {
            thead {
                tr {
                    th { "phase" } th.num { "points" } th.num { "landed" } th.num { "%" } th.bar {}
                    @for fault in &faults { th.num { (text(fault)) } }
                }
            }
            tbody {
                @for one in &figures.by_phase {
                    tr {
                        td { (text(&one.phase)) }
                        (cells(one.enumerated, one.landed, one.percent))
                        (by_fault(&faults, &one.by_fault))
                    }
                }
                tr.total {
                    td { "all" }
                    (cells(figures.enumerated, figures.landed, figures.percent))
                    (by_fault(&faults, &figures.by_fault))
                }
            }
        }
        @if figures.time_driven > 0 {
            p.hint {
                "Apart: " (plural(figures.time_driven, "point")) " that the clock brings (heartbeats, back-off), "
                (figures.time_driven_landed) " hit. They are no part of the percentage."
            }
        }
    }
}

fn cells(enumerated: u64, landed: u64, of_percent: f64) -> Markup {
    html! {
        td.num { (thousands(enumerated)) }
        td.num { (thousands(landed)) }
        td.num { (percent(of_percent)) }
        td.bar { div.meter { span style={ "width:" (format!("{of_percent:.1}")) "%" } {} } }
    }
}

fn by_fault(faults: &[&String], counts: &BTreeMap<String, u64>) -> Markup {
    html! {
        @for fault in faults { td.num { (thousands(counts.get(*fault).copied().unwrap_or(0))) } }
    }
}

fn never(points: &[&NeverReached]) -> Markup {
    if points.is_empty() {
        return html! {};
    }
    html! {
        details.events open[points.len() <= UNFOLDED_MAX] {
            summary { "Never reached (" (points.len()) ")" }
            ul.points {
                @for point in points {
                    li {
                        code { (text(&point.point)) }
                        @if point.missed > 0 { span.dim { " tried, and missed " (point.missed) "×" } }
                    }
                }
            }
        }
    }
}
