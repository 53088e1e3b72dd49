//! A plausible run, made by hand, for the renderers' tests and for a look at the page.

use std::collections::BTreeMap;

use crate::coverage::{Coverage, Occurrence, PointKey};
use crate::journal::{
    Event, Evidence, FaultLanded, Hit, Interrupted, Record, Sample, Side, TabletExited,
    TabletStarted, TrialStarted, Truth, VdiffAction,
};
use crate::run::{Host, RunInfo, TrialRecord};
use crate::schedule::{
    Deadlines, FORMAT, Fault, Link, Moment, Pace, Phase, Schedule, Step, Trigger, Workload,
};
use crate::verdict::{Invariant, Judgement, Reason, Verdict};
use crate::witnesses::Witnesses;

const LIMIT: u64 = 96 << 20;
const ROWS: u64 = 24_000;

/// What of a trial differs.
pub struct Shape {
    /// The fault.
    pub fault: Fault,
    /// How far the diff is.
    pub fraction: f64,
    /// Its phase.
    pub phase: Phase,
    /// What is judged.
    pub outcome: Verdict,
}

/// The run: mostly green, one finding, one trial that says nothing.
#[must_use]
pub fn run() -> (RunInfo, Vec<TrialRecord>) {
    let shapes = [
        (Fault::Sigkill, 0.42, Phase::Streaming, Verdict::Pass),
        (Fault::Oom, 0.61, Phase::Streaming, Verdict::Pass),
        (Fault::Cancel, 0.18, Phase::Streaming, Verdict::Pass),
        (Fault::Sigkill, 0.77, Phase::Reconcile, Verdict::Fail),
        (Fault::Sigterm, 0.33, Phase::Streaming, Verdict::Pass),
        (Fault::EtcdRestart, 0.52, Phase::Snapshot, Verdict::Inconclusive),
        (Fault::Oom, 0.09, Phase::Streaming, Verdict::Pass),
        (Fault::HostCrash, 0.88, Phase::Completing, Verdict::Pass),
    ];
    let trials: Vec<TrialRecord> = (0u32..)
        .zip(shapes)
        .map(|(number, (fault, fraction, phase, outcome))| {
            trial(number, &Shape { fault, fraction, phase, outcome })
        })
        .collect();
    (info(), trials)
}

/// Most points were hit, one was tried in vain, one was not tried; its fingerprint is hostile.
pub fn coverage() -> Coverage {
    let mut coverage = Coverage::default();
    let mut trial = trial_of(Fault::Sigkill);
    for (phase, fingerprint, count) in [
        (None, "insert into _vt.vdiff_log (vdiff_id, message) values (?)", 2),
        (Some(Phase::Snapshot), "update _vt.vreplication set state = ?", 1),
        (Some(Phase::Streaming), "update _vt.vdiff_table set rows_compared = ?, lastpk = ?", 9),
        (Some(Phase::Completing), "update _vt.vdiff set state = ? /* <b>&\u{1b}[31m */", 1),
    ] {
        for (occurrence, nth) in Occurrence::classes(count) {
            for moment in Moment::ALL {
                let (link, fingerprint) = (Link::Mysql, fingerprint.to_owned());
                let key = PointKey { phase, link, fingerprint, occurrence, moment };
                let point = key.crash_point(nth);
                let missed = phase == Some(Phase::Completing) && moment == Moment::Replied;
                coverage.enumerate(key, nth, false);
                trial.schedule.steps[0].trigger = Trigger::CrashPoint { point };
                if !missed {
                    coverage.count(&trial);
                }
            }
        }
    }
    let heartbeat = PointKey {
        phase: None,
        link: Link::Etcd,
        fingerprint: "etcdserverpb.Lease/LeaseKeepAlive".into(),
        occurrence: Occurrence::First,
        moment: Moment::Before,
    };
    coverage.enumerate(heartbeat, 1, true);
    coverage
}

fn trial_of(fault: Fault) -> TrialRecord {
    let (fraction, phase, outcome) = (0.4, Phase::Streaming, Verdict::Pass);
    trial(0, &Shape { fault, fraction, phase, outcome })
}

/// What the run knows of itself.
#[must_use]
pub fn info() -> RunInfo {
    let image = |name: &str, id: &str| (name.to_owned(), id.to_owned());
    RunInfo {
        format: crate::run::FORMAT,
        run: "20261122-070112-seed7".into(),
        seed: 7,
        plan: "8 trials".into(),
        part: crate::run::Part::Whole,
        jobs: 2,
        floor_cycle_ms: Some(412),
        program: "vdiff-chaos".into(),
        directory: "reports/runs/20261122-070112-seed7".into(),
        floor: 6,
        planned: Some(8),
        started_wall_ms: 1_795_330_872_000,
        duration_ms: 74_300,
        trials_ms: 0,
        version: "0.1.0".into(),
        exhaustive: false,
        interrupted: None,
        undone: Vec::new(),
        images: BTreeMap::from([
            image("mysql", "sha256:9d1f0c2ab7aa"),
            image("etcd", "sha256:41c7be0932d1"),
            image("tablet", "sha256:3f2a91c70e55"),
        ]),
        host: Host {
            engine: "Docker 20.10.24".into(),
            cgroup: "cgroup v1".into(),
            cores: 2,
            memory_bytes: 24 << 30,
            witnesses: Some(Witnesses {
                host_pid: true,
                cgroup: true,
                descriptors: false,
                kernel_log: true,
                proxy: true,
            }),
            not_possible: Vec::new(),
        },
    }
}

/// A trial's schedule.
#[must_use]
pub fn schedule(trial: u32) -> Schedule {
    Schedule {
        format: FORMAT,
        seed: 7,
        trial,
        vdiff_uuid: format!("7b1e0000-0000-4000-8000-{trial:012}"),
        workload: Workload {
            seed: 7,
            tables: vec!["corder".into(), "customer".into(), "product".into()],
            rows: 8_000,
            differences: 37,
            run_length: 1_250,
            keys_alike: false,
        },
        pace: Pace {
            rows_per_second: 6_000,
            checkpoint_rows: 500,
            checkpoint_interval_ms: 100,
            memory_limit_bytes: LIMIT,
            packet_bytes: 8 << 10,
        },
        steps: vec![Step::new(Trigger::Progress { fraction: 0.42 }, Fault::Sigkill)],
        proxied: false,
        explores: false,
        unwatched: false,
        system: None,
        bug: None,
        deadlines: Deadlines {
            ready_ms: 10_000,
            ready_holds_ms: 2_000,
            settle_ms: 60_000,
            cancel_ms: 10_000,
            trial_ms: 180_000,
            stall_ms: crate::schedule::stall_ms(),
        },
    }
}

#[derive(Default)]
struct Tape {
    records: Vec<Record>,
}

impl Tape {
    fn add(&mut self, at_ms: u64, event: Event) {
        self.records.push(Record { seq: self.records.len() as u64, at_ms, event });
    }

    fn start(&mut self, at_ms: u64, incarnation: u32) {
        self.add(
            at_ms,
            Event::TabletStarted(TabletStarted {
                side: Side::Target,
                incarnation,
                container: "c0ffee".into(),
                host_pid: Some(4711),
            }),
        );
    }

    fn ready(&mut self, at_ms: u64, incarnation: u32, ready: bool) {
        let reasons = if ready { Vec::new() } else { vec!["engines are opening".to_owned()] };
        self.add(at_ms, Event::Readiness { side: Side::Target, incarnation, ready, reasons });
    }

    fn exit(&mut self, at_ms: u64, incarnation: u32, exit_code: i64, step: Option<usize>) {
        let last_log = vec![
            "{\"level\":\"INFO\",\"message\":\"checkpoint\",\"rows_compared\":18500}".to_owned(),
            "{\"level\":\"ERROR\",\"event\":\"panic\",\"message\":\"\u{1b}[31m<script>alert(1)</script>\u{1b}[0m\"}"
                .to_owned(),
        ];
        self.add(
            at_ms,
            Event::TabletExited(TabletExited {
                side: Side::Target,
                incarnation,
                exit_code,
                scheduled_by: step,
                at_end: false,
                took_ms: Some(41),
                last_log,
            }),
        );
    }

    /// The diff runs from one fraction to another; memory wavers.
    fn samples(&mut self, (from_ms, to_ms): (u64, u64), (from, to): (f64, f64)) {
        let steps = (to_ms - from_ms) / 25;
        for i in 0..steps {
            let done = from + (to - from) * i as f64 / steps as f64;
            let at_ms = from_ms + i * 25;
            let waver = (at_ms as f64 / 310.0).sin() * 3e6;
            self.add(
                at_ms,
                Event::Sample(Sample {
                    rss_bytes: Some((34e6 + waver + done * 8e6) as u64),
                    cgroup_bytes: Some((47e6 + waver * 1.5 + done * 9e6) as u64),
                    state: Some("started".into()),
                    rows_compared: (done * ROWS as f64) as u64,
                    rows_total: ROWS,
                    runnable_per_core: Some(3.0),
                    timer_lag_ms: Some(1),
                    ..Sample::default()
                }),
            );
        }
    }
}

/// A trial of this shape.
#[must_use]
pub fn trial(number: u32, shape: &Shape) -> TrialRecord {
    let mut schedule = schedule(number);
    schedule.steps = vec![Step::new(Trigger::Progress { fraction: shape.fraction }, shape.fault)];
    let mut tape = Tape::default();
    begin(&mut tape, &schedule);
    let hit_ms = 900 + (shape.fraction * 4_000.0) as u64;
    tape.samples((900, hit_ms), (0.0, shape.fraction));
    strike(&mut tape, shape, hit_ms);
    let mut back_ms = hit_ms + 500;
    if shape.outcome == Verdict::Fail {
        back_ms = crash_loop(&mut tape, back_ms);
    } else if shape.fault.expected_exit().is_some() {
        tape.start(back_ms, 2);
        tape.ready(back_ms + 120, 2, false);
        tape.ready(back_ms + 610, 2, true);
        back_ms += 700;
    }
    if shape.outcome != Verdict::Fail {
        let end_ms = back_ms + ((1.0 - shape.fraction) * 4_000.0) as u64;
        tape.samples((back_ms, end_ms), (shape.fraction, 1.0));
        let uuid = schedule.vdiff_uuid.clone();
        tape.add(end_ms, Event::Settled { uuid, state: "completed".into() });
        tape.add(end_ms + 400, Event::TermProbe { demoted: true, after_ms: 310 });
        back_ms = end_ms + 600;
    }
    tape.add(back_ms, Event::TrialEnded);
    TrialRecord {
        judgements: judgements(shape.outcome, &tape.records),
        schedule,
        records: tape.records,
    }
}

fn begin(tape: &mut Tape, schedule: &Schedule) {
    tape.add(
        0,
        Event::TrialStarted(Box::new(TrialStarted {
            format: 1,
            run: "20261122-070112-seed7".into(),
            wall_ms: 1_795_330_872_000,
            schedule: schedule.clone(),
            images: BTreeMap::new(),
            calibrated_ms: 4_000,
            truth: Truth::default(),
            workflow: "move".into(),
            witnesses: info().host.witnesses,
            system: None,
            untold: Vec::new(),
        })),
    );
    tape.start(20, 1);
    tape.ready(310, 1, false);
    tape.ready(640, 1, true);
    tape.add(
        890,
        Event::VdiffAction(VdiffAction {
            action: "create".into(),
            uuid: schedule.vdiff_uuid.clone(),
            acknowledged: true,
            error: None,
            took_ms: 18,
            asked_ms_ago: None,
            effect_ms: None,
            tries: Vec::new(),
        }),
    );
}

fn strike(tape: &mut Tape, shape: &Shape, at_ms: u64) {
    let fault = shape.fault;
    tape.add(at_ms, Event::TriggerFired { step: 0, seen: "the fraction was reached".into() });
    tape.add(
        at_ms + 1,
        Event::FaultInjected { step: 0, fault, means: "kill(2) by host PID".into() },
    );
    let evidence = match fault.expected_exit() {
        Some(code) => {
            tape.exit(at_ms + 45, 1, code, Some(0));
            if fault == Fault::Oom {
                Evidence::OomCounter { baseline: 0, count: 1, exit_code: code }
            } else {
                Evidence::Exit { exit_code: code }
            }
        }
        None => Evidence::State { before: "started".into(), after: "stopped".into() },
    };
    tape.add(
        at_ms + 60,
        Event::FaultLanded(FaultLanded {
            step: 0,
            fault,
            evidence,
            interrupted: Some(Interrupted {
                state: "started".into(),
                rows_compared: (shape.fraction * ROWS as f64) as u64,
                rows_total: ROWS,
                phase: Some(shape.phase),
            }),
            hits: fault
                .facts()
                .proven_by
                .iter()
                .map(|kind| Hit { kind: *kind, what: "incarnation 1".into() })
                .collect(),
            in_flight: None,
        }),
    );
}

fn crash_loop(tape: &mut Tape, mut at_ms: u64) -> u64 {
    for incarnation in 2..6 {
        tape.start(at_ms, incarnation);
        tape.ready(at_ms + 60, incarnation, false);
        let message = "assignment to entry in nil registry at engine.rs:118".to_owned();
        let side = Side::Target;
        tape.add(at_ms + 230, Event::Panicked { side, incarnation, caught: false, message });
        tape.exit(at_ms + 240, incarnation, 101, None);
        at_ms += 640 + u64::from(incarnation) * 150;
    }
    let waiting_for = "the target tablet to be ready".to_owned();
    tape.add(at_ms + 3_000, Event::DeadlinePassed { waiting_for, after_ms: 10_000 });
    at_ms + 3_050
}

fn judgements(outcome: Verdict, records: &[Record]) -> Vec<Judgement> {
    let seq_of_exit = records
        .iter()
        .find(|r| matches!(&r.event, Event::TabletExited(e) if e.is_unasked()))
        .map(|record| record.seq);
    let reason = |text: &str, seq| vec![Reason { text: text.to_owned(), seq, cause: None }];
    Invariant::ALL
        .into_iter()
        .map(|invariant| {
            let (verdict, reasons) = match (outcome, invariant) {
                (Verdict::Fail, Invariant::I1) => (
                    Verdict::Fail,
                    reason(
                        "expected no crash loop; the target tablet ended by itself 4 times (exit 101, 101, 101, 101)",
                        seq_of_exit,
                    ),
                ),
                (Verdict::Fail, Invariant::I2) => (
                    Verdict::Fail,
                    reason(
                        "expected no panic; the target tablet's incarnation 2 panicked: <b>assignment</b> & more",
                        seq_of_exit.map(|seq| seq - 1),
                    ),
                ),
                (Verdict::Inconclusive, Invariant::I1) => {
                    (Verdict::Inconclusive, reason("observer readiness/target saw nothing for 1840 ms", None))
                }
                _ => (Verdict::Pass, Vec::new()),
            };
            let not_applicable = matches!(invariant, Invariant::I9 | Invariant::I10);
            Judgement {
                invariant,
                verdict: if not_applicable { Verdict::Inconclusive } else { verdict },
                checks: if not_applicable { 0 } else { 14 },
                reasons,
                not_applicable,
                excused: false,
            }
        })
        .collect()
}
