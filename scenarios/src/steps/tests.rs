use cucumber::World as _;
use cucumber::gherkin::{Feature, GherkinEnv};
use harness::plan::{self, PlanOptions};
use harness::shrink::feature;
use records::schedule::{Bug, CrashPoint, Link, Moment, Schedule, Step};

use super::*;
use crate::world::World;

fn schedule(steps: Vec<Step>) -> Schedule {
    let mut schedule = plan::schedule(3, 0, &PlanOptions::default()).unwrap();
    schedule.steps = steps;
    schedule
}

fn point(fingerprint: &str, link: Link, phase: Option<Phase>, nth: u32, moment: Moment) -> Trigger {
    let fingerprint = fingerprint.to_owned();
    Trigger::CrashPoint { point: CrashPoint { link, fingerprint, phase, nth, moment } }
}

/// The steps of a rendered feature, each of which must be known to the suite.
fn known_steps(schedule: &Schedule) -> Vec<String> {
    let text = feature::render(schedule, &[records::verdict::Invariant::I4].into());
    let feature = Feature::parse(&text, GherkinEnv::default())
        .unwrap_or_else(|error| panic!("not Gherkin: {error}\n{text}"));
    let background = feature.background.iter().flat_map(|background| &background.steps);
    let scenarios = feature.scenarios.iter().flat_map(|scenario| &scenario.steps);
    let collection = World::collection();
    background
        .chain(scenarios)
        .map(|step| {
            let found = collection.find(step).unwrap_or_else(|error| panic!("{step}: {error}"));
            assert!(found.is_some(), "no such step: {step}\n{text}");
            step.value.clone()
        })
        .collect()
}

// A feature that shrink writes and no step accepts would look like a failure of the tablet.
#[test]
fn every_fault_at_every_moment_is_said_in_steps_that_exist() {
    let moments = [
        Trigger::Time { fraction: 0.123 },
        Trigger::Progress { fraction: 0.4 },
        Trigger::Progress { fraction: 0.4567 },
        Trigger::DuringRecovery { after_ms: 150 },
        Trigger::Phase { phase: Phase::Snapshot },
        Trigger::Phase { phase: Phase::Completing },
        point("begin", Link::Etcd, None, 3, Moment::Before),
    ];
    for fault in Fault::ALL {
        for moment in &moments {
            if fault.works_with(moment).is_ok() {
                let first = Step::new(Trigger::Progress { fraction: 0.1 }, Fault::Sigkill);
                known_steps(&schedule(vec![
                    first,
                    Step::new(moment.clone(), fault),
                    Step::new(Trigger::Progress { fraction: 0.8 }, fault),
                ]));
            }
        }
    }
}

#[test]
fn faults_on_top_of_each_other_are_healed_together() {
    let on_top = |fault| Step::new(Trigger::DuringFault { after_ms: 300 }, fault);
    let freeze = Step::new(Trigger::Progress { fraction: 0.4 }, Fault::Freeze);
    let steps = known_steps(&schedule(vec![
        Step { lasts_ms: Some(7_000), ..freeze },
        on_top(Fault::EtcdKill),
        on_top(Fault::MysqlSourceKill),
    ]));
    let ends: Vec<_> =
        steps.iter().filter(|step| step.contains("over") || step.contains("healed")).collect();
    assert_eq!(ends, ["that is over"]);
    assert!(steps.iter().any(|step| step.contains("frozen for 7000 milliseconds at 40%")));
}

#[test]
fn a_fault_of_a_link_says_which_and_how_long_and_that_the_links_are_proxied() {
    for (link, lasts_ms) in
        [(Some(Link::Etcd), Some(900)), (Some(Link::SourceTablet), None), (None, Some(70))]
    {
        let fault = Fault::Partition;
        let trigger = Trigger::Progress { fraction: 0.4 };
        let steps = known_steps(&schedule(vec![Step { trigger, fault, lasts_ms, link }]));
        let strikes = steps.iter().find_map(|step| {
            step.strip_prefix("the fault \"partition\" strikes ")?
                .strip_suffix(" at 40% of the diff")
        });
        assert_eq!(strikes.unwrap().parse(), Ok(Manner { link, lasts_ms }));
        assert!(steps.iter().any(|step| step.contains("pass the wire proxy")));
    }
    for wrong in ["the link to nobody", "for ever", "the link to etcd for ever"] {
        assert!(wrong.parse::<Manner>().is_err(), "{wrong}");
    }
}

#[test]
fn what_is_not_as_usual_is_said_in_steps_that_exist() {
    let mut unusual = schedule(Vec::new());
    unusual.workload.run_length = 0;
    unusual.workload.seed = 7;
    unusual.workload.tables.truncate(1);
    unusual.pace.rows_per_second = 0;
    unusual.pace.checkpoint_rows = 1;
    unusual.pace.packet_bytes = 1;
    unusual.pace.memory_limit_bytes = 32 << 20;
    unusual.proxied = true;
    unusual.unwatched = true;
    for bug in Bug::ALL {
        unusual.bug = Some(bug);
        let steps = known_steps(&unusual);
        for part in [
            "known bug",
            "runs of 0",
            "seed 7",
            "0 rows per second",
            "every 1 rows",
            "proxy",
            "nobody",
        ] {
            assert!(steps.iter().any(|step| step.contains(part)), "{part} is not in {steps:?}");
        }
    }
    assert!(known_steps(&schedule(Vec::new())).iter().all(|step| !step.contains("bug")));
    let _known: Bug = Bug::ALL[0];
}

// A fingerprint is SQL: it has quotes, backticks and whatever else.
#[test]
fn a_crash_point_is_read_back_as_it_was_whatever_is_in_its_fingerprint() {
    for fingerprint in [
        "update `_vt`.`vdiff_table` set state = ?, lastpk = ? where vdiff_id = ? /* \"x\" */",
        r#"insert into t values ('it''s', "a\"b", '\\', ?, "")"#,
        "\" to its MySQL in the streaming phase",
        "begin",
        "",
        "tab\there, line\nthere, {string} {int} (optional) a/b <placeholder> | # é \\",
        "etcdserverpb.KV/Txn put {root}/keyspaces/customer/shards/0/Shard",
    ] {
        for (link, phase, nth, moment) in [
            (Link::Mysql, Some(Phase::Streaming), 2, Moment::Executed),
            (Link::Etcd, None, 1, Moment::Before),
            (Link::SourceTablet, Some(Phase::Completing), 113, Moment::Replied),
        ] {
            let trigger = point(fingerprint, link, phase, nth, moment);
            let Trigger::CrashPoint { point } = &trigger else { unreachable!() };
            let steps = known_steps(&schedule(vec![Step::new(trigger.clone(), Fault::Oom)]));
            let said = "the target tablet will be OOM-killed ";
            let step = steps.iter().find_map(|step| step.strip_prefix(said)).unwrap();
            assert_eq!(step.parse::<Point>().as_ref().map(|read| &read.0), Ok(point));
        }
    }
}

#[test]
fn what_is_no_crash_point_is_refused() {
    for wrong in [
        "before the first \"begin\" to etcd",
        "during the 1st \"begin\" to etcd",
        "before the 1st \"begin to etcd",
        "before the 1st \"begin\" to nobody",
        "before the 1st \"begin\" to etcd in the middle phase",
    ] {
        assert!(wrong.parse::<Point>().is_err(), "{wrong}");
    }
}

#[test]
fn a_moment_is_read_back_as_it_was_said() {
    for (said, trigger) in [
        ("at 40% of the diff", Trigger::Progress { fraction: 0.4 }),
        ("at 12.5% of the diff", Trigger::Progress { fraction: 0.125 }),
        ("after 40% of the diff's time", Trigger::Time { fraction: 0.4 }),
        ("in the reconcile phase", Trigger::Phase { phase: Phase::Reconcile }),
        ("150 milliseconds after its start", Trigger::DuringRecovery { after_ms: 150 }),
    ] {
        assert_eq!(said.parse(), Ok(At(trigger)));
    }
    let on_top = "300 milliseconds into the fault before it".parse();
    assert_eq!(on_top, Ok(At(Trigger::DuringFault { after_ms: 300 })));
    for wrong in ["at 101% of the diff", "in the middle phase", "at noon"] {
        assert!(wrong.parse::<At>().is_err(), "{wrong}");
    }
}
