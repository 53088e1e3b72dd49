//! Where in the diff the faults hit: a row for each kind of fault, a dot for each landing.

use std::collections::BTreeMap;

use maud::{Markup, html};

use crate::summary::{Landing, Summary, landings};
use records::run::TrialRecord;
use records::verdict::Verdict;

const LEFT: f64 = 168.0;
const WIDTH: f64 = 960.0;
const ROW: f64 = 26.0;
const RIGHT: f64 = 60.0;
/// Dots drawn of one kind; more would only be a line.
const DOTS_MAX: usize = 600;

pub(super) fn section(summary: &Summary, trials: &[TrialRecord]) -> Markup {
    let mut rows: BTreeMap<&'static str, Vec<(u32, Verdict, Landing)>> = BTreeMap::new();
    for trial in trials {
        for landing in landings(trial) {
            let row = rows.entry(landing.fault.name()).or_default();
            row.push((trial.number(), trial.verdict(), landing));
        }
    }
    if rows.is_empty() {
        return html! {};
    }
    let height = ROW * rows.len() as f64 + 30.0;
    html! {
        section {
            h2 { "Where the faults hit" span.count { (summary.landed_total()) } }
            svg.chart viewBox={ "0 0 " (WIDTH) " " (height) } role="img" aria-label="landed faults by place in the diff" {
                @for percent in [0, 25, 50, 75, 100] {
                    @let x = x(f64::from(percent) / 100.0);
                    line.grid x1=(x) y1="4" x2=(x) y2=(height - 24.0) {}
                    text.tick x=(x) y=(height - 8.0) text-anchor="middle" { (percent) " %" }
                }
                @for (i, (fault, landings)) in rows.iter().enumerate() {
                    @let y = ROW * i as f64 + 17.0;
                    text.lane x=(LEFT - 12.0) y=(y + 4.0) text-anchor="end" { (fault) }
                    @for (trial, verdict, landing) in landings.iter().take(DOTS_MAX) {
                        @if let Some(fraction) = landing.fraction {
                            a href={ "#trial-" (trial) } {
                                circle class={ "dot " (super::verdict_class(*verdict)) }
                                    cx=(format!("{:.1}", x(fraction))) cy=(y) r="5.5" {
                                    title { "trial " (trial) ": " (super::text(&landing.in_words())) }
                                }
                            }
                        }
                    }
                    text.tick x=(WIDTH - 6.0) y=(y + 4.0) text-anchor="end" { (landings.len()) "×" }
                }
            }
        }
    }
}

fn x(fraction: f64) -> f64 {
    LEFT + fraction.clamp(0.0, 1.0) * (WIDTH - LEFT - RIGHT)
}

#[cfg(test)]
mod tests {
    use records::schedule::Fault;

    use super::LEFT;

    // A name that runs out of the picture is read as another one.
    #[test]
    fn the_longest_name_of_a_fault_has_room() {
        let longest = Fault::ALL.into_iter().map(|fault| fault.name().len()).max().unwrap();
        // Of the page's font at its size, a letter is less than 7 wide.
        assert!(longest as f64 * 7.0 + 12.0 <= LEFT, "{longest} letters");
    }
}
