//! Where the differences lie: a table's places, planned from the seed.

use records::schedule::Workload;
use thiserror::Error;

use super::random::{Draws, Fork};
use super::shape::{Flaw, Plant, Shape};
use super::shapes::{SHAPES, shape_of};

/// The most rows a table may have: keys are made by arithmetic, which must not overflow.
const ROWS_MAX: u64 = 100_000_000;

/// The most single differences: each is kept in memory.
const DIFFERENCES_MAX: u64 = 1_000_000;

/// A workload that cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum WorkloadError {
    /// Not in the catalogue.
    #[error("tables: there is no table '{name}' in the catalogue; known are {known}")]
    UnknownTable {
        /// As written.
        name: String,
        /// The catalogue.
        known: String,
    },
    /// Nothing to compare.
    #[error("tables: the list is empty; name at least one of {known}")]
    NoTables {
        /// The catalogue.
        known: String,
    },
    /// A table twice.
    #[error("tables: '{name}' is listed twice; name each table once")]
    DuplicateTable {
        /// Its name.
        name: String,
    },
    /// The differences do not fit.
    #[error(
        "rows: {rows} rows are too few for what is to be planted in '{table}', which needs at \
         least {needed}; raise rows, or lower differences or run_length, or name more tables"
    )]
    TooFewRows {
        /// Which table is full.
        table: String,
        /// As given.
        rows: u64,
        /// The least number of rows that would do, as far as this table goes.
        needed: u64,
    },
    /// Too large.
    #[error("{field}: {value} is more than the {most} that can be made; lower it")]
    TooMany {
        /// The field of the workload.
        field: &'static str,
        /// As given.
        value: u64,
        /// Its limit.
        most: u64,
    },
}

/// What a place of a table holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Spot {
    /// Two equal rows.
    Equal,
    /// Two rows with equal keys, unequal in this way.
    Unequal(Flaw),
    /// A row of the source only.
    OnlySource,
    /// A row of the target only.
    OnlyTarget,
}

/// The kind of a run of differences.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RunKind {
    Unequal,
    OnlySource,
    OnlyTarget,
}

const RUNS: [RunKind; 3] = [RunKind::Unequal, RunKind::OnlySource, RunKind::OnlyTarget];

/// Consecutive places of one kind.
#[derive(Clone, Copy, Debug)]
pub(super) struct DifferenceRun {
    pub(super) start: u64,
    pub(super) length: u64,
    pub(super) kind: RunKind,
}

/// The plan of one table.
#[derive(Clone, Debug)]
pub(super) struct Planting {
    pub(super) table: &'static Shape,
    /// How many places there are.
    pub(super) places: u64,
    /// Sorted by place; none lies in a run.
    singles: Vec<(u64, Spot)>,
    /// Sorted by place, apart from each other.
    runs: Vec<DifferenceRun>,
    /// See [`Workload::keys_alike`].
    keys_alike: bool,
}

impl Planting {
    /// What lies at `place`.
    pub(super) fn spot(&self, place: u64) -> Spot {
        let run = self.runs.iter().find(|run| (run.start..run.start + run.length).contains(&place));
        if let Some(run) = run {
            return self.spot_of_run(run, place);
        }
        match self.singles.binary_search_by_key(&place, |(at, _)| *at) {
            Ok(index) => self.singles[index].1,
            Err(_) => Spot::Equal,
        }
    }

    /// Every place that does not hold an equal pair, with what it holds; not in order.
    pub(super) fn planted(&self) -> impl Iterator<Item = (u64, Spot)> + '_ {
        let in_runs = self.runs.iter().flat_map(move |run| {
            (run.start..run.start + run.length)
                .map(move |place| (place, self.spot_of_run(run, place)))
        });
        self.singles.iter().copied().chain(in_runs)
    }

    /// Rows of the two sides: (source, target).
    pub(super) fn rows(&self) -> (u64, u64) {
        let (mut source, mut target) = (self.places, self.places);
        for (_, spot) in &self.singles {
            match spot {
                Spot::OnlySource => target -= 1,
                Spot::OnlyTarget => source -= 1,
                Spot::Equal | Spot::Unequal(_) => {}
            }
        }
        for run in &self.runs {
            match run.kind {
                RunKind::OnlySource => target -= run.length,
                RunKind::OnlyTarget => source -= run.length,
                RunKind::Unequal => {}
            }
        }
        (source, target)
    }

    fn spot_of_run(&self, run: &DifferenceRun, place: u64) -> Spot {
        match run.kind {
            RunKind::OnlySource => Spot::OnlySource,
            RunKind::OnlyTarget => Spot::OnlyTarget,
            RunKind::Unequal => {
                let flaws = self.table.flaws;
                let flaw = flaws[(place % flaws.len() as u64) as usize].0;
                Spot::Unequal(if self.keys_alike { beside_the_key(self.table, flaw) } else { flaw })
            }
        }
    }

    /// The same places, and no pair that differs in the bytes of its key alone.
    fn with_keys_alike(mut self) -> Planting {
        self.keys_alike = true;
        for (_, spot) in &mut self.singles {
            if let Spot::Unequal(flaw) = spot {
                *flaw = beside_the_key(self.table, *flaw);
            }
        }
        self
    }
}

/// This flaw, or another one where it is one of the key's bytes.
fn beside_the_key(table: &Shape, flaw: Flaw) -> Flaw {
    if flaw != Flaw::KeyBytes {
        return flaw;
    }
    let mut others = table.flaws.iter().map(|(other, _)| *other);
    others.find(|other| *other != Flaw::KeyBytes).unwrap_or(flaw)
}

/// What a table is to carry, before places are chosen.
#[derive(Clone, Debug, Default)]
struct Wish {
    plants: Vec<Plant>,
    runs: Vec<RunKind>,
}

/// Plans every table of a workload, in the workload's order.
pub(super) fn plan(workload: &Workload) -> Result<Vec<Planting>, WorkloadError> {
    let tables = tables(workload)?;
    for (field, value, most) in [
        ("rows", workload.rows, ROWS_MAX),
        ("run_length", workload.run_length, ROWS_MAX),
        ("differences", u64::from(workload.differences), DIFFERENCES_MAX),
    ] {
        if value > most {
            return Err(WorkloadError::TooMany { field, value, most });
        }
    }
    let wishes = wishes(workload, &tables);
    tables
        .iter()
        .zip(wishes)
        .map(|(table, wish)| {
            let fork = Fork::new(workload.seed, &format!("planting {table}"));
            let planted = place(table, workload, wish, &mut fork.at(0))?;
            Ok(if workload.keys_alike { planted.with_keys_alike() } else { planted })
        })
        .collect()
}

fn tables(workload: &Workload) -> Result<Vec<&'static Shape>, WorkloadError> {
    let known = || SHAPES.map(|shape| shape.name).join(", ");
    if workload.tables.is_empty() {
        return Err(WorkloadError::NoTables { known: known() });
    }
    let mut tables = Vec::with_capacity(workload.tables.len());
    for name in &workload.tables {
        let table = shape_of(name)
            .ok_or_else(|| WorkloadError::UnknownTable { name: name.clone(), known: known() })?;
        if tables.contains(&table) {
            return Err(WorkloadError::DuplicateTable { name: name.clone() });
        }
        tables.push(table);
    }
    Ok(tables)
}

/// Deals out singles, cycling through all kinds that the tables can carry, and runs.
fn wishes(workload: &Workload, tables: &[&'static Shape]) -> Vec<Wish> {
    let mut draws = Fork::new(workload.seed, "dealing").at(0);
    let mut wishes = vec![Wish::default(); tables.len()];
    let plants: Vec<Plant> = Plant::ALL
        .into_iter()
        .filter(|plant| tables.iter().any(|table| table.can_carry(*plant)))
        .collect();
    let offset = draws.below(tables.len() as u64) as usize;
    let mut cycle = plants.iter().copied().cycle();
    let mut dealt = 0;
    while dealt < workload.differences {
        let Some(plant) = cycle.next() else { break };
        // The least loaded table that can carry it; the seed decides among equals.
        let table = (0..tables.len())
            .map(|index| (index + offset) % tables.len())
            .filter(|index| tables[*index].can_carry(plant))
            .filter(|index| !plant.is_edge() || !wishes[*index].plants.contains(&plant))
            .min_by_key(|index| wishes[*index].plants.len());
        // An edge that every table has used up: the next kind takes its turn.
        if let Some(table) = table {
            wishes[table].plants.push(plant);
            dealt += 1;
        }
    }
    if workload.run_length > 0 {
        for (index, kind) in RUNS.into_iter().enumerate() {
            wishes[(index + offset) % tables.len()].runs.push(kind);
        }
    }
    wishes
}

fn place(
    table: &'static Shape,
    workload: &Workload,
    mut wish: Wish,
    draws: &mut Draws,
) -> Result<Planting, WorkloadError> {
    let length = workload.run_length;
    draws.shuffle(&mut wish.runs);
    let head = edge(table, &wish, [Plant::ExtraFirst, Plant::FirstRow], draws);
    let mut tail = edge(table, &wish, [Plant::ExtraLast, Plant::LastRow], draws);
    tail.reverse();
    let mut body: Vec<Spot> = wish
        .plants
        .iter()
        .filter_map(|plant| match plant {
            Plant::Unequal(flaw) => Some(Spot::Unequal(*flaw)),
            Plant::ExtraSource => Some(Spot::OnlySource),
            Plant::ExtraTarget => Some(Spot::OnlyTarget),
            Plant::FirstRow | Plant::LastRow | Plant::ExtraFirst | Plant::ExtraLast => None,
        })
        .collect();
    draws.shuffle(&mut body);

    let all = || head.iter().chain(&tail).chain(&body);
    let on_target = all().filter(|spot| **spot == Spot::OnlyTarget).count() as u64
        + length * wish.runs.iter().filter(|kind| **kind == RunKind::OnlyTarget).count() as u64;
    let planted = all().count() as u64 + length * wish.runs.len() as u64;
    let needed = planted - on_target;
    if needed > workload.rows {
        let table = table.name.to_owned();
        return Err(WorkloadError::TooFewRows { table, rows: workload.rows, needed });
    }
    let places = workload.rows + on_target;
    let free = places - planted + body.len() as u64;

    // Runs begin after a number of free places from the middle half; singles take one free place
    // out of each of as many equal stretches, so that they lie all over the table.
    let mut cuts: Vec<u64> =
        wish.runs.iter().map(|_| free / 4 + draws.below(free / 2 + 1)).collect();
    cuts.sort_unstable();
    let first = head.len() as u64;
    let runs: Vec<DifferenceRun> = (0..)
        .zip(cuts.iter().zip(&wish.runs))
        .map(|(before, (cut, kind))| DifferenceRun {
            start: first + cut + before * length,
            length,
            kind: *kind,
        })
        .collect();
    let count = body.len() as u64;
    let inner = (0..).zip(body).map(|(index, spot)| {
        let begin = stretch(index, free, count);
        let chosen = begin + draws.below(stretch(index + 1, free, count) - begin);
        let before = cuts.iter().filter(|cut| **cut <= chosen).count() as u64;
        (first + chosen + before * length, spot)
    });
    let mut singles: Vec<(u64, Spot)> = (0..).zip(head.iter().copied()).chain(inner).collect();
    singles.extend((places - tail.len() as u64..).zip(tail));
    Ok(Planting { table, places, singles, runs, keys_alike: false })
}

/// Where the `index`-th of `count` equal stretches of `free` places begins.
fn stretch(index: u64, free: u64, count: u64) -> u64 {
    (u128::from(index) * u128::from(free) / u128::from(count)) as u64
}

/// The places at one end of a table, from the end inwards.
fn edge(table: &'static Shape, wish: &Wish, plants: [Plant; 2], draws: &mut Draws) -> Vec<Spot> {
    let mut spots = Vec::new();
    for plant in plants {
        let side = draws.one_in(2);
        let flaw = draws.pick(table.flaws).0;
        if !wish.plants.contains(&plant) {
            continue;
        }
        spots.push(match plant {
            Plant::FirstRow | Plant::LastRow => Spot::Unequal(flaw),
            _ if side => Spot::OnlySource,
            _ => Spot::OnlyTarget,
        });
    }
    spots
}
