//! A finding: the invariant in words, expected against found, the faults, the timeline around it, the
//! tablet's last words on both sides of the crash, the command that replays it.

use maud::{Markup, html};

use crate::summary::Finding;
use records::journal::{Event, Record, Side};
use records::run::TrialRecord;
use records::text::{clean, shorten};
use records::verdict::Judgement;

use super::text;
use super::trial::{event_rows, words};

/// Events shown before and after the one that shows the finding.
const AROUND: usize = 9;
const REASONS_MAX: usize = 12;
const LOG_LINES_MAX: usize = 14;
const LOG_LINE_MAX: usize = 400;

/// The findings of one trial; never empty.
pub(super) fn card(findings: &[Finding], trial: Option<&TrialRecord>) -> Markup {
    let Some(first) = findings.first() else { return html! {} };
    html! {
        article.finding {
            @for (i, finding) in findings.iter().enumerate() {
                h3 {
                    span.code { (finding.invariant) }
                    (text(&finding.title))
                    @if i == 0 { a.where href={ "#trial-" (finding.trial) } { "trial " (finding.trial) } }
                }
                p.promise { (finding.invariant.sentence()) }
                ul.reasons {
                    @for reason in finding.reasons.iter().take(REASONS_MAX) { li { (contrast(reason)) } }
                    @if finding.reasons.len() > REASONS_MAX {
                        li.more { "… and " (finding.reasons.len() - REASONS_MAX) " more, in the journal" }
                    }
                }
            }
            @if !first.faults.is_empty() {
                h4 { "What was done to it" }
                ul.faults { @for fault in &first.faults { li { (text(fault)) } } }
            }
            @if let Some(trial) = trial { (evidence(findings, trial)) }
            h4 { "Replay" }
            pre.command { (text(&first.replay)) }
        }
    }
}

/// `expected …; found …` with the second half told apart.
fn contrast(reason: &str) -> Markup {
    let reason = text(reason);
    match reason.split_once("; ") {
        Some((expected, found)) => html! { (expected) "; " strong { (found) } },
        None => html! { (reason) },
    }
}

fn evidence(findings: &[Finding], trial: &TrialRecord) -> Markup {
    let broken =
        |judgement: &&Judgement| findings.iter().any(|f| f.invariant == judgement.invariant);
    let seqs = trial.judgements.iter().filter(broken).flat_map(|judgement| &judgement.reasons);
    // The earliest: what comes after is often its consequence.
    let shown: Option<u64> = seqs.filter_map(|reason| reason.seq).min();
    let told: Vec<&Record> =
        trial.records.iter().filter(|record| words(&record.event).is_some()).collect();
    let around = shown.map(|seq| {
        let middle = told.partition_point(|record| record.seq < seq);
        &told[middle.saturating_sub(AROUND)..(middle + AROUND).min(told.len())]
    });
    html! {
        @if let Some(around) = around {
            h4 { "Around it" }
            (event_rows(around, shown))
        }
        (last_words(trial))
    }
}

/// The target's log on both sides of its last exits.
fn last_words(trial: &TrialRecord) -> Markup {
    let exits: Vec<_> = trial
        .records
        .iter()
        .filter_map(|record| match &record.event {
            Event::TabletExited(exit) if exit.side == Side::Target && !exit.at_end => {
                Some((record.at_ms, exit))
            }
            _ => None,
        })
        .collect();
    // The unscheduled exit speaks; else the last one.
    let chosen = exits.iter().find(|(_, exit)| exit.is_unasked()).or(exits.last());
    let Some((_, exit)) = chosen else { return html! {} };
    let after = log_after(trial, exit.incarnation);
    html! {
        @if !exit.last_log.is_empty() {
            h4 { "Last words of incarnation " (exit.incarnation) " (exit " (exit.exit_code) ")" }
            (log(exit.last_log.iter().rev().take(LOG_LINES_MAX).rev()))
        }
        @if let Some(lines) = after {
            h4 { "Incarnation " (exit.incarnation + 1) " after it" }
            (log(lines.iter().take(LOG_LINES_MAX)))
        }
    }
}

fn log_after(trial: &TrialRecord, incarnation: u32) -> Option<&Vec<String>> {
    let next = incarnation + 1;
    trial.records.iter().find_map(|record| match &record.event {
        Event::LogLines { side: Side::Target, incarnation, lines } if *incarnation == next => {
            Some(lines)
        }
        Event::TabletExited(exit) if exit.side == Side::Target && exit.incarnation == next => {
            Some(&exit.last_log)
        }
        _ => None,
    })
}

fn log<'a>(lines: impl Iterator<Item = &'a String>) -> Markup {
    html! {
        pre.log {
            @for line in lines {
                span.line { (shorten(&clean(line), LOG_LINE_MAX)) "\n" }
            }
        }
    }
}
