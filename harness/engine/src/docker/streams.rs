//! What the engine tells as it happens: log lines and events.

use std::collections::HashMap;
use std::time::Duration;

use futures::{Stream, StreamExt};
use testcontainers::bollard::{
    container::LogOutput,
    query_parameters::{EventsOptions, LogsOptions},
};

use super::engine::{failed, within};
use super::{DockerError, Engine};

/// The longest line that is kept; a longer one is cut.
const LINE_MAX: usize = 64 * 1024;

/// A line of a container's output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// It stood on standard error.
    pub stderr: bool,
    /// When the engine took its beginning, microseconds since the Unix epoch; none: the engine did not say.
    pub at_us: Option<u64>,
    /// Without the line break, at most 64 KiB.
    pub text: String,
}

/// An event of the engine about a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineEvent {
    /// Container id.
    pub container: String,
    /// `start`, `die`, `oom`, `kill`, …
    pub action: String,
    /// Of a `die`.
    pub exit_code: Option<i64>,
    /// Nanoseconds since the Unix epoch, by the engine's clock.
    pub at_ns: i64,
}

impl Engine {
    /// The container's log from its beginning, as a stream of lines. With
    /// `follow` it goes on until the container's process ends.
    pub fn logs(
        &self,
        id: &str,
        follow: bool,
    ) -> impl Stream<Item = Result<LogLine, DockerError>> + Send + use<> {
        let options = LogsOptions {
            follow,
            stdout: true,
            stderr: true,
            since: 0,
            until: 0,
            timestamps: true,
            tail: "all".to_owned(),
        };
        let id = id.to_owned();
        let docker = self.docker.clone();
        let frames = docker.logs(&id, Some(options)).boxed();
        let start = (frames, Lines::default(), id);
        futures::stream::unfold(start, |(mut frames, mut lines, id)| async move {
            loop {
                if let Some(line) = lines.ready.pop_front() {
                    return Some((Ok(line), (frames, lines, id)));
                }
                match frames.next().await {
                    Some(Ok(frame)) => lines.push(frame),
                    Some(Err(source)) => {
                        return Some((Err(failed("logs", &id, source)), (frames, lines, id)));
                    }
                    None if lines.close() => {}
                    None => return None,
                }
            }
        })
    }

    /// The last `count` lines of a container's log; no error when it cannot be read in time.
    pub async fn last_log_lines(&self, id: &str, count: usize) -> Vec<String> {
        let collect = async {
            let mut last = std::collections::VecDeque::with_capacity(count + 1);
            let mut lines = std::pin::pin!(self.logs(id, false));
            while let Some(Ok(line)) = lines.next().await {
                last.push_back(line.text);
                if last.len() > count {
                    last.pop_front();
                }
            }
            Ok(last.into_iter().collect())
        };
        within("logs", id, Duration::from_secs(5), collect).await.unwrap_or_default()
    }

    /// The events of containers that carry every one of `labels` (`key=value`), from now on.
    pub fn events(
        &self,
        labels: &[String],
    ) -> impl Stream<Item = Result<EngineEvent, DockerError>> + Send + use<> {
        let filters = HashMap::from([
            ("type".to_owned(), vec!["container".to_owned()]),
            ("label".to_owned(), labels.to_vec()),
        ]);
        let options = EventsOptions { filters: Some(filters), ..Default::default() };
        let docker = self.docker.clone();
        docker.events(Some(options)).boxed().map(|message| {
            let message = message.map_err(|source| failed("events", "containers", source))?;
            let actor = message.actor.unwrap_or_default();
            let attributes = actor.attributes.unwrap_or_default();
            Ok(EngineEvent {
                container: actor.id.unwrap_or_default(),
                action: message.action.unwrap_or_default(),
                exit_code: attributes.get("exitCode").and_then(|code| code.parse().ok()),
                at_ns: message.time_nano.unwrap_or(0),
            })
        })
    }
}

/// Frames in, lines out; standard output and error are cut apart.
#[derive(Default)]
struct Lines {
    partial: [Partial; 2],
    ready: std::collections::VecDeque<LogLine>,
}

/// A line whose end has not come yet.
#[derive(Default)]
struct Partial {
    at_us: Option<u64>,
    bytes: Vec<u8>,
}

impl Lines {
    /// A frame is a line, or a piece of a long one; each begins with the engine's time.
    fn push(&mut self, frame: LogOutput) {
        let stderr = matches!(frame, LogOutput::StdErr { .. });
        let bytes = frame.into_bytes();
        let (at_us, text) = stamped(&bytes);
        let partial = &mut self.partial[usize::from(stderr)];
        if partial.bytes.is_empty() {
            partial.at_us = at_us;
        }
        for byte in text {
            if *byte == b'\n' {
                self.cut(stderr);
            } else if self.partial[usize::from(stderr)].bytes.len() < LINE_MAX {
                self.partial[usize::from(stderr)].bytes.push(*byte);
            }
        }
    }

    /// Ends the lines under way; true when there was one.
    fn close(&mut self) -> bool {
        for stderr in [false, true] {
            if !self.partial[usize::from(stderr)].bytes.is_empty() {
                self.cut(stderr);
            }
        }
        !self.ready.is_empty()
    }

    fn cut(&mut self, stderr: bool) {
        let Partial { at_us, bytes } = std::mem::take(&mut self.partial[usize::from(stderr)]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        self.ready.push_back(LogLine { stderr, at_us, text });
    }
}

/// The engine's time (RFC 3339, a space), and what follows.
fn stamped(frame: &[u8]) -> (Option<u64>, &[u8]) {
    let read = || {
        let space = frame.iter().position(|byte| *byte == b' ')?;
        let stamp = std::str::from_utf8(&frame[..space]).ok()?;
        let time = chrono::DateTime::parse_from_rfc3339(stamp).ok()?;
        Some((u64::try_from(time.timestamp_micros()).ok()?, &frame[space + 1..]))
    };
    read().map_or((None, frame), |(at_us, text)| (Some(at_us), text))
}

#[cfg(test)]
mod tests {
    use super::*;

    // A time that stayed in a line would make a panic record unreadable.
    #[test]
    fn the_engines_time_is_taken_off_each_piece_of_a_line() {
        let mut lines = Lines::default();
        let out = |text: &str| LogOutput::StdOut { message: text.to_owned().into() };
        lines.push(out("2026-11-28T07:00:01.500000000Z {\"event\":\"start\"}\n"));
        lines.push(out("2026-11-28T07:00:02.25Z a long "));
        lines.push(out("2026-11-28T07:00:02.75Z line\n"));
        lines.push(out("without a time\n"));
        lines.push(out("2026-11-28T07:00:03Z \n"));
        let found: Vec<(Option<u64>, String)> =
            lines.ready.drain(..).map(|line| (line.at_us, line.text)).collect();
        let base = 1_795_849_200_000_000;
        let expected = [
            (Some(base + 1_500_000), "{\"event\":\"start\"}"),
            (Some(base + 2_250_000), "a long line"),
            (None, "without a time"),
            (Some(base + 3_000_000), ""),
        ];
        assert_eq!(found, expected.map(|(at_us, text)| (at_us, text.to_owned())));
        assert!(!lines.close());
    }
}
