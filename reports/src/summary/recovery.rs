//! How long the tablet was away, by what ended it and where.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Quantiles, Return};
use records::schedule::{Fault, Phase};

/// Returns after one fault in one phase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recovery {
    /// The fault.
    pub fault: String,
    /// The diff's phase in which it hit, where known.
    pub phase: Option<String>,
    /// From the death of the process to the next one's readiness.
    pub kill_to_ready_ms: Quantiles,
    /// From that readiness to the first rows that the new process saved.
    pub ready_to_moving_ms: Quantiles,
}

/// Returns by fault and phase, in order.
pub(super) fn by_fault_and_phase(returns: &[Return]) -> Vec<Recovery> {
    let mut groups: BTreeMap<(Fault, Option<Phase>), Vec<&Return>> = BTreeMap::new();
    for back in returns {
        groups.entry((back.fault, back.phase)).or_default().push(back);
    }
    let recovery = |((fault, phase), group): ((Fault, Option<Phase>), Vec<&Return>)| Recovery {
        fault: fault.name().to_owned(),
        phase: phase.map(|phase| phase.name().to_owned()),
        kill_to_ready_ms: Quantiles::of(group.iter().map(|back| back.kill_to_ready_ms)),
        ready_to_moving_ms: Quantiles::of(group.iter().filter_map(|back| back.ready_to_moving_ms)),
    };
    groups.into_iter().map(recovery).collect()
}
