//! A trial's `vtctld`, and `vtctldclient` run beside it, in its container.

use std::time::Duration;

use engine::docker::{Container, ContainerSpec, DockerError, Engine, ExecOutput, Run};
use serde_json::Value;
use servers::Etcd;
use system::{ErrorKind, SystemError};

use super::image::{PROGRAMS, Vitess};
use super::names::{CELL, Names};

const PORT: u16 = 15000;
const GRPC_PORT: u16 = 15999;
/// An action that waits for a tablet ends by itself in this time…
const ACTION: &str = "10s";
/// …and its client a little later.
const CLIENT_WITHIN: Duration = Duration::from_secs(15);
/// Refusals by an unanswered call, as gRPC words them.
const NOT_REACHED: [&str; 5] = [
    "code = Unavailable",
    "code = DeadlineExceeded",
    "code = Canceled",
    "connection refused",
    "context deadline exceeded",
];
/// Of an answer that cannot be read, for people.
const SAID_MAX: usize = 200;
/// What there is none of.
const NO_SUCH: [&str; 2] = ["no vdiff found for UUID", "not found on tablet"];

/// One `vtctld`.
#[derive(Debug)]
pub(super) struct Vtctld {
    engine: Engine,
    container: Container,
    timeout: String,
}

impl Vtctld {
    /// Starts one. It is not waited for: a client that is too early is refused, and tried again.
    pub(super) async fn start(
        engine: &Engine,
        run: &Run,
        vitess: &Vitess,
        etcd: &Etcd,
        names: &Names,
        hosts: Vec<(String, String)>,
    ) -> Result<Vtctld, DockerError> {
        let release = &vitess.release;
        let mut command = vec![
            release.option("topo-implementation", "etcd2"),
            release.option("topo-global-server-address", etcd.network_address()),
            release.option("topo-global-root", names.global_root()),
            release.option("cell", CELL),
            release.option("service-map", "grpc-vtctl,grpc-vtctld"),
            release.option("port", PORT),
            release.option("grpc-port", GRPC_PORT),
        ];
        if release.logs_to_files() {
            command.push("--logtostderr".to_owned());
        }
        let spec = ContainerSpec {
            what: names.container("vtctld"),
            image: vitess.image.reference.clone(),
            entry_point: Some(format!("/{PROGRAMS}/vtctld")),
            command,
            hosts,
            ..ContainerSpec::default()
        };
        let container = engine.launch(run.site(), spec).await?;
        let timeout = release.option("action-timeout", ACTION);
        Ok(Vtctld { engine: engine.clone(), container, timeout })
    }

    /// Runs `vtctldclient` with these arguments; what it said.
    ///
    /// # Errors
    /// When it was refused, or did not reach whom it had to ask.
    pub(super) async fn run(&self, arguments: &[&str]) -> Result<String, SystemError> {
        let program = format!("/{PROGRAMS}/vtctldclient");
        let server = format!("--server=localhost:{GRPC_PORT}");
        let command: Vec<&str> = [program.as_str(), &server, &self.timeout]
            .into_iter()
            .chain(arguments.iter().copied())
            .collect();
        let ended = self.engine.exec(self.container.id(), &command, CLIENT_WITHIN).await;
        let ended = ended.map_err(|error| SystemError::new(ErrorKind::Failed, error))?;
        answer(ended)
    }

    /// As [`Vtctld::run`], of a command that answers in JSON.
    ///
    /// # Errors
    /// As [`Vtctld::run`], and when the answer is no JSON.
    pub(super) async fn ask(&self, arguments: &[&str]) -> Result<Value, SystemError> {
        json_of(&self.run(arguments).await?)
    }

    pub(super) async fn remove(&self) -> Result<(), DockerError> {
        self.engine.remove(self.container.id()).await
    }
}

/// Exit code 0 is a yes. What a no says tells who said it.
fn answer(ended: ExecOutput) -> Result<String, SystemError> {
    let ExecOutput { exit_code, output, stdout } = ended;
    if exit_code == Some(0) {
        return Ok(stdout);
    }
    let said = output.trim();
    let has = |parts: &[&str]| parts.iter().any(|part| said.contains(part));
    let kind = match () {
        () if has(&NOT_REACHED) => ErrorKind::Failed,
        () if has(&NO_SUCH) => ErrorKind::NotFound,
        () => ErrorKind::Refused,
    };
    let code = exit_code.map_or_else(|| "killed".to_owned(), |code| format!("exit {code}"));
    let text = format!("vtctldclient ended with {}: {said}", exit_code.unwrap_or(-1));
    Err(SystemError::new(kind, text).with_code(Some(code)))
}

fn json_of(said: &str) -> Result<Value, SystemError> {
    serde_json::from_str(said).map_err(|error| {
        let begin: String = said.chars().take(SAID_MAX).collect();
        let text = format!("vtctldclient answered no JSON ({error}): {begin}");
        SystemError::new(ErrorKind::Failed, text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(exit_code: i64, output: &str) -> ErrorKind {
        let output = output.to_owned();
        let ended = ExecOutput { exit_code: Some(exit_code), output, ..Default::default() };
        answer(ended).unwrap_err().kind().clone()
    }

    // As v21.0.1 and a build of March 2026 said them.
    #[test]
    fn a_refusal_is_told_from_a_call_that_reached_nobody() {
        let refused = "rpc error: code = Unknown desc = … vdiff with UUID U already exists on tablet zone1-0000000200";
        assert_eq!(kind(1, refused), ErrorKind::Refused);
        let none =
            "no vdiff found for UUID U keyspace target and workflow wf on tablet zone1-0000000200";
        assert_eq!(kind(1, none), ErrorKind::NotFound);
        let nobody =
            "rpc error: code = Unavailable desc = connection error: … connect: connection refused";
        assert_eq!(kind(1, nobody), ErrorKind::Failed);
    }
}
