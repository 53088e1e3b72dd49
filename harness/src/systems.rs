//! The systems that can stand under test, by the names that journals give them.

use records::journal::facts::Dialect;
use records::journal::{Event, Record};

use system_tablet::TabletDialect;

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
        Some(_) => None,
    }
}
