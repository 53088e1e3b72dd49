//! A dealer decides on the way which trial comes next, by what the ended ones have shown.

use std::path::Path;

use reports::TrialRecord;
use reports::schedule::Schedule;

/// Where a campaign's trials come from when they are not known beforehand.
pub trait Dealer: Send {
    /// The next trial; none: nothing now. A campaign asks again when a trial has ended, and ends when
    /// nothing runs and there is nothing now.
    fn next(&mut self) -> Option<Schedule>;

    /// A trial has ended; what it wrote lies in `directory`.
    fn ended(&mut self, trial: &TrialRecord, directory: &Path);

    /// How many trials there are, as far as is known.
    fn planned(&self) -> Option<u64>;
}
