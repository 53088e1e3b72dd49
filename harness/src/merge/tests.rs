use std::collections::BTreeMap;
use std::fs;

use records::coverage::{Occurrence, PointKey};
use records::journal::{Event, line};
use records::schedule::{Link, Moment, Schedule};
use records::verdict::Verdict;
use tempfile::TempDir;

use super::*;
use oracles::good_records;

/// A shard of a campaign of four trials, each of which passed.
struct Saved {
    root: TempDir,
}

impl Saved {
    fn new() -> Self {
        Self { root: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn shard(&self, name: &str, index: u32, of: u32) -> PathBuf {
        let path = self.path(name);
        let run = RunDirectory::new(&path);
        let trials: Vec<u32> = (0..4).filter(|trial| trial % of == index - 1).collect();
        for trial in &trials {
            let mut records = good_records();
            let Event::TrialStarted(head) = &mut records[0].event else { panic!("no head") };
            head.schedule.trial = *trial;
            let schedule: Schedule = head.schedule.clone();
            fs::create_dir_all(run.trial(*trial)).unwrap();
            records::schedule::save(&schedule, &run.schedule(*trial)).unwrap();
            let text: String = records.iter().map(|record| line(record).unwrap()).collect();
            fs::write(run.journal(*trial), text).unwrap();
        }
        let info = RunInfo {
            format: records::run::FORMAT,
            run: name.to_owned(),
            seed: 7,
            program: "vdiff-chaos".into(),
            directory: path.display().to_string(),
            floor: 1,
            plan: "4 trials".into(),
            part: Part::Shard { index, of },
            jobs: 2,
            floor_cycle_ms: Some(400 + u64::from(index)),
            planned: Some(trials.len() as u64),
            version: "0.1.0".into(),
            images: BTreeMap::from([("mysql".to_owned(), "sha256:a".to_owned())]),
            duration_ms: 10_000,
            ..RunInfo::default()
        };
        run.write_run(&info).unwrap();
        path
    }

    fn change(&self, path: &Path, change: impl FnOnce(&mut RunInfo)) {
        let run = RunDirectory::new(path);
        let mut info = run.read_run().unwrap();
        change(&mut info);
        run.write_run(&info).unwrap();
    }

    fn refused(&self, runs: &[PathBuf]) -> String {
        let error = merge(runs, &self.path("refused")).unwrap_err();
        assert!(error.is_usage(), "{error}");
        assert!(!self.path("refused").exists(), "nothing is written of what cannot be joined");
        error.to_string()
    }
}

#[test]
fn shards_in_any_order_become_one_run() {
    let saved = Saved::new();
    let (one, two) = (saved.shard("one", 1, 2), saved.shard("two", 2, 2));
    let both = saved.path("both");
    let merged = merge(&[two, one], &both).unwrap();
    assert_eq!(merged.summary.verdict, Verdict::Pass, "{:?}", merged.summary.verdict_reasons);
    let numbers: Vec<u32> = merged.trials.iter().map(records::TrialRecord::number).collect();
    assert_eq!(numbers, [0, 1, 2, 3]);
    assert_eq!((merged.info.floor, merged.info.duration_ms), (2, 20_000));
    assert_eq!((merged.info.planned, merged.summary.part), (Some(4), Part::Merged { shards: 2 }));
    assert_eq!(judge_run(&both).unwrap().summary, merged.summary);
    for file in ["summary.json", "junit.xml", "summary.md", "index.html"] {
        assert!(both.join(file).exists(), "{file}");
    }
    let path = both.clone();
    assert!(matches!(merge(&[path], &saved.path("x")), Err(MergeError::NoShard { .. })));
    let again = [saved.path("one"), saved.path("two")];
    assert!(matches!(merge(&again, &both), Err(MergeError::Occupied { .. })));
}

/// Green shards without the one that failed would be a green campaign.
#[test]
fn a_shard_that_is_missing_or_double_is_named() {
    let saved = Saved::new();
    let (one, three) = (saved.shard("one", 1, 3), saved.shard("three", 3, 3));
    let text = saved.refused(&[one.clone(), three.clone()]);
    assert_eq!(text, "missing: shard 2 of 3; give the runs of all shards");
    let again = saved.shard("again", 3, 3);
    let text = saved.refused(&[one, again, three]);
    assert!(text.starts_with("shard 3 of 3 is there twice: ") && text.contains("again"), "{text}");
}

#[test]
fn a_shard_of_another_campaign_is_named_with_what_differs() {
    let saved = Saved::new();
    let (one, two) = (saved.shard("one", 1, 2), saved.shard("two", 2, 2));
    saved.change(&two, |info| info.seed = 8);
    let text = saved.refused(&[one.clone(), two.clone()]);
    assert!(text.contains("two is of another campaign") && text.contains("seed 8, expected 7"));
    saved.change(&two, |info| {
        info.seed = 7;
        info.plan = "5 trials".into();
    });
    let text = saved.refused(&[one.clone(), two]);
    assert!(text.contains("plan \"5 trials\", expected \"4 trials\""), "{text}");
    let other = saved.shard("other", 2, 3);
    assert!(saved.refused(&[one, other]).contains("number of shards 3, expected 2"));
}

#[test]
fn a_shard_that_lacks_trials_or_has_not_ended_is_incomplete() {
    let saved = Saved::new();
    let (one, two) = (saved.shard("one", 1, 2), saved.shard("two", 2, 2));
    fs::remove_dir_all(RunDirectory::new(&two).trial(3)).unwrap();
    assert!(saved.refused(&[one.clone(), two.clone()]).contains("1 of 2 trials are there"));
    saved.change(&two, |info| info.planned = None);
    saved.change(&one, |info| info.duration_ms = 0);
    assert!(saved.refused(&[one, two]).contains("has not ended"));
}

#[test]
fn an_interrupted_shard_makes_the_joined_run_inconclusive() {
    let saved = Saved::new();
    let (one, two) = (saved.shard("one", 1, 2), saved.shard("two", 2, 2));
    saved.change(&two, |info| info.interrupted = Some("the user stopped it".into()));
    let merged = merge(&[one, two], &saved.path("both")).unwrap();
    assert_eq!(merged.summary.verdict, Verdict::Inconclusive);
    assert_eq!(
        merged.summary.verdict_reasons,
        ["shard 2: the run was interrupted: the user stopped it"]
    );
}

/// A shard that exits with 2 must not become part of a run that exits with 0.
#[test]
fn every_reason_of_every_shard_is_joined_with_its_number() {
    let saved = Saved::new();
    let (one, two) = (saved.shard("one", 1, 2), saved.shard("two", 2, 2));
    saved.change(&two, |info| {
        info.undone = vec!["5 crash points were to be struck, and were not".into()];
        info.floor = 9;
    });
    let merged = merge(&[one, two], &saved.path("both")).unwrap();
    assert_eq!(merged.summary.verdict, Verdict::Inconclusive);
    let reasons = merged.summary.verdict_reasons.join("\n");
    for reason in ["shard 2: 5 crash points were to be struck", "shard 2: 2 faults landed, below"] {
        assert!(reasons.contains(reason), "{reasons}");
    }
}

/// Another MySQL under the same tag is another experiment.
#[test]
fn shards_of_other_images_or_another_program_are_refused() {
    let saved = Saved::new();
    let (one, two) = (saved.shard("one", 1, 2), saved.shard("two", 2, 2));
    saved.change(&two, |info| {
        info.images.insert("mysql".into(), "sha256:b".into());
    });
    let text = saved.refused(&[one.clone(), two.clone()]);
    assert!(text.contains("image mysql sha256:b, expected sha256:a"), "{text}");
    saved.change(&two, |info| {
        info.images.insert("mysql".into(), "sha256:a".into());
        info.version = "0.2.0".into();
    });
    let text = saved.refused(&[one, two]);
    assert!(text.contains("version of the program \"0.2.0\", expected \"0.1.0\""), "{text}");
}

fn point(fingerprint: &str) -> PointKey {
    PointKey {
        phase: None,
        link: Link::Mysql,
        fingerprint: fingerprint.to_owned(),
        occurrence: Occurrence::First,
        moment: Moment::Before,
    }
}

/// The coverage of a shard that has enumerated these points, and struck its own.
fn coverage_of_shard(index: u32, of: u32, points: &[String]) -> Coverage {
    let mut coverage = Coverage::default();
    for fingerprint in points {
        let key = point(fingerprint);
        coverage.enumerate(key.clone(), 1, false);
        if key.shard(of) == index {
            coverage.count(&struck_at(&key));
        }
    }
    coverage
}

/// A trial that passed, and in which a fault landed at this point.
fn struck_at(key: &PointKey) -> records::TrialRecord {
    let mut records = good_records();
    let Event::TrialStarted(head) = &mut records[0].event else { panic!("no head") };
    let trigger = records::schedule::Trigger::CrashPoint { point: key.crash_point(1) };
    head.schedule.steps[0].trigger = trigger;
    let schedule = head.schedule.clone();
    let judgements = oracles::judge(&good_records());
    records::TrialRecord { schedule, records, judgements }
}

// Four machines, each of which has recorded for itself: none has the same list.
#[test]
fn four_shards_of_different_lists_are_one_whole_coverage_and_a_missing_point_is_named() {
    let saved = Saved::new();
    let shards: Vec<PathBuf> =
        (1..=4).map(|index| saved.shard(&format!("s{index}"), index, 4)).collect();
    let common: Vec<String> = (0..40).map(|nth| format!("update {nth}")).collect();
    for (path, index) in shards.iter().zip(1..) {
        saved.change(path, |info| info.exhaustive = true);
        // What only this machine heard, and which another one would have to strike.
        let strange = (0..).map(|nth| format!("only on {index}: {nth}"));
        let strange = strange.filter(|one| point(one).shard(4) != index).take(2);
        let seen: Vec<String> = strange.chain(common.iter().rev().cloned()).collect();
        let coverage = coverage_of_shard(index, 4, &seen);
        coverage::save(&coverage, &RunDirectory::new(path).coverage_json()).unwrap();
    }
    let merged = merge(&shards, &saved.path("all")).unwrap();
    let figures = merged.summary.coverage.unwrap();
    assert_eq!((figures.enumerated, figures.landed), (40, 40), "{:?}", figures.never_reached);
    assert_eq!(figures.time_driven, 8);

    // Its own shard's file has lost a point: nobody else has struck it.
    let lost = common.iter().find(|one| point(one).shard(4) == 3).unwrap();
    let seen: Vec<String> = common.iter().filter(|one| *one != lost).cloned().collect();
    let path = RunDirectory::new(&shards[2]).coverage_json();
    coverage::save(&coverage_of_shard(3, 4, &seen), &path).unwrap();
    let text = saved.refused(&shards);
    assert!(text.starts_with("1 crash points were struck by no shard"), "{text}");
    assert!(text.contains(&format!("“{lost}”")) && text.contains("(shard 3)"), "{text}");

    // A shard that says itself that it has not done all makes the whole inconclusive.
    saved.change(&shards[2], |info| info.undone = vec!["1 crash point was not struck".into()]);
    let merged = merge(&shards, &saved.path("told")).unwrap();
    assert_eq!(merged.summary.verdict, Verdict::Inconclusive);
}

#[test]
fn coverage_of_all_shards_is_joined_and_must_be_there() {
    let saved = Saved::new();
    let (one, two) = (saved.shard("one", 1, 2), saved.shard("two", 2, 2));
    let coverage = |fingerprint: &str| {
        let mut coverage = Coverage::default();
        let key = PointKey {
            phase: None,
            link: Link::Mysql,
            fingerprint: fingerprint.to_owned(),
            occurrence: Occurrence::First,
            moment: Moment::Before,
        };
        coverage.enumerate(key, 1, false);
        coverage
    };
    coverage::save(&coverage("a"), &RunDirectory::new(&one).coverage_json()).unwrap();
    assert!(saved.refused(&[one.clone(), two.clone()]).contains("two is incomplete"));
    coverage::save(&coverage("b"), &RunDirectory::new(&two).coverage_json()).unwrap();
    let merged = merge(&[one, two], &saved.path("both")).unwrap();
    assert_eq!(merged.summary.coverage.map(|figures| figures.enumerated), Some(2));
}
