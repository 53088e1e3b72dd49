//! One of the two ordered streams of rows that are compared.

use std::cmp::Ordering;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::BoxStream;
use tablet_wire::binlogdata::VStreamRowsResponse;
use tablet_wire::query::Row;

use super::error::{DiffError, SideName};
use super::merge::compare_keys;
use super::table_plan::{KeyAt, Plan, PlanKey};
use crate::vstreamer::RowCells;

/// A stream from which nothing comes for so long is given up.
const PACKET_DEADLINE: Duration = Duration::from_secs(150);

/// Packets of rows, each an error at most once, as the last item.
pub(super) type Packets = BoxStream<'static, Result<VStreamRowsResponse, DiffError>>;

/// The rows of one side: the head, what is left of the packet, and the packets to come.
pub(super) struct Side {
    name: SideName,
    table: String,
    packets: Packets,
    rows: std::vec::IntoIter<Row>,
    head: Option<RowCells>,
    /// The row consumed last: proves the order, and is the cursor.
    last: Option<RowCells>,
    width: usize,
    ended: bool,
}

impl Side {
    pub(super) fn new(name: SideName, table: &str, packets: Packets, width: usize) -> Side {
        Side {
            name,
            table: table.to_owned(),
            packets,
            rows: Vec::new().into_iter(),
            head: None,
            last: None,
            width,
            ended: false,
        }
    }

    /// The next row, if it has arrived; `None` with [`Side::is_ready`] means the end.
    pub(super) fn head(&self) -> Option<&RowCells> {
        self.head.as_ref()
    }

    /// Whether [`Side::head`] is known.
    pub(super) fn is_ready(&self) -> bool {
        self.head.is_some() || self.ended
    }

    /// The row consumed last.
    pub(super) fn last(&self) -> Option<&RowCells> {
        self.last.as_ref()
    }

    /// Consumes the head and puts the packet's next row in its place.
    pub(super) fn advance(&mut self, plan: &Plan) -> Result<(), DiffError> {
        self.last = self.head.take();
        self.next_head(plan)
    }

    /// Waits for a packet. Dropped at the await, nothing is lost.
    pub(super) async fn receive(&mut self, plan: &Plan) -> Result<(), DiffError> {
        let next = tokio::time::timeout(PACKET_DEADLINE, self.packets.next()).await;
        match next {
            Err(_) => {
                let (side, table) = (self.name, &self.table);
                let reason = format!("no row of {side} table '{table}' in {PACKET_DEADLINE:?}");
                Err(DiffError::Ephemeral(reason))
            }
            Ok(None) => {
                self.ended = true;
                Ok(())
            }
            Ok(Some(packet)) => {
                self.rows = packet?.rows.into_iter();
                self.next_head(plan)
            }
        }
    }

    fn next_head(&mut self, plan: &Plan) -> Result<(), DiffError> {
        let Some(row) = self.rows.next() else { return Ok(()) };
        let malformed = || self.broken("a row does not fit its columns");
        let row = RowCells::new(row, self.width).ok_or_else(malformed)?;
        if let Some(last) = &self.last {
            let at = |key: &PlanKey| -> KeyAt {
                match self.name {
                    SideName::Source => key.source,
                    SideName::Target => key.target,
                }
            };
            let order = compare_keys(&plan.key, last, at, &row, at);
            match order {
                Ok(Ordering::Less) => {}
                Ok(Ordering::Equal | Ordering::Greater) => {
                    return Err(self.broken("rows did not come in key order"));
                }
                Err(error) => return Err(self.broken(&error.to_string())),
            }
        }
        self.head = Some(row);
        Ok(())
    }

    fn broken(&self, reason: &str) -> DiffError {
        DiffError::Remote {
            side: self.name,
            table: self.table.clone(),
            reason: reason.to_owned(),
            ephemeral: false,
        }
    }
}
