//! One trial, folded: its timeline, what each oracle said, what happened to each fault, the events.

use maud::{Markup, html};

use crate::summary::landings;
use records::journal::{Event, OperatorAct, Record, Side};
use records::run::TrialRecord;
use records::text::{duration, shorten, thousands};
use records::verdict::{Judgement, Verdict};

use super::{badge, text, timeline};

/// Events listed of one trial, the first and the last; a journal has them all.
const EVENTS_MAX: usize = 60;
const WORDS_MAX: usize = 240;

pub(super) fn section(trial: &TrialRecord, points: usize) -> Markup {
    let verdict = trial.verdict();
    let checks: u64 = trial.judgements.iter().map(|judgement| judgement.checks).sum();
    html! {
        details.trial id={ "trial-" (trial.number()) } open[verdict == Verdict::Fail] {
            summary {
                (badge(verdict))
                span.number { "trial " (trial.number()) }
                span.steps { (text(&trial.schedule.in_words())) }
                span.aside { (thousands(checks)) " checks · " (duration(trial.duration_ms())) }
            }
            div.body {
                (timeline::svg(trial, points))
                div.columns {
                    div { h4 { "Oracles" } (oracles(&trial.judgements)) }
                    div { h4 { "Faults" } (faults(trial)) (setting(trial)) }
                }
                (events(trial))
            }
        }
    }
}

fn oracles(judgements: &[Judgement]) -> Markup {
    html! {
        table.oracles {
            thead { tr { th { "invariant" } th { "verdict" } th.num { "checks" } } }
            tbody {
                @for judgement in judgements {
                    tr.idle[!judgement.weighs()] {
                        td { b { (judgement.invariant) } " " (judgement.invariant.title()) }
                        td {
                            @if judgement.not_applicable { span.badge.idle { "not tried" } }
                            @else if judgement.excused {
                                span.badge.idle { (judgement.verdict) ", excused by a tag" }
                            }
                            @else { (badge(judgement.verdict)) }
                        }
                        td.num { @if judgement.checks > 0 { (thousands(judgement.checks)) } }
                    }
                    @for reason in judgement.reasons.iter().take(4) {
                        tr.reason { td colspan="3" { (shorten(&text(&reason.text), WORDS_MAX)) } }
                    }
                }
            }
        }
    }
}

fn faults(trial: &TrialRecord) -> Markup {
    let landed = landings(trial);
    let missed: Vec<(usize, &str, &String)> = trial
        .records
        .iter()
        .filter_map(|record| match &record.event {
            Event::FaultMissed { step, fault, reason, .. } => Some((*step, fault.name(), reason)),
            _ => None,
        })
        .collect();
    html! {
        table {
            thead { tr { th { "fault" } th { "what came of it" } } }
            tbody {
                @for landing in &landed {
                    tr {
                        td { b { (landing.fault) } div.dim { "at " (duration(landing.at_ms)) } }
                        td {
                            span.badge.landed { "landed" } " " (text(&landing.place()))
                            div.dim { (text(&landing.evidence)) }
                        }
                    }
                }
                @for (step, fault, reason) in &missed {
                    tr {
                        td { b { (fault) } div.dim { "step " (step) } }
                        td { span.badge.unclear { "missed" } div.dim { (text(reason)) } }
                    }
                }
                @if landed.is_empty() && missed.is_empty() { tr { td colspan="2" { "none" } } }
            }
        }
    }
}

fn setting(trial: &TrialRecord) -> Markup {
    let (pace, workload) = (&trial.schedule.pace, &trial.schedule.workload);
    html! {
        p.setting {
            (thousands(workload.rows)) " rows in each of " (text(&workload.tables.join(", ")))
            " · " (thousands(pace.rows_per_second)) " rows/s · checkpoint every "
            (thousands(pace.checkpoint_rows)) " rows or " (duration(pace.checkpoint_interval_ms))
            @if pace.memory_limit_bytes > 0 { " · limit " (records::text::bytes(pace.memory_limit_bytes)) }
        }
    }
}

fn events(trial: &TrialRecord) -> Markup {
    let told: Vec<&Record> =
        trial.records.iter().filter(|record| words(&record.event).is_some()).collect();
    let (first, last) = if told.len() > EVENTS_MAX {
        (&told[..EVENTS_MAX / 2], &told[told.len() - EVENTS_MAX / 2..])
    } else {
        (&told[..], &told[..0])
    };
    html! {
        details.events {
            summary { "Events (" (told.len()) ")" }
            (event_rows(first, None))
            @if !last.is_empty() {
                p.hint { "… " (told.len() - EVENTS_MAX) " more stand in the journal …" }
                (event_rows(last, None))
            }
        }
    }
}

/// Events as a table; the marked one stands out.
pub(super) fn event_rows(records: &[&Record], marked: Option<u64>) -> Markup {
    html! {
        table.events {
            tbody {
                @for record in records {
                    @if let Some((kind, what)) = words(&record.event) {
                        tr.marked[marked == Some(record.seq)] {
                            td.num { (format!("{:.2} s", record.at_ms as f64 / 1e3)) }
                            td { span class={ "kind " (kind) } {} }
                            td { (shorten(&text(&what), WORDS_MAX)) }
                        }
                    }
                }
            }
        }
    }
}

fn who(side: Side, incarnation: u32) -> String {
    match side {
        Side::Source => format!("source tablet #{incarnation}"),
        Side::Target => format!("target tablet #{incarnation}"),
    }
}

/// An event in words, with the class of its mark; none for samples and other small things.
pub(super) fn words(event: &Event) -> Option<(&'static str, String)> {
    Some(match event {
        Event::TabletStarted(e) => ("start", format!("{} started", who(e.side, e.incarnation))),
        Event::TabletExited(e) => {
            let (class, why) = match (e.scheduled_by, e.at_end) {
                (Some(_), _) => ("fault", "as scheduled"),
                (None, true) => ("good", "as asked, at the end of the trial"),
                (None, false) => ("bad", "by itself"),
            };
            (class, format!("{} ended {why}, exit {}", who(e.side, e.incarnation), e.exit_code))
        }
        Event::Panicked { side, incarnation, caught, message } => {
            let how = if *caught { "panicked, and caught it" } else { "panicked" };
            ("bad", format!("{} {how}: {message}", who(*side, *incarnation)))
        }
        Event::Readiness { side, incarnation, ready, reasons } => {
            let state = if *ready {
                "is ready".to_owned()
            } else {
                format!("is not ready: {}", reasons.join(", "))
            };
            (if *ready { "good" } else { "wait" }, format!("{} {state}", who(*side, *incarnation)))
        }
        Event::ObserverGap { observer, gap_ms } => {
            ("bad", format!("observer {observer} saw nothing for {gap_ms} ms"))
        }
        Event::TriggerFired { step, seen } => ("fault", format!("trigger of step {step}: {seen}")),
        Event::FaultInjected { fault, means, .. } => {
            ("fault", format!("{fault} injected: {means}"))
        }
        Event::FaultLanded(e) => {
            ("fault", format!("{} landed: {}", e.fault, crate::summary::landed_in_words(e)))
        }
        Event::FaultMissed { fault, reason, .. } => ("wait", format!("{fault} missed: {reason}")),
        Event::FaultHealed { fault, .. } => ("good", format!("{fault} healed")),
        Event::VdiffAction(e) => {
            let answer = match (&e.error, e.acknowledged) {
                (_, true) => "acknowledged".to_owned(),
                (Some(error), false) => format!("refused: {error}"),
                (None, false) => "not answered".to_owned(),
            };
            ("start", format!("{} of {} {answer} in {} ms", e.action, e.uuid, e.took_ms))
        }
        Event::TermProbe { demoted, after_ms } => {
            let found = if *demoted { "demoted the tablet" } else { "did not demote the tablet" };
            (if *demoted { "good" } else { "bad" }, format!("a newer term {found} ({after_ms} ms)"))
        }
        Event::Settled { uuid, state } => {
            ("good", format!("the diff {uuid} came to rest: {state}"))
        }
        Event::DeadlinePassed { waiting_for, after_ms } => {
            ("bad", format!("waited for {waiting_for} for {after_ms} ms in vain"))
        }
        Event::Scenario(scenario) => {
            ("wait", format!("the scenario \"{}\" ({})", scenario.name, scenario.place))
        }
        Event::ScenarioFailed { why } => ("bad", format!("the scenario failed: {why}")),
        Event::OperatorAct { act } => {
            let did = match act {
                OperatorAct::StopWorkflow => "stopped",
                OperatorAct::FreezeWorkflow => "froze",
            };
            ("start", format!("an operator {did} the workflow"))
        }
        Event::NotReadyAtEnd { side, reason } => {
            let who = match side {
                Side::Source => "source tablet",
                Side::Target => "target tablet",
            };
            ("bad", format!("the {who} was not ready at the end: {reason}"))
        }
        Event::ShutdownAsked { side, incarnation } => {
            ("wait", format!("{} got SIGTERM: the trial is over", who(*side, *incarnation)))
        }
        Event::HarnessTrouble { what } => ("bad", format!("the harness had trouble: {what}")),
        Event::TrialLost { what } => ("bad", format!("the trial was lost: {what}")),
        Event::Note { text } => ("wait", text.clone()),
        Event::WorkflowRow { workflow, state, message, .. } => {
            ("good", format!("the workflow {workflow} is {state} {message}"))
        }
        Event::TrialStarted(_)
        | Event::StepAdded { .. }
        | Event::ObserverStarted { .. }
        | Event::ObserverStopped { .. }
        | Event::Sample(_)
        | Event::FinalReport(_)
        | Event::SidecarChange(_)
        | Event::HistoryRead { .. }
        | Event::Residue(_)
        | Event::ResourcesCounted(_)
        | Event::Answers { .. }
        | Event::Roles(_)
        | Event::Verbs(_)
        | Event::LogVolume { .. }
        | Event::ServerClock { .. }
        | Event::LogRead { .. }
        | Event::LogLines { .. }
        | Event::TrialEnded => return None,
    })
}
