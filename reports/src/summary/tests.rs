use super::*;
use crate::sample;
use records::schedule::{CrashPoint, Link, Moment, Phase, Trigger};
use records::verdict::{Cause, Reason};

#[test]
fn a_summary_counts_what_the_journals_tell() {
    let (summary, _) = sample::run();
    assert_eq!(summary.verdict, Verdict::Fail);
    assert_eq!(summary.trials, Counts { total: 8, pass: 6, fail: 1, inconclusive: 1, again: 0 });
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
        "sigkill at 42 % of the diff, in streaming: the process ended with 137; hit incarnation 1"
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
         the diff: the process ended with 137; hit incarnation 1"
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
    let run = records::layout::RunDirectory::new(root.join("run"));
    std::fs::create_dir_all(run.root()).unwrap();
    run.write_run(&sample::info()).unwrap();
    crate::write_all(run.root(), &summary, &trials).unwrap();
    run.link_latest().unwrap();
    run.link_latest().unwrap();
    assert_eq!(run.read_run().unwrap(), sample::info());
    assert_eq!(crate::files::read_summary(&run.summary_json()).unwrap(), summary);
    assert_eq!(run.trial_numbers().unwrap(), (0..8).collect::<Vec<u32>>());
    for file in ["junit.xml", "summary.md", "index.html"] {
        assert!(root.join("latest").join(file).metadata().unwrap().len() > 500, "{file}");
    }
    std::fs::remove_dir_all(&root).unwrap();
}

/// Passed trials, and one that says nothing for this cause.
fn unclear_for(cause: Option<Cause>) -> Vec<TrialRecord> {
    let (_, trials) = sample::run();
    let green = trials.into_iter().find(|trial| trial.verdict() == Verdict::Pass).unwrap();
    let number = |number: u32| {
        let mut trial = green.clone();
        trial.schedule.trial = number;
        trial.schedule.seed = u64::from(number);
        trial
    };
    let mut all: Vec<TrialRecord> = (0..100).map(number).collect();
    let judgement = all[7].judgements.first_mut().unwrap();
    judgement.verdict = Verdict::Inconclusive;
    judgement.reasons = vec![Reason { text: "not seen".into(), seq: None, cause }];
    all
}

/// A tablet that corrupts what the harness then cannot read must not hide in the two percent.
#[test]
fn only_reasons_of_the_harness_are_borne_and_never_where_all_is_to_be_judged() {
    let info = RunInfo { floor: 1, ..sample::info() };
    let of = |info: &RunInfo, cause| Summary::build(info, &unclear_for(cause));
    assert_eq!(of(&info, Some(Cause::ObserverGap)).verdict, Verdict::Pass);
    let unnamed = of(&info, None);
    assert_eq!(unnamed.verdict, Verdict::Inconclusive);
    assert!(unnamed.verdict_reasons[0].contains("a broken tablet"), "{unnamed:?}");
    let exhaustive = RunInfo { exhaustive: true, ..info.clone() };
    assert_eq!(of(&exhaustive, Some(Cause::ObserverGap)).verdict, Verdict::Inconclusive);

    // The same schedule again, and judged: made good, where the work is a list.
    let mut trials = unclear_for(None);
    let mut again = trials[0].clone();
    again.schedule = trials[7].schedule.clone();
    (again.schedule.trial, again.schedule.vdiff_uuid) = (100, "another".into());
    trials.push(again);
    let summary = Summary::build(&exhaustive, &trials);
    assert_eq!((summary.verdict, summary.trials.again), (Verdict::Pass, 1));
    assert!(summary.inconclusive.is_empty());
    assert_eq!(Summary::build(&info, &trials).verdict, Verdict::Inconclusive);
}

/// A lost trial has no journal to speak of: what else is missing follows from that.
#[test]
fn a_lost_trial_is_the_harness_s_whatever_else_it_lacks() {
    let mut trials = unclear_for(Some(Cause::TrialLost));
    let more = Reason { text: "no head".into(), seq: None, cause: None };
    trials[7].judgements[0].reasons.push(more);
    assert!(Judgement::is_harness_alone(&trials[7].judgements));
}

/// Images are built and servers started before the first trial: that is no speed of trials.
#[test]
fn trials_an_hour_are_those_of_the_time_in_which_trials_ran() {
    let (_, trials) = sample::run();
    let info = RunInfo { duration_ms: 600_000, trials_ms: 60_000, ..sample::info() };
    assert!((Summary::build(&info, &trials).trials_per_hour - 480.0).abs() < 0.1);
}
