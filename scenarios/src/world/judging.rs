//! How a scenario ends: its evidence is collected and every invariant judged, whatever its steps say.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use records::TrialRecord;
use records::journal::Event;
use records::verdict::{Invariant, Judgement, Verdict};

use super::{Stopped, World};
use crate::outcome::{End, Ended};

/// Collecting a trial's evidence takes at most this long.
const COLLECT_WITHIN: Duration = Duration::from_secs(120);
/// Removing its containers takes at most this long.
const CLOSE_WITHIN: Duration = Duration::from_secs(60);

impl World {
    /// Collects the evidence, ends the trial and judges it, once.
    ///
    /// # Errors
    /// When there is no trial, or the journal cannot be written.
    pub(crate) async fn judge(&mut self) -> anyhow::Result<&[Judgement]> {
        if self.judgements.is_none() {
            if self.stage.is_none() {
                return Err(self.doubt("say `Given a workflow …` first"));
            }
            if let Err(error) = self.end().await {
                self.stop(Stopped::Harness(format!("{error:#}")));
                return Err(error);
            }
        }
        self.judgements.as_deref().context("the trial was not judged")
    }

    async fn end(&mut self) -> anyhow::Result<()> {
        if let Some(points) = self.points.take() {
            points.end().await;
        }
        let stage = self.stage.as_ref().context("there is no trial")?;
        let trouble = |what: String| stage.journal().record(Event::HarnessTrouble { what });
        if tokio::time::timeout(COLLECT_WITHIN, stage.collect()).await.is_err() {
            trouble(format!("the evidence was not collected within {COLLECT_WITHIN:?}"));
        }
        if tokio::time::timeout(CLOSE_WITHIN, stage.close()).await.is_err() {
            trouble(format!("the scenario's tablets were not removed within {CLOSE_WITHIN:?}"));
        }
        stage.journal().finish().context("writing the journal")?;
        let records = stage.records();
        let judgements = oracles::judge(&records);
        let schedule = stage.executed_schedule();
        let directory = self.suite.trial_directory(self.trial);
        records::schedule::save(&schedule, &directory.join("schedule.json"))?;
        self.suite.keep(TrialRecord { schedule, records, judgements: judgements.clone() });
        self.judgements = Some(judgements);
        Ok(())
    }

    /// Takes away what a scenario has begun that is not for this system: there is nothing to judge.
    async fn leave(&mut self) {
        if let Some(points) = self.points.take() {
            points.end().await;
        }
        let Some(stage) = &self.stage else { return };
        if tokio::time::timeout(CLOSE_WITHIN, stage.close()).await.is_err() {
            tracing::warn!("a skipped scenario's tablets were not removed within {CLOSE_WITHIN:?}");
        }
    }

    /// The invariants must have passed (or not be touched by this trial, or be excused by a tag).
    ///
    /// # Errors
    /// With what the oracles say, when one did not pass.
    pub(crate) async fn must_hold(&mut self, which: &[Invariant]) -> anyhow::Result<()> {
        let which: BTreeSet<Invariant> = which.iter().copied().collect();
        let untold = match &self.stage {
            Some(stage) => stage.environment().system.dialect().untold(),
            None => Vec::new(),
        };
        let unpromised = |invariant: Invariant| {
            untold.iter().any(|it| it.judged_by_it().iter().any(|(judged, _)| *judged == invariant))
        };
        let judged = self.judge().await?;
        let asked = || judged.iter().filter(|judgement| which.contains(&judgement.invariant));
        let broken: Vec<String> = asked().filter(|it| is_broken(it)).map(told).collect();
        let passed = asked().any(|it| it.is_pass() || it.excused);
        ensure!(broken.is_empty(), "{}", broken.join("\n"));
        if !passed && which.iter().copied().all(unpromised) {
            eprintln!("note     {which:?} is not judged: the system does not tell or promise it");
            return Ok(());
        }
        if !passed {
            return Err(self.doubt(format!("none of {which:?} was tried by this trial")));
        }
        Ok(())
    }

    /// Ends the scenario, of which a step failed or none did: collects and judges, always.
    pub(crate) async fn finish(&mut self, failure: Option<String>) -> Ended {
        if let (Some(stage), None, Some(why)) = (&self.stage, &self.judgements, &failure) {
            stage.journal().record(match self.stopped() {
                None => Event::ScenarioFailed { why: why.clone() },
                Some(Stopped::Doubt(why) | Stopped::Harness(why) | Stopped::Skipped(why)) => {
                    Event::HarnessTrouble { what: format!("the scenario stopped: {why}") }
                }
            });
        }
        if let Some(Stopped::Skipped(why)) = self.stopped() {
            self.leave().await;
            return Ended { end: End::Skipped, message: Some(why), excused: Vec::new() };
        }
        if self.stage.is_some()
            && let Err(error) = self.judge().await
        {
            tracing::debug!("the scenario was not judged: {error:#}");
        }
        ended(self.judgements.as_deref(), self.stopped().as_ref(), failure.is_some())
    }
}

/// What a scenario came to.
fn ended(judged: Option<&[Judgement]>, stopped: Option<&Stopped>, has_failed: bool) -> Ended {
    let judgements = judged.unwrap_or_default();
    let broken: Vec<String> = judgements.iter().filter(|it| is_broken(it)).map(told).collect();
    let (end, message) = match (judged.map(Judgement::worst), stopped) {
        (Some(Verdict::Fail), _) => (End::Failed, Some(broken.join("\n"))),
        (_, Some(Stopped::Harness(why))) => (End::Harness, Some(why.clone())),
        (_, Some(Stopped::Skipped(why))) => (End::Skipped, Some(why.clone())),
        (_, Some(Stopped::Doubt(why))) => (End::Inconclusive, Some(why.clone())),
        (None, None) => (End::Inconclusive, Some("nothing was tried: no workflow".to_owned())),
        (Some(Verdict::Inconclusive), None) if broken.is_empty() => {
            (End::Inconclusive, Some("no oracle had anything to judge".to_owned()))
        }
        (Some(Verdict::Inconclusive), None) => (End::Inconclusive, Some(broken.join("\n"))),
        (Some(Verdict::Pass), None) if has_failed => (End::Inconclusive, None),
        (Some(Verdict::Pass), None) => (End::Passed, None),
    };
    let excused = judgements.iter().filter(|it| it.excused).map(told).collect();
    Ended { end, message, excused }
}

fn is_broken(judgement: &Judgement) -> bool {
    judgement.weighs() && judgement.verdict != Verdict::Pass
}

fn told(judgement: &Judgement) -> String {
    let reasons: Vec<&str> = judgement.reasons.iter().map(|reason| reason.text.as_str()).collect();
    format!("{} {}: {}", judgement.invariant, judgement.verdict, reasons.join("; "))
}

#[cfg(test)]
mod tests {
    use records::verdict::Reason;

    use super::*;

    fn judgement(invariant: Invariant, verdict: Verdict) -> Judgement {
        let reason =
            Reason { text: "expected this, found that".to_owned(), seq: None, cause: None };
        Judgement {
            invariant,
            verdict,
            checks: 1,
            reasons: if verdict == Verdict::Pass { Vec::new() } else { vec![reason] },
            not_applicable: false,
            excused: false,
        }
    }

    // Scenarios whose own steps passed were green whatever the oracles said.
    #[test]
    fn every_invariant_is_judged_though_no_step_asks() {
        let held = judgement(Invariant::I2, Verdict::Pass);
        let end = |judgement| ended(Some(&[held.clone(), judgement]), None, false);
        assert_eq!(end(judgement(Invariant::I4, Verdict::Pass)).end, End::Passed);
        let broken = end(judgement(Invariant::I4, Verdict::Fail));
        assert_eq!(broken.end, End::Failed);
        assert!(broken.message.is_some_and(|text| text.contains("I4 fail: expected this")));
        assert_eq!(end(judgement(Invariant::I4, Verdict::Inconclusive)).end, End::Inconclusive);
        let excused = Judgement { excused: true, ..judgement(Invariant::I4, Verdict::Fail) };
        let passed = end(excused);
        assert_eq!(passed.end, End::Passed);
        assert_eq!(passed.excused.len(), 1, "it is told");
    }

    #[test]
    fn what_is_no_finding_is_not_told_as_one() {
        let held = [judgement(Invariant::I2, Verdict::Pass)];
        let broken = [judgement(Invariant::I2, Verdict::Fail)];
        let missed = Stopped::Doubt("the fault did not land".to_owned());
        let dead = Stopped::Harness("no engine".to_owned());
        assert_eq!(ended(Some(&held), Some(&missed), true).end, End::Inconclusive);
        assert_eq!(ended(None, Some(&dead), true).end, End::Harness);
        assert_eq!(ended(None, None, false).end, End::Inconclusive);
        // A finding is one, whatever the harness missed beside it.
        assert_eq!(ended(Some(&broken), Some(&missed), true).end, End::Failed);
        assert_eq!(ended(Some(&broken), Some(&dead), true).end, End::Failed);
    }
}
