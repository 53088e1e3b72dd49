//! Hand-made journals: a whole trial that passes, and verbs to break it, so that a test is a row.

use std::collections::BTreeMap;

use records::journal::facts::{DiffChanged, Said, TableStatus};
use records::journal::{
    CountedWhen, Difference, DifferenceKind, Event, Evidence, FaultLanded, FinalReport, Hit,
    Interrupted, Record, Residue, Sample, Side, SidecarChange, TableReport, TableTruth,
    TabletExited, TabletStarted, TrialStarted, Truth, VdiffAction, observers,
};
use records::schedule::{Deadlines, Fault, Pace, Phase, Schedule, Step, Trigger, Workload};
use records::verdict::{Invariant, Judgement, Verdict};

pub(crate) mod probes;

mod rows;

pub(crate) use rows::{
    comes_to, diff_of, entry, falls, hold, said_of, streams, table, table_of, told, vdiff, workflow,
};

pub(crate) const UUID: &str = "7b1e0000-0000-4000-8000-000000000001";
pub(crate) const NEW_UUID: &str = "7b1e0000-0000-4000-8000-000000000002";
pub(crate) const WALL_MS: u64 = 1_700_000_000_000;
pub(crate) const STEP_ROWS: u64 = 2_000;

/// A journal under construction; records are numbered when it is judged.
#[derive(Clone)]
pub(crate) struct JournalBuilder {
    pub(crate) events: Vec<(u64, Event)>,
    gtid: u64,
}

/// A row of a test: what was done to a good journal, and what its invariant must say.
pub(crate) type Case = (&'static str, fn(&mut JournalBuilder), Invariant, Verdict);

/// Judges each case; every one of them starts from a good journal of this fault.
pub(crate) fn expect(fault: Fault, cases: &[Case]) {
    for (name, change, invariant, verdict) in cases {
        let mut journal = JournalBuilder::good(fault);
        change(&mut journal);
        let judgement = journal.judgement(*invariant);
        assert!(!judgement.not_applicable, "{name}: {invariant} was not tried");
        assert_eq!(judgement.verdict, *verdict, "{name}: {judgement:#?}");
        match verdict {
            Verdict::Pass => {
                assert!(judgement.checks > 0 && judgement.reasons.is_empty(), "{name}")
            }
            Verdict::Fail | Verdict::Inconclusive => {
                assert!(!judgement.reasons.is_empty(), "{name}: no reason given");
            }
        }
    }
}

impl JournalBuilder {
    /// A trial in which this fault struck in the middle, and everything came out right.
    pub(crate) fn good(fault: Fault) -> Self {
        let mut journal = Self { events: Vec::new(), gtid: 0 };
        journal.begin(fault);
        journal.strike(fault);
        journal.end(fault);
        journal.history(fault);
        journal.add(15_900, Event::TrialEnded);
        journal
    }

    pub(crate) fn records(&self) -> Vec<Record> {
        (0u64..)
            .zip(&self.events)
            .map(|(seq, (at_ms, event))| Record { seq, at_ms: *at_ms, event: event.clone() })
            .collect()
    }

    pub(crate) fn judgements(&self) -> Vec<Judgement> {
        crate::judge(&self.records())
    }

    pub(crate) fn judgement(&self, invariant: Invariant) -> Judgement {
        self.judgements().into_iter().find(|j| j.invariant == invariant).unwrap()
    }

    pub(crate) fn verdict(&self) -> Verdict {
        crate::trial_verdict(&self.judgements())
    }

    pub(crate) fn add(&mut self, at_ms: u64, event: Event) {
        self.events.push((at_ms, event));
    }

    /// Puts an event in at its time; before the trial's end, when at the same time.
    pub(crate) fn insert(&mut self, at_ms: u64, event: Event) {
        let place = self.events.partition_point(|(at, _)| *at <= at_ms);
        let place = place.min(self.events.len() - 1);
        self.events.insert(place, (at_ms, event));
    }

    /// Takes out the events that match.
    pub(crate) fn without(&mut self, matches: impl Fn(&Event) -> bool) {
        let before = self.events.len();
        self.events.retain(|(_, event)| !matches(event));
        assert!(self.events.len() < before, "nothing was taken out");
    }

    /// Changes the events that the function knows.
    pub(crate) fn edit(&mut self, mut change: impl FnMut(&mut u64, &mut Event)) {
        let before = self.events.clone();
        for (at_ms, event) in &mut self.events {
            change(at_ms, event);
        }
        assert!(self.events != before, "nothing was changed");
    }

    pub(crate) fn edit_head(&mut self, change: impl Fn(&mut TrialStarted)) {
        self.edit(|_, event| {
            if let Event::TrialStarted(head) = event {
                change(head);
            }
        });
    }

    pub(crate) fn edit_report(&mut self, change: impl Fn(&mut FinalReport)) {
        self.edit(|_, event| {
            if let Event::FinalReport(report) = event {
                change(report);
            }
        });
    }

    pub(crate) fn edit_exit(&mut self, change: impl Fn(&mut TabletExited)) {
        self.edit(|_, event| {
            if let Event::TabletExited(exit) = event {
                change(exit);
            }
        });
    }

    pub(crate) fn edit_action(&mut self, name: &str, change: impl Fn(&mut VdiffAction)) {
        self.edit(|_, event| match event {
            Event::VdiffAction(action) if action.action == name => change(action),
            _ => {}
        });
    }

    /// Changes the changes of diffs that come to this state.
    pub(crate) fn edit_diff(&mut self, to: &str, edit: impl Fn(&mut DiffChanged)) {
        self.edit_history(|change| {
            let diff =
                diff_of(change).filter(|it| it.after.as_ref().is_some_and(|it| it.state == to));
            diff.into_iter().for_each(&edit);
        });
    }

    /// Changes the changes of tables that come to this state with so many checkpoints.
    pub(crate) fn edit_table(&mut self, to: (&str, u64), edit: impl Fn(&mut TableStatus)) {
        let is_it = |it: &&mut TableStatus| it.state == to.0 && it.rows == to.1 * STEP_ROWS;
        self.edit_history(|change| {
            let after = table_of(change).and_then(|table| table.after.as_mut());
            after.filter(is_it).into_iter().for_each(&edit);
        });
    }

    /// Changes committed changes.
    pub(crate) fn edit_history(&mut self, edit: impl Fn(&mut SidecarChange)) {
        self.edit(|_, event| {
            if let Event::SidecarChange(change) = event {
                edit(change);
            }
        });
    }

    /// Takes committed changes away, and counts what is left.
    pub(crate) fn without_change(&mut self, is_it: impl Fn(&mut SidecarChange) -> bool) {
        self.events.retain_mut(|(_, event)| match event {
            Event::SidecarChange(change) => !is_it(change),
            _ => true,
        });
        self.recount();
    }

    /// Appends changes to the history, in a transaction of their own, and counts them.
    pub(crate) fn append(&mut self, changes: Vec<SidecarChange>) {
        self.gtid += 1;
        let place = self.events.iter().position(|(_, e)| matches!(e, Event::HistoryRead { .. }));
        let place = place.unwrap_or(self.events.len());
        let gtid = format!("s:{}", self.gtid);
        let events = changes.into_iter().map(|mut change| {
            change.gtid.clone_from(&gtid);
            (15_800, Event::SidecarChange(change))
        });
        self.events.splice(place..place, events);
        self.recount();
    }

    /// Makes the history's count that of its changes.
    pub(crate) fn recount(&mut self) {
        let is_change = |(_, event): &&(u64, Event)| matches!(event, Event::SidecarChange(_));
        let count = self.events.iter().filter(is_change).count() as u64;
        for (_, event) in &mut self.events {
            if let Event::HistoryRead { changes } = event {
                *changes = count;
            }
        }
    }

    fn begin(&mut self, fault: Fault) {
        self.add(0, Event::TrialStarted(Box::new(head(fault))));
        for observer in [
            observers::READINESS,
            observers::PROCESS,
            observers::LOGS,
            observers::MEMORY,
            observers::SIDECAR,
        ] {
            self.add(5, Event::ObserverStarted { observer: format!("{observer}/target") });
        }
        self.start(10, 1);
        self.ready(600, 1, true);
        self.add(650, Event::ResourcesCounted(probes::held(CountedWhen::AtRest, 1)));
        self.add(700, action("create", UUID));
    }

    pub(crate) fn start(&mut self, at_ms: u64, incarnation: u32) {
        self.insert_or_add(
            at_ms,
            Event::TabletStarted(TabletStarted {
                side: Side::Target,
                incarnation,
                container: "c".into(),
                host_pid: Some(1),
            }),
        );
    }

    pub(crate) fn ready(&mut self, at_ms: u64, incarnation: u32, ready: bool) {
        let reasons = if ready { Vec::new() } else { vec!["starting".to_owned()] };
        let side = Side::Target;
        self.insert_or_add(at_ms, Event::Readiness { side, incarnation, ready, reasons });
    }

    fn log_read(&mut self, incarnation: u32, start_seen: bool, to_end: bool) {
        let (side, lines) = (Side::Target, 20);
        self.add(15_400, Event::LogRead { side, incarnation, lines, start_seen, to_end });
    }

    pub(crate) fn exit(&mut self, at_ms: u64, incarnation: u32, code: i64, step: Option<usize>) {
        self.insert_or_add(
            at_ms,
            Event::TabletExited(TabletExited {
                side: Side::Target,
                incarnation,
                exit_code: code,
                scheduled_by: step,
                at_end: false,
                took_ms: step.map(|_| 40),
                last_log: Vec::new(),
            }),
        );
    }

    fn insert_or_add(&mut self, at_ms: u64, event: Event) {
        if matches!(self.events.last(), Some((_, Event::TrialEnded))) {
            self.insert(at_ms, event);
        } else {
            self.add(at_ms, event);
        }
    }

    fn strike(&mut self, fault: Fault) {
        self.add(3_000, sample());
        self.add(3_000, Event::TriggerFired { step: 0, seen: "50 %".into() });
        self.add(3_001, Event::FaultInjected { step: 0, fault, means: "kill".into() });
        let evidence = match (fault, fault.facts().ends) {
            (Fault::Demote, _) => {
                Evidence::State { before: "PRIMARY".into(), after: "REPLICA".into() }
            }
            (_, Some((Side::Target, exit_code))) => {
                self.exit(3_040, 1, exit_code, Some(0));
                Evidence::Exit { exit_code }
            }
            (Fault::MemorySqueeze, _) => {
                let after = "error (memory pressure) at 84 % of the limit";
                Evidence::State { before: "started".into(), after: after.into() }
            }
            (Fault::RpcDrop, _) => {
                Evidence::State { before: "a snapshot".into(), after: "gone after 20 ms".into() }
            }
            _ => Evidence::State { before: "started".into(), after: "stopped".into() },
        };
        let hits = fault.facts().proven_by.iter();
        let hits = hits.map(|kind| Hit { kind: *kind, what: "what it aims at".into() }).collect();
        self.add(
            3_100,
            Event::FaultLanded(FaultLanded {
                step: 0,
                fault,
                evidence,
                interrupted: Some(Interrupted {
                    state: "started".into(),
                    rows_compared: STEP_ROWS,
                    rows_total: 3 * STEP_ROWS,
                    phase: Some(Phase::Streaming),
                }),
                hits,
                in_flight: None,
            }),
        );
        match fault {
            Fault::Cancel => {
                self.add(3_200, with_effect(action("stop", UUID), 90));
                self.add(4_400, with_effect(action("resume", UUID), 60));
            }
            Fault::Delete => {
                self.add(3_200, with_effect(action("delete", UUID), 90));
                self.add(4_400, action("create", NEW_UUID));
            }
            Fault::RowSurgery => {
                self.start(3_500, 2);
                self.ready(3_600, 2, false);
                self.ready(4_100, 2, true);
                self.add(4_400, action("create", NEW_UUID));
            }
            _ if fault.ends_target() => {
                self.start(3_500, 2);
                self.ready(3_600, 2, false);
                self.ready(4_100, 2, true);
            }
            _ => self.add(3_600, sample()),
        }
        self.add(4_500, Event::FaultHealed { step: 0, fault });
    }

    fn end(&mut self, fault: Fault) {
        let uuid = if is_deleting(fault) { NEW_UUID } else { UUID };
        self.add(9_000, Event::Settled { uuid: uuid.into(), state: "completed".into() });
        self.add(9_100, Event::FinalReport(final_report(uuid)));
        let side = Side::Target;
        self.add(9_150, Event::Answers { side, answers: probes::answers() });
        self.add(9_160, Event::Roles(probes::primary()));
        self.add(
            9_200,
            Event::WorkflowRow {
                workflow: "move".into(),
                state: "Running".into(),
                message: String::new(),
                stop_pos: String::new(),
                hold: None,
                after_ms: 200,
            },
        );
        self.add(
            9_300,
            Event::Residue(Residue {
                looked_at: vec!["connections".into(), "locks".into()],
                ..Residue::default()
            }),
        );
        let incarnation = if fault.ends_target() { 2 } else { 1 };
        self.add(9_300, Event::ResourcesCounted(probes::held(CountedWhen::AtEnd, incarnation)));
        self.add(9_400, Event::Verbs(Box::new(probes::verbs(uuid))));
        self.add(15_000, Event::TermProbe { demoted: true, after_ms: 400 });
        self.add(15_050, Event::Roles(probes::replica()));
        self.add(15_100, Event::ShutdownAsked { side, incarnation });
        self.add(
            15_200,
            Event::TabletExited(TabletExited {
                side,
                incarnation,
                exit_code: 0,
                scheduled_by: None,
                at_end: true,
                took_ms: Some(100),
                last_log: Vec::new(),
            }),
        );
        for incarnation in 1..=incarnation {
            self.log_read(incarnation, true, true);
        }
        self.add(15_500, Event::LogVolume { side, lines: 57, busiest_second: 30 });
        for observer in [
            observers::READINESS,
            observers::PROCESS,
            observers::LOGS,
            observers::MEMORY,
            observers::SIDECAR,
        ] {
            let observer = format!("{observer}/target");
            self.add(15_500, Event::ObserverStopped { observer, observations: 100 });
        }
    }

    /// The binlog: created, started, one checkpoint, the fault, two more checkpoints, completed.
    fn history(&mut self, fault: Fault) {
        self.add(15_800, Event::HistoryRead { changes: 0 });
        let restarted = fault.ends_target();
        self.append(vec![vdiff(1, UUID, None, Some("pending"), 1, 700)]);
        self.append(vec![
            vdiff(1, UUID, Some("pending"), Some("started"), 1, 800),
            told(1, "started", 800),
        ]);
        self.append(vec![table(1, None, Some(("pending", 0)), 1, 850)]);
        self.append(vec![
            table(1, Some(("pending", 0)), Some(("started", 0)), 1, 860),
            entry(1, Said::Other, 860),
        ]);
        self.append(vec![streams(1, 0, 870)]);
        self.append(vec![table(1, Some(("started", 0)), Some(("started", 1)), 1, 2_000)]);
        match fault {
            Fault::Cancel => {
                self.append(vec![
                    vdiff(1, UUID, Some("started"), Some("stopped"), 1, 3_150),
                    table(1, Some(("started", 1)), Some(("stopped", 1)), 1, 3_150),
                    told(1, "stopped", 3_150),
                ]);
                self.append(vec![
                    vdiff(1, UUID, Some("stopped"), Some("pending"), 1, 4_390),
                    table(1, Some(("stopped", 1)), Some(("pending", 1)), 1, 4_390),
                    told(1, "pending", 4_390),
                ]);
                self.append(vec![
                    vdiff(1, UUID, Some("pending"), Some("started"), 1, 4_450),
                    told(1, "started", 4_450),
                ]);
                self.append(vec![table(1, Some(("pending", 1)), Some(("started", 1)), 1, 4_460)]);
                self.rest_of_diff(1, UUID, 1, 1);
            }
            Fault::Delete | Fault::RowSurgery => {
                self.append(vec![vdiff(1, UUID, Some("started"), None, 1, 3_150)]);
                self.append(vec![table(1, Some(("started", 1)), None, 1, 3_600)]);
                self.append(vec![vdiff(2, NEW_UUID, None, Some("pending"), 2, 4_400)]);
                self.append(vec![
                    vdiff(2, NEW_UUID, Some("pending"), Some("started"), 2, 4_450),
                    told(2, "started", 4_450),
                ]);
                self.append(vec![table(2, None, Some(("pending", 0)), 2, 4_460)]);
                self.append(vec![table(2, Some(("pending", 0)), Some(("started", 0)), 2, 4_470)]);
                self.rest_of_diff(2, NEW_UUID, 2, 0);
            }
            _ => self.rest_of_diff(1, UUID, if restarted { 2 } else { 1 }, 1),
        }
    }

    fn rest_of_diff(&mut self, id: u64, uuid: &str, epoch: u64, done: u64) {
        self.append(vec![streams(id, done, 5_000)]);
        for step in done..3 {
            let (from, to) = (("started", step), ("started", step + 1));
            self.append(vec![table(id, Some(from), Some(to), epoch, 6_000 + step * 100)]);
        }
        self.append(vec![
            table(id, Some(("started", 3)), Some(("completed", 3)), epoch, 8_900),
            entry(id, Said::StreamEnded, 8_900),
        ]);
        self.append(vec![
            vdiff(id, uuid, Some("started"), Some("completed"), epoch, 8_950),
            told(id, "completed", 8_950),
        ]);
    }
}

fn is_deleting(fault: Fault) -> bool {
    matches!(fault, Fault::Delete | Fault::RowSurgery)
}

fn head(fault: Fault) -> TrialStarted {
    let trigger = Trigger::Progress { fraction: 0.5 };
    TrialStarted {
        format: records::journal::FORMAT,
        run: "run".into(),
        wall_ms: WALL_MS,
        schedule: Schedule {
            format: records::schedule::FORMAT,
            seed: 1,
            trial: 0,
            vdiff_uuid: UUID.into(),
            workload: Workload {
                seed: 1,
                tables: vec!["t".into()],
                rows: 3 * STEP_ROWS,
                differences: 3,
                run_length: 0,
                keys_alike: false,
            },
            pace: Pace {
                rows_per_second: 1_000,
                checkpoint_rows: STEP_ROWS,
                checkpoint_interval_ms: 100,
                memory_limit_bytes: 64 << 20,
                packet_bytes: 8 << 10,
            },
            steps: vec![Step::new(trigger, fault)],
            proxied: false,
            explores: false,
            unwatched: false,
            system: None,
            bug: None,
            deadlines: Deadlines {
                ready_ms: 10_000,
                ready_holds_ms: 3_000,
                settle_ms: 60_000,
                cancel_ms: 10_000,
                trial_ms: 120_000,
                stall_ms: records::schedule::stall_ms(),
            },
        },
        images: BTreeMap::new(),
        calibrated_ms: 4_000,
        truth: Truth { tables: BTreeMap::from([("t".to_owned(), table_truth())]) },
        workflow: "move".into(),
        witnesses: None,
        system: None,
        untold: Vec::new(),
    }
}

fn table_truth() -> TableTruth {
    TableTruth {
        processed: 3 * STEP_ROWS,
        matching: 3 * STEP_ROWS - 4,
        mismatched: vec!["3".into(), "5".into()],
        extra_source: vec!["7".into()],
        extra_target: vec!["9".into()],
    }
}

fn final_report(uuid: &str) -> FinalReport {
    let truth = table_truth();
    let of = |kind: DifferenceKind, keys: &[String]| -> Vec<Difference> {
        keys.iter().map(|key| Difference { kind, key: key.clone() }).collect()
    };
    let mut differences = of(DifferenceKind::Mismatch, &truth.mismatched);
    differences.extend(of(DifferenceKind::ExtraSource, &truth.extra_source));
    differences.extend(of(DifferenceKind::ExtraTarget, &truth.extra_target));
    let table = TableReport {
        state: "completed".into(),
        processed: truth.processed,
        matching: truth.matching,
        mismatched: 2,
        extra_source: 1,
        extra_target: 1,
        differences,
    };
    FinalReport {
        uuid: uuid.into(),
        state: "completed".into(),
        last_error: String::new(),
        tables: BTreeMap::from([("t".to_owned(), table)]),
    }
}

pub(crate) fn sample() -> Event {
    Event::Sample(Sample {
        rss_bytes: Some(30 << 20),
        cgroup_bytes: Some(40 << 20),
        state: Some("started".into()),
        rows_compared: STEP_ROWS,
        rows_total: 3 * STEP_ROWS,
        runnable_per_core: Some(2.0),
        timer_lag_ms: Some(1),
        ..Sample::default()
    })
}

pub(crate) fn action(name: &str, uuid: &str) -> Event {
    Event::VdiffAction(VdiffAction {
        action: name.into(),
        uuid: uuid.into(),
        acknowledged: true,
        error: None,
        took_ms: 20,
        asked_ms_ago: None,
        effect_ms: None,
        tries: Vec::new(),
    })
}

fn with_effect(mut event: Event, ms: u64) -> Event {
    if let Event::VdiffAction(action) = &mut event {
        action.effect_ms = Some(ms);
    }
    event
}

/// The records of a trial that passes, for tests of what uses the oracles.
#[must_use]
pub fn good_records() -> Vec<Record> {
    JournalBuilder::good(Fault::Sigkill).records()
}
