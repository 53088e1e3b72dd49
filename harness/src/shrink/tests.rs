use std::fs;

use records::journal::{Event, Record, line};
use records::verdict::Invariant;
use tempfile::TempDir;

use super::*;
use oracles::good_records;

/// One planted difference is not reported.
fn inexact_records() -> Vec<Record> {
    let mut records = good_records();
    for record in &mut records {
        if let Event::FinalReport(report) = &mut record.event {
            report.tables.get_mut("t").unwrap().differences.remove(0);
        }
    }
    records
}

fn saved_run(trials: &[Vec<Record>]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let run = RunDirectory::new(dir.path());
    for (number, records) in (0..).zip(trials) {
        let Event::TrialStarted(head) = &records[0].event else { panic!("no head") };
        let mut schedule = head.schedule.clone();
        schedule.trial = number;
        schedule.workload.rows = 4_000;
        schedule.workload.tables = vec!["corder".to_owned()];
        fs::create_dir_all(run.trial(number)).unwrap();
        records::schedule::save(&schedule, &run.schedule(number)).unwrap();
        let text: String = records.iter().map(|record| line(record).unwrap()).collect();
        fs::write(run.journal(number), text).unwrap();
    }
    dir
}

fn refusal(path: &Path, trial: Option<u32>) -> String {
    engine::errors::chain(&target(path, trial).unwrap_err())
}

#[test]
fn of_a_run_the_first_failed_trial_is_taken_with_what_it_broke() {
    let dir = saved_run(&[good_records(), inexact_records(), inexact_records()]);
    let (schedule, broken) = target(dir.path(), None).unwrap();
    assert_eq!((schedule.trial, broken), (1, [Invariant::I4].into()));
    let (schedule, broken) = target(dir.path(), Some(2)).unwrap();
    assert_eq!((schedule.trial, broken), (2, [Invariant::I4].into()));
    let file = RunDirectory::new(dir.path()).schedule(1);
    assert_eq!(target(&file, None).unwrap().1, BTreeSet::new());
}

#[test]
fn what_cannot_be_shrunk_is_refused_with_a_reason() {
    let dir = saved_run(&[good_records()]);
    assert!(refusal(dir.path(), None).contains("no trial of the run failed"));
    assert!(refusal(dir.path(), Some(0)).contains("trial 0 did not fail"));
    assert!(refusal(dir.path(), Some(7)).contains("the run has no trial 7"));
    assert!(refusal(&dir.path().join("none.json"), None).contains("not a schedule"));
}

// Must-hold 6 of the crash points: the file that is shrunk by hand and in the nightly pipeline.
#[test]
fn the_schedule_of_three_faults_can_be_executed_and_has_faults_to_lose() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/three-faults.json");
    let (schedule, _) = target(&path, None).unwrap();
    assert_eq!(schedule.steps.len(), 3);
    assert!(schedule.bug.is_some());
    let halves = [moves::without(&schedule, 0, 2), moves::without(&schedule, 2, 3)];
    assert!(halves.iter().all(Option::is_some));
}
