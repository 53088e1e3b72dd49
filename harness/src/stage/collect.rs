//! What is collected at the end of a trial: the final report, the workflow's row, the term probe, the
//! history from the binlog.

use std::time::{Duration, Instant};

use records::journal::{Event, FinalReport, Record, Side};
use records::schedule::Capability;

use super::{ActError, During, Stage, Waited};
use crate::observer::ProcessState;
use system::{ErrorKind, WORKFLOW, WorkflowRow};

/// A newer term is waited for so long; the limit it is judged by is shorter.
const DEMOTION_WITHIN: Duration = Duration::from_secs(8);
/// So long a demoted tablet lives on before its end.
const DEMOTED_FOR: Duration = Duration::from_millis(250);
/// An orderly end is waited for so long; the limit it is judged by is shorter.
const SHUTDOWN_WITHIN: Duration = Duration::from_secs(12);
const LOOK: Duration = Duration::from_millis(50);
const SHOW_WITHIN: Duration = Duration::from_secs(10);

impl Stage {
    /// Collects everything that the oracles need after the diff came to rest, in the order in which
    /// it does not disturb itself. What cannot be collected is said as the harness's trouble.
    pub async fn collect(&self) {
        Box::pin(self.ready_at_last()).await;
        let (reports, workflow, source, target, ()) = tokio::join!(
            self.final_reports(),
            self.workflow_row(),
            self.look_at_roles(Side::Source),
            self.look_at_roles(Side::Target),
            self.ask_for_answers()
        );
        self.told("the final report", reports);
        self.told("the workflow's row", workflow);
        self.told("the tablets' roles", source.and(target));
        let (residue, ()) = tokio::join!(self.look_for_residue(), self.held_at_end());
        self.told("residue", residue);
        self.told("the answers to an operator's verbs", self.try_verbs().await);
        self.pollers.lock().await.stop().await;
        self.told("the term probe", self.probe_term().await);
        self.told("the demoted tablet's role", self.look_at_roles(Side::Target).await);
        self.watch_the_demoted().await;
        Box::pin(self.shut_down()).await;
        self.watchers.lock().await.stop().await;
        self.told("the history", self.read_history().await);
    }

    /// A tablet that runs has its deadline to be ready, whatever was done to it last; one that lost its
    /// shard to a newer term need not.
    async fn ready_at_last(&self) {
        for side in [Side::Source, Side::Target] {
            let runs = matches!(self.tablet(side).state_now(), ProcessState::Running { .. });
            let usurped = side == Side::Target && self.was_usurped();
            if runs
                && !usurped
                && let Waited::No { reason } =
                    self.wait_ready(side, self.ready_within(), Duration::ZERO).await
            {
                self.journal().record(Event::NotReadyAtEnd { side, reason });
            }
        }
    }

    /// What a demotion breaks may show only after it was answered: a SIGTERM at once would hide that.
    async fn watch_the_demoted(&self) {
        let began = Instant::now();
        let mut tick = tokio::time::interval(LOOK);
        let runs = || matches!(self.target().state_now(), ProcessState::Running { .. });
        if !self.was_usurped() {
            return;
        }
        while runs() && began.elapsed() < DEMOTED_FOR {
            tick.tick().await;
        }
    }

    /// Ends both tablets in order: the last that a trial sees of them.
    async fn shut_down(&self) {
        let (source, target) = tokio::join!(
            self.source().shut_down(SHUTDOWN_WITHIN),
            self.target().shut_down(SHUTDOWN_WITHIN)
        );
        self.told("the source tablet's end", source.during("sending SIGTERM"));
        self.told("the target tablet's end", target.during("sending SIGTERM"));
    }

    fn told<T>(&self, what: &str, outcome: Result<T, ActError>) {
        if let Err(error) = outcome {
            let what = format!("cannot collect {what}: {}", error.chain());
            self.journal().record(Event::HarnessTrouble { what });
        }
    }

    /// Asks `show` for each VDiff of the trial that exists, and records what it said.
    ///
    /// # Errors
    /// When the tablet does not answer (a crash loop is no trouble: nobody is there to answer).
    pub async fn final_reports(&self) -> Result<Vec<FinalReport>, ActError> {
        let mut reports = Vec::new();
        if let ProcessState::CrashLoop { .. } = self.target().state_now() {
            self.journal().note("no final report: the target tablet is in a crash loop");
            return Ok(reports);
        }
        if self.was_usurped() {
            self.journal().note("no final report: the target tablet is a replica by now");
            return Ok(reports);
        }
        for uuid in self.uuids() {
            let what = format!("asking show for {uuid}");
            let report = self.operator().report(&uuid);
            let report = match tokio::time::timeout(SHOW_WITHIN, report).await {
                Err(_) => return Err(ActError::new(format!("{what}: no answer"))),
                Ok(Err(error)) if *error.kind() == ErrorKind::NotFound => continue,
                Ok(answer) => answer.during(what)?,
            };
            if let Some(report) = report {
                self.journal().record(Event::FinalReport(report.clone()));
                reports.push(report);
            }
        }
        Ok(reports)
    }

    /// Whether an operator of this trial stopped or froze the workflow.
    pub(super) fn workflow_rests(&self) -> bool {
        let rests = |record: &Record| matches!(record.event, Event::OperatorAct { .. });
        self.journal().inspect(|records| records.iter().any(rests))
    }

    /// Waits until the workflow runs again, and records its row as last seen.
    ///
    /// # Errors
    /// When MySQL does not answer.
    pub async fn workflow_row(&self) -> Result<(), ActError> {
        let what = "reading the workflow's row";
        let began = Instant::now();
        let mut tick = tokio::time::interval(LOOK);
        let crash_loop = matches!(self.target().state_now(), ProcessState::CrashLoop { .. });
        loop {
            tick.tick().await;
            let row = self.sidecar().workflow().await.during(what)?;
            let none = || WorkflowRow { state: "(no row)".to_owned(), ..WorkflowRow::default() };
            let row = row.unwrap_or_else(none);
            // What an operator stopped is not waited for.
            if row.is_restored()
                || self.workflow_rests()
                || crash_loop
                || began.elapsed() >= self.ready_within()
            {
                let after_ms = records::millis(began.elapsed());
                let workflow = WORKFLOW.to_owned();
                let WorkflowRow { state, message, stop_pos, hold } = row;
                self.journal().record(Event::WorkflowRow {
                    workflow,
                    state,
                    message,
                    stop_pos,
                    hold,
                    after_ms,
                });
                return Ok(());
            }
        }
    }

    /// Whether the term probe was made already.
    pub(super) fn was_usurped(&self) -> bool {
        let probe = |record: &Record| matches!(record.event, Event::TermProbe { .. });
        self.journal().inspect(|records| records.iter().any(probe))
    }

    /// Writes a newer term of another tablet into the target's shard record, and waits until the
    /// target tablet stops being its primary: a dead sync task is found this way. The last act of a
    /// trial; readiness is not polled any more.
    ///
    /// # Errors
    /// When etcd does not answer.
    pub async fn probe_term(&self) -> Result<(), ActError> {
        if !matches!(self.target().state_now(), ProcessState::Running { .. }) {
            self.journal().note("no term probe: the target tablet does not run");
            return Ok(());
        }
        if self.was_usurped() || self.environment().survey.lacks(Capability::Demotion).is_some() {
            return Ok(());
        }
        // From the begin of the write: the tablet may know of the term before the harness has the answer.
        let began = Instant::now();
        let usurped = self.topology().usurp().await;
        usurped.during("writing a newer term into the shard record")?;
        let mut tick = tokio::time::interval(LOOK);
        loop {
            tick.tick().await;
            let demoted = self.target().tablet().role().await.as_deref() == Some("REPLICA");
            if demoted || began.elapsed() >= DEMOTION_WITHIN {
                let after_ms = records::millis(began.elapsed());
                self.journal().record(Event::TermProbe { demoted, after_ms });
                return Ok(());
            }
        }
    }

    /// Reads the trial's history, and records it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn read_history(&self) -> Result<(), ActError> {
        self.end_history().await?;
        let changes = self.sidecar().history().await.during("reading the trial's history")?;
        let count = changes.len() as u64;
        for change in changes {
            self.journal().record(Event::SidecarChange(change));
        }
        self.journal().record(Event::HistoryRead { changes: count });
        Ok(())
    }
}
