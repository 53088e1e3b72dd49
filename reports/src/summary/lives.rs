//! The lives of the target tablet, as its journal tells them: how long it was away, how soon the diff
//! moved again, and how many rows it had to compare twice.

use std::collections::BTreeMap;

use records::journal::facts::{DiffChanged, DiffStatus, Fact, LogEntry, Said, TableChanged};
use records::journal::{Event, Record, Sample, SidecarChange, begin_us};
use records::run::TrialRecord;
use records::schedule::{Fault, Pace, Phase};

use super::{is_target, phase_of};

/// The pace lets a tablet catch up a pause of 20 ms, and waits of less than 5 ms are saved up.
const PACE_SLACK_MS: u64 = 25;

/// The tablet's return after a fault that ended its process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Return {
    /// The fault.
    pub fault: Fault,
    /// The diff's phase in which it hit, where known.
    pub phase: Option<Phase>,
    /// From the death of the process to the next one's readiness.
    pub kill_to_ready_ms: u64,
    /// From that readiness to the first rows that the new process saved, where it saved any; 0 when
    /// they came first.
    pub ready_to_moving_ms: Option<u64>,
}

/// The returns of a trial, in order. A restart that was cut short by the next fault is none.
#[must_use]
pub fn returns(trial: &TrialRecord) -> Vec<Return> {
    let lives = lives(&trial.records);
    let growths = growths(&trial.records);
    let pairs = lives.iter().zip(lives.iter().skip(1));
    let returned = pairs.filter_map(|(dead, next)| {
        let (step, fault) = dead.killed_by?;
        let ready_ms = next.ready_ms?;
        let moved = growths.iter().find(|at_ms| (dead.over_ms..next.over_ms).contains(*at_ms));
        Some(Return {
            fault,
            phase: phase_at(trial, step),
            kill_to_ready_ms: ready_ms.saturating_sub(dead.death_ms?),
            ready_to_moving_ms: moved.map(|at_ms| at_ms.saturating_sub(ready_ms)),
        })
    });
    returned.collect()
}

/// For each restart in a trial, how many rows were compared twice at most: those that the dead process
/// can have compared since its last checkpoint, by the clock and its pace, and those between the
/// cursor where the next one started and the last one saved (none, for a tablet that keeps I5).
///
/// What a process compares and does not save, nobody sees: hence a bound, and no count.
#[must_use]
pub fn compared_twice(trial: &TrialRecord) -> Vec<u64> {
    let lives = lives(&trial.records);
    let epoch_us = begin_us(&trial.records);
    let mut follower = DiffsFollowed::default();
    let rest_ms = rest_ms(&trial.records);
    let until_rest =
        changes(&trial.records).take_while(|change| at_ms(change, epoch_us) <= rest_ms);
    let mut changes = until_rest.peekable();
    let mut rows = Vec::new();
    for (index, life) in lives.iter().enumerate() {
        let mut again = 0;
        while let Some(change) = changes.next_if(|change| at_ms(change, epoch_us) < life.over_ms) {
            again += follower.take(change, at_ms(change, epoch_us));
        }
        if let Some(before) = rows.last_mut().filter(|_| index > 0) {
            *before += again;
        }
        if index + 1 < lives.len() {
            let since_ms = follower.streaming_since_ms.take();
            let unsaved_ms =
                since_ms.zip(life.death_ms).map(|(since, death)| death.saturating_sub(since));
            rows.push(unsaved_ms.map_or(0, |ms| rows_within(ms, &trial.schedule.pace)));
        }
    }
    rows
}

/// Rows that a tablet compares at most in this time; without a pace, the most it may leave unsaved.
fn rows_within(ms: u64, pace: &Pace) -> u64 {
    if pace.rows_per_second == 0 {
        return pace.checkpoint_rows + pace.packet_rows_max();
    }
    ((ms + PACE_SLACK_MS) * pace.rows_per_second).div_ceil(1_000)
}

/// One process of the target tablet.
struct Incarnation {
    incarnation: u32,
    ready_ms: Option<u64>,
    /// Not later than so it was dead.
    death_ms: Option<u64>,
    /// What is committed from here on is another process's: the next one is started only when this
    /// one's exit has been seen.
    over_ms: u64,
    killed_by: Option<(usize, Fault)>,
}

fn lives(records: &[Record]) -> Vec<Incarnation> {
    let mut lives: Vec<Incarnation> = Vec::new();
    let mut injected: BTreeMap<usize, (Fault, u64)> = BTreeMap::new();
    // The first sample of the last row of samples that found no process.
    let mut gone_ms: Option<u64> = None;
    for Record { at_ms, event, .. } in records {
        match event {
            Event::TabletStarted(started) if is_target(started.side) => {
                gone_ms = None;
                lives.push(Incarnation {
                    incarnation: started.incarnation,
                    ready_ms: None,
                    death_ms: None,
                    over_ms: u64::MAX,
                    killed_by: None,
                });
            }
            Event::FaultInjected { step, fault, .. } => {
                injected.insert(*step, (*fault, *at_ms));
            }
            Event::Readiness { side, incarnation, ready: true, .. } if is_target(*side) => {
                if let Some(life) = lives.last_mut().filter(|l| l.incarnation == *incarnation) {
                    life.ready_ms.get_or_insert(*at_ms);
                }
            }
            Event::TabletExited(exit) if is_target(exit.side) => {
                let of = |life: &&mut Incarnation| life.incarnation == exit.incarnation;
                let Some(life) = lives.iter_mut().rev().find(of) else { continue };
                let by = exit.scheduled_by.and_then(|step| Some((step, injected.get(&step)?)));
                life.killed_by = by.map(|(step, (fault, _))| (step, *fault));
                let sent = by.filter(|(_, (fault, _))| kills_at_once(*fault));
                let sent_ms = sent.map(|(_, (_, sent_ms))| *sent_ms);
                life.death_ms = [Some(*at_ms), sent_ms, gone_ms].into_iter().flatten().min();
                life.over_ms = *at_ms;
            }
            Event::Sample(Sample { rss_bytes: None, .. }) => {
                gone_ms.get_or_insert(*at_ms);
            }
            Event::Sample(_) => gone_ms = None,
            _ => {}
        }
    }
    lives
}

/// The process is dead when the injection is recorded; after others a sample finds it gone, or its exit
/// is seen.
fn kills_at_once(fault: Fault) -> bool {
    matches!(fault, Fault::Sigkill | Fault::RowSurgery | Fault::HostCrash)
}

fn phase_at(trial: &TrialRecord, step: usize) -> Option<Phase> {
    trial.records.iter().rev().find_map(|record| match &record.event {
        Event::FaultLanded(landed) if landed.step == step => phase_of(landed, &trial.schedule),
        _ => None,
    })
}

fn changes(records: &[Record]) -> impl Iterator<Item = &SidecarChange> {
    records.iter().filter_map(|record| match &record.event {
        Event::SidecarChange(change) => Some(change),
        _ => None,
    })
}

/// When the trial's last diff came to rest. What is saved after that is the harness's own try of stop
/// and resume.
fn rest_ms(records: &[Record]) -> u64 {
    let settled = records.iter().rev().find(|record| matches!(record.event, Event::Settled { .. }));
    settled.map_or(u64::MAX, |record| record.at_ms)
}

fn at_ms(change: &SidecarChange, epoch_us: u64) -> u64 {
    change.commit_us.saturating_sub(epoch_us) / 1_000
}

/// When checkpoints with more rows than before were committed.
fn growths(records: &[Record]) -> Vec<u64> {
    let epoch_us = begin_us(records);
    let mut compared: BTreeMap<(&String, &String), u64> = BTreeMap::new();
    let mut growths = Vec::new();
    let rest_ms = rest_ms(records);
    let until_rest = changes(records).take_while(|change| at_ms(change, epoch_us) <= rest_ms);
    for change in until_rest {
        for fact in &change.facts {
            let Fact::Table(TableChanged { diff, table, after: Some(after), .. }) = fact else {
                continue;
            };
            if after.rows > compared.insert((diff, table), after.rows).unwrap_or(0) {
                growths.push(at_ms(change, epoch_us));
            }
        }
    }
    growths
}

/// Follows the diffs of a trial through the history.
#[derive(Default)]
struct DiffsFollowed {
    /// Since when rows are compared that no checkpoint holds; none while no stream is open.
    streaming_since_ms: Option<u64>,
    tables: BTreeMap<(String, String), Saved>,
}

/// What is saved of a table.
#[derive(Default)]
struct Saved {
    rows: u64,
    ordinal: u64,
    /// Where in the table each saved cursor stands.
    places: BTreeMap<String, u64>,
}

impl DiffsFollowed {
    /// Takes a change; returns how many saved rows a stream that starts here compares again.
    fn take(&mut self, change: &SidecarChange, at_ms: u64) -> u64 {
        let mut again = 0;
        for fact in &change.facts {
            match fact {
                Fact::Table(table) => self.saved(table, at_ms),
                Fact::Entry(entry) => again += self.logged(entry, at_ms),
                // It does not compare in any state but `started`, nor when its process has let it go.
                Fact::Diff(diff) if !is_started(diff) || is_released(diff) => {
                    self.streaming_since_ms = None;
                }
                Fact::Diff(_) | Fact::Workflow(_) => {}
            }
        }
        again
    }

    fn saved(&mut self, changed: &TableChanged, at_ms: u64) {
        let Some(after) = &changed.after else { return };
        let key = (changed.diff.clone(), changed.table.clone());
        let table = self.tables.entry(key).or_default();
        if after.rows > table.rows && self.streaming_since_ms.is_some() {
            self.streaming_since_ms = Some(at_ms);
        }
        table.rows = after.rows;
        if let Some(ordinal) = after.place {
            table.ordinal = ordinal;
            table.places.insert(after.cursor.clone().unwrap_or_default(), ordinal);
        }
    }

    fn logged(&mut self, entry: &LogEntry, at_ms: u64) -> u64 {
        let (table, after) = match &entry.said {
            Said::StreamBegan { table, after } => (table, after),
            Said::StreamEnded => {
                self.streaming_since_ms = None;
                return 0;
            }
            Said::StateMoved { .. } | Said::Other => return 0,
        };
        self.streaming_since_ms = Some(at_ms);
        let Some(saved) = self.tables.get(&(entry.diff.clone(), table.clone())) else { return 0 };
        let start = match after {
            None => Some(0),
            Some(after) => saved.places.get(after).copied(),
        };
        start.map_or(0, |start| saved.ordinal.saturating_sub(start))
    }
}

fn is_started(diff: &DiffChanged) -> bool {
    diff.after.as_ref().is_some_and(|status| status.state == "started")
}

/// An owner that closes in order saves its state and lets the diff go.
fn is_released(diff: &DiffChanged) -> bool {
    let owner = |status: &Option<DiffStatus>| status.as_ref().and_then(|status| status.owner);
    owner(&diff.before).is_some() && owner(&diff.after).is_none()
}

#[cfg(test)]
mod tests;
