use harness::plan::{self, PlanOptions};
use harness::shrink::feature as rendered;
use records::schedule::{Fault, Step, Trigger};

use records::schedule::Hurts;
use records::verdict::Invariant;

use super::*;
use crate::tags::{OWN_SERVERS, SMALL_DISK};

/// The shipped feature files that show one hole each.
fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parsing").join(name)
}

fn names_of(path: &Path) -> Vec<String> {
    let book = Book::read(path).unwrap_or_else(|error| panic!("{error}"));
    book.names.values().map(ToString::to_string).collect()
}

fn book_of(files: &[(&str, &str)]) -> Result<(tempfile::TempDir, Book), BadFeatures> {
    let root = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(root.path().join(name), text).unwrap();
    }
    let book = Book::read(root.path())?;
    Ok((root, book))
}

#[test]
fn what_harms_other_parsers_is_read() {
    for (file, names) in [
        ("bom-and-crlf.feature", vec!["Small: killed at a half"]),
        ("comment-only.feature", vec![]),
        ("UPPER-CASE.FEATURE", vec!["Upper case: killed"]),
        ("star.feature", vec!["Star: after given", "Star: after when"]),
        ("deutsch.feature", vec!["Auf Deutsch: bei der Hälfte getötet"]),
        (
            "backslash.feature",
            vec![r#"Backslash: killed before the 2nd "select \"x\" from t" to its MySQL"#],
        ),
    ] {
        let path = shipped(file);
        let mut found = names_of(&path);
        found.sort();
        assert_eq!(found, names, "{file}");
        Book::read(&path).unwrap().check().unwrap_or_else(|error| panic!("{file}: {error}"));
    }
}

// One bad file, or one that is only begun, must not hide the others.
#[test]
fn all_bad_files_are_named_at_once_and_a_comment_is_none() {
    let files = [
        ("good.feature", "Feature: G\n  Scenario: S\n    Given a\n"),
        ("later.feature", "# later\n"),
        ("one.feature", "Feature: F\n  Scenario: S\n    Given a\n    Nonsense\n"),
        ("retry.feature", "@retry(2)\nFeature: F\n  Scenario: S\n    Given a\n"),
        ("allows.feature", "Feature: F\n  @allows:I99\n  Scenario: S\n    Given a\n"),
        (
            "holes.feature",
            "Feature: F\n  Scenario Outline: S\n    Given <b>\n\n    Examples:\n      | a |\n      | 1 |\n",
        ),
    ];
    let error = book_of(&files).unwrap_err().to_string();
    for told in
        ["one.feature", "retry.feature", "@retry(2)", "allows.feature", "I99", "holes.feature"]
    {
        assert!(error.contains(told), "{told} is not in: {error}");
    }
    assert!(!error.contains("good.feature") && !error.contains("later.feature"), "{error}");
}

#[test]
fn a_file_that_is_no_text_is_named() {
    let root = tempfile::tempdir().unwrap();
    std::fs::write(root.path().join("latin.feature"), b"Feature: \xe9\n").unwrap();
    let error = Book::read(root.path()).unwrap_err().to_string();
    assert!(error.contains("latin.feature") && error.contains("UTF-8"), "{error}");
}

#[test]
fn what_tries_nothing_is_known_and_is_not_played() {
    let book = Book::read(&shipped("nothing-to-try.feature")).unwrap();
    assert_eq!(book.playable(), 1);
    let whys: Vec<&str> = book.empty.values().map(String::as_str).collect();
    assert_eq!(whys.len(), 2, "{whys:?}");
    assert!(whys.iter().any(|why| why.contains("no steps")), "{whys:?}");
    assert!(whys.iter().any(|why| why.contains("no row")), "{whys:?}");
    // A runner that lists tests and runs each of them meets them too.
    assert_eq!(book.names.len(), 3);
    let only = Arguments { filters: vec!["to be written".to_owned()], ..Arguments::default() };
    let book = book.select(&only);
    assert_eq!((book.playable(), book.empty.len()), (0, 1));
}

#[test]
fn two_features_of_one_name_are_two() {
    let twin = "Feature: Twin\n  Scenario: killed\n    Given a\n";
    let alone =
        "Feature: Alone\n  Scenario: killed\n    Given a\n  Scenario: killed\n    Given a\n";
    let (_root, book) =
        book_of(&[("a.feature", twin), ("b.feature", twin), ("c.feature", alone)]).unwrap();
    let names: Vec<String> = book.names.values().map(ToString::to_string).collect();
    assert_eq!(
        names,
        [
            "Twin (a.feature): killed",
            "Twin (b.feature): killed",
            "Alone: killed (line 2)",
            "Alone: killed (line 4)"
        ]
    );
    let exact = Arguments {
        exact: true,
        filters: vec!["Twin (b.feature): killed".to_owned()],
        ..Arguments::default()
    };
    let book = book.select(&exact);
    assert_eq!(book.playable(), 1);
    assert!(book.features[0].path.as_ref().unwrap().ends_with("b.feature"));
}

#[test]
fn a_step_that_does_not_exist_is_told_before_anything_starts() {
    let text = "Feature: F\n  Scenario: S\n    Given something else\n    When the fault \"nonsense\" strikes at 40% of the diff\n";
    let (_root, book) = book_of(&[("a.feature", text)]).unwrap();
    let error = book.check().unwrap_err().to_string();
    assert!(error.contains("line 3: no such step: Given something else"), "{error}");
    assert!(error.contains("line 4") && error.contains("nonsense"), "{error}");
}

/// A feature that `shrink` writes, without its tags.
fn untagged(fault: Fault) -> String {
    let mut schedule = plan::schedule(3, 0, &PlanOptions::default()).unwrap();
    schedule.steps = vec![Step::new(Trigger::Progress { fraction: 0.4 }, fault)];
    let text = rendered::render(&schedule, &[Invariant::I4].into());
    text.lines().filter(|line| !line.trim().starts_with('@')).fold(
        String::new(),
        |mut all, line| {
            all.push_str(line);
            all.push('\n');
            all
        },
    )
}

// A fault on shared servers makes the scenario beside it fail, which looks like a finding.
#[test]
fn a_fault_that_hurts_servers_asks_for_its_tag_wherever_it_may_stand() {
    for fault in Fault::ALL {
        let text = untagged(fault);
        let tag = match fault.facts().hurts {
            Hurts::NobodyElse => None,
            Hurts::Servers => Some(OWN_SERVERS),
            Hurts::Disk => Some(SMALL_DISK),
        };
        let (_root, book) = book_of(&[("a.feature", &text)]).unwrap();
        let checked = book.check().map_err(|error| error.to_string());
        let Some(tag) = tag else {
            assert_eq!(checked, Ok(()), "{fault}");
            continue;
        };
        let error = checked.unwrap_err();
        assert!(error.contains(&format!("@{tag}")) && error.contains(fault.name()), "{error}");
        let above_feature = format!("@{tag}\n{text}");
        let (_root, book) = book_of(&[("a.feature", &above_feature)]).unwrap();
        book.check().unwrap_or_else(|error| panic!("{fault}: {error}"));
    }
}

#[test]
fn the_features_of_the_project_can_be_run() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../features");
    let book = Book::read(&root).unwrap_or_else(|error| panic!("{error}"));
    book.check().unwrap_or_else(|error| panic!("{error}"));
    assert!(book.empty.is_empty() && book.notes.is_empty());
    assert!(book.names.values().all(|name| !name.to_string().contains("(line")));
}
