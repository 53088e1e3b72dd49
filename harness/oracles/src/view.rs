//! A journal with an index: what oracles ask of it again and again.

use std::collections::BTreeMap;

use records::journal::{
    ClockLook, Event, Record, Side, SidecarChange, TabletExited, TrialStarted, VdiffAction,
    begin_us, clock_looks, schedule_of,
};
use records::schedule::{Fault, Schedule};
use records::tellings::Telling;
use records::verdict::{Cause, Reason};

use super::history::History;

/// The history's clock and the journal's may go apart by so much in a trial: the bounds of most checks of
/// a time are some hundred milliseconds.
pub(super) const CLOCK_STEP_MS_MAX: u64 = 100;

/// An event's place in the journal, and the event's data.
#[derive(Clone, Copy, Debug)]
pub(super) struct At<T> {
    pub(super) seq: u64,
    pub(super) at_ms: u64,
    pub(super) what: T,
}

/// One process of a tablet, from its start to its end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Incarnation<'a> {
    pub(super) side: Side,
    pub(super) incarnation: u32,
    pub(super) start_seq: u64,
    pub(super) start_ms: u64,
    /// How it ended; none: it lived until the trial was over.
    pub(super) exit: Option<At<&'a TabletExited>>,
    /// How it ended when the trial was over and the harness asked it to.
    pub(super) shutdown: Option<At<&'a TabletExited>>,
}

/// A journal, indexed.
pub(super) struct View<'a> {
    pub(super) records: &'a [Record],
    pub(super) head: Option<&'a TrialStarted>,
    schedule: Option<Schedule>,
    pub(super) lives: Vec<Incarnation<'a>>,
    pub(super) actions: Vec<At<&'a VdiffAction>>,
    pub(super) history: History<'a>,
    pub(super) end_ms: u64,
    /// The trial's begin by the clock of the history, microseconds since the Unix epoch.
    pub(super) begin_us: u64,
}

impl<'a> View<'a> {
    pub(super) fn new(records: &'a [Record]) -> Self {
        let head = records.iter().find_map(|record| match &record.event {
            Event::TrialStarted(head) => Some(head.as_ref()),
            _ => None,
        });
        Self {
            records,
            head,
            schedule: schedule_of(records),
            lives: lives(records),
            actions: collect(records, |event| match event {
                Event::VdiffAction(action) => Some(action),
                _ => None,
            }),
            history: History::new(records),
            end_ms: records.iter().map(|record| record.at_ms).max().unwrap_or(0),
            begin_us: begin_us(records),
        }
    }

    /// The schedule, with the steps that a scenario added on the way.
    pub(super) fn schedule(&self) -> Option<&Schedule> {
        self.schedule.as_ref()
    }

    /// Whether the system under test tells this; what is judged by it is judged then only.
    pub(super) fn tells(&self, telling: Telling) -> bool {
        self.head.is_none_or(|head| !head.untold.contains(&telling))
    }

    /// The fault of a schedule's step.
    pub(super) fn fault_of(&self, step: usize) -> Option<Fault> {
        self.schedule().and_then(|schedule| schedule.steps.get(step)).map(|step| step.fault)
    }

    /// Events that `pick` takes, with their places.
    pub(super) fn events<T>(&self, pick: impl Fn(&'a Event) -> Option<T>) -> Vec<At<T>> {
        collect(self.records, pick)
    }

    /// Whether the trial came to its last line.
    pub(super) fn has_ended(&self) -> bool {
        self.records.iter().any(|record| matches!(record.event, Event::TrialEnded))
    }

    /// What of the journal as a whole is missing; concerns every invariant.
    pub(super) fn gaps(&self) -> Vec<Reason> {
        let mut gaps = Vec::new();
        if self.head.is_none() {
            gaps.push(Reason::new(None, "the journal has no head (trial-started)".to_owned()));
        }
        for (expected, record) in (0u64..).zip(self.records) {
            if record.seq != expected {
                let text = format!(
                    "records are missing: expected number {expected}, found {}",
                    record.seq
                );
                gaps.push(Reason::new(Some(record.seq), text));
                break;
            }
        }
        for record in self.records {
            if let Event::HarnessTrouble { what } = &record.event {
                gaps.push(Reason::new(
                    Some(record.seq),
                    format!("the harness had trouble: {what}"),
                ));
            }
            if let Event::TrialLost { what } = &record.event {
                let lost = Reason::new(Some(record.seq), format!("the trial was lost: {what}"));
                gaps.push(Reason { cause: Some(Cause::TrialLost), ..lost });
            }
        }
        gaps.extend(self.clock_step());
        if !self.has_ended() {
            gaps.push(Reason::new(None, "the journal stops before the trial's end".to_owned()));
        }
        gaps
    }

    /// Why an observer's silence proves nothing; empty: it watched from begin to end.
    ///
    /// Observers that have the name, or the name and a side; if there are none, every observer must
    /// have been whole, since any of them may have been the one. An observer of a side watches that
    /// side's tablet alone: each of `sides` that lived needs its own.
    pub(super) fn observer_problems(&self, name: &str, sides: &[Side]) -> Vec<Reason> {
        let mut watches: BTreeMap<&str, Watch> = BTreeMap::new();
        for record in self.records {
            match &record.event {
                Event::ObserverStarted { observer } => {
                    watches.entry(observer).or_default().open += 1;
                }
                Event::ObserverGap { observer, gap_ms } => {
                    let text = format!("observer {observer} saw nothing for {gap_ms} ms");
                    watches
                        .entry(observer)
                        .or_default()
                        .gaps
                        .push(Reason::new(Some(record.seq), text));
                }
                Event::ObserverStopped { observer, .. } => {
                    let watch = watches.entry(observer).or_default();
                    watch.open -= 1;
                    watch.stopped = true;
                }
                _ => {}
            }
        }
        let named = |observer: &str| {
            observer.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        if watches.keys().any(|observer| named(observer)) {
            watches.retain(|observer, _| named(observer));
        }
        if watches.is_empty() {
            return vec![Reason::new(None, format!("no observer of {name} is in the journal"))];
        }
        let mut problems = Vec::new();
        let by_side = watches.keys().any(|observer| named(observer) && *observer != name);
        for side in sides.iter().filter(|side| self.lives.iter().any(|life| life.side == **side)) {
            let observer = format!("{name}/{}", side.name());
            if by_side && !watches.contains_key(observer.as_str()) {
                let text = format!("no observer {observer} is in the journal");
                problems.push(Reason::new(None, text));
            }
        }
        problems.extend(watches.into_iter().flat_map(|(observer, watch)| watch.problems(observer)));
        problems
    }

    /// The tablets whose last process had not ended when the trial did.
    pub(super) fn sides_that_live_on(&self) -> Vec<Side> {
        let last = |side: &Side| self.lives.iter().rfind(|life| life.side == *side);
        [Side::Source, Side::Target]
            .into_iter()
            .filter(|side| last(side).is_some_and(|life| life.exit.is_none()))
            .collect()
    }

    /// Whether the evidence of the trial's end was collected: an earlier end is told elsewhere.
    pub(super) fn was_collected(&self) -> bool {
        self.has_ended() || self.records.iter().any(|r| matches!(r.event, Event::Residue(_)))
    }

    /// Whether the target tablet lived on as primary until the evidence was collected.
    pub(super) fn serves_to_the_end(&self) -> bool {
        let first = |wanted: fn(&Event) -> bool| self.records.iter().position(|r| wanted(&r.event));
        let collected = first(|event| matches!(event, Event::Residue(_)));
        let usurped = first(|event| matches!(event, Event::TermProbe { .. }));
        let by_then = match (usurped, collected) {
            (Some(usurped), Some(collected)) => usurped < collected,
            _ => false,
        };
        !by_then && self.sides_that_live_on().contains(&Side::Target)
    }

    /// Until when readiness was polled.
    pub(super) fn polled_until_ms(&self) -> u64 {
        let stopped = self.records.iter().rev().find(|record| {
            matches!(&record.event, Event::ObserverStopped { observer, .. }
                if observer.starts_with(records::journal::observers::READINESS))
        });
        stopped.map_or(self.end_ms, |record| record.at_ms)
    }

    /// Nothing was hurt yet, and the target tablet was not ready at any time: that says nothing of it.
    pub(super) fn never_came_up(&self) -> bool {
        let was_ready = self.records.iter().any(|record| {
            matches!(record.event, Event::Readiness { side: Side::Target, ready: true, .. })
        });
        !was_ready && self.injected().is_empty()
    }

    /// The harness failed while the harm of a fault was on, and never ended it: nothing had to converge.
    pub(super) fn was_left_hurt(&self) -> bool {
        let mut hurt = BTreeMap::new();
        for record in self.records {
            match &record.event {
                Event::FaultInjected { step, .. } => {
                    hurt.insert(*step, false);
                }
                Event::FaultHealed { step, .. } => {
                    hurt.remove(step);
                }
                Event::HarnessTrouble { .. } => hurt.values_mut().for_each(|left| *left = true),
                _ => {}
            }
        }
        hurt.into_values().any(|left| left)
    }

    /// What was observed of a life's readiness, in order.
    pub(super) fn readiness_of(&self, life: &Incarnation<'_>) -> Vec<At<bool>> {
        self.events(|event| match event {
            Event::Readiness { side, incarnation, ready, .. }
                if *side == life.side && *incarnation == life.incarnation =>
            {
                Some(*ready)
            }
            _ => None,
        })
    }

    /// The times in which a life was ready; the last one may reach to `end_ms`.
    pub(super) fn ready_intervals(&self, life: &Incarnation<'_>, end_ms: u64) -> Vec<(u64, u64)> {
        let mut intervals = Vec::new();
        let mut since: Option<u64> = None;
        for seen in self.readiness_of(life) {
            if seen.what {
                since = since.or(Some(seen.at_ms));
            } else if let Some(from) = since.take() {
                intervals.push((from, seen.at_ms));
            }
        }
        intervals.extend(since.map(|from| (from, end_ms.max(from))));
        intervals
    }

    /// When a change was committed, on the journal's clock.
    pub(super) fn at_ms_of(&self, change: &SidecarChange) -> u64 {
        change.commit_us.saturating_sub(self.begin_us) / 1_000
    }

    /// That the two clocks went apart during the trial: no time of the history can be believed then.
    fn clock_step(&self) -> Option<Reason> {
        let looks = clock_looks(self.records);
        let first = looks.first()?;
        let apart_ms = |look: &ClockLook| look.begin_us.abs_diff(first.begin_us) / 1_000;
        let stepped = looks
            .iter()
            .find(|look| apart_ms(look) > CLOCK_STEP_MS_MAX + look.within_ms + first.within_ms)?;
        let text = format!(
            "the clock of the target's MySQL and the harness's went apart by {} ms in the trial: times of \
             the history are not to be believed",
            apart_ms(stepped)
        );
        Some(Reason { cause: Some(Cause::Clock), ..Reason::new(Some(stepped.seq), text) })
    }

    /// Ends of the trial's diffs.
    pub(super) fn settled(&self) -> Vec<At<(&'a str, &'a str)>> {
        self.events(|event| match event {
            Event::Settled { uuid, state } => Some((uuid.as_str(), state.as_str())),
            _ => None,
        })
    }

    /// Faults that were injected.
    pub(super) fn injected(&self) -> Vec<At<(usize, Fault)>> {
        self.events(|event| match event {
            Event::FaultInjected { step, fault, .. } => Some((*step, *fault)),
            _ => None,
        })
    }

    /// Faults that were healed.
    pub(super) fn healed(&self) -> Vec<At<(usize, Fault)>> {
        self.events(|event| match event {
            Event::FaultHealed { step, fault } => Some((*step, *fault)),
            _ => None,
        })
    }

    /// Faults that landed, with their effect.
    pub(super) fn landed(&self) -> Vec<At<(usize, Fault)>> {
        self.events(|event| match event {
            Event::FaultLanded(landed) if landed.had_its_effect() => {
                Some((landed.step, landed.fault))
            }
            _ => None,
        })
    }

    /// Steps whose fault is told as landed with nothing that proves its effect, with their records.
    pub(super) fn without_effect(&self) -> Vec<(u64, usize)> {
        let told = self.events(|event| match event {
            Event::FaultLanded(landed) if !landed.had_its_effect() => Some(landed.step),
            _ => None,
        });
        told.into_iter().map(|told| (told.seq, told.what)).collect()
    }
}

#[derive(Default)]
struct Watch {
    open: i64,
    stopped: bool,
    gaps: Vec<Reason>,
}

impl Watch {
    fn problems(self, observer: &str) -> Vec<Reason> {
        let mut problems = self.gaps;
        if self.open > 0 || !self.stopped {
            problems.push(Reason::new(None, format!("observer {observer} did not end in order")));
        }
        if self.open < 0 {
            problems.push(Reason::new(None, format!("observer {observer} ended without a begin")));
        }
        problems
    }
}

fn collect<'a, T>(records: &'a [Record], pick: impl Fn(&'a Event) -> Option<T>) -> Vec<At<T>> {
    records
        .iter()
        .filter_map(|record| {
            pick(&record.event).map(|what| At { seq: record.seq, at_ms: record.at_ms, what })
        })
        .collect()
}

fn lives(records: &[Record]) -> Vec<Incarnation<'_>> {
    let mut lives: Vec<Incarnation<'_>> = Vec::new();
    for record in records {
        match &record.event {
            Event::TabletStarted(started) => lives.push(Incarnation {
                side: started.side,
                incarnation: started.incarnation,
                start_seq: record.seq,
                start_ms: record.at_ms,
                exit: None,
                shutdown: None,
            }),
            Event::TabletExited(exited) => {
                let life = lives
                    .iter_mut()
                    .rev()
                    .find(|l| l.side == exited.side && l.incarnation == exited.incarnation);
                if let Some(life) = life {
                    let end = Some(At { seq: record.seq, at_ms: record.at_ms, what: exited });
                    if exited.at_end {
                        life.shutdown = end;
                    } else {
                        life.exit = end;
                    }
                }
            }
            _ => {}
        }
    }
    lives
}

/// A side in words.
pub(super) fn side_name(side: Side) -> &'static str {
    match side {
        Side::Source => "source tablet",
        Side::Target => "target tablet",
    }
}
