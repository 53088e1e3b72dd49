//! Tests of the testers: for each invariant a journal that must pass, for each rule one that must
//! fail, and for each kind of evidence one that must be inconclusive.

mod diff_cases;
mod effects;
mod evidence_cases;
mod history_cases;
mod laws;
mod look_cases;
mod process_cases;
mod scenario_cases;
mod serving_cases;
mod story_cases;
mod telling_cases;
