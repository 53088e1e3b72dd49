//! The points that a hunt strikes, each with the script that reaches it.

use records::schedule::Fault;

use crate::crash_points::enumerate::{Kind, Listed, kinds};
use crate::crash_points::plan::{SCRIPTS, Script};
use wire::recording::Recorded;

/// The first life of a tablet is the script's own.
const FIRST_LIFE: u32 = 1;

/// A point to strike, with the script that reaches it.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The script.
    pub script: Script,
    /// The point.
    pub listed: Listed,
    /// Its kind.
    pub kind: Kind,
}

/// An operator stops or deletes a diff that is under way, and is alone in doing so.
pub(super) fn can_strike(fault: Fault, entry: &Entry) -> bool {
    let by_operator = matches!(fault, Fault::Cancel | Fault::Delete);
    !by_operator || (entry.script.is_plain() && entry.listed.point.phase.is_some())
}

/// A shard's part: by each point's own key. Machines record different lists, in different orders; a
/// place in the list would make a point everybody's or nobody's.
pub(super) fn part<'a>(
    entries: impl IntoIterator<Item = &'a Entry>,
    shard: Option<(u32, u32)>,
) -> impl Iterator<Item = &'a Entry> {
    let mine =
        move |entry: &&Entry| shard.is_none_or(|(index, of)| entry.listed.key().shard(of) == index);
    entries.into_iter().filter(mine)
}

/// The points of all scripts, each once: in the first script whose every recording has its kind, or
/// else in the first that has it at all.
pub(super) fn list(recordings: &[Vec<Vec<Recorded>>]) -> Vec<Entry> {
    let by_script: Vec<(Script, Vec<Kind>)> =
        SCRIPTS.into_iter().zip(recordings.iter().map(|one| kinds(one, FIRST_LIFE))).collect();
    let same =
        |a: &Kind, b: &Kind| (a.link, &a.fingerprint, a.phase) == (b.link, &b.fingerprint, b.phase);
    let mut chosen: Vec<(Script, Kind)> = Vec::new();
    for timed in [false, true] {
        for (script, kinds) in &by_script {
            for kind in kinds.iter().filter(|kind| kind.is_timed() == timed) {
                if !chosen.iter().any(|(_, known)| same(known, kind)) {
                    chosen.push((*script, kind.clone()));
                }
            }
        }
    }
    let entries = |(script, kind): (Script, Kind)| {
        let points = kind.points();
        points.into_iter().map(move |listed| Entry { script, listed, kind: kind.clone() })
    };
    chosen.into_iter().flat_map(entries).collect()
}
