//! Running a program of the host to its end, with a deadline.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use super::ImageError;

/// Lines of a failed command's output that its error shows.
const LINES: usize = 15;

/// Runs the command; each line of its standard error goes to `watch`. Returns its standard output.
///
/// The command is killed when the deadline passes, or when the caller goes away.
pub(super) async fn run(
    command: &mut Command,
    deadline: Duration,
    watch: &(dyn Fn(&str) + Send + Sync),
) -> Result<String, ImageError> {
    let line = command.as_std();
    let line = std::iter::once(line.get_program()).chain(line.get_args());
    let line = line.map(|part| part.to_string_lossy()).collect::<Vec<_>>().join(" ");
    let name: String = line.chars().take(200).collect();
    let cannot = |what: &str| ImageError::file(format!("cannot {what} `{name}`"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().map_err(cannot("start"))?;
    let stdout = child.stdout.take().expect("piped above");
    let stderr = child.stderr.take().expect("piped above");
    let out = async {
        let mut text = String::new();
        let mut lines = BufReader::new(stdout).lines();
        while let Some(line) = lines.next_line().await.map_err(cannot("read from"))? {
            text.push_str(&line);
            text.push('\n');
        }
        Ok::<_, ImageError>(text)
    };
    let err = async {
        let mut last = std::collections::VecDeque::new();
        let mut lines = BufReader::new(stderr).lines();
        while let Some(line) = lines.next_line().await.map_err(cannot("read from"))? {
            watch(&line);
            last.push_back(line);
            if last.len() > LINES {
                last.pop_front();
            }
        }
        Ok::<_, ImageError>(last)
    };
    let all = async {
        let (out, err) = tokio::try_join!(out, err)?;
        let status = child.wait().await.map_err(cannot("wait for"))?;
        Ok::<_, ImageError>((out, err, status))
    };
    let (out, err, status) = tokio::time::timeout(deadline, all)
        .await
        .map_err(|_| ImageError::CommandDeadline { command: name.clone(), deadline })??;
    if status.success() {
        return Ok(out);
    }
    let output = Vec::from(err).join("\n");
    Err(ImageError::Command { command: name.clone(), status: status.to_string(), output })
}
