//! The dataset: plan, rows and truth of one workload.

use std::collections::BTreeMap;
use std::sync::Arc;

use records::journal::{Side, TableTruth, Truth};
use records::schedule::Workload;

use super::cell::{Cell, Row};
use super::keys;
use super::planting::{self, Planting, Spot, WorkloadError};
use super::random::Fork;
use super::rows;
use super::shape::Shape;

/// The rows of both sides and what an exact diff of them reports. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Dataset {
    tables: Arc<[Table]>,
}

/// One table of a dataset.
#[derive(Debug)]
pub(super) struct Table {
    planting: Planting,
    rows: Fork,
    flaws: Fork,
}

impl Dataset {
    /// Plans a workload's tables. Pure: the same workload gives the same dataset.
    ///
    /// # Errors
    ///
    /// A table that the catalogue does not have, or differences that do not fit into the rows.
    pub fn new(workload: &Workload) -> Result<Self, WorkloadError> {
        let tables = planting::plan(workload)?
            .into_iter()
            .map(|planting| Table {
                rows: Fork::new(workload.seed, &format!("rows {}", planting.table)),
                flaws: Fork::new(workload.seed, &format!("flaws {}", planting.table)),
                planting,
            })
            .collect();
        Ok(Self { tables })
    }

    /// The tables' names, in the workload's order.
    #[must_use]
    pub fn tables(&self) -> Vec<String> {
        self.tables.iter().map(|table| table.name().to_owned()).collect()
    }

    /// Rows that an exact diff processes: a pair counts as one, over all tables.
    #[must_use]
    pub fn rows_total(&self) -> u64 {
        self.tables.iter().map(Table::places).sum()
    }

    /// What an exact diff reports. Keys are sorted as strings.
    #[must_use]
    pub fn truth(&self) -> Truth {
        let truths = self.tables.iter().map(|table| (table.name().to_owned(), table.truth()));
        Truth { tables: truths.collect::<BTreeMap<_, _>>() }
    }

    /// How many rows of `table` an exact diff has processed when its cursor stands at `cursor`, a
    /// text like `{"columns":["customer_id","order_no"],"values":["12","3"]}`: those with keys up
    /// to it, of both sides. A key that equals one of either side under the collation counts it.
    ///
    /// None for an unknown table or a text that is no key of it.
    #[must_use]
    pub fn cursor_ordinal(&self, table: &str, cursor: &str) -> Option<u64> {
        let table = self.table(table)?;
        let key = keys::parse_cursor(table.shape(), cursor)?;
        let (mut low, mut high) = (0, table.places());
        while low < high {
            let middle = low + (high - low) / 2;
            let at = keys::parts(table.shape(), &table.key_texts(middle))?;
            if at <= key { low = middle + 1 } else { high = middle }
        }
        Some(low)
    }

    /// The `source` of the workflow that moves these tables: the text form of a `BinlogSource`.
    #[must_use]
    pub fn workflow_source(&self, keyspace: &str, shard: &str) -> String {
        let rules: Vec<String> = self
            .tables
            .iter()
            .map(|table| {
                let name = table.name();
                format!("rules:{{match:{name:?} filter:\"select * from {name}\"}}")
            })
            .collect();
        format!("keyspace:{keyspace:?} shard:{shard:?} filter:{{{}}}", rules.join(" "))
    }

    /// The statement that creates `table` (in the current database); none for an unknown table.
    #[must_use]
    pub fn create_table_sql(&self, table: &str) -> Option<String> {
        self.table(table).map(|table| table.shape().create_sql())
    }

    /// Rows of one side of `table`; none for an unknown table.
    #[must_use]
    pub fn row_count(&self, table: &str, side: Side) -> Option<u64> {
        self.table(table).map(|table| table.row_count(side))
    }

    /// The rows of one side of `table` in key order, made as they are asked for; empty for an
    /// unknown table.
    pub fn rows(&self, table: &str, side: Side) -> impl Iterator<Item = Row> + '_ {
        let table = self.table(table);
        let places = table.map_or(0, Table::places);
        (0..places).filter_map(move |place| table?.row(place, side))
    }

    /// What lies at each place of `table`, in key order; empty for an unknown table.
    pub fn spots(&self, table: &str) -> impl Iterator<Item = Spot> + '_ {
        let table = self.table(table);
        let places = table.map_or(0, Table::places);
        (0..places).filter_map(move |place| Some(table?.planting.spot(place)))
    }

    pub(super) fn table(&self, name: &str) -> Option<&Table> {
        self.tables.iter().find(|table| table.name() == name)
    }
}

impl Table {
    pub(super) fn shape(&self) -> &'static Shape {
        self.planting.table
    }

    fn name(&self) -> &'static str {
        self.shape().name
    }

    pub(super) fn places(&self) -> u64 {
        self.planting.places
    }

    pub(super) fn row_count(&self, side: Side) -> u64 {
        let (source, target) = self.planting.rows();
        match side {
            Side::Source => source,
            Side::Target => target,
        }
    }

    /// The row of `side` at `place`, if it has one there.
    pub(super) fn row(&self, place: u64, side: Side) -> Option<Row> {
        let base = || rows::base(self.shape(), place, self.places(), &mut self.rows.at(place));
        match (self.planting.spot(place), side) {
            (Spot::OnlySource, Side::Target) | (Spot::OnlyTarget, Side::Source) => None,
            (Spot::Equal | Spot::OnlySource | Spot::OnlyTarget, _) => Some(base()),
            (Spot::Unequal(flaw), _) => {
                let mut source = base();
                let mut target = source.clone();
                let draws = &mut self.flaws.at(place);
                rows::damage(self.shape(), flaw, &mut source, &mut target, draws);
                Some(match side {
                    Side::Source => source,
                    Side::Target => target,
                })
            }
        }
    }

    /// The key at `place`, of the source where sides differ.
    fn key_texts(&self, place: u64) -> Vec<String> {
        (self.shape().key_at)(place, self.places(), &mut self.rows.at(place))
            .into_iter()
            .map(|cell| match cell {
                Cell::Text(text) => text,
                Cell::Bytes(bytes) => format!("0x{}", hex::encode(bytes)),
                Cell::Null => String::new(),
            })
            .collect()
    }

    fn truth(&self) -> TableTruth {
        let mut truth = TableTruth { processed: self.places(), ..TableTruth::default() };
        for (place, spot) in self.planting.planted() {
            let key = self.key_texts(place).join(",");
            match spot {
                Spot::Unequal(_) => truth.mismatched.push(key),
                Spot::OnlySource => truth.extra_source.push(key),
                Spot::OnlyTarget => truth.extra_target.push(key),
                Spot::Equal => {}
            }
        }
        let planted = truth.mismatched.len() + truth.extra_source.len() + truth.extra_target.len();
        truth.matching = truth.processed - planted as u64;
        truth.mismatched.sort_unstable();
        truth.extra_source.sort_unstable();
        truth.extra_target.sort_unstable();
        truth
    }
}
