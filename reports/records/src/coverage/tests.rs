use proptest::prelude::*;

use super::*;
use crate::journal::{Evidence, FaultLanded, Hit, HitKind, MissKind, Record};
use crate::sample;
use crate::schedule::Step;

fn key(fingerprint: &str, phase: Option<Phase>, moment: Moment) -> PointKey {
    PointKey {
        phase,
        link: Link::Mysql,
        fingerprint: fingerprint.to_owned(),
        occurrence: Occurrence::First,
        moment,
    }
}

fn coverages() -> impl Strategy<Value = Coverage> {
    let phase = prop_oneof![Just(None), Just(Some(Phase::Snapshot)), Just(Some(Phase::Streaming))];
    let occurrence = prop_oneof![
        Just(Occurrence::First),
        Just(Occurrence::Last),
        (1_u32..4).prop_map(Occurrence::Nth),
    ];
    let moment = prop::sample::select(Moment::ALL.to_vec());
    let link = prop::sample::select(Link::ALL.to_vec());
    let key = (phase, link, "[ab]", occurrence, moment).prop_map(
        |(phase, link, fingerprint, occurrence, moment)| PointKey {
            phase,
            link,
            fingerprint,
            occurrence,
            moment,
        },
    );
    let fault = prop::sample::select(vec![Fault::Sigkill, Fault::Oom, Fault::Cancel]);
    let tries = (0_u64..5, 0_u64..5).prop_map(|(landed, missed)| Tries { landed, missed });
    let point = (1_u32..9, any::<bool>(), prop::collection::btree_map(fault, tries, 0..3))
        .prop_map(|(nth, time_driven, tries)| Point { nth, time_driven, tries });
    prop::collection::btree_map(key, point, 0..12).prop_map(|points| Coverage { points })
}

fn enumeration(coverage: &Coverage) -> Coverage {
    coverage.recounted(&[])
}

fn total(coverage: &Coverage) -> (u64, u64) {
    let tries = coverage.points.values().flat_map(|point| point.tries.values());
    tries.fold((0, 0), |(landed, missed), one| (landed + one.landed, missed + one.missed))
}

proptest! {
    // Shards end in any order, and a file may be merged into a sum that holds other sums.
    #[test]
    fn merging_does_not_depend_on_the_order(a in coverages(), b in coverages(), c in coverages()) {
        prop_assert_eq!(a.clone().merge(b.clone()), b.clone().merge(a.clone()));
        let left = a.clone().merge(b.clone()).merge(c.clone());
        prop_assert_eq!(left, a.merge(b.merge(c)));
    }

    // Every run enumerates the same points again: they must not become more.
    #[test]
    fn merging_adds_counts_and_unites_enumerations(a in coverages(), b in coverages()) {
        let points = enumeration(&a);
        prop_assert_eq!(points.clone().merge(points.clone()), points.clone());
        prop_assert_eq!(a.clone().merge(points), a.clone());
        prop_assert_eq!(a.clone().merge(Coverage::default()), a.clone());
        let (x, y) = (total(&a), total(&b));
        let both = a.clone().merge(b.clone());
        prop_assert_eq!(total(&both), (x.0 + y.0, x.1 + y.1));
        prop_assert!(a.points.keys().chain(b.points.keys()).all(|key| both.point(key).is_some()));
    }

    #[test]
    fn figures_agree_with_each_other(a in coverages(), b in coverages()) {
        let figures = a.figures();
        prop_assert!(figures.landed <= figures.enumerated);
        prop_assert_eq!(figures.never_reached.len() as u64, figures.enumerated - figures.landed);
        let phases = figures.by_phase.iter().fold((0, 0), |sum, phase| {
            (sum.0 + phase.enumerated, sum.1 + phase.landed)
        });
        prop_assert_eq!(phases, (figures.enumerated, figures.landed));
        prop_assert_eq!(figures.enumerated + figures.time_driven, a.points.len() as u64);
        // What was reached stays reached, whatever is merged in (but for the points that turn out to
        // come with the clock).
        let both = a.clone().merge(b);
        let lost = a.points.iter().any(|(key, point)| {
            point.is_landed(None) && !both.points[key].is_landed(None)
        });
        prop_assert!(!lost);
    }

    #[test]
    fn a_file_survives_the_round_trip(a in coverages()) {
        let text = print(&a);
        prop_assert_eq!(parse(&text, "c").unwrap(), a);
        prop_assert_eq!(print(&parse(&text, "c").unwrap()), text);
    }
}

#[test]
fn a_file_that_cannot_be_taken_says_why() {
    let mut coverage = Coverage::default();
    coverage.enumerate(key("update x", None, Moment::Before), 1, false);
    let changed = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut value: serde_json::Value = serde_json::from_str(&print(&coverage)).unwrap();
        change(&mut value);
        parse(&value.to_string(), "coverage.json").unwrap_err().to_string()
    };
    let newer = changed(&|v| v["format"] = 2.into());
    assert_eq!(
        newer,
        "coverage.json: coverage format 2, expected 1; use the version of vdiff-chaos that wrote it"
    );
    assert!(changed(&|v| v["points"][0]["moment"] = "later".into()).contains("`executed`"));
    assert!(changed(&|v| v["points"][0]["occurrence"] = "nth-0".into()).contains("nth-<number>"));
    let twice = changed(&|v| {
        let point = v["points"][0].clone();
        v["points"].as_array_mut().unwrap().push(point);
    });
    assert!(
        twice.contains("outside: mysql “update x”, first, before stands in it twice"),
        "{twice}"
    );
    assert!(matches!(parse("not json", "c"), Err(CoverageError::NotJson { .. })));
    assert!(matches!(load(std::path::Path::new("/none")), Err(CoverageError::Unreadable { .. })));
}

/// A trial whose first step is this point; the later step hits the same place while it recovers.
fn trial(point: &CrashPoint, landed: bool) -> TrialRecord {
    let mut trial = sample::run().1.remove(0);
    let trigger = Trigger::CrashPoint { point: point.clone() };
    let step = Step::new(trigger, Fault::Sigkill);
    trial.schedule.steps = vec![step.clone(), step];
    let hit = |step| {
        Event::FaultLanded(FaultLanded {
            step,
            fault: Fault::Sigkill,
            evidence: Evidence::Exit { exit_code: 137 },
            interrupted: None,
            hits: vec![Hit { kind: HitKind::Process, what: "incarnation 1".into() }],
            in_flight: None,
        })
    };
    let missed = Event::FaultMissed {
        step: 0,
        fault: Fault::Sigkill,
        reason: "it did not come".into(),
        kind: MissKind::NotReached,
    };
    let events = if landed { vec![hit(0), hit(1)] } else { vec![missed, hit(1)] };
    trial.records = (0..).zip(events).map(|(seq, event)| Record { seq, at_ms: 0, event }).collect();
    trial
}

#[test]
fn a_point_is_covered_by_the_trial_that_was_planned_for_it_and_by_no_other() {
    let mut coverage = Coverage::default();
    let aimed = key("update x", Some(Phase::Streaming), Moment::Executed);
    let other = key("update x", Some(Phase::Streaming), Moment::Before);
    let clock = key("insert heartbeat", None, Moment::Before);
    coverage.enumerate(aimed.clone(), 3, false);
    coverage.enumerate(other.clone(), 3, false);
    coverage.enumerate(clock.clone(), 1, true);
    coverage.count(&trial(&aimed.crash_point(3), false));
    assert_eq!(coverage.figures().never_reached[1].missed, 1);
    coverage.count(&trial(&aimed.crash_point(2), true));
    assert_eq!(coverage.figures().landed, 0, "another occurrence is another point");
    coverage.count(&trial(&aimed.crash_point(3), true));
    coverage.count(&trial(&clock.crash_point(1), true));
    let tries = coverage.point(&aimed).unwrap().tries[&Fault::Sigkill];
    assert_eq!(tries, Tries { landed: 1, missed: 1 }, "the recovery's point is not this one");
    let figures = coverage.figures();
    assert_eq!((figures.enumerated, figures.landed, figures.time_driven_landed), (2, 1, 1));
    assert!((figures.percent - 50.0).abs() < 1e-9);
    assert_eq!(figures.never_reached[0].point, other.to_string());
    assert_eq!(figures.by_phase[0].by_fault["sigkill"], 1);
}

#[test]
fn no_exchange_is_in_two_classes() {
    for count in 0..40 {
        let classes = Occurrence::classes(count);
        let mut numbers: Vec<u32> = classes.iter().map(|(_, nth)| *nth).collect();
        assert!(numbers.iter().all(|nth| (1..=count).contains(nth)));
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), classes.len());
        assert_eq!(classes.len() as u32, count.min(4));
    }
    assert_eq!(Occurrence::classes(9)[2..], [(Occurrence::Middle, 5), (Occurrence::Last, 9)]);
}

/// A fault at this point may have broken something: nobody could say.
#[test]
fn a_trial_that_could_not_be_judged_covers_nothing() {
    let mut coverage = Coverage::default();
    let aimed = key("update x", None, Moment::Executed);
    coverage.enumerate(aimed.clone(), 1, false);
    let mut unclear = trial(&aimed.crash_point(1), true);
    unclear.judgements.truncate(1);
    unclear.judgements[0].verdict = Verdict::Inconclusive;
    coverage.count(&unclear);
    assert_eq!(coverage.figures().landed, 0);
    assert_eq!(coverage.figures().never_reached[0].missed, 1);
    unclear.judgements[0].verdict = Verdict::Fail;
    coverage.count(&unclear);
    assert_eq!(coverage.figures().landed, 1, "a finding is one");
}

/// These numbers are a promise between machines and versions: what is struck where.
#[test]
fn the_shard_of_a_point_is_its_own_and_shards_are_about_even() {
    let of = |text: &str| key(text, Some(Phase::Streaming), Moment::Before).shard(4);
    assert_eq!(of("begin"), of("begin"));
    let mut shares = [0_u32; 4];
    for nth in 0..400 {
        shares[of(&format!("update {nth}")) as usize - 1] += 1;
    }
    assert!(shares.iter().all(|share| (60..140).contains(share)), "{shares:?}");
    assert_eq!(key("begin", None, Moment::Before).shard(1), 1);
}
