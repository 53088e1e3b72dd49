//! Commands that are run in a container from outside.

use std::time::Duration;

use futures::StreamExt;
use testcontainers::bollard::container::LogOutput;
use testcontainers::bollard::exec::{CreateExecOptions, StartExecResults};

use super::engine::{CALL, failed, within};
use super::{DockerError, Engine};

/// The most bytes of an exec's output that are kept.
const OUTPUT_MAX: usize = 4 << 20;
/// A command whose output has ended has ended itself, or closed it; the engine knows its exit code
/// within this time. It may still say that it runs right after the output's end.
const CODE_WITHIN: Duration = Duration::from_secs(5);
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// What an exec'd command said.
#[derive(Clone, Debug, Default)]
pub struct ExecOutput {
    /// Its exit code; none when the engine does not know one.
    pub exit_code: Option<i64>,
    /// Standard output and error, interleaved, capped.
    pub output: String,
    /// Standard output alone, capped.
    pub stdout: String,
}

impl Engine {
    /// Runs a command in the container and waits for its end.
    ///
    /// # Errors
    /// When the engine refuses, when the output breaks off, or when the deadline passes.
    pub async fn exec(
        &self,
        id: &str,
        command: &[&str],
        deadline: Duration,
    ) -> Result<ExecOutput, DockerError> {
        let run = async {
            let options = CreateExecOptions {
                cmd: Some(command.iter().map(|part| (*part).to_owned()).collect()),
                attach_stdout: Some(true),
                attach_stderr: Some(true),
                ..Default::default()
            };
            let exec = self.call("exec", id, CALL, self.docker.create_exec(id, options)).await?;
            let started =
                self.call("exec start", id, CALL, self.docker.start_exec(&exec.id, None)).await?;
            let (mut bytes, mut stdout) = (Vec::new(), Vec::new());
            if let StartExecResults::Attached { mut output, .. } = started {
                while let Some(chunk) = output.next().await {
                    let chunk = chunk.map_err(|source| failed("exec output", id, source))?;
                    let is_out = matches!(chunk, LogOutput::StdOut { .. });
                    let chunk = chunk.into_bytes();
                    let room = OUTPUT_MAX.saturating_sub(bytes.len());
                    let kept = &chunk[..chunk.len().min(room)];
                    bytes.extend_from_slice(kept);
                    if is_out {
                        stdout.extend_from_slice(kept);
                    }
                }
            }
            let [output, stdout] =
                [bytes, stdout].map(|it| String::from_utf8_lossy(&it).into_owned());
            Ok(ExecOutput { exit_code: self.exit_code_of(id, &exec.id).await?, output, stdout })
        };
        within("exec", id, deadline, run).await
    }

    /// The exit code of a command that has ended, or is about to.
    async fn exit_code_of(&self, id: &str, exec: &str) -> Result<Option<i64>, DockerError> {
        within("exec inspect", id, CODE_WITHIN, async {
            let mut pause = tokio::time::interval(LOOK_AGAIN);
            loop {
                pause.tick().await;
                let look = self.docker.inspect_exec(exec);
                let seen = self.call("exec inspect", id, CALL, look).await?;
                if !is_still_at_work(seen.running, seen.exit_code) {
                    return Ok(seen.exit_code);
                }
            }
        })
        .await
    }
}

/// Docker says `Running: true` and no code for a moment after the end; Podman may leave out either.
fn is_still_at_work(running: Option<bool>, exit_code: Option<i64>) -> bool {
    match (running, exit_code) {
        (Some(true), _) | (None, None) => true,
        (Some(false), _) | (None, Some(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Taken for an end, "no code yet" is a failure of a command that worked.
    #[test]
    fn an_end_needs_the_engines_word() {
        for (running, exit_code, at_work) in [
            (Some(true), None, true),
            (Some(true), Some(0), true),
            (Some(false), None, false),
            (Some(false), Some(0), false),
            (None, Some(127), false),
            (None, None, true),
        ] {
            assert_eq!(is_still_at_work(running, exit_code), at_work, "{running:?} {exit_code:?}");
        }
    }
}
