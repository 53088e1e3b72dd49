//! What this host can do for a run, tried once on a container of a network of its own: whether it
//! reaches this process (the wire proxy lives here), whether its memory limit holds, and which
//! witnesses there are of its process. What is not possible is not dealt, and told.

use std::net::IpAddr;
use std::time::Duration;

use records::schedule::{Capability, Fault, Schedule, Trigger};
use records::{NotPossible, Witnesses};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use engine::docker::{Container, ContainerSpec, DockerError, Engine, MemoryAccount, Run};
use engine::images::Image;
use engine::process::{CgroupPaths, belongs_to, may_signal, sees_descriptors, throttled_count};

/// The limit that must hold: below the memory of any host.
const LIMIT_BYTES: u64 = 256 << 20;
/// A container connects in this time also on a busy machine; a packet that is dropped has been sent
/// again by then.
const CONNECTS_WITHIN: Duration = Duration::from_secs(10);
/// MySQL's client: it is in every image of a server, and connects to what it is told.
const CLIENT: &str = "mysql";
/// So long it waits for a greeting.
const PATIENCE_S: u64 = 60;

const CRASH_POINTS: &str = "crash points";
const PHASES: &str = "faults in a phase";

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// Which witnesses there are; none: nobody looked.
    pub witnesses: Option<Witnesses>,
    /// Whether signals go to the host's PID, and not through the engine.
    pub signals: bool,
    /// Where containers reach this process; none: they do not, or nobody looked.
    pub gateway: Option<IpAddr>,
    /// What is not there, and why.
    lacks: Vec<(Capability, String)>,
}

impl Survey {
    /// Looks. A host of which nothing could be found out is thought able.
    ///
    /// # Errors
    /// When the engine refuses network or container. Whatever happens, nothing is left on it.
    pub async fn of(
        engine: &Engine,
        mysql: &Image,
        etcd: &Image,
        stop: &CancellationToken,
    ) -> Result<Survey, DockerError> {
        let run = Run::begin(engine, &format!("{}-survey", Run::fresh_id())).await?;
        let looked = stop.run_until_cancelled(look(engine, &run, mysql, etcd)).await;
        let removed = run.remove().await;
        let survey = looked.unwrap_or_else(|| Ok(Survey::default()))?;
        removed?;
        Ok(survey)
    }

    /// Why something is not possible here.
    #[must_use]
    pub fn lacks(&self, wanted: Capability) -> Option<&str> {
        let (_, why) = self.lacks.iter().find(|(capability, _)| *capability == wanted)?;
        Some(why)
    }

    /// Why a fault cannot be dealt here.
    #[must_use]
    pub fn refuses_fault(&self, fault: Fault) -> Option<NotPossible> {
        let demands = fault.facts().demands;
        let why = demands.iter().find_map(|capability| self.lacks(*capability))?.to_owned();
        Some(NotPossible { what: fault.name().to_owned(), why })
    }

    /// The faults that cannot be dealt here.
    #[must_use]
    pub fn impossible(&self) -> Vec<Fault> {
        Fault::ALL.into_iter().filter(|fault| self.refuses_fault(*fault).is_some()).collect()
    }

    /// Why a schedule cannot be executed here: its faults, or the proxy that it passes.
    #[must_use]
    pub fn refuses(&self, schedule: &Schedule) -> Option<NotPossible> {
        let mut refused = schedule.steps.iter().filter_map(|step| self.refuses_fault(step.fault));
        let proxied = schedule.is_proxied();
        let in_phase =
            schedule.steps.iter().any(|step| matches!(step.trigger, Trigger::Phase { .. }));
        let refused = refused.next().or_else(|| self.crash_points().filter(|_| proxied));
        refused.or_else(|| self.phases().filter(|_| in_phase))
    }

    /// Why a fault cannot strike in a phase here.
    #[must_use]
    pub fn phases(&self) -> Option<NotPossible> {
        let why = self.lacks(Capability::PhaseLocks)?.to_owned();
        Some(NotPossible { what: PHASES.to_owned(), why })
    }

    /// Why crash points cannot be struck here.
    #[must_use]
    pub fn crash_points(&self) -> Option<NotPossible> {
        let why = self.lacks(Capability::WireProxy)?.to_owned();
        Some(NotPossible { what: CRASH_POINTS.to_owned(), why })
    }

    /// What is left out, a line for each reason.
    #[must_use]
    pub fn not_possible(&self) -> Vec<NotPossible> {
        let of = |(capability, why): &(Capability, String)| {
            let faults = Fault::ALL.into_iter();
            let hit = faults.filter(|fault| fault.facts().demands.contains(capability));
            let mut what: Vec<&str> = hit.map(Fault::name).collect();
            match capability {
                Capability::WireProxy => what.push(CRASH_POINTS),
                Capability::PhaseLocks => what.push(PHASES),
                _ => {}
            }
            NotPossible { what: what.join(", "), why: why.clone() }
        };
        self.lacks.iter().map(of).collect()
    }

    /// Without something more, and why.
    #[must_use]
    pub fn lacking(mut self, capability: Capability, why: impl Into<String>) -> Survey {
        self.lacks.push((capability, why.into()));
        self
    }
}

/// What is known of a container's process.
struct Looked {
    witnesses: Witnesses,
    signals: bool,
    lacks: Vec<(Capability, String)>,
}

async fn look(
    engine: &Engine,
    run: &Run,
    mysql: &Image,
    etcd: &Image,
) -> Result<Survey, DockerError> {
    let gateway = engine.network_gateway(run.network()).await?;
    let mut idle = None;
    let listening = match listen(gateway).await {
        Ok(listening) => Ok(listening),
        Err(_) => {
            // Podman makes a network's bridge with its first container.
            idle = Some(engine.launch(run.site(), idle_spec(etcd)).await?);
            listen(gateway).await
        }
    };
    let mut survey = Survey::default();
    let mut looked = None;
    let reached = match listening {
        Ok((listener, port)) => {
            let client = engine.launch(run.site(), client_spec(mysql, gateway, port)).await?;
            looked = of_process(engine, &client).await?;
            reach(engine, &client, &listener, gateway).await
        }
        Err(error) => Reach::No(format!(
            "{gateway}, the gateway of a container's network, is no address of this host ({error})"
        )),
    };
    if looked.is_none() {
        let idle = match idle {
            Some(idle) => idle,
            None => engine.launch(run.site(), idle_spec(etcd)).await?,
        };
        looked = of_process(engine, &idle).await?;
    }
    if let Some(looked) = looked {
        let proxy = matches!(reached, Reach::Yes);
        survey.witnesses = Some(Witnesses { proxy, ..looked.witnesses });
        survey.signals = looked.signals;
        survey.lacks = looked.lacks;
    }
    match reached {
        Reach::Yes => survey.gateway = Some(gateway),
        Reach::No(why) => survey.lacks.push((Capability::WireProxy, why)),
        Reach::Unknown(why) => tracing::warn!(why, "whether containers reach the wire proxy"),
    }
    Ok(survey)
}

async fn listen(gateway: IpAddr) -> std::io::Result<(TcpListener, u16)> {
    let listener = TcpListener::bind((gateway, 0)).await?;
    let port = listener.local_addr()?.port();
    Ok((listener, port))
}

/// Lives on without a peer.
fn idle_spec(etcd: &Image) -> ContainerSpec {
    ContainerSpec {
        what: "idle".to_owned(),
        image: etcd.reference.clone(),
        command: ["etcd", "--data-dir=/var/lib/etcd", "--unsafe-no-fsync", "--log-level=error"]
            .map(str::to_owned)
            .to_vec(),
        memory_bytes: Some(LIMIT_BYTES),
        ..Default::default()
    }
}

/// A client whose server never greets it, so that it lives until it loses patience.
fn client_spec(mysql: &Image, gateway: IpAddr, port: u16) -> ContainerSpec {
    ContainerSpec {
        what: "client".to_owned(),
        image: mysql.reference.clone(),
        entry_point: Some(CLIENT.to_owned()),
        command: vec![
            "--no-defaults".to_owned(),
            "--protocol=tcp".to_owned(),
            format!("--host={gateway}"),
            format!("--port={port}"),
            format!("--connect-timeout={PATIENCE_S}"),
        ],
        memory_bytes: Some(LIMIT_BYTES),
        ..Default::default()
    }
}

/// None when the container has ended already.
async fn of_process(engine: &Engine, container: &Container) -> Result<Option<Looked>, DockerError> {
    let state = engine.inspect(container.id()).await?;
    if !state.running {
        return Ok(None);
    }
    let pid = state.pid.filter(|pid| belongs_to(*pid, &state.id));
    let cgroup = pid.and_then(CgroupPaths::of_process);
    let account = engine.memory_account(container.id()).await;
    let account = account.inspect_err(|error| {
        let why = engine::errors::chain(error);
        tracing::warn!(why, "whether a container's memory limit holds");
    });
    let seen = MemorySeen {
        limit_bytes: cgroup.as_ref().and_then(CgroupPaths::limit_bytes),
        charged_bytes: cgroup.as_ref().and_then(CgroupPaths::charged_bytes),
    };
    Ok(Some(Looked {
        witnesses: Witnesses {
            host_pid: pid.is_some(),
            cgroup: cgroup.is_some_and(|cgroup| cgroup.oom_kill_count().is_some()),
            descriptors: pid.is_some_and(sees_descriptors),
            kernel_log: std::fs::File::open("/dev/kmsg").is_ok(),
            proxy: false,
        },
        signals: pid.is_some_and(may_signal),
        lacks: memory_lacks(&seen, account.ok()).into_iter().chain(processor_lacks(pid)).collect(),
    }))
}

/// The kernel's word on a container's memory, where it can be heard.
#[derive(Clone, Copy, Debug, Default)]
struct MemorySeen {
    limit_bytes: Option<u64>,
    charged_bytes: Option<u64>,
}

/// What does not hold; an engine that cannot be asked either (`account` is none) proves nothing.
fn memory_lacks(seen: &MemorySeen, account: Option<MemoryAccount>) -> Vec<(Capability, String)> {
    let mut lacks = Vec::new();
    let Some(account) = account else { return lacks };
    let limit = seen.limit_bytes.or(account.limit_bytes);
    if limit != Some(LIMIT_BYTES) {
        let found = limit.map_or("none".to_owned(), |bytes| format!("{} MiB", bytes >> 20));
        let why = format!(
            "a container was to have a memory limit of {} MiB and has {found}: the engine has no \
             memory controller (rootless without delegation?)",
            LIMIT_BYTES >> 20
        );
        lacks.push((Capability::MemoryLimit, why));
    }
    if seen.charged_bytes.or(account.charged_bytes).is_none() {
        let why =
            "neither the kernel nor the engine tells how much memory is charged to a container";
        lacks.push((Capability::MemoryAccount, why.to_owned()));
    }
    lacks
}

/// The kernel's count of what a container's processor quota held back.
fn processor_lacks(pid: Option<i32>) -> Option<(Capability, String)> {
    let why =
        "the kernel's account of a container's processor quota (cpu.stat) cannot be read here";
    let is_told = pid.is_some_and(|pid| throttled_count(pid).is_some());
    (!is_told).then(|| (Capability::ProcessorAccount, why.to_owned()))
}

/// Whether a container connected.
#[derive(Debug, PartialEq)]
enum Reach {
    Yes,
    No(String),
    /// The client could not be run.
    Unknown(String),
}

/// Waits for the client. It is let go only afterwards: as long as nobody greets it, it lives.
async fn reach(
    engine: &Engine,
    client: &Container,
    listener: &TcpListener,
    gateway: IpAddr,
) -> Reach {
    let ended = engine.wait_exit(client.id(), CONNECTS_WITHIN);
    tokio::select! {
        accepted = listener.accept() => return match accepted {
            Ok(_) => Reach::Yes,
            Err(error) => Reach::Unknown(format!("accepting a connection failed: {error}")),
        },
        // It lost patience, or could not run; or the time has passed: the looks below tell which.
        _ = ended => {}
    }
    let said = engine.last_log_lines(client.id(), 3).await.join(" ");
    let lives = engine.inspect(client.id()).await.is_ok_and(|state| state.running);
    not_reached(lives, &said, gateway)
}

/// Why no container came. One that still tries gets no answer; one that was refused says so.
fn not_reached(lives: bool, said: &str, gateway: IpAddr) -> Reach {
    let does = match (lives, said.contains("Can't connect")) {
        (true, _) => "drops",
        (false, true) => "refuses",
        (false, false) => return Reach::Unknown(format!("the client ended: {said}")),
    };
    Reach::No(format!(
        "a firewall of this host {does} what containers send to {gateway}, their network's gateway: \
         allow the bridge"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_forbidden_by_what_it_demands_and_by_nothing_else() {
        let survey = Survey::default().lacking(Capability::WireProxy, "a firewall");
        assert_eq!(survey.impossible(), [Fault::Partition, Fault::Latency, Fault::Reset]);
        assert_eq!(survey.refuses_fault(Fault::Oom), None);
        let told: Vec<String> = survey.not_possible().iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "not possible here, and not tried: partition, latency, reset, crash points (a firewall)"
            ]
        );
        assert!(Survey::default().impossible().is_empty());
    }

    #[test]
    fn a_limit_that_does_not_hold_and_an_account_that_is_not_kept_are_told() {
        let lacks = |seen: MemorySeen, account| -> Vec<Capability> {
            memory_lacks(&seen, account).into_iter().map(|(capability, _)| capability).collect()
        };
        let account =
            |limit_bytes, charged_bytes| Some(MemoryAccount { charged_bytes, limit_bytes });
        let kernel = MemorySeen { limit_bytes: Some(LIMIT_BYTES), charged_bytes: Some(1) };
        let blind = MemorySeen::default();
        assert_eq!(lacks(kernel, account(None, None)), []);
        assert_eq!(lacks(blind, account(Some(LIMIT_BYTES), Some(1))), []);
        assert_eq!(lacks(blind, account(Some(8 << 30), Some(1))), [Capability::MemoryLimit]);
        assert_eq!(
            lacks(blind, account(None, None)),
            [Capability::MemoryLimit, Capability::MemoryAccount]
        );
        assert_eq!(lacks(blind, None), []);
    }

    // "Drops" sends its reader to the firewall; a client that cannot run is no firewall.
    #[test]
    fn a_dropped_a_refused_and_a_broken_client_are_three_things() {
        let gateway = IpAddr::from([10, 0, 0, 1]);
        let refused = "ERROR 2003 (HY000): Can't connect to MySQL server on '10.0.0.1:4' (111)";
        assert!(matches!(not_reached(true, "", gateway), Reach::No(why) if why.contains("drops")));
        let why = not_reached(false, refused, gateway);
        assert!(matches!(why, Reach::No(why) if why.contains("refuses")));
        assert!(matches!(not_reached(false, "no such option", gateway), Reach::Unknown(_)));
    }
}
