//! A hunt over made-up trials: what is dealt, in which order, and when it ends.

use records::journal::{Evidence, FaultLanded, Hit, MissKind, Record};
use records::schedule::{Link, Moment, Phase, Trigger};
use records::verdict::{Invariant, Judgement, Verdict};

use super::*;
use crate::campaign::Dealer;
use wire::Class;
use wire::recording::FILE;

fn options() -> HuntOptions {
    HuntOptions::exhaustive(Frame::small(7, None))
}

/// A conversation that holds all that it must, and so many checkpoints. Only with MySQL it is about the
/// diff.
fn conversation(life: u32, checkpoints: u32) -> Vec<Recorded> {
    let said = |link, fingerprint: &str, nth| Recorded {
        link,
        life,
        fingerprint: fingerprint.to_owned(),
        class: Class::Writes,
        phase: (link == Link::Mysql).then_some(Phase::Streaming),
        nth,
        text: String::new(),
    };
    let demands = system_tablet::must_contain().into_iter();
    let everything = demands.map(|demand| said(demand.link, &demand.words.join(" "), 1));
    let more = (2..=checkpoints).map(|nth| said(Link::Mysql, "checkpoint", nth));
    everything.chain([said(Link::Mysql, "checkpoint", 1)]).chain(more).collect()
}

/// What becomes of a trial that is told to land, or not.
fn ended(schedule: &Schedule, lands: bool) -> TrialRecord {
    let events = schedule.steps.iter().enumerate().filter(|(_, step)| step.is_at_point());
    let events = events.map(|(step, struck)| {
        let fault = struck.fault;
        match lands {
            true => Event::FaultLanded(FaultLanded {
                step,
                fault,
                evidence: Evidence::Exit { exit_code: 137 },
                interrupted: None,
                hits: fault
                    .facts()
                    .proven_by
                    .iter()
                    .map(|kind| Hit { kind: *kind, what: "it".into() })
                    .collect(),
                in_flight: None,
            }),
            false => Event::FaultMissed {
                step,
                fault,
                reason: String::new(),
                kind: MissKind::NotReached,
            },
        }
    });
    let records = (0..).zip(events).map(|(seq, event)| Record { seq, at_ms: 0, event }).collect();
    let judgement = Judgement {
        invariant: Invariant::I1,
        verdict: Verdict::Pass,
        checks: 1,
        reasons: Vec::new(),
        not_applicable: false,
        excused: false,
    };
    TrialRecord { schedule: schedule.clone(), records, judgements: vec![judgement] }
}

/// Plays a hunt to its end; every trial of which `lands` says so lands.
fn play(hunt: &mut Hunt, lands: impl Fn(&Schedule) -> bool) -> Vec<Schedule> {
    let directory = tempfile::tempdir().unwrap();
    let mut dealt = Vec::new();
    while let Some(schedule) = hunt.next() {
        let mut said = [conversation(1, 9), conversation(2, 5)].concat();
        if schedule.steps.iter().any(|step| !step.is_at_point()) {
            let fingerprint = "operated".to_owned();
            said.push(Recorded { fingerprint, ..conversation(1, 1).pop().unwrap() });
        }
        let lines: Vec<String> =
            said.iter().map(|said| serde_json::to_string(said).unwrap()).collect();
        std::fs::write(directory.path().join(FILE), lines.join("\n")).unwrap();
        hunt.ended(&ended(&schedule, lands(&schedule)), directory.path());
        dealt.push(schedule);
        assert!(dealt.len() < 5_000, "a hunt without an end");
    }
    dealt
}

fn points(schedule: &Schedule) -> Vec<&CrashPoint> {
    schedule
        .steps
        .iter()
        .filter_map(|step| match &step.trigger {
            Trigger::CrashPoint { point } => Some(point),
            _ => None,
        })
        .collect()
}

/// Those of kinds with one exchange are tried beyond it, and do not come there.
fn comes(schedule: &Schedule) -> bool {
    points(schedule).iter().all(|point| point.fingerprint == "checkpoint" || point.nth == 1)
}

// A point that is dealt to nobody would lower no figure: the coverage counts what was enumerated.
#[test]
fn every_point_is_struck_once_and_all_are_covered() {
    let mut hunt = Hunt::new(options());
    let dealt = play(&mut hunt, comes);
    let figures = hunt.coverage().figures();
    assert_eq!((figures.enumerated, figures.percent), (figures.landed, 100.0));
    let struck = dealt.iter().filter(|s| !points(s).is_empty() && !s.explores).count() as u64;
    assert_eq!(struck, figures.enumerated);
    assert_eq!(hunt.left(), 0);
    assert!(hunt.undone().is_empty());
    // The checkpoints: four places, three moments.
    let checkpoints = dealt.iter().flat_map(points).filter(|p| p.fingerprint == "checkpoint");
    assert_eq!(checkpoints.count(), 12);
}

#[test]
fn what_is_not_reached_is_tried_five_times_and_then_named() {
    let mut hunt = Hunt::new(options());
    let never = |schedule: &Schedule| {
        comes(schedule) && points(schedule).iter().all(|point| point.nth != 9)
    };
    let dealt = play(&mut hunt, never);
    let tries = dealt.iter().flat_map(points).filter(|point| point.nth == 9).count();
    assert_eq!(tries, 15, "three moments, five times each");
    assert_eq!(hunt.left(), 3);
    assert_eq!(hunt.undone(), ["3 crash points were to be struck, and were not"]);
    assert_eq!(hunt.coverage().figures().never_reached.len(), 3);
}

// A stop before there is a diff cannot land, and two operators at once resume the wrong one.
#[test]
fn an_operator_strikes_only_where_a_diff_is_under_way_and_no_other_operator_acts() {
    let faults = vec![Fault::Cancel];
    let mut hunt = Hunt::new(HuntOptions { faults, ..options() });
    let dealt = play(&mut hunt, comes);
    let struck: Vec<_> = dealt.iter().filter(|schedule| !points(schedule).is_empty()).collect();
    assert!(!struck.is_empty());
    for schedule in struck {
        assert_eq!(schedule.steps.len(), 1, "no act of the script");
        assert!(points(schedule).iter().all(|point| point.phase.is_some()));
    }
    assert_eq!(hunt.left(), 0);
    // Where nothing may strike, nothing is left undone.
    assert_eq!(hunt.coverage().figures().percent, 100.0);
}

#[test]
fn few_are_tried_until_one_does_not_come() {
    let mut hunt = Hunt::new(options());
    let up_to_two = |schedule: &Schedule| points(schedule).iter().all(|p| p.nth <= 9);
    let dealt = play(&mut hunt, up_to_two);
    let few = dealt.iter().flat_map(points).filter(|point| point.fingerprint != "checkpoint");
    let greatest = few.map(|point| point.nth).max();
    assert_eq!(greatest, Some(BEYOND_MAX));
}

#[test]
fn shards_share_the_points_without_overlap() {
    let struck = |shard| {
        let mut hunt = Hunt::new(HuntOptions { shard, ..options() });
        let dealt = play(&mut hunt, comes);
        let strikes = dealt.iter().filter(|s| !s.explores);
        strikes.flat_map(points).cloned().collect::<Vec<CrashPoint>>()
    };
    let mut whole = struck(None);
    let mut joined = [struck(Some((1, 3))), struck(Some((2, 3))), struck(Some((3, 3)))].concat();
    whole.sort_unstable();
    joined.sort_unstable();
    assert_eq!(joined, whole);
}

/// A machine under another load hears other things first, and some that nobody else does.
fn list_of(machine: usize) -> Vec<Entry> {
    let mut said = conversation(1, 9);
    let place = machine % said.len();
    said.rotate_left(place);
    if machine > 0 {
        let fingerprint = format!("only on machine {machine}");
        let timed = Recorded { fingerprint, ..said[0].clone() };
        said.insert(0, timed);
    }
    list(&[vec![said.clone(), said], Vec::new(), Vec::new(), Vec::new()])
}

// Places in the list would give a point to two machines, or to none.
#[test]
fn shards_of_different_lists_strike_each_common_point_once() {
    let common: BTreeSet<_> = list_of(0).iter().map(|entry| entry.listed.key()).collect();
    let mut struck: Vec<_> = (1..=4)
        .flat_map(|index| {
            let all = list_of(index as usize);
            let mine = part(&all, Some((index, 4))).map(|entry| entry.listed.key());
            mine.collect::<Vec<_>>()
        })
        .filter(|key| common.contains(key))
        .collect();
    struck.sort_unstable();
    assert_eq!(struck, common.into_iter().collect::<Vec<_>>());
}

#[test]
fn what_was_not_covered_comes_first_and_enough_is_enough() {
    let mut first = Hunt::new(options());
    play(&mut first, |schedule| comes(schedule) && points(schedule).iter().all(|p| p.nth != 9));
    let covered = first.coverage().clone();
    let mut second = Hunt::new(HuntOptions { covered, until_percent: Some(100.0), ..options() });
    let dealt = play(&mut second, comes);
    let strikes: Vec<_> = dealt.iter().flat_map(points).collect();
    assert_eq!(strikes.len(), 3, "only what was left");
    assert!(strikes.iter().all(|point| point.nth == 9));
}

// A goal that was missed must not look reached because there was nothing left to deal.
#[test]
fn a_goal_that_was_missed_is_told() {
    let goal = HuntOptions { until_percent: Some(100.0), ..options() };
    let mut hunt = Hunt::new(goal);
    play(&mut hunt, |schedule| comes(schedule) && points(schedule).iter().all(|p| p.nth != 9));
    assert_eq!(hunt.undone(), ["100 % of the crash points were to be covered"]);
}

#[test]
fn a_recovery_is_struck_at_its_own_points() {
    let duration = Some(Duration::from_secs(3_600));
    let mut hunt = Hunt::new(HuntOptions { during_recovery: true, duration, ..options() });
    let dealt = play(&mut hunt, comes);
    let twice = dealt.iter().filter(|schedule| points(schedule).len() == 2).count();
    let once = dealt.iter().filter(|schedule| points(schedule).len() == 1).count();
    assert_eq!(twice, once * SECONDS_PER_FIRST);
}

#[test]
fn a_window_is_struck_and_nothing_else() {
    let window = Window { statement: "check", nth_min: 2, moment: Moment::Executed };
    let mut hunt = Hunt::new(HuntOptions { window: Some(window), ..options() });
    let dealt = play(&mut hunt, comes);
    let struck: Vec<u32> = dealt.iter().flat_map(points).map(|point| point.nth).collect();
    assert_eq!(struck, [2, 5, 9]);
}

/// Tells a hunt that a trial came to this.
fn judged(hunt: &mut Hunt, schedule: &Schedule, verdict: Verdict) {
    let mut trial = ended(schedule, true);
    trial.judgements[0].verdict = verdict;
    let reason = records::verdict::Reason { text: "not ready".to_owned(), seq: None, cause: None };
    trial.judgements[0].reasons.push(reason);
    hunt.ended(&trial, Path::new("/nowhere"));
}

// Of a run that says nothing nobody knows whether its points are those of a sound tablet.
#[test]
fn a_recording_that_stays_inconclusive_ends_the_hunt() {
    let mut hunt = Hunt::new(options());
    for _ in 0..UNCLEAR_TRIES_MAX {
        assert!(hunt.problem().is_none());
        let schedule = hunt.next().unwrap();
        assert!(schedule.steps.is_empty(), "the first script again");
        judged(&mut hunt, &schedule, Verdict::Inconclusive);
    }
    assert!(hunt.next().is_none());
    let problem = hunt.problem().unwrap();
    assert!(matches!(problem.downcast_ref(), Some(HuntError::Unclear { .. })));
}

// Killed there, the tablet may have broken what the harness then could not read: that is no coverage.
#[test]
fn a_strike_that_could_not_be_judged_is_struck_again_and_then_named() {
    let strikes = |unclear_times: usize| {
        let mut hunt = Hunt::new(options());
        let directory = tempfile::tempdir().unwrap();
        let lines: Vec<String> =
            conversation(1, 9).iter().map(|said| serde_json::to_string(said).unwrap()).collect();
        std::fs::write(directory.path().join(FILE), lines.join("\n")).unwrap();
        let mut times = 0;
        while let Some(schedule) = hunt.next() {
            let mut trial = ended(&schedule, comes(&schedule));
            if points(&schedule).iter().any(|p| p.nth == 9 && p.moment == Moment::Executed) {
                times += 1;
                if times <= unclear_times {
                    trial.judgements[0].verdict = Verdict::Inconclusive;
                }
            }
            hunt.ended(&trial, directory.path());
        }
        (times, hunt.left(), hunt.coverage().figures().never_reached.len())
    };
    assert_eq!(strikes(0), (1, 0, 0));
    assert_eq!(strikes(2), (3, 0, 0), "the third one could be judged");
    assert_eq!(strikes(9), (3, 1, 1), "no more than three, and it is not covered");
}

// A tablet that fails unstruck is a finding: the run must end in a verdict, and say what it lacks.
#[test]
fn a_script_that_fails_unstruck_is_left_out_and_named() {
    let mut hunt = Hunt::new(options());
    let first = hunt.next().unwrap();
    assert!(first.steps.is_empty(), "the plain script");
    judged(&mut hunt, &first, Verdict::Fail);
    let dealt = play(&mut hunt, comes);
    assert!(!dealt.iter().any(|schedule| schedule.steps.is_empty()), "recorded again");
    assert!(dealt.iter().any(|schedule| !points(schedule).is_empty()));
    assert!(hunt.problem().is_none());
    assert_eq!(hunt.undone(), ["script \"complete\" failed unstruck: its points are not known"]);
}
