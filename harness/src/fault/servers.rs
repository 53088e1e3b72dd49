//! Faults of the servers that the tablets lean on: etcd or a MySQL dies, and comes back.

use std::time::{Duration, Instant};

use records::journal::{Evidence, Side};
use records::schedule::Fault;

use super::effect::Effect;
use super::{Strike, Struck, effect};
use crate::stage::{ActError, During, Stage};
use servers::MysqlServer;

const READY_WITHIN: Duration = Duration::from_secs(30);
/// Long enough for the tablet to fail and to try again while MySQL is down.
const MYSQL_DOWN: Duration = Duration::from_secs(2);
/// Longer than the tablets' leases, of five seconds.
const ETCD_DOWN: Duration = Duration::from_millis(6_500);

pub(super) async fn restart_etcd(strike: &Strike<'_>) -> Result<Struck, ActError> {
    let etcd = &strike.stage.servers()?.etcd;
    let before = strike.stage.progress().await?;
    let interrupted = strike.interrupted(&before);
    let effect = effect::of_etcd(strike.stage).await?;
    let began = Instant::now();
    strike.injected("etcd's container restarted through the engine");
    etcd.restart().await.during("restarting etcd")?;
    etcd.wait_ready(READY_WITHIN).await.during("waiting for etcd")?;
    let what = format!(
        "etcd's process was replaced; it answers again after {} ms",
        began.elapsed().as_millis()
    );
    Ok(strike.proven(Evidence::Observed { what }, interrupted, effect))
}

/// Kills a server; it stays down until the fault is healed.
pub(super) async fn kill(strike: &Strike<'_>) -> Result<Struck, ActError> {
    let before = strike.look().await?;
    let interrupted = strike.interrupted(&before);
    let mut effect = match strike.on_top {
        // The fault below may keep the witness from answering.
        true => of_server(strike).await.unwrap_or_default(),
        false => of_server(strike).await?,
    };
    let name = server_name(strike.fault);
    strike.injected(format!("SIGKILL to {name} through the engine"));
    let (exit_code, down) = match mysql(strike.stage, strike.fault)? {
        Some(mysql) => (mysql.kill().await, MYSQL_DOWN),
        None => (strike.stage.servers()?.etcd.kill().await, ETCD_DOWN),
    };
    let exit_code = exit_code.during(format!("killing {name}"))?;
    let until = Instant::now() + down;
    let what = format!(
        "{name} ended with {exit_code}, and stays down for {} ms at least",
        down.as_millis()
    );
    if strike.fault == Fault::MysqlSourceKill && effect.hits.is_empty() {
        effect.hits = effect::call_to_source(strike).await?;
    }
    Ok(strike.proven(Evidence::Observed { what }, interrupted, effect).lasting_until(until))
}

/// Who leans on the server in the last moment before it dies.
async fn of_server(strike: &Strike<'_>) -> Result<Effect, ActError> {
    match strike.fault {
        Fault::MysqlSourceKill => effect::of_source(strike.stage).await,
        Fault::MysqlKill => effect::of_mysql(strike).await,
        _ => effect::of_etcd(strike.stage).await,
    }
}

/// Starts a killed server, and waits until it answers.
pub(super) async fn start(stage: &Stage, fault: Fault) -> Result<(), ActError> {
    let name = server_name(fault);
    match mysql(stage, fault)? {
        Some(mysql) => {
            mysql.start().await.during(format!("starting {name}"))?;
            mysql.wait_ready(READY_WITHIN).await.during(format!("waiting for {name}"))
        }
        None => {
            let etcd = &stage.servers()?.etcd;
            etcd.start().await.during(format!("starting {name}"))?;
            etcd.wait_ready(READY_WITHIN).await.during(format!("waiting for {name}"))
        }
    }
}

/// The MySQL that a fault kills; none: it kills etcd.
fn mysql(stage: &Stage, fault: Fault) -> Result<Option<&MysqlServer>, ActError> {
    let servers = stage.servers()?;
    Ok(side(fault).map(|side| match side {
        Side::Source => &servers.source,
        Side::Target => &servers.target,
    }))
}

fn side(fault: Fault) -> Option<Side> {
    match fault {
        Fault::MysqlKill => Some(Side::Target),
        Fault::MysqlSourceKill => Some(Side::Source),
        _ => None,
    }
}

fn server_name(fault: Fault) -> &'static str {
    match side(fault) {
        Some(Side::Target) => "the target's MySQL",
        Some(Side::Source) => "the source's MySQL",
        None => "etcd",
    }
}
