//! Where a response ends.
//!
//! [`Response::walk`] is fed with whatever has been read, cut anywhere. It looks at each packet's
//! header and first bytes only: rows cost a few instructions each, and are never copied.

use mysql_async::consts::StatusFlags;

use super::packet::{HEADER, LONGEST, length_encoded, payload_length};

/// So much of a packet is looked at: an OK packet up to its status.
const LOOK: usize = 21;

/// What a request is answered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Nothing.
    Nothing,
    /// OK, an error, a wish for a file, or result sets; more than one of these after another.
    Results,
    /// The definitions of a prepared statement.
    Prepared,
    /// Rows without definitions, or definitions alone, up to an end.
    Rows,
    /// One packet.
    Single,
}

/// How far a response is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// More is to come.
    More,
    /// The server waits for a file from the client, and goes on then.
    File,
    /// This was all.
    Done,
}

#[derive(Clone, Copy, Debug)]
enum Next {
    First,
    PrepareFirst,
    Definitions { left: u64, then: Then },
    DefinitionsEnd { then: Then },
    Rows,
    Single,
}

/// What follows definitions.
#[derive(Clone, Copy, Debug)]
enum Then {
    Rows,
    Definitions(u64),
    End,
}

/// A response on its way.
#[derive(Debug)]
pub(super) struct Response {
    next: Next,
    /// Rows end with an OK packet, and definitions with nothing.
    no_eof: bool,
    /// Bytes of the current packet that nobody looks at.
    skip: usize,
    /// The current packet goes on in the next one.
    goes_on: bool,
    /// What the current packet leads to when it is over.
    leads_to: Option<Step>,
    head: [u8; HEADER + LOOK],
    head_length: usize,
    prepared: Option<u32>,
}

impl Response {
    /// The response to come; none if there is none. `no_eof` is `CLIENT_DEPRECATE_EOF`.
    pub(super) fn to_come(answer: Answer, no_eof: bool) -> Option<Self> {
        let next = match answer {
            Answer::Nothing => return None,
            Answer::Results => Next::First,
            Answer::Prepared => Next::PrepareFirst,
            Answer::Rows => Next::Rows,
            Answer::Single => Next::Single,
        };
        Some(Self {
            next,
            no_eof,
            skip: 0,
            goes_on: false,
            leads_to: None,
            head: [0; HEADER + LOOK],
            head_length: 0,
            prepared: None,
        })
    }

    /// The prepared statement's number, when that was the answer.
    pub(super) fn prepared(&self) -> Option<u32> {
        self.prepared
    }

    /// Walks through the next bytes. Returns how many of them belong to the response so far: all of
    /// them while more is to come.
    pub(super) fn walk(&mut self, bytes: &[u8]) -> (usize, Step) {
        let mut at = 0;
        loop {
            let skipped = self.skip.min(bytes.len() - at);
            at += skipped;
            self.skip -= skipped;
            if self.skip > 0 {
                return (at, Step::More);
            }
            if !self.goes_on {
                if let Some(step) = self.leads_to.take() {
                    return (at, step);
                }
                at += self.plain_rows(&bytes[at..]);
                if self.skip > 0 {
                    continue;
                }
            }
            at += self.gather(&bytes[at..]);
            if self.head_length < self.wanted() {
                return (at, Step::More);
            }
            self.take_head();
        }
    }

    /// Runs over rows whose headers are at hand.
    fn plain_rows(&mut self, bytes: &[u8]) -> usize {
        let mut at = 0;
        if !matches!(self.next, Next::Rows) || self.head_length > 0 {
            return at;
        }
        while let Some(&[low, middle, high, _, first]) = bytes.get(at..at + HEADER + 1) {
            let length = payload_length(&[low, middle, high]);
            // Anything else is an end, or worth a closer look.
            if first >= 0xfe || length == 0 || length == LONGEST {
                return at;
            }
            at += HEADER + length;
            if at > bytes.len() {
                self.skip = at - bytes.len();
                return bytes.len();
            }
        }
        at
    }

    fn gather(&mut self, bytes: &[u8]) -> usize {
        let mut at = 0;
        while self.head_length < self.wanted() && at < bytes.len() {
            let count = (self.wanted() - self.head_length).min(bytes.len() - at);
            self.head[self.head_length..self.head_length + count]
                .copy_from_slice(&bytes[at..at + count]);
            self.head_length += count;
            at += count;
        }
        at
    }

    /// How much of the current packet is wanted, as far as that is known.
    fn wanted(&self) -> usize {
        if self.head_length < HEADER || self.goes_on {
            return HEADER;
        }
        HEADER + payload_length(&self.head).min(LOOK)
    }

    fn take_head(&mut self) {
        let length = payload_length(&self.head);
        let gathered = std::mem::take(&mut self.head_length);
        self.skip = HEADER + length - gathered;
        let is_new = !std::mem::replace(&mut self.goes_on, length == LONGEST);
        if is_new {
            let head = self.head;
            self.leads_to = self.packet(&head[HEADER..gathered], length);
        }
    }

    /// Takes a packet by its first bytes; none while more packets follow.
    fn packet(&mut self, head: &[u8], length: usize) -> Option<Step> {
        let first = head.first().copied().unwrap_or_default();
        if first == 0xff {
            return Some(Step::Done); // An error ends everything.
        }
        match self.next {
            Next::Single => Some(Step::Done),
            Next::First => self.first(first, head, length),
            Next::PrepareFirst => self.prepare(head),
            Next::Definitions { left, then } => {
                self.next = Next::Definitions { left: left.saturating_sub(1), then };
                if left > 1 {
                    return None;
                }
                if self.no_eof {
                    return self.enter(then);
                }
                self.next = Next::DefinitionsEnd { then };
                None
            }
            Next::DefinitionsEnd { then } => {
                let status = eof_status(head);
                match then {
                    // The rows stay with the server, and are fetched.
                    Then::Rows if status.contains(StatusFlags::SERVER_STATUS_CURSOR_EXISTS) => {
                        self.after(status)
                    }
                    then => self.enter(then),
                }
            }
            Next::Rows if first == 0xfe && self.is_end(length) => {
                let status = if self.no_eof { ok_status(head) } else { eof_status(head) };
                self.after(status)
            }
            Next::Rows => None,
        }
    }

    fn first(&mut self, first: u8, head: &[u8], length: usize) -> Option<Step> {
        match first {
            0x00 => self.after(ok_status(head)),
            0xfe if length < 9 && !self.no_eof => self.after(eof_status(head)),
            0xfe if self.no_eof => self.after(ok_status(head)),
            0xfb => Some(Step::File),
            _ => {
                let (columns, _) = length_encoded(head)?;
                self.next = Next::Definitions { left: columns, then: Then::Rows };
                None
            }
        }
    }

    fn prepare(&mut self, head: &[u8]) -> Option<Step> {
        let Some(&[_, a, b, c, d, column_low, column_high, low, high]) = head.get(..9) else {
            return Some(Step::Done); // No such packet is known.
        };
        self.prepared = Some(u32::from_le_bytes([a, b, c, d]));
        let columns = u16::from_le_bytes([column_low, column_high]).into();
        let parameters: u64 = u16::from_le_bytes([low, high]).into();
        if parameters == 0 {
            return self.enter(Then::Definitions(columns));
        }
        self.next = Next::Definitions { left: parameters, then: Then::Definitions(columns) };
        None
    }

    fn enter(&mut self, then: Then) -> Option<Step> {
        match then {
            Then::Rows => self.next = Next::Rows,
            Then::Definitions(0) | Then::End => return Some(Step::Done),
            Then::Definitions(left) => self.next = Next::Definitions { left, then: Then::End },
        }
        None
    }

    /// A result is over.
    fn after(&mut self, status: StatusFlags) -> Option<Step> {
        if !status.contains(StatusFlags::SERVER_MORE_RESULTS_EXISTS) {
            return Some(Step::Done);
        }
        self.next = Next::First;
        None
    }

    /// A row may begin with 0xfe too, but is longer then.
    fn is_end(&self, length: usize) -> bool {
        if self.no_eof { length < LONGEST } else { length < 9 }
    }
}

fn ok_status(head: &[u8]) -> StatusFlags {
    let status = || {
        let mut at = 1;
        for _ in 0..2 {
            at += length_encoded(head.get(at..)?)?.1;
        }
        status_at(head, at)
    };
    status().unwrap_or(StatusFlags::empty())
}

fn eof_status(head: &[u8]) -> StatusFlags {
    status_at(head, 3).unwrap_or(StatusFlags::empty())
}

fn status_at(head: &[u8], at: usize) -> Option<StatusFlags> {
    let bytes = head.get(at..at + 2)?;
    Some(StatusFlags::from_bits_retain(u16::from_le_bytes([bytes[0], bytes[1]])))
}

#[cfg(test)]
mod tests;
