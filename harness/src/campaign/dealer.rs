//! A dealer decides on the way which trial comes next, by what the ended ones have shown.

use std::path::Path;

use records::TrialRecord;
use records::coverage::Coverage;
use records::run::Part;
use records::schedule::Schedule;

/// Where a campaign's trials come from when they are not known beforehand.
pub trait Dealer: Send {
    /// The next trial; none: nothing now. A campaign asks again when a trial has ended, and ends when
    /// nothing runs and there is nothing now.
    fn next(&mut self) -> Option<Schedule>;

    /// A trial has ended; what it wrote lies in `directory`.
    fn ended(&mut self, trial: &TrialRecord, directory: &Path);

    /// How many trials there are, as far as is known.
    fn planned(&self) -> Option<u64>;

    /// What its trials are drawn from, in words: shards of one campaign have the same.
    fn plan(&self) -> String;

    /// Whether all that it lists is to be done, and nothing unclear may be left at the end.
    fn is_exhaustive(&self) -> bool;

    /// Which part of the campaign it deals.
    fn part(&self) -> Part;

    /// The crash points that it has enumerated, and what came of them; none when it enumerates none.
    fn coverage(&self) -> Option<Coverage>;

    /// What it was to do and did not, one sentence each, when the campaign has come to its end.
    fn undone(&self) -> Vec<String>;

    /// Why it could not go on, once; the campaign fails with it.
    fn problem(&mut self) -> Option<Problem>;
}

/// An error of a dealer, and its causes.
pub type Problem = Box<dyn std::error::Error + Send + Sync>;
