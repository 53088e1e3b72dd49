//! What is collected at the end of a trial: the final report, the workflow's row, the term probe, the
//! history from the binlog.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mysql_async::prelude::Queryable;
use records::journal::{
    Difference, DifferenceKind, Event, FinalReport, Record, Side, SidecarChange, TableReport,
};
use serde_json::Value;

use super::{ActError, During, SHARD, Stage, TARGET_DB, TARGET_KEYSPACE, WORKFLOW, Waited};
use crate::observer::ProcessState;
use records::journal::facts::Dialect;
use servers::MysqlServer;
use system_tablet::{ShowRow, TabletDialect};
use workload::Dataset;

/// A newer term is waited for so long; the limit it is judged by is shorter.
const DEMOTION_WITHIN: Duration = Duration::from_secs(8);
/// So long a demoted tablet lives on before its end.
const DEMOTED_FOR: Duration = Duration::from_millis(250);
/// An orderly end is waited for so long; the limit it is judged by is shorter.
const SHUTDOWN_WITHIN: Duration = Duration::from_secs(12);
const LOOK: Duration = Duration::from_millis(50);
const SHOW_WITHIN: Duration = Duration::from_secs(10);
const HISTORY_WITHIN: Duration = Duration::from_secs(30);

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
        let keys = self.key_columns().await?;
        for uuid in self.uuids() {
            let what = format!("asking show for {uuid}");
            let show = self.target().tablet().vdiff_show(WORKFLOW, &uuid);
            let rows = match tokio::time::timeout(SHOW_WITHIN, show).await {
                Err(_) => return Err(ActError::new(format!("{what}: no answer"))),
                Ok(Err(error)) if error.is_not_found() => continue,
                Ok(answer) => answer.during(what)?,
            };
            if let Some(report) = report_of(&uuid, &rows, &keys) {
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
        let query = format!(
            "select cast(state as char), cast(coalesce(message, '') as char), \
             cast(coalesce(stop_pos, '') as char) from `{}`.vreplication where workflow = ?",
            self.sidecar_db()
        );
        let pool = self.environment().servers.target.pool();
        let mut conn = pool.get_conn().await.during(what)?;
        let crash_loop = matches!(self.target().state_now(), ProcessState::CrashLoop { .. });
        loop {
            tick.tick().await;
            let row: Option<(String, String, String)> =
                conn.exec_first(&query, (WORKFLOW,)).await.during(what)?;
            let (state, message, stop_pos) =
                row.unwrap_or_else(|| ("(no row)".to_owned(), String::new(), String::new()));
            let restored = state == "Running" && message.is_empty() && stop_pos.is_empty();
            // What an operator stopped is not waited for.
            if restored
                || self.workflow_rests()
                || crash_loop
                || began.elapsed() >= self.ready_within()
            {
                let after_ms = records::millis(began.elapsed());
                let workflow = WORKFLOW.to_owned();
                let hold = TabletDialect.workflow_hold(&message);
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
        if self.was_usurped() {
            return Ok(());
        }
        let etcd = &self.environment().servers.etcd;
        // From the begin of the write: the tablet may know of the term before the harness has etcd's answer.
        let began = Instant::now();
        etcd.usurp(self.topo_root(), TARGET_KEYSPACE, SHARD)
            .await
            .during("writing a newer term into the shard record")?;
        let mut tick = tokio::time::interval(LOOK);
        loop {
            tick.tick().await;
            let vars = self.target().tablet().debug_vars();
            let vars = tokio::time::timeout(Duration::from_secs(1), vars).await;
            let kind = match &vars {
                Ok(Ok(vars)) => vars.get("TabletType").and_then(Value::as_str).unwrap_or_default(),
                Ok(Err(_)) | Err(_) => "",
            };
            let demoted = matches!(kind, "REPLICA");
            if demoted || began.elapsed() >= DEMOTION_WITHIN {
                let after_ms = records::millis(began.elapsed());
                self.journal().record(Event::TermProbe { demoted, after_ms });
                return Ok(());
            }
        }
    }

    /// Reads the trial's history from the target MySQL's binlog, and records it.
    ///
    /// # Errors
    /// When the binlog cannot be read.
    pub async fn read_history(&self) -> Result<(), ActError> {
        let server = &self.environment().servers.target;
        self.end_history().await?;
        let end = self.gtid_end().unwrap_or_default();
        let position = |text: &str| {
            text.parse::<servers::history::GtidSet>()
                .during(format!("reading the position `{text}`"))
        };
        let options = servers::history::HistoryOptions {
            server: root_options(server),
            sidecar_database: self.sidecar_db().to_owned(),
            after: position(&self.gtid_begin())?,
            upto: position(&end)?,
            keep_samples: false,
            deadline: HISTORY_WITHIN,
        };
        // Decoding a binlog and finding the cursors' places is work for a processor: not on the
        // threads that observe other trials.
        let dataset = Arc::clone(&self.environment().dataset);
        let runtime = tokio::runtime::Handle::current();
        let read = move || {
            let changes = runtime.block_on(servers::history::read(&options))?;
            Ok::<_, servers::history::HistoryError>(placed(&dataset, changes))
        };
        let changes = tokio::task::spawn_blocking(read)
            .await
            .during("waiting for the history's reader")?
            .during("reading the binlog")?;
        let count = changes.len() as u64;
        for mut change in changes {
            change.facts = TabletDialect.facts(&change);
            self.journal().record(Event::SidecarChange(change));
        }
        self.journal().record(Event::HistoryRead { changes: count });
        Ok(())
    }

    /// The key columns of the target's tables, in key order, as MySQL knows them.
    async fn key_columns(&self) -> Result<BTreeMap<String, Vec<String>>, ActError> {
        let what = "reading the tables' keys";
        let pool = self.environment().servers.target.pool();
        let mut conn = pool.get_conn().await.during(what)?;
        let rows: Vec<(String, String)> = conn
            .exec(
                "select table_name, column_name from information_schema.statistics \
                 where table_schema = ? and index_name = 'PRIMARY' order by table_name, seq_in_index",
                (TARGET_DB,),
            )
            .await
            .during(what)?;
        let mut keys: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (table, column) in rows {
            keys.entry(table).or_default().push(column);
        }
        Ok(keys)
    }
}

/// Fills in how far an exact diff is at each saved cursor.
fn placed(dataset: &Dataset, mut changes: Vec<SidecarChange>) -> Vec<SidecarChange> {
    let mut known: HashMap<(String, String), Option<u64>> = HashMap::new();
    for change in changes.iter_mut().filter(|change| change.table == "vdiff_table") {
        let text = |column: &str| change.after.as_ref()?.get(column)?.clone();
        if let (Some(table), Some(cursor)) = (text("table_name"), text("lastpk")) {
            let place = known
                .entry((table, cursor))
                .or_insert_with_key(|(table, cursor)| dataset.cursor_ordinal(table, cursor));
            change.cursor_ordinal = *place;
        }
    }
    changes
}

/// How to reach a server as its root, from the host.
fn root_options(server: &MysqlServer) -> mysql_async::Opts {
    let (host, port) = server.host_addr();
    mysql_async::OptsBuilder::default()
        .ip_or_hostname(host)
        .tcp_port(port)
        .user(Some("root"))
        .pass(Some(server.password()))
        .into()
}

/// What `show` said, in the journal's form; none when it said nothing.
fn report_of(
    uuid: &str,
    rows: &[ShowRow],
    keys: &BTreeMap<String, Vec<String>>,
) -> Option<FinalReport> {
    let text = |row: &ShowRow, column: &str| row.get(column).cloned().flatten().unwrap_or_default();
    let first = rows.first()?;
    let mut report = FinalReport {
        uuid: uuid.to_owned(),
        state: text(first, "vdiff_state"),
        last_error: text(first, "last_error"),
        tables: BTreeMap::new(),
    };
    for row in rows {
        let table = text(row, "table_name");
        if table.is_empty() {
            continue;
        }
        let said: Value = serde_json::from_str(&text(row, "report")).unwrap_or(Value::Null);
        let key = keys.get(&table).map(Vec::as_slice).unwrap_or_default();
        report.tables.insert(table, table_report(&text(row, "table_state"), &said, key));
    }
    Some(report)
}

fn table_report(state: &str, said: &Value, key: &[String]) -> TableReport {
    let count = |name: &str| said.get(name).and_then(Value::as_u64).unwrap_or(0);
    let samples = |name: &str| {
        said.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default().iter()
    };
    let key_of = |sample: &Value| {
        let row = sample.get("Row");
        let value = |column: &String| {
            row.and_then(|row| row.get(column)).and_then(Value::as_str).unwrap_or("(none)")
        };
        key.iter().map(value).collect::<Vec<_>>().join(",")
    };
    let mut differences = Vec::new();
    for pair in samples("MismatchedRowsSample") {
        let key = key_of(pair.get("Source").unwrap_or(&Value::Null));
        differences.push(Difference { kind: DifferenceKind::Mismatch, key });
    }
    for row in samples("ExtraRowsSourceSample") {
        differences.push(Difference { kind: DifferenceKind::ExtraSource, key: key_of(row) });
    }
    for row in samples("ExtraRowsTargetSample") {
        differences.push(Difference { kind: DifferenceKind::ExtraTarget, key: key_of(row) });
    }
    TableReport {
        state: state.to_owned(),
        processed: count("ProcessedRows"),
        matching: count("MatchingRows"),
        mismatched: count("MismatchedRows"),
        extra_source: count("ExtraRowsSource"),
        extra_target: count("ExtraRowsTarget"),
        differences,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // The oracle of exactness compares sets of keys: a key read wrongly would blame the tablet.
    #[test]
    fn show_is_read_with_composite_keys_in_key_order() {
        let said = serde_json::json!({
            "ProcessedRows": 5, "MatchingRows": 2, "MismatchedRows": 1, "ExtraRowsSource": 1,
            "ExtraRowsTarget": 1,
            "MismatchedRowsSample": [
                {"Source": {"Row": {"b": "2", "a": "1", "x": "y"}}, "Target": {"Row": {"a": "9"}}}
            ],
            "ExtraRowsSourceSample": [{"Row": {"a": "3", "b": "4"}}],
        });
        let row = [
            ("vdiff_state", "completed"),
            ("table_name", "t"),
            ("table_state", "completed"),
            ("report", &said.to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), Some(value.to_owned())));
        let keys = BTreeMap::from([("t".to_owned(), vec!["a".to_owned(), "b".to_owned()])]);
        let report = report_of("u", &[BTreeMap::from(row)], &keys).unwrap();
        assert_eq!(report.state, "completed");
        let table = &report.tables["t"];
        assert_eq!((table.processed, table.matching, table.extra_target), (5, 2, 1));
        let keys: Vec<&str> = table.differences.iter().map(|d| d.key.as_str()).collect();
        assert_eq!(keys, ["1,2", "3,4"]);
    }
}
