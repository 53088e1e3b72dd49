//! Follows a tablet's log, over all its incarnations: keeps it in a file, and records panics.

use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use reports::journal::Event;
use tokio_util::sync::CancellationToken;

use super::process::{ProcessState, Supervised};
use super::{name, pulse::Pulse};

/// The file takes no more than this; the journal says so when it is full.
const FILE_BYTES_MAX: u64 = 16 << 20;
/// First lines of a restarted incarnation that stand in the journal.
const FIRST_LINES: usize = 12;
const BEAT: Duration = Duration::from_millis(250);

/// Ends when told to.
pub(super) async fn follow(supervised: Arc<Supervised>, stop: CancellationToken) {
    let mut pulse = Pulse::start(supervised.journal(), name("logs", supervised.side()));
    let mut keeper = Keeper::new(&supervised);
    stop.run_until_cancelled(follow_all(&supervised, &mut keeper, &mut pulse)).await;
    keeper.flush_first();
    let lines = supervised.last_log_lines();
    let from = lines.len().saturating_sub(FIRST_LINES);
    supervised.journal().record(Event::LogLines {
        side: supervised.side(),
        incarnation: supervised.state_now().incarnation(),
        lines: lines[from..].to_vec(),
    });
    supervised.journal().record(Event::LogVolume {
        side: supervised.side(),
        lines: keeper.volume.lines,
        busiest_second: keeper.volume.busiest_second,
    });
    pulse.stop();
}

/// The engine's log stream ends with the process: subscribe again for each incarnation. It begins
/// anew each time, so what was seen before is skipped by count.
async fn follow_all(supervised: &Supervised, keeper: &mut Keeper<'_>, pulse: &mut Pulse) {
    let mut state = supervised.state();
    let mut seen = 0_usize;
    let mut container = None;
    let mut tick = tokio::time::interval(BEAT);
    loop {
        let incarnation = loop {
            tokio::select! {
                now = state.wait_for(|now| matches!(now, ProcessState::Running { .. })) => {
                    match now {
                        Ok(now) => break now.incarnation(),
                        Err(_) => return,
                    }
                }
                _ = tick.tick() => pulse.beat(),
            }
        };
        keeper.begin(incarnation);
        let now_in = supervised.tablet().container_id();
        if now_in != container {
            (seen, container) = (0, now_in);
        }
        let mut lines = std::pin::pin!(supervised.tablet().log_lines(0).skip(seen));
        loop {
            tokio::select! {
                // Another container took the alias: this one may never end.
                _ = state.wait_for(|now| now.incarnation() > incarnation
                    && supervised.tablet().container_id() != container) => break,
                line = lines.next() => match line {
                    Some(Ok(line)) => {
                        seen += 1;
                        pulse.beat();
                        keeper.line(&line.text);
                    }
                    Some(Err(error)) => {
                        supervised.journal().note(format!("the log stream broke: {error}"));
                        break;
                    }
                    None => break,
                },
                _ = tick.tick() => pulse.beat(),
            }
        }
        // The stream may end a moment before the exit is seen: wait for the next incarnation.
        loop {
            tokio::select! {
                moved = state.wait_for(|now| now.incarnation() > incarnation
                    || matches!(now, ProcessState::Exited { .. } | ProcessState::CrashLoop { .. })) => {
                    if moved.is_err() {
                        return;
                    }
                    break;
                }
                _ = tick.tick() => pulse.beat(),
            }
        }
    }
}

/// Where lines go.
struct Keeper<'a> {
    supervised: &'a Supervised,
    file: Option<std::fs::File>,
    written: u64,
    incarnation: u32,
    first: Vec<String>,
    volume: Volume,
}

/// How many lines came, and how many within one second at most.
#[derive(Default)]
struct Volume {
    lines: u64,
    busiest_second: u64,
    /// When the present second began, and its lines.
    second: Option<(Instant, u64)>,
}

impl Volume {
    fn count(&mut self, now: Instant) {
        self.lines += 1;
        let second = self.second.get_or_insert((now, 0));
        if now.duration_since(second.0) >= Duration::from_secs(1) {
            *second = (now, 0);
        }
        second.1 += 1;
        self.busiest_second = self.busiest_second.max(second.1);
    }
}

impl<'a> Keeper<'a> {
    fn new(supervised: &'a Supervised) -> Keeper<'a> {
        let path = supervised.log_path();
        let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
        let file = match file {
            Ok(file) => Some(file),
            Err(error) => {
                let what = format!("cannot write {}: {error}", path.display());
                supervised.journal().record(Event::HarnessTrouble { what });
                None
            }
        };
        Keeper {
            supervised,
            file,
            written: 0,
            incarnation: 0,
            first: Vec::new(),
            volume: Volume::default(),
        }
    }

    fn begin(&mut self, incarnation: u32) {
        self.flush_first();
        self.incarnation = incarnation;
    }

    fn line(&mut self, text: &str) {
        self.supervised.logged(text);
        self.volume.count(Instant::now());
        self.write(text);
        if self.incarnation > 1 && self.first.len() < FIRST_LINES {
            self.first.push(text.to_owned());
            if self.first.len() == FIRST_LINES {
                self.record_first();
            }
        }
        if let Some(panic) = panic_of(text) {
            self.supervised.journal().record(Event::Panicked {
                side: self.supervised.side(),
                incarnation: self.incarnation,
                caught: panic.caught,
                message: panic.message,
            });
        }
    }

    /// Records the first lines of an incarnation that said fewer than wanted.
    fn flush_first(&mut self) {
        if !self.first.is_empty() && self.first.len() < FIRST_LINES {
            self.record_first();
        }
        self.first.clear();
    }

    fn record_first(&self) {
        self.supervised.journal().record(Event::LogLines {
            side: self.supervised.side(),
            incarnation: self.incarnation,
            lines: self.first.clone(),
        });
    }

    fn write(&mut self, text: &str) {
        let Some(file) = &mut self.file else { return };
        let journal = self.supervised.journal();
        if self.written > FILE_BYTES_MAX {
            journal.note(format!("the log is over {FILE_BYTES_MAX} bytes; the rest is not kept"));
            self.file = None;
            return;
        }
        self.written += text.len() as u64 + 1;
        if let Err(error) = writeln!(file, "{text}") {
            journal.record(Event::HarnessTrouble { what: format!("cannot keep the log: {error}") });
            self.file = None;
        }
    }
}

/// The tablet's panic record, or the runtime's own words when the hook could not speak.
#[derive(Debug, PartialEq)]
struct PanicRecord {
    caught: bool,
    message: String,
}

fn panic_of(line: &str) -> Option<PanicRecord> {
    let Ok(value) = serde_json::from_str::<serde_json::Value>(line) else {
        let raw = line.starts_with("thread '") && line.contains("panicked at");
        return raw.then(|| PanicRecord { caught: false, message: line.to_owned() });
    };
    let text = |key: &str| value.get(key).and_then(serde_json::Value::as_str);
    if text("event") != Some("panic") {
        return None;
    }
    let caught = match value.get("caught") {
        Some(serde_json::Value::Bool(caught)) => *caught,
        Some(serde_json::Value::String(caught)) => caught == "true",
        Some(_) | None => false,
    };
    let place = text("location").map(|place| format!(" at {place}")).unwrap_or_default();
    Some(PanicRecord { caught, message: format!("{}{place}", text("message").unwrap_or(line)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    // A storm spread over two counts would look like a breeze, a quiet log like a storm.
    #[test]
    fn the_busiest_second_is_that_of_the_storm_and_not_the_whole_log() {
        let mut volume = Volume::default();
        let begin = Instant::now();
        for second in 0..5 {
            let lines = if second == 3 { 300 } else { 10 };
            for _ in 0..lines {
                volume.count(begin + Duration::from_millis(second * 1_000));
            }
        }
        assert_eq!((volume.lines, volume.busiest_second), (340, 300));
    }

    // A panic that is not recognised would pass as an ordinary log line.
    #[test]
    fn panics_are_recognised_in_both_forms_and_nothing_else_is() {
        let json =
            r#"{"level":"ERROR","event":"panic","caught":true,"location":"a.rs:1","message":"m"}"#;
        let table = [
            (json, Some((true, "m at a.rs:1"))),
            (r#"{"event":"start","message":"panicked at"}"#, None),
            (
                "thread 'main' panicked at src/x.rs:1:1:",
                Some((false, "thread 'main' panicked at src/x.rs:1:1:")),
            ),
            ("free text that says panic", None),
        ];
        for (line, expected) in table {
            let found = panic_of(line);
            let found = found.as_ref().map(|panic| (panic.caught, panic.message.as_str()));
            assert_eq!(found, expected, "{line}");
        }
    }
}
