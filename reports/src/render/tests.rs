use insta::assert_snapshot;

use super::{html, junit, markdown, terminal};
use crate::sample;
use records::coverage::NeverReached;
use records::run::Part;

#[test]
fn the_last_lines_of_a_run_say_verdict_counts_finding_and_path() {
    let (summary, _) = sample::run();
    assert_snapshot!(terminal::render(&summary, "reports/runs/x/index.html"));
}

#[test]
fn a_green_run_says_little() {
    let (_, trials) = sample::run();
    let green: Vec<_> =
        trials.into_iter().filter(|t| t.verdict() == records::verdict::Verdict::Pass).collect();
    let summary = crate::summary::Summary::build(&sample::info(), &green);
    assert_snapshot!(terminal::render(&summary, "reports/runs/x/index.html"));
}

/// Twenty trials of one schedule are a measurement, and are told as one.
#[test]
fn a_repeated_schedule_is_told_with_its_rate() {
    let (_, trials) = sample::run();
    let failed = trials.iter().find(|t| t.verdict() == records::verdict::Verdict::Fail).unwrap();
    let passed = trials.iter().find(|t| t.verdict() == records::verdict::Verdict::Pass).unwrap();
    let unclear = records::verdict::Verdict::Inconclusive;
    let unclear = trials.iter().find(|t| t.verdict() == unclear).unwrap();
    let again: Vec<_> = (0..21)
        .map(|number| {
            let of =
                [passed, failed, unclear][usize::from(number < 3) + 2 * usize::from(number == 20)];
            let mut trial = of.clone();
            trial.schedule = records::schedule::Schedule { trial: number, ..sample::schedule(0) };
            trial
        })
        .collect();
    let summary = crate::summary::Summary::build(&sample::info(), &again);
    let told = "failed 3 of 20 times (15 %, 95 % interval 5.2–36.0 %), and 1 inconclusive";
    for text in [terminal::render(&summary, "x"), html::render(&summary, &again)] {
        assert!(text.contains(told), "{text}");
    }
    assert!(markdown::render(&summary).contains("5.2–36.0 %"));
    let (different, _) = sample::run();
    assert_eq!(different.reproduction, None);
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
    assert!(
        page.contains("/* &lt;b&gt;&amp; */”, first, replied"),
        "a fingerprint is text of a stranger"
    );
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

/// The page to look at.
#[test]
fn the_page_has_measures_and_names_what_was_never_reached() {
    let (summary, trials) = sample::run();
    let page = html::render(&summary, &trials);
    if let Ok(path) = std::env::var("PAGE") {
        std::fs::write(path, &page).unwrap();
    }
    for part in
        ["Measures", "Where the time of trials goes", "Recovery, by fault and phase", "Coverage"]
    {
        assert!(page.contains(part), "{part}");
    }
    assert!(page.contains("Never reached (1)"));
    let without = summary.clone().cover(None);
    let page = html::render(&without, &trials);
    assert!(page.contains("Measures") && !page.contains("Never reached"));
}

// Two thirds of a shard's points would else stand as never reached.
#[test]
fn a_shard_names_only_what_it_has_tried() {
    let (mut summary, trials) = sample::run();
    summary.part = Part::Shard { index: 1, of: 3 };
    let figures = summary.coverage.as_mut().unwrap();
    figures.never_reached = vec![
        NeverReached { point: "of another shard".into(), missed: 0 },
        NeverReached { point: "of this shard".into(), missed: 2 },
    ];
    let texts = [
        html::render(&summary, &trials),
        markdown::render(&summary),
        terminal::render(&summary, "index.html"),
    ];
    for text in texts {
        assert!(text.contains("of this shard") && !text.contains("of another shard"), "{text}");
        assert!(text.contains("shard 1 of 3: the points of the others count here"), "{text}");
    }
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
