//! JUnit of a feature run: a suite a file, a case a scenario. As for trials, what did not hold is a failure,
//! and what says nothing is an error.

use std::collections::BTreeMap;
use std::time::Duration;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use records::text::clean;

use crate::outcome::{End, ScenarioRecord};

/// The document.
///
/// # Errors
/// When it cannot be written as XML.
pub(crate) fn render(done: &[ScenarioRecord]) -> std::io::Result<String> {
    let mut suites: BTreeMap<&str, TestSuite> = BTreeMap::new();
    for record in done {
        let suite = || TestSuite::new(clean(&record.feature));
        suites.entry(&record.file).or_insert_with(suite).add_test_case(case(record));
    }
    let mut report = Report::new("features");
    report.add_test_suites(suites.into_values());
    report.to_string().map_err(std::io::Error::other)
}

fn case(record: &ScenarioRecord) -> TestCase {
    let kind = match record.outcome {
        End::Passed | End::Skipped => None,
        End::Failed => Some(("fail", NonSuccessKind::Failure)),
        End::Inconclusive => Some(("inconclusive", NonSuccessKind::Error)),
        End::Harness => Some(("harness", NonSuccessKind::Error)),
    };
    let mut status = TestCaseStatus::success();
    if let Some((name, kind)) = kind {
        status = TestCaseStatus::non_success(kind);
        status.set_type(name);
        let message = record.message.as_deref().unwrap_or("no reason is known");
        status.set_message(clean(message.lines().next().unwrap_or_default()));
        let lines: Vec<String> = message.lines().map(clean).collect();
        status.set_description(lines.join("\n"));
    }
    if record.outcome == End::Skipped {
        status = TestCaseStatus::skipped();
        status.set_message(clean(record.message.as_deref().unwrap_or_default()));
    }
    let mut case = TestCase::new(clean(&record.name), status);
    case.set_classname(classname(&record.file));
    case.set_time(Duration::from_secs_f64(record.seconds));
    if !record.excused.is_empty() {
        let lines: Vec<String> = record.excused.iter().map(|line| clean(line)).collect();
        case.set_system_out(format!("excused by a tag:\n{}", lines.join("\n")));
    }
    case
}

/// `kill/sigkill.feature` is `features.kill.sigkill`.
fn classname(file: &str) -> String {
    let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
    format!("features.{}", clean(stem).replace('/', "."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scenario(file: &str, outcome: End) -> ScenarioRecord {
        ScenarioRecord {
            feature: "Twin".to_owned(),
            name: format!("ends {outcome:?}"),
            file: file.to_owned(),
            line: 3,
            outcome,
            seconds: 1.0,
            message: (outcome != End::Passed).then(|| "first line\nsecond line".to_owned()),
            excused: vec!["I3 fail: left alone".to_owned()],
        }
    }

    #[test]
    fn what_says_nothing_is_an_error_and_not_a_failure() {
        let ends = [End::Passed, End::Inconclusive, End::Harness, End::Failed];
        let text = render(&ends.map(|end| scenario("kill/sigkill.feature", end))).unwrap();
        assert!(text.contains("tests=\"4\"") && text.contains("failures=\"1\""), "{text}");
        assert!(text.contains("errors=\"2\""), "{text}");
        assert_eq!(text.matches("classname=\"features.kill.sigkill\"").count(), 4, "{text}");
        assert!(text.contains("type=\"inconclusive\"") && text.contains("excused"), "{text}");
    }
}
