use insta::assert_snapshot;

use super::{html, junit, markdown, sample, terminal};

#[test]
fn the_last_lines_of_a_run_say_verdict_counts_finding_and_path() {
    let (summary, _) = sample::run();
    assert_snapshot!(terminal::render(&summary, "reports/runs/x/index.html"));
}

#[test]
fn a_green_run_says_little() {
    let (_, trials) = sample::run();
    let green: Vec<_> =
        trials.into_iter().filter(|t| t.verdict() == crate::verdict::Verdict::Pass).collect();
    let summary = crate::summary::Summary::build(&sample::info(), &green);
    assert_snapshot!(terminal::render(&summary, "reports/runs/x/index.html"));
}

#[test]
fn the_markdown_summary_has_findings_and_measures() {
    let (summary, _) = sample::run();
    assert_snapshot!(markdown::render(&summary));
}

/// A step summary over 1 MiB is refused whole: then nobody sees the finding.
#[test]
fn the_markdown_summary_stays_small_whatever_the_findings_say() {
    let (mut summary, _) = sample::run();
    let mut finding = summary.findings[0].clone();
    finding.reasons = vec!["<|>".repeat(2_000); 30];
    summary.findings = vec![finding; 60];
    let text = markdown::render(&summary);
    assert!(text.len() < 1 << 20, "{} bytes", text.len());
    assert!(text.contains("more findings in the report"));
}

#[test]
fn junit_has_a_case_for_each_trial() {
    let (summary, trials) = sample::run();
    assert_snapshot!(junit::render(&summary, &trials));
}

/// XML 1.0 has no way to write most control characters: one of them makes the file unreadable.
#[test]
fn junit_holds_no_control_characters() {
    let (mut summary, mut trials) = sample::run();
    for reason in trials.iter_mut().flat_map(|t| &mut t.judgements).flat_map(|j| &mut j.reasons) {
        reason.text.push_str("\u{0}\u{1b}[31m\u{8}\u{ffff}]]>");
    }
    summary.findings[0].replay.push('\u{1}');
    let text = junit::render(&summary, &trials);
    let is_bad = |c: char| (c.is_control() && c != '\n') || c == '\u{ffff}';
    assert!(!text.chars().any(is_bad));
}

/// A log line is hostile until it is escaped: markup in it must not become markup of the page.
#[test]
fn the_page_escapes_text_from_logs() {
    let (summary, trials) = sample::run();
    let page = html::render(&summary, &trials);
    assert!(!page.contains("<script>"), "markup of a log line reached the page");
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
    assert!(page.contains("&lt;b&gt;assignment&lt;/b&gt; &amp; more"));
    assert!(!page.contains('\u{1b}') && !page.contains("[31m"));
    assert!(!page.chars().any(|c| c.is_control() && c != '\n'));
}

#[test]
fn the_page_stands_alone() {
    let (summary, trials) = sample::run();
    let page = html::render(&summary, &trials);
    for outside in ["http://", "https://", "src=", "<link", "@import", "url("] {
        assert!(!page.contains(outside), "the page refers to something outside by {outside}");
    }
    assert!(page.contains(
        "vdiff-chaos replay reports/runs/20261122-070112-seed7/trials/0003/schedule.json"
    ));
}

/// A soak has thousands of trials with thousands of samples each; the page must still open.
#[test]
fn a_long_run_makes_a_page_of_reasonable_size() {
    let (_, trials) = sample::run();
    let many: Vec<_> = (0..400u32)
        .map(|number| {
            let mut trial = trials[number as usize % 3].clone();
            trial.schedule.trial = number;
            trial
        })
        .collect();
    let summary = crate::summary::Summary::build(&sample::info(), &many);
    let page = html::render(&summary, &many);
    assert!(page.len() < 400 * 24 * 1024, "{} bytes", page.len());
}
