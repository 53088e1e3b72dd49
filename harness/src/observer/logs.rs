//! Follows a tablet's log, over all its incarnations: keeps it in a file, and records panics.

use std::collections::{BTreeMap, VecDeque};
use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::stream::{BoxStream, SelectAll};
use futures::{FutureExt, StreamExt};
use records::journal::Event;
use records::journal::facts::LogWord;
use tokio_util::sync::CancellationToken;

use super::process::{ProcessState, Supervised};
use super::{name, pulse::Pulse};
use system::{LogLine, SystemError};

/// The file takes no more than this; the journal says so when it is full.
const FILE_BYTES_MAX: u64 = 16 << 20;
/// First lines of a restarted incarnation that stand in the journal.
const FIRST_LINES: usize = 12;
const SECOND_US: u64 = 1_000_000;
const BEAT: Duration = Duration::from_millis(250);
/// At the end, when the processes are gone: what the engine still has of their logs comes in this time.
const DRAIN: Duration = Duration::from_secs(2);

/// What comes from the log of one incarnation; `Ended` is the end of the stream.
enum Item {
    Line(u32, LogLine),
    Broke(u32, SystemError),
    Ended(u32),
}

/// Ends when told to, after what was still on its way.
pub(super) async fn follow(supervised: Arc<Supervised>, stop: CancellationToken) {
    let mut pulse = Pulse::start(supervised.journal(), name("logs", supervised.side()));
    let mut follower = LogReader::new(&supervised);
    stop.run_until_cancelled(follower.follow_all(&mut pulse)).await;
    follower.drain(&mut pulse).await;
    let mut keeper = follower.keeper;
    keeper.flush_first();
    keeper.record_reads();
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

/// The engine's log stream of a container ends with its process, and begins anew with all lines for the
/// next one: what was seen is skipped by count. A container that lost its alias is read to its own end
/// beside the new one.
struct LogReader<'a> {
    supervised: &'a Supervised,
    keeper: LineWriter<'a>,
    streams: SelectAll<BoxStream<'static, Item>>,
    /// Lines seen of the container, and its id.
    container: Option<String>,
    seen: usize,
    /// The incarnation whose stream is followed, while it has not ended.
    open: Option<u32>,
    /// The latest incarnation that was begun.
    begun: u32,
}

impl<'a> LogReader<'a> {
    fn new(supervised: &'a Supervised) -> LogReader<'a> {
        LogReader {
            supervised,
            keeper: LineWriter::new(supervised),
            streams: SelectAll::new(),
            container: None,
            seen: 0,
            open: None,
            begun: 0,
        }
    }

    async fn follow_all(&mut self, pulse: &mut Pulse) {
        let mut state = self.supervised.state();
        let mut tick = tokio::time::interval(BEAT);
        loop {
            let begun = self.begun;
            tokio::select! {
                started = state.wait_for(|now| {
                    matches!(now, ProcessState::Running { .. }) && now.incarnation() > begun
                }), if self.may_begin() => match started.map(|now| now.incarnation()) {
                    Ok(incarnation) => self.begin(incarnation),
                    Err(_) => return,
                },
                Some(item) = self.streams.next() => {
                    pulse.beat();
                    self.take(item);
                }
                _ = tick.tick() => pulse.beat(),
            }
        }
    }

    /// In one container the stream of the former incarnation must have ended: its lines come first.
    fn may_begin(&self) -> bool {
        self.open.is_none() || self.supervised.tablet().log_source() != self.container
    }

    fn begin(&mut self, incarnation: u32) {
        self.keeper.begin(incarnation);
        let tablet = self.supervised.tablet();
        let now_in = tablet.log_source();
        if now_in != self.container {
            (self.seen, self.container) = (0, now_in);
        }
        let item = move |line: Result<LogLine, SystemError>| match line {
            Ok(line) => Item::Line(incarnation, line),
            Err(error) => Item::Broke(incarnation, error),
        };
        let end = futures::stream::once(async move { Item::Ended(incarnation) });
        let lines = tablet.log_lines().skip(self.seen).map(item);
        self.streams.push(lines.chain(end).boxed());
        (self.open, self.begun) = (Some(incarnation), incarnation);
    }

    fn take(&mut self, item: Item) {
        match item {
            Item::Line(incarnation, line) => {
                if Some(incarnation) == self.open {
                    self.seen += 1;
                }
                self.keeper.line(incarnation, &line);
            }
            Item::Broke(incarnation, error) => {
                let what = format!("the log stream of incarnation {incarnation} broke: {error}");
                self.supervised.journal().note(what);
                self.keeper.read_of(incarnation).broke = true;
            }
            Item::Ended(incarnation) => {
                self.keeper.read_of(incarnation).ended = true;
                if Some(incarnation) == self.open {
                    self.open = None;
                }
            }
        }
    }

    /// What still comes when nothing is watched any more. An incarnation that has begun and ended since
    /// the last look is read too.
    async fn drain(&mut self, pulse: &mut Pulse) {
        let newest = self.supervised.state_now().incarnation();
        let drained = tokio::time::timeout(DRAIN, async {
            loop {
                while let Some(item) = self.streams.next().await {
                    self.take(item);
                }
                if self.begun >= newest {
                    return;
                }
                self.begin(newest);
            }
        });
        if drained.await.is_err() {
            // A living process, or a slow engine: what is there now is taken, the reads tell the rest.
            while let Some(Some(item)) = self.streams.next().now_or_never() {
                self.take(item);
            }
        }
        pulse.beat();
    }
}

/// How far the log of an incarnation was read.
#[derive(Default)]
struct Read {
    lines: u64,
    start_seen: bool,
    ended: bool,
    broke: bool,
}

/// Where lines go.
struct LineWriter<'a> {
    supervised: &'a Supervised,
    file: Option<std::fs::File>,
    written: u64,
    incarnation: u32,
    first: Vec<String>,
    volume: Volume,
    reads: BTreeMap<u32, Read>,
}

/// How many lines there were, and how many within one second at most. By the engine's time: after a late
/// look, what was said in a minute comes at once.
#[derive(Default)]
struct Volume {
    lines: u64,
    busiest_second: u64,
    /// The times of the lines within the last second.
    recent_us: VecDeque<u64>,
}

impl Volume {
    fn count(&mut self, at_us: u64) {
        self.lines += 1;
        self.recent_us.push_back(at_us);
        while self.recent_us.front().is_some_and(|first| at_us.saturating_sub(*first) >= SECOND_US)
        {
            self.recent_us.pop_front();
        }
        self.busiest_second = self.busiest_second.max(self.recent_us.len() as u64);
    }
}

impl<'a> LineWriter<'a> {
    fn new(supervised: &'a Supervised) -> LineWriter<'a> {
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
        LineWriter {
            supervised,
            file,
            written: 0,
            incarnation: 0,
            first: Vec::new(),
            volume: Volume::default(),
            reads: BTreeMap::new(),
        }
    }

    fn read_of(&mut self, incarnation: u32) -> &mut Read {
        self.reads.entry(incarnation).or_default()
    }

    /// How far each log was read: silence proves nothing where it was not read to its end.
    fn record_reads(&self) {
        for (incarnation, read) in &self.reads {
            self.supervised.journal().record(Event::LogRead {
                side: self.supervised.side(),
                incarnation: *incarnation,
                lines: read.lines,
                start_seen: read.start_seen,
                to_end: read.ended && !read.broke,
            });
        }
    }

    fn begin(&mut self, incarnation: u32) {
        self.flush_first();
        self.incarnation = incarnation;
        self.read_of(incarnation);
    }

    fn line(&mut self, incarnation: u32, line: &LogLine) {
        let text = &line.text;
        let is_newest = incarnation == self.incarnation;
        if is_newest {
            self.supervised.logged(text);
        }
        self.volume.count(line.at_us.unwrap_or_else(now_us));
        self.write(text);
        let word = self.supervised.dialect().log_word(text);
        let read = self.read_of(incarnation);
        read.lines += 1;
        read.start_seen |= word == Some(LogWord::Started);
        if is_newest && incarnation > 1 && self.first.len() < FIRST_LINES {
            self.first.push(text.to_owned());
            if self.first.len() == FIRST_LINES {
                self.record_first();
            }
        }
        if let Some(LogWord::Panicked { caught, message }) = word {
            let side = self.supervised.side();
            let panicked = Event::Panicked { side, incarnation, caught, message };
            self.supervised.journal().record(panicked);
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

fn now_us() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    // A storm spread over two counts would look like a breeze, a quiet log like a storm.
    #[test]
    fn the_busiest_second_is_that_of_the_storm_and_not_the_whole_log() {
        let mut volume = Volume::default();
        for second in 0..5 {
            let lines = if second == 3 { 300 } else { 10 };
            for _ in 0..lines {
                volume.count(second * SECOND_US);
            }
        }
        assert_eq!((volume.lines, volume.busiest_second), (340, 300));
        // Half of it in each of two seconds of the clock is one storm all the same.
        let mut volume = Volume::default();
        for line in 0..100 {
            volume.count(SECOND_US / 2 + line * SECOND_US / 100);
        }
        assert_eq!(volume.busiest_second, 100);
    }
}
