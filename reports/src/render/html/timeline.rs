//! A trial's timeline as SVG: the diff's progress, the tablet's memory, readiness and incarnations,
//! and across them the faults.

use std::fmt::Write as _;

use maud::{Markup, html};

use crate::summary::{Landing, landings};
use records::journal::{Event, Record, Sample, Side};
use records::run::TrialRecord;
use records::text::bytes;

const WIDTH: f64 = 960.0;
const LEFT: f64 = 84.0;
const RIGHT: f64 = 20.0;
const PROGRESS: (f64, f64) = (56.0, 110.0);
const MEMORY: (f64, f64) = (184.0, 64.0);
const READY: (f64, f64) = (266.0, 14.0);
const LIVES: (f64, f64) = (286.0, 20.0);
const HEIGHT: f64 = 334.0;
/// Labels of faults stand on this many levels, so that neighbours do not cover each other.
const LABEL_LEVELS: usize = 3;

struct Scale {
    end_ms: f64,
}

impl Scale {
    fn x(&self, at_ms: u64) -> f64 {
        LEFT + (at_ms as f64 / self.end_ms).min(1.0) * (WIDTH - LEFT - RIGHT)
    }
}

pub(super) fn svg(trial: &TrialRecord, points: usize) -> Markup {
    let scale = Scale { end_ms: trial.duration_ms().max(1) as f64 };
    let samples = thin_out(&trial.records, points);
    if samples.is_empty() && trial.records.is_empty() {
        return html! { p.hint { "The trial left no journal." } };
    }
    let limit = trial.schedule.pace.memory_limit_bytes;
    html! {
        svg.chart viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" aria-label="timeline of the trial" {
            (axis(&scale))
            (progress(&scale, &samples))
            (memory(&scale, &samples, limit))
            (readiness(&scale, &trial.records))
            (incarnations(&scale, &trial.records))
            (deaths(&scale, &trial.records))
            (faults(&scale, &landings(trial)))
        }
    }
}

/// At most so many samples, the first and the last among them, peaks of memory kept.
fn thin_out(records: &[Record], points: usize) -> Vec<(u64, Sample)> {
    let samples: Vec<(u64, &Sample)> = records
        .iter()
        .filter_map(|record| match &record.event {
            Event::Sample(sample) => Some((record.at_ms, sample)),
            _ => None,
        })
        .collect();
    let bucket = samples.len().div_ceil(points.max(1)).max(1);
    samples
        .chunks(bucket)
        .filter_map(|chunk| {
            let (at_ms, last) = chunk.last()?;
            let mut kept = (*last).clone();
            kept.rss_bytes = chunk.iter().filter_map(|(_, sample)| sample.rss_bytes).max();
            kept.cgroup_bytes = chunk.iter().filter_map(|(_, sample)| sample.cgroup_bytes).max();
            Some((*at_ms, kept))
        })
        .collect()
}

fn axis(scale: &Scale) -> Markup {
    let seconds = scale.end_ms / 1e3;
    let step = [0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0]
        .into_iter()
        .find(|step| seconds / step <= 12.0)
        .unwrap_or(1800.0);
    let ticks = (seconds / step) as u64;
    html! {
        @for tick in 0..=ticks {
            @let at = tick as f64 * step;
            @let x = scale.x((at * 1e3) as u64);
            line.grid x1=(px(x)) y1=(PROGRESS.0) x2=(px(x)) y2=(LIVES.0 + LIVES.1) {}
            text.tick x=(px(x)) y=(HEIGHT - 10.0) text-anchor="middle" { (at) " s" }
        }
        (lane(PROGRESS, "progress"))
        (lane(MEMORY, "memory"))
        (lane(READY, "ready"))
        (lane(LIVES, "process"))
    }
}

fn lane((top, height): (f64, f64), name: &str) -> Markup {
    html! { text.lane x=(LEFT - 12.0) y=(top + height / 2.0 + 4.0) text-anchor="end" { (name) } }
}

fn progress(scale: &Scale, samples: &[(u64, Sample)]) -> Markup {
    let (top, height) = PROGRESS;
    let points: Vec<(f64, f64)> = samples
        .iter()
        .filter(|(_, sample)| sample.rows_total > 0)
        .map(|(at_ms, sample)| {
            let done = (sample.rows_compared as f64 / sample.rows_total as f64).min(1.0);
            (scale.x(*at_ms), top + height * (1.0 - done))
        })
        .collect();
    let base = top + height;
    html! {
        @for percent in [0.0, 50.0, 100.0] {
            @let y = top + height * (1.0 - percent / 100.0);
            line.grid x1=(LEFT) y1=(y) x2=(WIDTH - RIGHT) y2=(y) {}
        }
        text.tick x=(LEFT + 4.0) y=(top + 11.0) { "100 %" }
        @if let (Some(first), Some(last)) = (points.first(), points.last()) {
            @let line = polyline(&points);
            path.area d=(format!("M{:.1} {base} L{} L{:.1} {base} Z", first.0, &line[1..], last.0)) {}
            path.line.done d=(line) {}
        }
    }
}

fn memory(scale: &Scale, samples: &[(u64, Sample)], limit: u64) -> Markup {
    let (top, height) = MEMORY;
    let peak = samples
        .iter()
        .flat_map(|(_, sample)| [sample.rss_bytes, sample.cgroup_bytes])
        .flatten()
        .max()
        .unwrap_or(0);
    let ceiling = (peak.max(limit).max(1)) as f64 * 1.1;
    let y = |value: u64| top + height * (1.0 - value as f64 / ceiling);
    let series = |pick: fn(&Sample) -> Option<u64>| {
        let mut path = String::new();
        let mut run: Vec<(f64, f64)> = Vec::new();
        for (at_ms, sample) in samples {
            match pick(sample) {
                Some(value) => run.push((scale.x(*at_ms), y(value))),
                None => path.push_str(&polyline(&std::mem::take(&mut run))),
            }
        }
        path + &polyline(&run)
    };
    html! {
        line.grid x1=(LEFT) y1=(top + height) x2=(WIDTH - RIGHT) y2=(top + height) {}
        path.line.cgroup d=(series(|sample| sample.cgroup_bytes)) { title { "charged to the container" } }
        path.line.rss d=(series(|sample| sample.rss_bytes)) { title { "resident set" } }
        @if limit > 0 {
            line.limit x1=(LEFT) y1=(px(y(limit))) x2=(WIDTH - RIGHT) y2=(px(y(limit))) {}
            text.tick x=(LEFT + 4.0) y=(px(y(limit) - 4.0)) { "limit " (bytes(limit)) }
        }
        @if peak > 0 {
            text.tick x=(WIDTH - RIGHT) y=(px(top + height - 4.0)) text-anchor="end" {
                tspan.rss { "rss" } " · " tspan.cgroup { "charged" } " · peak " (bytes(peak))
            }
        }
    }
}

/// What the target was at each time: ready, not ready, or not there.
fn readiness(scale: &Scale, records: &[Record]) -> Markup {
    let mut spans: Vec<(u64, &'static str)> = Vec::new();
    for record in records {
        let state = match &record.event {
            Event::TabletStarted(e) if e.side == Side::Target => "waiting",
            Event::TabletExited(e) if e.side == Side::Target => "down",
            Event::Readiness { side: Side::Target, ready, .. } => {
                if *ready {
                    "ready"
                } else {
                    "waiting"
                }
            }
            _ => continue,
        };
        if spans.last().is_none_or(|(_, last)| *last != state) {
            spans.push((record.at_ms, state));
        }
    }
    let end_ms = scale.end_ms as u64;
    let ends = spans.iter().skip(1).map(|(at_ms, _)| *at_ms).chain([end_ms]);
    html! {
        @for ((from, state), to) in spans.iter().zip(ends) {
            rect class={ "state " (state) } x=(px(scale.x(*from))) y=(READY.0)
                width=(px((scale.x(to) - scale.x(*from)).max(0.8))) height=(READY.1) {
                title { (state) " from " (from) " ms to " (to) " ms" }
            }
        }
    }
}

fn incarnations(scale: &Scale, records: &[Record]) -> Markup {
    let mut lives: Vec<(u32, u64, u64)> = Vec::new();
    for record in records {
        match &record.event {
            Event::TabletStarted(e) if e.side == Side::Target => {
                lives.push((e.incarnation, record.at_ms, scale.end_ms as u64));
            }
            Event::TabletExited(e) if e.side == Side::Target => {
                let life = lives.iter_mut().rev().find(|life| life.0 == e.incarnation);
                if let Some(life) = life {
                    life.2 = record.at_ms;
                }
            }
            _ => {}
        }
    }
    html! {
        @for (incarnation, from, to) in &lives {
            @let (x, width) = (scale.x(*from), (scale.x(*to) - scale.x(*from)).max(1.5));
            rect.life x=(px(x)) y=(LIVES.0) width=(px(width)) height=(LIVES.1) rx="3" {}
            @if width > 24.0 {
                text.life-name x=(px(x + width / 2.0)) y=(LIVES.0 + 14.0) text-anchor="middle" { "#" (incarnation) }
            }
        }
    }
}

/// A cross where the target ended by itself.
fn deaths(scale: &Scale, records: &[Record]) -> Markup {
    let y = LIVES.0 + LIVES.1 / 2.0;
    html! {
        @for record in records {
            @if let Event::TabletExited(exit) = &record.event {
                @if exit.side == Side::Target && exit.is_unasked() {
                    @let x = scale.x(record.at_ms);
                    path.death d=(format!("M{:.1} {:.1}l8 8m0-8l-8 8", x - 4.0, y - 4.0)) {
                        title { "ended by itself, exit " (exit.exit_code) }
                    }
                }
            }
        }
    }
}

fn faults(scale: &Scale, landings: &[Landing]) -> Markup {
    html! {
        @for (i, landing) in landings.iter().enumerate() {
            @let x = scale.x(landing.at_ms);
            @let y = 12.0 + (i % LABEL_LEVELS) as f64 * 14.0;
            // Near the right edge the label stands to the left of its line.
            @let (dx, anchor) = if x > WIDTH - 220.0 { (-6.0, "end") } else { (6.0, "start") };
            line.fault x1=(px(x)) y1=(y - 8.0) x2=(px(x)) y2=(LIVES.0 + LIVES.1) {}
            circle.fault cx=(px(x)) cy=(y - 4.0) r="3.5" {}
            text.fault x=(px(x + dx)) y=(y) text-anchor=(anchor) {
                (landing.fault)
                @if let Some(fraction) = landing.fraction { " at " (format!("{:.0}", fraction * 100.0)) " %" }
                title { (super::text(&landing.in_words())) }
            }
        }
    }
}

fn polyline(points: &[(f64, f64)]) -> String {
    let mut path = String::new();
    for (i, (x, y)) in points.iter().enumerate() {
        let command = if i == 0 { "M" } else { "L" };
        write!(path, "{command}{x:.1} {y:.1}").expect("a String takes all text");
    }
    path
}

fn px(value: f64) -> String {
    format!("{value:.1}")
}
