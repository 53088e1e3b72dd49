//! The tablet in its container, as the boundary asks for it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;

use super::{ContainerTablet, RowStream};
use engine::process::CgroupPaths;
use system::{
    ErrorKind, LogLines, Means, OomEvidence, Predecessor, Readiness, RowReader, Signal, Started,
    SystemError, Tablet,
};

/// A look at its variables must not hold up whoever looks again and again.
const VARS_WITHIN: Duration = Duration::from_secs(1);
/// Where a wait for an answer is part of the question.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

const QUESTIONS: [&str; 4] = ["ping", "show", "healthz", "debug-vars"];

#[async_trait]
impl RowReader for RowStream {
    async fn next_packet(&mut self) -> Result<bool, SystemError> {
        Ok(RowStream::next_packet(self).await?.is_some())
    }
}

#[async_trait]
impl Tablet for ContainerTablet {
    fn alias(&self) -> &str {
        &self.spec().alias
    }

    async fn start_incarnation(&self) -> Result<Started, SystemError> {
        Ok(ContainerTablet::start_incarnation(self).await?)
    }

    async fn wait_exit(&self) -> Result<i64, SystemError> {
        Ok(self.contained().wait_exit().await?)
    }

    async fn kill(&self, signal: Signal) -> Result<Means, SystemError> {
        Ok(self.contained().kill(signal).await?)
    }

    async fn readiness(&self) -> Readiness {
        ContainerTablet::readiness(self).await
    }

    fn questions(&self) -> &'static [&'static str] {
        &QUESTIONS
    }

    async fn ask(&self, question: &str) -> Result<(), SystemError> {
        let client = self.client();
        match question {
            "ping" => client.ping().await?,
            "show" => client.vdiff_show(&self.spec().workflow, "all").await.map(drop)?,
            "healthz" => client.healthz().await?,
            "debug-vars" => client.debug_vars().await.map(drop)?,
            other => {
                return Err(SystemError::unsupported(&format!("be asked for `{other}`")));
            }
        }
        Ok(())
    }

    async fn role(&self) -> Option<String> {
        let vars = self.vars_within(VARS_WITHIN).await.ok()?;
        vars.get("TabletType").and_then(Value::as_str).map(str::to_owned)
    }

    fn mysql_users(&self) -> Vec<String> {
        self.user_names()
    }

    fn log_source(&self) -> Option<String> {
        self.contained().container_id()
    }

    fn log_lines(&self) -> LogLines {
        self.contained().log_lines()
    }

    fn rss_bytes(&self) -> Option<u64> {
        self.contained().rss_bytes()
    }

    fn peak_rss_bytes(&self) -> Option<u64> {
        self.contained().peak_rss_bytes()
    }

    fn charged_bytes(&self) -> Option<u64> {
        self.contained().charged_bytes()
    }

    fn pressure_file(&self) -> Option<PathBuf> {
        self.contained().cgroup().as_ref().and_then(CgroupPaths::pressure_file)
    }

    fn descriptors(&self) -> Result<BTreeMap<String, u64>, String> {
        self.contained().descriptors()
    }

    async fn tasks(&self) -> Result<Option<u64>, String> {
        let vars = self.vars_within(ANSWER_WITHIN).await;
        let vars = vars.map_err(|error| engine::errors::chain(&error))?;
        let tasks = vars.get("TasksAlive").and_then(Value::as_u64);
        tasks
            .map(Some)
            .ok_or_else(|| "the tablet does not tell TasksAlive in /debug/vars".to_owned())
    }

    async fn is_stopping(&self) -> Result<bool, SystemError> {
        Ok(self.client().debug_vars().await?["Stopping"] == true)
    }

    async fn actions_arrived(&self) -> Result<u64, SystemError> {
        let vars = self.client().debug_vars().await?;
        let none = || SystemError::unsupported("tell its actions: no VDiffActionsTotal");
        vars["VDiffActionsTotal"].as_u64().ok_or_else(none)
    }

    async fn is_frozen(&self) -> Result<bool, SystemError> {
        Ok(ContainerTablet::is_frozen(self).await?)
    }

    async fn replace(&self) -> Result<(Started, Predecessor), SystemError> {
        Ok(ContainerTablet::replace(self).await?)
    }

    async fn signal_predecessor(
        &self,
        predecessor: &Predecessor,
        signal: Signal,
    ) -> Result<(), SystemError> {
        Ok(self.contained().signal_predecessor(predecessor, signal).await?)
    }

    async fn predecessor_exit(
        &self,
        predecessor: &Predecessor,
        within: Duration,
    ) -> Result<Option<(i64, Vec<String>)>, SystemError> {
        Ok(self.contained().predecessor_exit(predecessor, within).await?)
    }

    async fn oom(&self) -> Result<OomEvidence, SystemError> {
        Ok(self.contained().oom().await?)
    }

    async fn squeeze(&self, bytes: u64) -> Result<(), SystemError> {
        Ok(self.contained().squeeze(bytes).await?)
    }

    async fn release_squeeze(&self) -> Result<(), SystemError> {
        Ok(self.contained().release_squeeze().await?)
    }

    async fn limit_cpu(&self, quota: Option<Duration>) -> Result<(), SystemError> {
        Ok(self.contained().limit_cpu(quota).await?)
    }

    fn throttled_count(&self) -> Result<Option<u64>, SystemError> {
        Ok(self.contained().throttled_count()?)
    }

    async fn read_rows(&self, table: &str) -> Result<Box<dyn RowReader>, SystemError> {
        let stream = self.client().vstream_rows(&format!("select * from {table}")).await?;
        Ok(Box::new(stream))
    }
}

impl ContainerTablet {
    /// Its variables, if it shows them in this time.
    pub(super) async fn vars_within(&self, within: Duration) -> Result<Value, SystemError> {
        let vars = tokio::time::timeout(within, self.client().debug_vars()).await;
        let late = || {
            let why = format!("no answer within {within:?}");
            Err(SystemError::new(ErrorKind::Failed, why))
        };
        vars.map_or_else(|_| late(), |vars| Ok(vars?))
    }
}
