use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use records::journal::{Event, Record, line};
use records::verdict::{Invariant, Verdict};
use tempfile::TempDir;

use super::*;
use oracles::good_records;

fn saved_run(records: &[Record]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let run = RunDirectory::new(dir.path());
    let info = RunInfo {
        format: 1,
        run: "r".into(),
        program: "vdiff-chaos".into(),
        directory: "runs/r".into(),
        floor: 1,
        duration_ms: 10_000,
        images: BTreeMap::new(),
        ..RunInfo::default()
    };
    run.write_run(&info).unwrap();
    let Event::TrialStarted(head) = &records[0].event else { panic!("no head") };
    fs::create_dir_all(run.trial(0)).unwrap();
    schedule::save(&head.schedule, &run.schedule(0)).unwrap();
    write_journal(dir.path(), records);
    dir
}

fn write_journal(dir: &Path, records: &[Record]) {
    let text: String = records.iter().map(|record| line(record).unwrap()).collect();
    fs::write(RunDirectory::new(dir).journal(0), text).unwrap();
}

#[test]
fn a_saved_run_is_judged_the_same_again() {
    let records = good_records();
    let dir = saved_run(&records);
    let judged = judge_run(dir.path()).unwrap();
    assert_eq!(judged.summary.verdict, Verdict::Pass, "{:#?}", judged.summary);
    assert_eq!(judged.trials[0].records, records);
    assert_eq!(judge_run(dir.path()).unwrap().summary, judged.summary);
}

#[test]
fn one_planted_difference_taken_from_the_saved_report_is_a_finding() {
    let mut records = good_records();
    for record in &mut records {
        if let Event::FinalReport(report) = &mut record.event {
            report.tables.get_mut("t").unwrap().differences.remove(0);
        }
    }
    let dir = saved_run(&records);
    let summary = judge_run(dir.path()).unwrap().summary;
    assert_eq!(summary.verdict, Verdict::Fail);
    let found: Vec<Invariant> = summary.findings.iter().map(|f| f.invariant).collect();
    assert_eq!(found, [Invariant::I4]);
    assert_eq!(summary.findings[0].replay, "vdiff-chaos replay runs/r/trials/0000/schedule.json");
}

#[test]
fn observers_taken_from_the_saved_journal_make_it_inconclusive() {
    let mut records = good_records();
    records.retain(|record| {
        !matches!(record.event, Event::ObserverStarted { .. } | Event::ObserverStopped { .. })
    });
    let dir = saved_run(&records);
    assert_eq!(judge_run(dir.path()).unwrap().summary.verdict, Verdict::Inconclusive);
}

#[test]
fn a_trial_without_a_journal_is_inconclusive_and_a_damaged_one_is_an_error() {
    let dir = saved_run(&good_records());
    let run = RunDirectory::new(dir.path());
    fs::remove_file(run.journal(0)).unwrap();
    let judged = judge_run(dir.path()).unwrap();
    assert_eq!(judged.trials[0].verdict(), Verdict::Inconclusive);
    fs::write(run.journal(0), "oops\n{}\n").unwrap();
    assert!(matches!(judge_run(dir.path()), Err(JudgeError::Journal { trial: 0, .. })));
    assert!(matches!(judge_run(&dir.path().join("none")), Err(JudgeError::Layout(_))));
}

/// A hunt that was killed leaves passed trials only: they are not what it was to do.
#[test]
fn a_run_that_never_ended_is_inconclusive_and_says_so() {
    let dir = saved_run(&good_records());
    let run = RunDirectory::new(dir.path());
    let info = RunInfo { duration_ms: 0, ..run.read_run().unwrap() };
    run.write_run(&info).unwrap();
    let summary = judge_run(dir.path()).unwrap().summary;
    assert_eq!(summary.verdict, Verdict::Inconclusive);
    assert_eq!(summary.verdict_reasons, ["the run has not ended"]);
    let cut = RunInfo { duration_ms: 9, interrupted: Some("Ctrl-C".into()), ..info };
    let undone = vec!["5 crash points were to be struck, and were not".to_owned()];
    run.write_run(&RunInfo { undone, ..cut }).unwrap();
    // It was planned and never begun.
    fs::create_dir_all(run.trial(1)).unwrap();
    fs::copy(run.schedule(0), run.schedule(1)).unwrap();
    let judged = judge_run(dir.path()).unwrap();
    assert_eq!((judged.summary.verdict, judged.trials.len()), (Verdict::Inconclusive, 1));
    assert_eq!(judged.summary.verdict_reasons.len(), 2, "{:?}", judged.summary.verdict_reasons);
}
