use super::*;
use crate::render::sample;
use crate::schedule::{CrashPoint, Link, Moment, Phase, Trigger};

#[test]
fn a_summary_counts_what_the_journals_tell() {
    let (summary, _) = sample::run();
    assert_eq!(summary.verdict, Verdict::Fail);
    assert_eq!(summary.trials, Counts { total: 8, pass: 6, fail: 1, inconclusive: 1 });
    assert_eq!(summary.landed["sigkill"], 2);
    assert_eq!(summary.landed_total(), 8);
    assert_eq!(summary.landed_phases["streaming"], 5);
    assert!((summary.landed_between_5_and_95_percent - 1.0).abs() < 1e-9);
    assert_eq!(summary.recovery_ms.p50, Some(610));
    assert_eq!(summary.findings.len(), 2);
    assert!((summary.trials_per_hour - 387.6).abs() < 0.01);
}

#[test]
fn a_landing_at_a_crash_point_names_its_statement() {
    let (_, mut trials) = sample::run();
    let words = |trial: &TrialRecord| landings(trial)[0].in_words();
    assert_eq!(
        words(&trials[0]),
        "sigkill at 42 % of the diff, in streaming: the process ended with 137"
    );
    trials[0].schedule.steps[0].trigger = Trigger::CrashPoint {
        point: CrashPoint {
            link: Link::Mysql,
            fingerprint: "update _vt.vdiff_table set lastpk = ?".into(),
            phase: Some(Phase::Streaming),
            nth: 2,
            moment: Moment::Executed,
        },
    };
    assert_eq!(
        words(&trials[0]),
        "sigkill at mysql executed #2 “update _vt.vdiff_table set lastpk = ?” (streaming), at 42 % of \
         the diff: the process ended with 137"
    );
}

#[test]
fn a_summary_survives_the_round_trip() {
    let (summary, _) = sample::run();
    let text = serde_json::to_string(&summary).unwrap();
    assert_eq!(serde_json::from_str::<Summary>(&text).unwrap(), summary);
}

/// A run in which nothing was tried is not green, nor one below its floor, nor one cut short.
#[test]
fn a_run_that_tried_too_little_is_not_green() {
    let (_, trials) = sample::run();
    let green: Vec<_> = trials.into_iter().filter(|t| t.verdict() == Verdict::Pass).collect();
    let verdict = |info: &RunInfo, trials: &[TrialRecord]| Summary::build(info, trials).verdict;
    let info = sample::info();
    assert_eq!(verdict(&info, &green), Verdict::Pass);
    assert_eq!(verdict(&info, &[]), Verdict::Inconclusive);
    let high_floor = RunInfo { floor: 7, ..info.clone() };
    assert_eq!(verdict(&high_floor, &green), Verdict::Inconclusive);
    let interrupted = RunInfo { interrupted: Some("Ctrl-C".into()), ..info };
    assert_eq!(verdict(&interrupted, &green), Verdict::Inconclusive);
}

#[test]
fn quantiles_are_of_the_nearest_rank() {
    assert_eq!(Quantiles::of([]), Quantiles::default());
    let one = Quantiles::of([7]);
    assert_eq!((one.p50, one.p95, one.max), (Some(7), Some(7), Some(7)));
    let hundred = Quantiles::of(1..=100);
    assert_eq!((hundred.p50, hundred.p95, hundred.max), (Some(50), Some(95), Some(100)));
}

#[test]
fn all_reports_of_a_run_are_written_and_read_back() {
    let (summary, trials) = sample::run();
    let root = std::env::temp_dir().join(format!("vdiff-chaos-layout-{}", std::process::id()));
    let run = crate::layout::RunDirectory::new(root.join("run"));
    std::fs::create_dir_all(run.root()).unwrap();
    run.write_run(&sample::info()).unwrap();
    crate::write_all(run.root(), &summary, &trials).unwrap();
    run.link_latest().unwrap();
    run.link_latest().unwrap();
    assert_eq!(run.read_run().unwrap(), sample::info());
    assert_eq!(crate::layout::read_summary(&run.summary_json()).unwrap(), summary);
    assert_eq!(run.trial_numbers().unwrap(), (0..8).collect::<Vec<u32>>());
    for file in ["junit.xml", "summary.md", "index.html"] {
        assert!(root.join("latest").join(file).metadata().unwrap().len() > 500, "{file}");
    }
    std::fs::remove_dir_all(&root).unwrap();
}
