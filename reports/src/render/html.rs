//! stub
use crate::run::TrialRecord;
use crate::summary::Summary;
/// The run as one page.
#[must_use]
pub fn render(_summary: &Summary, _trials: &[TrialRecord]) -> String {
    String::new()
}
