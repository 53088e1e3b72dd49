//! What a fault hits, looked up in the last moment before it strikes: by name, from witnesses that the
//! tablet does not control (MySQL's processlist, etcd's own counts, the wire proxy).

use std::time::{Duration, Instant};

use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use records::journal::{Hit, HitKind, InFlight, Side};
use records::schedule::Phase;

use super::Strike;
use super::stream::TABLE as READERS_TABLE;
use crate::stage::{ActError, During, Stage};

/// A diff that needs its source, and has no stream open, asks for one in this time.
const CALLS_WITHIN: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(20);
/// Of a statement or an error, for people.
const WORDS: usize = 80;

/// What a fault hit, and what was on its way then.
#[derive(Clone, Debug, Default)]
pub(super) struct Effect {
    pub(super) hits: Vec<Hit>,
    pub(super) in_flight: Option<InFlight>,
}

impl Effect {
    /// Nothing that is known.
    pub(super) fn none() -> Self {
        Self::default()
    }
}

impl From<Hit> for Effect {
    fn from(hit: Hit) -> Self {
        Self { hits: vec![hit], in_flight: None }
    }
}

impl From<Vec<Hit>> for Effect {
    fn from(hits: Vec<Hit>) -> Self {
        Self { hits, in_flight: None }
    }
}

pub(super) fn hit(kind: HitKind, what: impl Into<String>) -> Hit {
    Hit { kind, what: what.into() }
}

/// The row streams that the source tablet reads for a diff, each with rows outstanding: MySQL still sends.
/// The look at MySQL comes last, so that it is the nearest to what follows.
pub(super) async fn of_source(stage: &Stage) -> Result<Effect, ActError> {
    let in_flight = stage.deployment().in_flight().await;
    let hits = row_streams(stage).await?;
    Ok(Effect { hits, in_flight })
}

async fn row_streams(stage: &Stage) -> Result<Vec<Hit>, ActError> {
    let what = "listing the source tablet's row streams";
    let user = stage.source().tablet().mysql_users().pop().unwrap_or_default();
    let pool = stage.servers()?.source.pool();
    let mut conn = pool.get_conn().await.during(what)?;
    let query = "select id, info, coalesce(state, '') from information_schema.processlist \
         where user = ? and command <> 'Sleep' and info like 'select %'";
    type Row = (u64, String, String);
    let rows: Vec<Row> = conn.exec(query, (&user,)).await.during(what)?;
    let streams = rows.into_iter().filter_map(|(id, statement, state)| {
        let table = stage.deployment().table_of_stream(&statement)?;
        (table != READERS_TABLE).then_some((id, table, state))
    });
    let name = |(id, table, state): Row| {
        let text = format!(
            "the row stream of {table}: MySQL still sends on connection {id} of {user} ({state})"
        );
        hit(HitKind::RowStream, text)
    };
    Ok(streams.map(name).collect())
}

/// That the target tablet calls for its source while that is away, where no stream was open when it went.
pub(super) async fn call_to_source(strike: &Strike<'_>) -> Result<Vec<Hit>, ActError> {
    if strike.phase == Some(Phase::Snapshot) {
        let text = "the target tablet, held before it opens its row streams";
        return Ok(vec![hit(HitKind::Call, text)]);
    }
    if strike.on_top {
        let progress = strike.stage.sampled();
        let outstanding = strike.stage.rows_total().saturating_sub(progress.rows_compared);
        let text = format!("the diff under another fault: {outstanding} rows are outstanding");
        let hits = vec![hit(HitKind::Call, text)];
        return Ok(if outstanding > 0 { hits } else { Vec::new() });
    }
    let began = Instant::now();
    let mut tick = tokio::time::interval(LOOK);
    loop {
        tick.tick().await;
        if let Some(error) = error_of_source(strike.stage).await? {
            let text = format!("the target tablet's call to its source: {}", words(&error));
            return Ok(vec![hit(HitKind::Call, text)]);
        }
        if began.elapsed() >= CALLS_WITHIN {
            return Ok(Vec::new());
        }
    }
}

/// The diff's error that names its source.
async fn error_of_source(stage: &Stage) -> Result<Option<String>, ActError> {
    let progress = stage.progress().await?;
    let failed = progress.state.as_deref() == Some("error") && progress.error.contains("source");
    Ok(failed.then_some(progress.error))
}

/// The connections of a user that are in use: with a statement, or in a transaction.
pub(super) async fn in_use(conn: &mut Conn, user: &str) -> Result<Vec<(u64, String)>, ActError> {
    let query = "select p.id, coalesce(p.state, ''), coalesce(p.info, '') \
         from information_schema.processlist p left join information_schema.innodb_trx t \
         on t.trx_mysql_thread_id = p.id \
         where p.user = ? and (p.command <> 'Sleep' or t.trx_id is not null)";
    type Row = (u64, String, String);
    let rows: Vec<Row> =
        conn.exec(query, (user,)).await.during("listing a tablet's connections in use")?;
    let name = |(id, state, info): Row| {
        let doing = match info.is_empty() {
            true => "in a transaction".to_owned(),
            false => format!("{state}: {}", words(&info)),
        };
        (id, format!("connection {id} of {user}, {doing}"))
    };
    Ok(rows.into_iter().map(name).collect())
}

/// The target tablet's connections in use in its MySQL; or that it starts and needs its MySQL.
pub(super) async fn of_mysql(strike: &Strike<'_>) -> Result<Effect, ActError> {
    let stage = strike.stage;
    let user = stage.target().tablet().mysql_users().pop().unwrap_or_default();
    let what = "connecting to the target's MySQL";
    let mut conn = stage.servers()?.target.pool().get_conn().await.during(what)?;
    let used = in_use(&mut conn, &user).await?;
    if used.is_empty() && !stage.readiness_of(Side::Target).borrow().ready {
        let text = "the target tablet, which starts and is not ready without it";
        return Ok(hit(HitKind::Start, text).into());
    }
    Ok(used.into_iter().map(|(_, name)| hit(HitKind::Connection, name)).collect::<Vec<_>>().into())
}

/// The watches that etcd serves, and the lease that holds the target tablet's key.
pub(super) async fn of_etcd(stage: &Stage) -> Result<Effect, ActError> {
    let etcd = &stage.servers()?.etcd;
    let mut hits = Vec::new();
    if let Some(watchers) = etcd.watchers().await.filter(|watchers| *watchers > 0) {
        hits.push(hit(HitKind::Watch, format!("{watchers} watchers, by etcd's own count")));
    }
    if let Some(held) = super::lease::held(stage).await? {
        let text = format!("the lease {:x} that holds {}", held.id, held.key);
        hits.push(hit(HitKind::Lease, text));
    }
    Ok(hits.into())
}

/// The beginning of a statement or an error.
pub(super) fn words(text: &str) -> String {
    let end = text.floor_char_boundary(WORDS);
    match end < text.len() {
        true => format!("{}…", &text[..end]),
        false => text.to_owned(),
    }
}
