//! The systems that can stand under test: how they are asked for, and the names that journals give them.

use std::sync::Arc;

use records::journal::facts::Dialect;
use records::journal::{Event, Record};
use records::schedule::{Capability, Schedule};

use engine::images::ImageOptions;
use system::Demand;
use system_tablet::TabletDialect;
use system_vitess::{Vitess, VitessDialect, VitessOptions};

/// Which system is to stand under test.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SystemKind {
    /// The tablet of this project.
    #[default]
    Tablet,
    /// Vitess, as the user has it.
    Vitess,
}

impl SystemKind {
    /// Its name in schedules; none: this project's tablet, of which schedules say nothing.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        match self {
            SystemKind::Tablet => None,
            SystemKind::Vitess => Some("vitess"),
        }
    }

    /// For which system a schedule was made.
    #[must_use]
    pub fn of(schedule: &Schedule) -> SystemKind {
        match schedule.system.as_deref() {
            Some("vitess") => SystemKind::Vitess,
            _ => SystemKind::Tablet,
        }
    }
}

/// Which system, and what it is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SystemOptions {
    /// The images of its servers, and of this project's tablet.
    pub images: ImageOptions,
    /// Vitess, and where it comes from; none: this project's tablet.
    pub vitess: Option<VitessOptions>,
}

impl SystemOptions {
    /// Which system that is.
    #[must_use]
    pub fn kind(&self) -> SystemKind {
        match self.vitess {
            None => SystemKind::Tablet,
            Some(_) => SystemKind::Vitess,
        }
    }
}

impl From<ImageOptions> for SystemOptions {
    fn from(images: ImageOptions) -> SystemOptions {
        SystemOptions { images, vitess: None }
    }
}

/// A system that can be deployed on servers.
#[derive(Clone, Debug)]
pub enum Deployable {
    /// The tablet of this project: its image is one of the images.
    Tablet,
    /// This Vitess.
    Vitess(Arc<Vitess>),
}

impl Deployable {
    /// How reports name the image of its tablets.
    #[must_use]
    pub fn image_name(&self) -> String {
        match self {
            Deployable::Tablet => "tablet".to_owned(),
            Deployable::Vitess(vitess) => format!("vitess-{}", vitess.release),
        }
    }

    /// What it does not do, and why.
    #[must_use]
    pub fn lacks(&self) -> Vec<(Capability, String)> {
        match self {
            Deployable::Tablet => Vec::new(),
            Deployable::Vitess(vitess) => system_vitess::lacks(vitess),
        }
    }
}

/// What a system's conversation must contain.
#[must_use]
pub fn must_contain(system: SystemKind) -> Vec<Demand> {
    match system {
        SystemKind::Tablet => system_tablet::must_contain(),
        SystemKind::Vitess => system_vitess::must_contain(),
    }
}

/// How the system of a journal tells its facts; none: this program does not know that system.
#[must_use]
pub fn dialect_of(records: &[Record]) -> Option<&'static dyn Dialect> {
    let named = records.iter().find_map(|record| match &record.event {
        Event::TrialStarted(head) => head.system.as_deref(),
        _ => None,
    });
    match named {
        // Journals named no system while there was one only.
        None | Some("tablet") => Some(&TabletDialect),
        Some("vitess") => Some(&VitessDialect),
        Some(_) => None,
    }
}
