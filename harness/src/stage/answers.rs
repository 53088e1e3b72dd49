//! How fast a tablet answers, and whether all places tell the same of its role.

use std::future::Future;
use std::time::{Duration, Instant};

use records::journal::{Answer, CallOutcome, Event, Roles, Side, Told};
use tablet_wire::topodata::{TabletAlias, TabletType};

use super::{ActError, During, SHARD, SOURCE_KEYSPACE, Stage, TARGET_KEYSPACE, WORKFLOW};
use crate::observer::ProcessState;
use system_tablet::TabletError;

/// No answer in this time is none.
const PATIENCE: Duration = Duration::from_secs(10);
/// Twice what the shard sync loop waits before it tries again, and the time to publish the role.
const AGREED_WITHIN: Duration = Duration::from_secs(4);
const LOOK: Duration = Duration::from_millis(25);

/// Times a call. A tablet that says no has answered.
pub(super) async fn timed<T>(
    call: &str,
    asked: impl Future<Output = Result<T, TabletError>>,
) -> Answer {
    let began = Instant::now();
    let outcome = match tokio::time::timeout(PATIENCE, asked).await {
        Ok(Ok(_)) => CallOutcome::Done,
        Ok(Err(error)) if error.is_not_found() => CallOutcome::NotFound,
        Ok(Err(error)) if error.is_refusal() => CallOutcome::Refused(engine::errors::chain(&error)),
        Ok(Err(error)) => CallOutcome::Silence(engine::errors::chain(&error)),
        Err(_) => {
            CallOutcome::Silence(format!("no answer within {} ms", records::millis(PATIENCE)))
        }
    };
    Answer { call: call.to_owned(), took_ms: records::millis(began.elapsed()), outcome }
}

impl Stage {
    /// Asks both tablets everything at once, and records how long each answer took.
    pub async fn ask_for_answers(&self) {
        tokio::join!(self.ask(Side::Source), self.ask(Side::Target));
    }

    async fn ask(&self, side: Side) {
        if !matches!(self.tablet(side).state_now(), ProcessState::Running { .. }) {
            return;
        }
        let client = self.tablet(side).tablet().client();
        let (ping, show, healthz, vars) = tokio::join!(
            timed("ping", client.ping()),
            timed("show", client.vdiff_show(WORKFLOW, "all")),
            timed("healthz", client.healthz()),
            timed("debug-vars", client.debug_vars())
        );
        self.journal().record(Event::Answers { side, answers: vec![ping, show, healthz, vars] });
    }

    /// Looks until health stream, Tablet record and shard record of a living tablet agree on its role,
    /// or the time for it is over; records the last look.
    ///
    /// # Errors
    /// When etcd does not answer.
    pub async fn look_at_roles(&self, side: Side) -> Result<(), ActError> {
        let began = Instant::now();
        let mut tick = tokio::time::interval(LOOK);
        loop {
            tick.tick().await;
            if !matches!(self.tablet(side).state_now(), ProcessState::Running { .. }) {
                return Ok(());
            }
            let mut roles = self.roles(side).await?;
            roles.after_ms = records::millis(began.elapsed());
            if roles.agree() || began.elapsed() >= AGREED_WITHIN {
                self.journal().record(Event::Roles(roles));
                return Ok(());
            }
        }
    }

    async fn roles(&self, side: Side) -> Result<Roles, ActError> {
        let what = "reading the records of a tablet's role";
        let keyspace = match side {
            Side::Source => SOURCE_KEYSPACE,
            Side::Target => TARGET_KEYSPACE,
        };
        let etcd = &self.environment().servers.etcd;
        let tablet = self.tablet(side).tablet();
        let alias = tablet.spec().alias.clone();
        let client = tablet.client();
        let (health, record, shard) = tokio::join!(
            client.health(),
            etcd.tablet(self.topo_root(), &alias),
            etcd.shard(self.topo_root(), keyspace, SHARD)
        );
        let (record, shard) =
            (record.during(what)?.unwrap_or_default(), shard.during(what)?.unwrap_or_default());
        // No answer is a role that nobody tells.
        let health = health.unwrap_or_default();
        let kind_of = |kind: i32| {
            TabletType::try_from(kind).map_or("UNKNOWN", |kind| kind.as_str_name()).to_owned()
        };
        let health_kind = health.target.as_ref().map_or(0, |target| target.tablet_type);
        Ok(Roles {
            side,
            alias,
            health: Told {
                kind: kind_of(health_kind),
                term_s: health.primary_term_start_timestamp,
            },
            serving: health.serving,
            tablet_record: Told {
                kind: kind_of(record.r#type),
                term_s: record.primary_term_start_time.map_or(0, |term| term.seconds),
            },
            shard_primary: shard.primary_alias.as_ref().map(alias_text).unwrap_or_default(),
            shard_term_s: shard.primary_term_start_time.map_or(0, |term| term.seconds),
            after_ms: 0,
        })
    }
}

fn alias_text(alias: &TabletAlias) -> String {
    format!("{}-{:010}", alias.cell, alias.uid)
}
