//! Removing what dead runs left: containers, networks, volumes and temporary directories.
//!
//! Only labels (and the owner's file in a temporary directory) count, never names. What carries no
//! owner, or an owner that cannot be told dead, stays, unless everything of ours is asked for.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;

use crate::docker::owner::{Owner, OwnerState};
use crate::docker::{
    DockerError, Engine, LABEL_OWNER, LABEL_RUN, Labelled, OWNER_FILE, temporary_root,
};

/// What a sweep did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CleanReport {
    /// Removed, one line a thing.
    pub removed: Vec<String>,
    /// Kept, with the reason.
    pub kept: Vec<String>,
}

/// How far a sweep goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reach {
    /// Only what a provably dead owner left.
    #[default]
    Dead,
    /// Also what belongs to owners that cannot be told dead; living runs on this host stay.
    All,
}

/// Removes what dead owners left.
pub async fn sweep(engine: &Engine) -> Result<CleanReport, DockerError> {
    sweep_with(engine, Reach::Dead).await
}

/// Removes what owners within reach left. Goes on after an error, and returns the first.
pub async fn sweep_with(engine: &Engine, reach: Reach) -> Result<CleanReport, DockerError> {
    let mut report = CleanReport::default();
    let mut first = Ok(());
    for thing in engine.labelled(LABEL_RUN).await? {
        let line = describe(&thing);
        match decide(thing.labels.get(LABEL_OWNER).map(String::as_str), reach) {
            Decision::Keep(why) => report.kept.push(format!("{line}: {why}")),
            Decision::Remove => match engine.remove_labelled(&thing).await {
                Ok(()) => report.removed.push(line),
                Err(error) => first = first.and(Err(error)),
            },
        }
    }
    first = first.and(sweep_directories(reach, &mut report));
    first.map(|()| report)
}

fn sweep_directories(reach: Reach, report: &mut CleanReport) -> Result<(), DockerError> {
    let Ok(entries) = std::fs::read_dir(temporary_root()) else {
        return Ok(());
    };
    let mut first = Ok(());
    let directories: BTreeSet<PathBuf> =
        entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.is_dir()).collect();
    for path in directories {
        let line = format!("directory {}", path.display());
        let owner = std::fs::read_to_string(path.join(OWNER_FILE)).ok();
        match decide(owner.as_deref().map(str::trim), reach) {
            Decision::Keep(why) => report.kept.push(format!("{line}: {why}")),
            Decision::Remove => match std::fs::remove_dir_all(&path) {
                Ok(()) => report.removed.push(line),
                Err(source) => {
                    let what = format!("cannot remove {}", path.display());
                    first = first.and(Err(DockerError::Host { what, source }));
                }
            },
        }
    }
    first
}

#[derive(Debug, PartialEq, Eq)]
enum Decision {
    Remove,
    Keep(&'static str),
}

fn decide(owner: Option<&str>, reach: Reach) -> Decision {
    let life = owner.and_then(|owner| owner.parse::<Owner>().ok()).map(|owner| owner.life());
    match (life, reach) {
        (Some(OwnerState::Alive), _) => Decision::Keep("its run is alive"),
        (Some(OwnerState::Dead), _) | (Some(OwnerState::Unknown) | None, Reach::All) => {
            Decision::Remove
        }
        (Some(OwnerState::Unknown), Reach::Dead) => {
            Decision::Keep("its owner ran elsewhere or before the last boot (`clean --all`)")
        }
        (None, Reach::Dead) => Decision::Keep("it names no owner (`clean --all`)"),
    }
}

fn describe(thing: &Labelled) -> String {
    let kind = match thing.kind {
        crate::docker::LabelledKind::Container => "container",
        crate::docker::LabelledKind::Network => "network",
        crate::docker::LabelledKind::Volume => "volume",
    };
    format!("{kind} {}", thing.name)
}

impl fmt::Display for CleanReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.removed {
            writeln!(f, "removed  {line}")?;
        }
        for line in &self.kept {
            writeln!(f, "kept     {line}")?;
        }
        write!(f, "{} removed, {} kept", self.removed.len(), self.kept.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_provably_dead_lose_their_things() {
        let living = Owner::current().unwrap().to_string();
        let dead = {
            let (rest, ticks) = living.rsplit_once('/').unwrap();
            format!("{rest}/{}", ticks.parse::<u64>().unwrap() - 1)
        };
        let elsewhere = format!("other{living}");
        let removed = |owner: Option<&str>, reach| decide(owner, reach) == Decision::Remove;
        assert!(removed(Some(&dead), Reach::Dead));
        for kept in [Some(living.as_str()), Some(&elsewhere), Some("nonsense"), None] {
            assert!(!removed(kept, Reach::Dead), "{kept:?}");
        }
        assert!(!removed(Some(&living), Reach::All));
        assert!(removed(Some(&elsewhere), Reach::All));
    }
}
