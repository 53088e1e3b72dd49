//! The driver, campaigns, hunts, shrinking and reports, tried on a scripted system in process: hundreds of
//! trials in seconds, with a lie for each oracle. It says nothing of any tablet.

mod system;
mod tablet;
mod world;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use harness::campaign::{self, CampaignOptions, CampaignOutcome, Ground, Work};
use harness::crash_points;
use harness::crash_points::hunt::HuntOptions;
use harness::crash_points::plan::Frame;
use harness::plan::{self, PlanOptions, TriggerKind};
use harness::shrink::{self, Aim, ShrinkOptions};
use harness::survey::Survey;
use records::schedule::{Fault, Moment, Schedule, Step, Trigger};
use records::verdict::{Invariant, Verdict};
use records::{Host, Witnesses};
use tokio_util::sync::CancellationToken;

use system::ScriptedSlots;

const SOURCE_ALIAS: &str = "zone1-0000000100";
const TARGET_ALIAS: &str = "zone1-0000000200";

/// What the scripted system does wrong, always in the same way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lie {
    NeverComesBack,
    PanicsAtTheEnd,
    StandsStill,
    MissesADifference,
    ForgetsTheCursor,
    LeavesTheWorkflow,
    LeavesALock,
    JumpsStates,
    EatsMemory,
    EndsSlowly,
    ForgetsAStop,
}

/// Each lie, the fault that brings it out, and the invariant that it breaks.
const LIES: [(Lie, Fault, Invariant); 11] = [
    (Lie::NeverComesBack, Fault::Sigkill, Invariant::I1),
    (Lie::PanicsAtTheEnd, Fault::Sigkill, Invariant::I2),
    (Lie::StandsStill, Fault::Sigkill, Invariant::I3),
    (Lie::MissesADifference, Fault::Sigkill, Invariant::I4),
    (Lie::ForgetsTheCursor, Fault::Sigkill, Invariant::I5),
    (Lie::LeavesTheWorkflow, Fault::Sigkill, Invariant::I6),
    (Lie::LeavesALock, Fault::Sigkill, Invariant::I7),
    (Lie::JumpsStates, Fault::Cancel, Invariant::I8),
    (Lie::EatsMemory, Fault::Sigkill, Invariant::I9),
    (Lie::EndsSlowly, Fault::Sigkill, Invariant::I10),
    (Lie::ForgetsAStop, Fault::Cancel, Invariant::I11),
];

fn ground(lie: Option<Lie>) -> Ground {
    let witnesses =
        Witnesses { host_pid: true, cgroup: true, descriptors: true, ..Witnesses::default() };
    let mut survey = Survey::default();
    survey.witnesses = Some(witnesses);
    let host = Host { cores: 100, ..Host::default() };
    Ground::new(Arc::new(ScriptedSlots { lie, is_heard: false }), survey, host)
}

/// On which what a tablet says can be held.
fn heard() -> Ground {
    let Ground { survey: _, host, .. } = ground(None);
    let slots = ScriptedSlots { lie: None, is_heard: true };
    Ground::new(Arc::new(slots), Survey::default(), host)
}

/// Shorter than what real tablets are given: a scripted one needs no patience.
fn hurried(mut schedule: Schedule) -> Schedule {
    let deadlines = &mut schedule.deadlines;
    (deadlines.ready_ms, deadlines.ready_holds_ms) = (2_000, 100);
    (deadlines.settle_ms, deadlines.trial_ms) = (5_000, 40_000);
    let workload = &mut schedule.workload;
    (workload.rows, workload.differences, workload.run_length) = (1_000, 9, 50);
    for step in schedule.steps.iter_mut().filter(|step| step.fault == Fault::Freeze) {
        step.lasts_ms = Some(500);
    }
    schedule
}

fn options(work: Work, out: &Path) -> CampaignOptions {
    CampaignOptions {
        work,
        jobs: 90,
        fail_fast: false,
        floor: None,
        deadline: Duration::from_secs(120),
        out: Some(out.to_owned()),
        junit: None,
        system: Default::default(),
        program: "vdiff-chaos".to_owned(),
    }
}

async fn campaign(work: Work, lie: Option<Lie>, out: &Path) -> CampaignOutcome {
    let stop = CancellationToken::new();
    campaign::run_on(&options(work, out), ground(lie), &stop, &|line| println!("{line}"))
        .await
        .expect("the harness does its job")
}

/// As many trials as are drawn for it, of what the script can do.
fn drawn(trials: u32, faults: &[Fault]) -> Vec<Schedule> {
    let plan = PlanOptions {
        trials,
        faults: faults.to_vec(),
        triggers: vec![TriggerKind::Time, TriggerKind::Progress, TriggerKind::Recovery],
        tables: vec!["customer".to_owned()],
        ..PlanOptions::default()
    };
    plan::campaign(7, &plan).expect("a plan").into_iter().map(hurried).collect()
}

/// Faults that need nothing but a process, an operator and a topology.
const FAULTS: [Fault; 8] = [
    Fault::Sigkill,
    Fault::Sigterm,
    Fault::Oom,
    Fault::Cancel,
    Fault::Delete,
    Fault::RowSurgery,
    Fault::Freeze,
    Fault::Demote,
];

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_trials_take_seconds_and_only_the_lies_among_them_fail() {
    let began = Instant::now();
    let mut lies = tokio::task::JoinSet::new();
    for (lie, fault, invariant) in LIES {
        lies.spawn(async move {
            let out = tempfile::tempdir().unwrap();
            let outcome = campaign(Work::Given(drawn(2, &[fault])), Some(lie), out.path()).await;
            (lie, invariant, outcome.trials)
        });
    }
    let out = tempfile::tempdir().unwrap();
    let honest = campaign(Work::Given(drawn(178, &FAULTS)), None, out.path()).await;
    let mut trials = honest.trials.len();
    for trial in honest.trials.iter().filter(|trial| trial.verdict() != Verdict::Pass) {
        let judged = trial.judgements.iter().filter(|judged| judged.verdict != Verdict::Pass);
        println!("{}: {:#?}", trial.schedule.in_words(), judged.collect::<Vec<_>>());
    }
    assert_eq!(honest.summary.verdict, Verdict::Pass);
    // A check that nothing can break proves nothing: each invariant has a system that breaks it.
    while let Some(told) = lies.join_next().await {
        let (lie, invariant, told) = told.unwrap();
        trials += told.len();
        for trial in told {
            let failed = trial.judgements.iter().filter(|judged| judged.is_fail());
            let failed: BTreeSet<Invariant> = failed.map(|judged| judged.invariant).collect();
            assert!(failed.contains(&invariant), "{lie:?} was not told by {invariant}: {failed:?}");
        }
    }
    let took = began.elapsed();
    println!("{trials} trials in {took:?}");
    assert_eq!(trials, 200);
    assert!(took < Duration::from_secs(20), "{took:?}");
}

// What a system lacks would be dealt all the same, and every such trial be inconclusive.
#[tokio::test(flavor = "multi_thread")]
async fn a_campaign_draws_only_what_the_system_can_do() {
    let out = tempfile::tempdir().unwrap();
    let plan = PlanOptions { trials: 10, triggers: vec![TriggerKind::Phase], ..Default::default() };
    let work = |plan| Work::Planned { seed: 7, plan, shard: None, duration: None };
    let stop = CancellationToken::new();
    let options = options(work(plan), out.path());
    let refused = campaign::run_on(&options, ground(None), &stop, &|_| {}).await.unwrap_err();
    assert!(refused.to_string().contains("faults in a phase"), "{refused}");

    // All faults and triggers are drawn from, and only what can be done is drawn.
    let plan =
        PlanOptions { trials: 20, tables: vec!["customer".to_owned()], ..Default::default() };
    let lacks = |schedule: &Schedule| ground(None).survey.refuses(schedule).is_some();
    let unbound = plan::campaign(7, &plan).unwrap();
    assert!(unbound.iter().any(lacks), "the seed would draw nothing that is lacking");
    let out = tempfile::tempdir().unwrap();
    let ran = campaign(work(plan), None, out.path()).await;
    assert_eq!(ran.trials.len(), 20);
    assert!(ran.trials.iter().all(|trial| !lacks(&trial.schedule)));
    assert_eq!(ran.summary.verdict, Verdict::Pass, "{:?}", ran.summary.verdict_reasons);
}

// A hunt deals by what its recordings show: each point that was enumerated is struck.
#[tokio::test(flavor = "multi_thread")]
async fn a_hunt_strikes_every_point_of_the_scripts_conversation() {
    let out = tempfile::tempdir().unwrap();
    let hunt =
        HuntOptions { must_contain: Vec::new(), ..HuntOptions::exhaustive(Frame::small(7, None)) };
    let nothing = options(Work::Given(Vec::new()), out.path());
    let stop = CancellationToken::new();
    let ran = crash_points::run::run_on(hunt, nothing, heard(), None, &stop, &|_| {}).await;
    let ran = ran.unwrap();
    let summary = &ran.outcome.summary;
    println!("{} points, {} trials", ran.entries.len(), ran.outcome.trials.len());
    assert_eq!(summary.verdict, Verdict::Pass, "{:?}", summary.verdict_reasons);
    let firm = ran.entries.iter().filter(|entry| !entry.listed.timed).count();
    assert!(firm > 60, "{firm}");
    let moments: BTreeSet<_> = ran.entries.iter().map(|it| it.listed.point.moment).collect();
    assert_eq!(moments.len(), Moment::ALL.len());
}

// Two faults that have nothing to do with the failure are taken away, and the third is kept.
#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_shrunk_to_the_fault_that_brings_it_out() {
    let out = tempfile::tempdir().unwrap();
    let mut original = drawn(1, &[Fault::Sigkill]).remove(0);
    let at = |fraction, fault| Step::new(Trigger::Progress { fraction }, fault);
    original.steps = vec![at(0.2, Fault::Cancel), at(0.4, Fault::Sigkill), at(0.6, Fault::Cancel)];
    let options = ShrinkOptions {
        original,
        aim: Aim { broken: BTreeSet::from([Invariant::I5]), runs: 2, ..Aim::default() },
        jobs: 8,
        out: Some(out.path().to_owned()),
        system: Default::default(),
        program: "vdiff-chaos".to_owned(),
    };
    let stop = CancellationToken::new();
    let ground = ground(Some(Lie::ForgetsTheCursor));
    let report = shrink::run_on(&options, ground, &stop, &|line| println!("{line}")).await.unwrap();
    let steps = &report.shrunk.schedule.steps;
    let faults: Vec<Fault> = steps.iter().map(|step| step.fault).collect();
    assert_eq!(faults, [Fault::Sigkill]);
    assert!(report.shrunk.broken.contains(&Invariant::I5));
    let feature = std::fs::read_to_string(&report.feature).unwrap();
    assert!(feature.contains("Scenario:"), "{feature}");
    assert!(report.page.is_file());
}
