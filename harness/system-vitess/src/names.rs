//! Names that a trial's processes share.

use records::journal::Side;

/// The one cell.
pub(super) const CELL: &str = "zone1";

/// Of a trial.
#[derive(Clone, Debug)]
pub(super) struct Names {
    pub(super) trial: String,
    /// Each trial's own, on servers that it shares with others.
    pub(super) sidecar_db: String,
    /// The root of its topology in etcd.
    pub(super) topo_root: String,
}

impl Names {
    pub(super) fn of(trial: &str) -> Names {
        let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
        let identifier: String = trial.chars().map(plain).collect();
        Names {
            trial: trial.to_owned(),
            sidecar_db: format!("_vt_{identifier}"),
            topo_root: format!("/{identifier}"),
        }
    }

    pub(super) fn global_root(&self) -> String {
        format!("{}/global", self.topo_root)
    }

    pub(super) fn cell_root(&self) -> String {
        format!("{}/{CELL}", self.topo_root)
    }

    /// The MySQL user of a side's tablet.
    pub(super) fn user(&self, side: Side) -> String {
        format!("{}_{}", self.trial, &side.name()[..1])
    }

    /// The last part of a container's name.
    pub(super) fn container(&self, what: &str) -> String {
        format!("{}-{what}", self.trial)
    }
}

pub(super) fn uid(side: Side) -> u32 {
    match side {
        Side::Source => 100,
        Side::Target => 200,
    }
}

pub(super) fn alias(side: Side) -> String {
    format!("{CELL}-{:010}", uid(side))
}
