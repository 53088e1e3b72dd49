use super::*;
use crate::sample;
use records::journal::facts::TableStatus;
use records::journal::{Evidence, FaultLanded, Side, TabletExited, TabletStarted};

const BEGUN_MS: u64 = 1_795_330_872_000;

struct Tape(Vec<Record>);

impl Tape {
    /// A trial whose head tells when it began; its diff compares 6,000 rows a second.
    fn new() -> Self {
        let head = sample::run().1.remove(0).records.remove(0);
        let Event::TrialStarted(started) = &head.event else { panic!("no head") };
        assert_eq!(started.wall_ms, BEGUN_MS);
        Self(vec![head])
    }

    fn add(&mut self, at_ms: u64, event: Event) -> &mut Self {
        self.0.push(Record { seq: self.0.len() as u64, at_ms, event });
        self
    }

    fn started(&mut self, at_ms: u64, incarnation: u32) -> &mut Self {
        let (side, container) = (Side::Target, String::new());
        let host_pid = None;
        self.add(
            at_ms,
            Event::TabletStarted(TabletStarted { side, incarnation, container, host_pid }),
        )
    }

    fn ready(&mut self, at_ms: u64, incarnation: u32) -> &mut Self {
        let (side, reasons) = (Side::Target, Vec::new());
        self.add(at_ms, Event::Readiness { side, incarnation, ready: true, reasons })
    }

    fn killed(&mut self, at_ms: u64, incarnation: u32, fault: Fault, exit_ms: u64) -> &mut Self {
        self.add(at_ms, Event::FaultInjected { step: 0, fault, means: String::new() });
        let exit = TabletExited {
            side: Side::Target,
            incarnation,
            exit_code: 137,
            scheduled_by: Some(0),
            at_end: false,
            took_ms: None,
            last_log: Vec::new(),
        };
        self.add(exit_ms, Event::TabletExited(exit));
        let evidence = Evidence::Exit { exit_code: 137 };
        let landed = FaultLanded {
            step: 0,
            fault,
            evidence,
            interrupted: None,
            hits: Vec::new(),
            in_flight: None,
        };
        self.add(exit_ms, Event::FaultLanded(landed))
    }

    fn commit(&mut self, at_ms: u64, fact: Fact) -> &mut Self {
        let change = SidecarChange {
            table: String::new(),
            gtid: String::new(),
            commit_us: (BEGUN_MS + at_ms) * 1_000,
            before: None,
            after: None,
            cursor_ordinal: None,
            facts: vec![fact],
        };
        self.add(90_000, Event::SidecarChange(change))
    }

    fn say(&mut self, at_ms: u64, said: Said) -> &mut Self {
        self.commit(at_ms, Fact::Entry(LogEntry { diff: "1".into(), said }))
    }

    fn stream(&mut self, at_ms: u64, after: Option<&str>) -> &mut Self {
        let after = after.map(str::to_owned);
        self.say(at_ms, Said::StreamBegan { table: "t".into(), after })
    }

    fn checkpoint(&mut self, at_ms: u64, rows: u64) -> &mut Self {
        let (diff, table) = ("1".to_owned(), "t".to_owned());
        let cursor = Some(format!("[{rows}]"));
        let after = TableStatus { rows, cursor, place: Some(rows), ..TableStatus::default() };
        let after = Some(after);
        self.commit(at_ms, Fact::Table(TableChanged { diff, table, before: None, after }))
    }

    /// A diff that is started, and changes hands.
    fn owned(&mut self, at_ms: u64, before: Option<u64>, after: Option<u64>) -> &mut Self {
        let started =
            |owner| Some(DiffStatus { state: "started".into(), owner, ..DiffStatus::default() });
        let (before, after) = (started(before), started(after));
        let (diff, uuid) = ("1".to_owned(), String::new());
        self.commit(at_ms, Fact::Diff(DiffChanged { diff, uuid, before, after }))
    }

    fn trial(&self) -> TrialRecord {
        let mut trial = sample::run().1.remove(0);
        trial.records = self.0.clone();
        trial
    }
}

/// Streams from 1,000 ms on, is killed at 1,600 after a checkpoint at 1,500, ready again at 2,400.
fn interrupted(fault: Fault) -> Tape {
    let mut tape = Tape::new();
    tape.started(100, 1)
        .ready(300, 1)
        .killed(1_600, 1, fault, 1_640)
        .started(2_000, 2)
        .ready(2_400, 2);
    tape.stream(1_000, None).checkpoint(1_250, 1_400).checkpoint(1_500, 2_900);
    tape
}

#[test]
fn a_return_is_measured_from_the_death_to_rows_that_were_saved() {
    let mut tape = interrupted(Fault::Sigkill);
    tape.stream(2_450, Some("[2900]")).checkpoint(2_550, 3_200).checkpoint(2_650, 3_700);
    let back = returns(&tape.trial());
    assert_eq!(back.len(), 1);
    assert_eq!((back[0].fault, back[0].kill_to_ready_ms), (Fault::Sigkill, 800));
    assert_eq!(back[0].ready_to_moving_ms, Some(150));
    // The kernel kills some time after the fault was injected: its exit counts.
    assert_eq!(returns(&interrupted(Fault::Oom).trial())[0].kill_to_ready_ms, 760);
}

/// Signals that take their time: the process is dead when a sample finds it gone, and not only when
/// the engine tells of its exit.
#[test]
fn a_death_is_known_from_the_first_sample_that_finds_no_process() {
    let sample = |rss_bytes| Event::Sample(Sample { rss_bytes, ..Sample::default() });
    let mut tape = Tape::new();
    tape.add(50, sample(None)).started(100, 1).ready(300, 1).add(900, sample(Some(1)));
    tape.add(1_000, sample(None)).add(1_100, sample(Some(1)));
    tape.add(1_520, sample(None)).add(1_570, sample(None));
    tape.killed(1_600, 1, Fault::Oom, 1_900).started(2_000, 2).ready(2_400, 2);
    assert_eq!(returns(&tape.trial())[0].kill_to_ready_ms, 880);
}

/// On SIGTERM a tablet saves, lets its diff go, and exits some time later: no row is lost.
#[test]
fn a_diff_that_was_let_go_is_not_compared_any_more() {
    let mut tape = interrupted(Fault::Sigterm);
    assert_eq!(compared_twice(&tape.trial()), [990], "as far as its exit tells");
    tape.owned(1_510, None, Some(7));
    assert_eq!(compared_twice(&tape.trial()), [990]);
    tape.owned(1_520, Some(7), None);
    assert_eq!(compared_twice(&tape.trial()), [0]);
}

#[test]
fn a_return_without_rows_or_readiness_is_not_measured() {
    let back = returns(&interrupted(Fault::Sigkill).trial());
    assert_eq!(back[0].ready_to_moving_ms, None);
    let mut tape = Tape::new();
    tape.started(100, 1).killed(1_600, 1, Fault::Sigkill, 1_640).started(2_000, 2);
    assert_eq!(returns(&tape.trial()), []);
}

#[test]
fn rows_after_the_last_checkpoint_are_compared_twice() {
    let mut tape = interrupted(Fault::Sigkill);
    tape.stream(2_450, Some("[2900]")).checkpoint(2_550, 3_200);
    // 100 ms from the checkpoint to the kill, and 25 ms of slack, at 6,000 rows a second.
    assert_eq!(compared_twice(&tape.trial()), [750]);
}

/// A tablet that starts a table anew loses what was saved: the measure must show it.
#[test]
fn saved_rows_that_are_streamed_again_are_compared_twice() {
    for (start, rows) in [(None, 2_900), (Some("[1400]"), 1_500)] {
        let mut tape = interrupted(Fault::Sigkill);
        tape.stream(2_450, start).checkpoint(2_550, 3_200);
        assert_eq!(compared_twice(&tape.trial()), [750 + rows], "{start:?}");
    }
}

#[test]
fn a_kill_while_nothing_is_compared_costs_no_rows() {
    let mut tape = interrupted(Fault::Sigkill);
    tape.say(1_520, Said::StreamEnded);
    assert_eq!(compared_twice(&tape.trial()), [0]);
    let mut tape = Tape::new();
    tape.started(100, 1).killed(1_600, 1, Fault::Sigkill, 1_640).started(2_000, 2);
    assert_eq!(compared_twice(&tape.trial()), [0]);
    assert!(compared_twice(&Tape::new().started(100, 1).trial()).is_empty());
}

/// At the end of a trial the harness stops and resumes the completed diff: no cost of the fault.
#[test]
fn what_is_compared_after_the_last_rest_is_not_counted() {
    let mut tape = interrupted(Fault::Sigkill);
    tape.add(2_900, Event::Settled { uuid: "u".into(), state: "completed".into() });
    tape.stream(3_000, None).checkpoint(3_100, 3_200);
    assert_eq!(compared_twice(&tape.trial()), [750]);
    assert_eq!(returns(&tape.trial())[0].ready_to_moving_ms, None);
}

/// Without a pace nothing bounds the rows but what a tablet may leave unsaved at most.
#[test]
fn without_a_pace_the_bound_is_the_checkpoint_interval_and_a_packet() {
    let mut trial = interrupted(Fault::Sigkill).trial();
    trial.schedule.pace.rows_per_second = 0;
    assert_eq!(compared_twice(&trial), [500 + 8_192 / 48]);
}
