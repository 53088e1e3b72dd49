//! What a campaign has come to so far, in memory and on the disk.
//!
//! Reports are written from the begin on: before the first trial, then now and then, at once when the
//! campaign is cut short, and at its end before anything is removed. Whatever ends the harness, its
//! directory says what was done; a run that has not ended says that, too, and is not green.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use records::coverage::Coverage;
use records::layout::RunDirectory;
use records::{RunInfo, TrialRecord};
use reports::summary::Summary;

use super::{CampaignError, CampaignOptions};

/// Reports of a campaign that goes on are written this often at most…
const EVERY: Duration = Duration::from_secs(15);
/// …and so much less often than writing them takes.
const TIMES_THEIR_COST: u32 = 30;

/// What is known beside the trials.
#[derive(Clone, Debug, Default)]
pub(super) struct SoFar {
    /// Why the campaign was cut short.
    pub(super) interrupted: Option<String>,
    /// What it was to do and has not done.
    pub(super) undone: Vec<String>,
    /// Crash points, and what came of them; none when nobody enumerates them.
    pub(super) coverage: Option<Coverage>,
}

/// A campaign's trials and reports.
pub(super) struct Ledger {
    directory: RunDirectory,
    info: RunInfo,
    trials: Vec<TrialRecord>,
    junit: Option<PathBuf>,
    begun: Instant,
    first_trial: Option<Instant>,
    last_trial: Option<Instant>,
    written: Instant,
    cost: Duration,
}

impl Ledger {
    /// Begins: writes `run.json` and the reports of a run without trials.
    pub(super) fn open(
        directory: RunDirectory,
        info: RunInfo,
        options: &CampaignOptions,
        begun: Instant,
    ) -> Result<Self, CampaignError> {
        let root = directory.root();
        std::fs::create_dir_all(root)
            .map_err(|source| CampaignError::Write { path: root.to_owned(), source })?;
        let mut ledger = Self {
            directory,
            info,
            trials: Vec::new(),
            junit: options.junit.clone(),
            begun,
            first_trial: None,
            last_trial: None,
            written: begun,
            cost: Duration::ZERO,
        };
        ledger.write(&SoFar::default())?;
        if options.out.is_none() {
            ledger.directory.link_latest().map_err(CampaignError::Layout)?;
        }
        Ok(ledger)
    }

    /// Where the run lies.
    pub(super) fn directory(&self) -> &RunDirectory {
        &self.directory
    }

    /// What the run knows of itself.
    pub(super) fn info(&mut self) -> &mut RunInfo {
        &mut self.info
    }

    /// A trial begins.
    pub(super) fn begins(&mut self) {
        self.first_trial.get_or_insert_with(Instant::now);
    }

    /// A trial has ended.
    pub(super) fn ended(&mut self, trial: TrialRecord) {
        self.last_trial = Some(Instant::now());
        let place = self.trials.partition_point(|known| known.number() <= trial.number());
        self.trials.insert(place, trial);
    }

    /// Whether it is time to write again.
    pub(super) fn is_due(&self) -> bool {
        self.written.elapsed() >= EVERY.max(self.cost * TIMES_THEIR_COST)
    }

    /// Writes the reports of a run that goes on. A disk that takes none does not end it: the last
    /// writing tells.
    pub(super) fn keep(&mut self, so_far: &SoFar) {
        if let Err(error) = self.write(so_far) {
            let why = engine::errors::chain(&error);
            tracing::warn!(why, "the reports so far could not be written");
        }
    }

    /// Writes the reports of a run that has ended.
    pub(super) fn close(
        mut self,
        at_end: &SoFar,
    ) -> (Summary, Vec<TrialRecord>, Result<(), CampaignError>) {
        self.info.duration_ms = records::millis(self.begun.elapsed()).max(1);
        let written = self.write(at_end);
        (self.summary(at_end), self.trials, written)
    }

    fn summary(&self, so_far: &SoFar) -> Summary {
        Summary::build(&self.info, &self.trials).cover(so_far.coverage.as_ref())
    }

    fn write(&mut self, so_far: &SoFar) -> Result<(), CampaignError> {
        let began = Instant::now();
        self.info.interrupted.clone_from(&so_far.interrupted);
        self.info.undone.clone_from(&so_far.undone);
        self.info.trials_ms = self.trials_ms();
        let written = self.write_files(so_far);
        (self.written, self.cost) = (Instant::now(), began.elapsed());
        written
    }

    fn write_files(&self, so_far: &SoFar) -> Result<(), CampaignError> {
        let (root, trials) = (self.directory.root(), &self.trials);
        self.directory.write_run(&self.info).map_err(CampaignError::Layout)?;
        if let Some(coverage) = &so_far.coverage {
            let path = self.directory.coverage_json();
            records::coverage::save(coverage, &path).map_err(CampaignError::Coverage)?;
        }
        let summary = self.summary(so_far);
        // Each trial's own verdict was written when it ended.
        reports::write_summaries(root, &summary, trials).map_err(CampaignError::Layout)?;
        match &self.junit {
            Some(path) => std::fs::write(path, reports::render::junit::render(&summary, trials))
                .map_err(|source| CampaignError::Write { path: path.clone(), source }),
            None => Ok(()),
        }
    }

    /// From the first trial's begin to the last one's end.
    fn trials_ms(&self) -> u64 {
        match (self.first_trial, self.last_trial) {
            (Some(first), Some(last)) => {
                records::millis(last.saturating_duration_since(first)).max(1)
            }
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use records::verdict::Verdict;

    use super::*;
    use crate::judge::judge_run;
    use crate::trial::lost;

    fn options() -> CampaignOptions {
        CampaignOptions {
            work: super::super::Work::Given(Vec::new()),
            jobs: 1,
            fail_fast: false,
            floor: None,
            deadline: Duration::from_secs(1),
            out: Some(PathBuf::new()),
            junit: None,
            system: crate::systems::SystemOptions::default(),
            program: "vdiff-chaos".to_owned(),
        }
    }

    fn info() -> RunInfo {
        let (format, run) = (records::run::FORMAT, "r".to_owned());
        RunInfo { format, run, directory: "r".to_owned(), ..RunInfo::default() }
    }

    // The harness may be killed at any moment of this: each time its directory must be readable, and say
    // how far it came; and never that it passed.
    #[test]
    fn a_run_that_is_killed_has_reports_that_say_what_was_done() {
        let root = tempfile::tempdir().unwrap();
        let directory = RunDirectory::new(root.path());
        let read = || reports::files::read_summary(&directory.summary_json()).unwrap();
        let begun = Instant::now();
        let mut ledger = Ledger::open(directory.clone(), info(), &options(), begun).unwrap();
        let none = read();
        assert_eq!((none.trials.total, none.verdict), (0, Verdict::Inconclusive));
        assert!(none.verdict_reasons.iter().any(|why| why == "the run has not ended"), "{none:?}");

        let schedule = crate::plan::schedule(7, 0, &crate::plan::PlanOptions::default()).unwrap();
        super::super::write_schedule(&directory, &schedule).unwrap();
        ledger.begins();
        ledger.ended(lost(&schedule, &directory.trial(0), "the engine is gone"));
        let cut = SoFar {
            interrupted: Some("the user stopped it".to_owned()),
            undone: vec!["5 crash points were to be struck".to_owned()],
            coverage: None,
        };
        ledger.keep(&cut);
        let one = read();
        assert_eq!(one.trials.total, 1);
        for why in ["the run has not ended", "interrupted: the user", "5 crash points"] {
            assert!(one.verdict_reasons.iter().any(|said| said.contains(why)), "{why}");
        }
        // What is judged again says what the run said.
        assert_eq!(judge_run(root.path()).unwrap().summary, one);
        for file in ["junit.xml", "summary.md", "index.html"] {
            assert!(root.path().join(file).exists(), "{file}");
        }

        let (summary, _, written) = ledger.close(&cut);
        written.unwrap();
        assert_eq!(read(), summary);
        assert!(!summary.verdict_reasons.iter().any(|why| why == "the run has not ended"));
        assert_eq!(judge_run(root.path()).unwrap().summary, summary);
    }

    #[test]
    fn trials_are_kept_by_number_whatever_order_they_end_in() {
        let root = tempfile::tempdir().unwrap();
        let directory = RunDirectory::new(root.path());
        let begun = Instant::now();
        let mut ledger = Ledger::open(directory.clone(), info(), &options(), begun).unwrap();
        for number in [2, 0, 1] {
            let plan = crate::plan::PlanOptions::default();
            let schedule = crate::plan::schedule(7, number, &plan).unwrap();
            std::fs::create_dir_all(directory.trial(number)).unwrap();
            ledger.ended(lost(&schedule, &directory.trial(number), "gone"));
        }
        let numbers: Vec<u32> = ledger.trials.iter().map(TrialRecord::number).collect();
        assert_eq!(numbers, [0, 1, 2]);
    }
}
