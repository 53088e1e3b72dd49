//! JUnit: a test case a trial; a broken invariant is a failure, an inconclusive trial an error.

use std::time::Duration;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use crate::summary::{Landing, Summary, landings};
use records::run::TrialRecord;
use records::text::clean;
use records::verdict::{Judgement, Verdict};

/// Reasons of a trial that are told.
const REASONS_MAX: usize = 40;

/// The run as a JUnit document.
#[must_use]
pub fn render(summary: &Summary, trials: &[TrialRecord]) -> String {
    let mut report = Report::new(format!("vdiff-chaos {}", clean(&summary.run)));
    report.set_time(Duration::from_millis(summary.duration_ms));
    let mut suite = TestSuite::new(format!("vdiff-chaos seed {}", summary.seed));
    suite.set_time(Duration::from_millis(summary.duration_ms));
    suite.add_property(("seed", summary.seed.to_string().as_str()));
    suite.add_property(("verdict", summary.verdict.to_string().as_str()));
    suite.add_property(("landed", summary.landed_total().to_string().as_str()));
    suite.add_property(("floor", summary.floor.to_string().as_str()));
    for apart in &summary.not_judged {
        suite.add_property(("not judged", clean(apart).as_str()));
    }
    suite.add_test_cases(trials.iter().map(|trial| test_case(summary, trial)));
    if !summary.verdict_reasons.is_empty() && summary.findings.is_empty() {
        suite.add_test_case(doubtful_run(summary));
    }
    report.add_test_suite(suite);
    report.to_string().expect("names and messages are text, which XML takes once cleaned")
}

fn test_case(summary: &Summary, trial: &TrialRecord) -> TestCase {
    let verdict = trial.verdict();
    let mut status = match verdict {
        Verdict::Pass => TestCaseStatus::success(),
        Verdict::Fail => TestCaseStatus::non_success(NonSuccessKind::Failure),
        // Made good by another try, or borne: the file must not say another thing than the run.
        Verdict::Inconclusive if is_borne(summary, trial) => TestCaseStatus::skipped(),
        Verdict::Inconclusive => TestCaseStatus::non_success(NonSuccessKind::Error),
    };
    if verdict != Verdict::Pass {
        let lines = reasons(trial, verdict);
        status.set_type(verdict.to_string());
        status.set_message(lines.first().cloned().unwrap_or_else(|| "nothing to judge".to_owned()));
        let replay = replay(summary, trial);
        status.set_description(format!("{}\n\nreplay with: {replay}", lines.join("\n")));
    }
    let mut case = TestCase::new(name(trial), status);
    case.set_classname("vdiff-chaos.trial");
    case.set_time(Duration::from_millis(trial.duration_ms()));
    let landed: Vec<String> = landings(trial).iter().map(Landing::in_words).collect();
    if !landed.is_empty() {
        case.set_system_out(clean_lines(&landed));
    }
    case
}

/// Whether the run is what it is in spite of this inconclusive trial.
fn is_borne(summary: &Summary, trial: &TrialRecord) -> bool {
    let is_told = summary.inconclusive.iter().any(|unclear| unclear.trial == trial.number());
    !is_told || summary.verdict == Verdict::Pass
}

/// A run may fall below its floor with every trial passed: a reader of the file alone must see it.
fn doubtful_run(summary: &Summary) -> TestCase {
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
    status.set_type("inconclusive");
    status.set_message(clean(&summary.verdict_reasons.join("; ")));
    let mut case = TestCase::new("the run as a whole", status);
    case.set_classname("vdiff-chaos.run");
    case
}

fn name(trial: &TrialRecord) -> String {
    format!("trial {:04}: {}", trial.number(), trial.schedule.in_words())
}

fn replay(summary: &Summary, trial: &TrialRecord) -> String {
    let number = trial.number();
    let of_finding = summary.findings.iter().find(|finding| finding.trial == number);
    let of_unclear = summary.inconclusive.iter().find(|unclear| unclear.trial == number);
    of_finding
        .map(|finding| finding.replay.as_str())
        .or(of_unclear.map(|unclear| unclear.replay.as_str()))
        .map(clean)
        .unwrap_or_default()
}

fn reasons(trial: &TrialRecord, verdict: Verdict) -> Vec<String> {
    let concerned = |j: &&Judgement| j.weighs() && j.verdict == verdict;
    trial
        .judgements
        .iter()
        .filter(concerned)
        .flat_map(|j| {
            j.reasons
                .iter()
                .map(|reason| format!("{} {}: {}", j.invariant, j.invariant.title(), reason.text))
        })
        .map(|line| clean(&line))
        .take(REASONS_MAX)
        .collect()
}

fn clean_lines(lines: &[String]) -> String {
    lines.iter().map(|line| clean(line)).collect::<Vec<_>>().join("\n")
}
