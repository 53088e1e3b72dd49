//! What a client asks, and how that is answered.

use std::collections::HashMap;
use std::sync::Arc;

use mysql_async::consts::Command;

use super::packet::{HEADER, payload};
use super::response::Answer;
use crate::Class;
use crate::fingerprint::Reading;
use crate::normaliser::Normaliser;

/// So much of a text is kept for people.
const TEXT_MAX: usize = 400;

/// What comes after a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Follows {
    /// An answer.
    Answer(Answer),
    /// Another proof of identity.
    Login,
    /// Bytes that are no longer followed.
    Bytes,
    /// The end.
    End,
}

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) follows: Follows,
    pub(super) reading: Arc<Reading>,
    pub(super) text: String,
    /// What is to be remembered or forgotten.
    pub(super) effect: Effect,
}

/// What a request does to the prepared statements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    Nothing,
    /// This one will be among them, under the number in the answer.
    Prepares(Prepared),
    Closes(u32),
    ClosesAll,
}

/// A prepared statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Prepared {
    reading: Arc<Reading>,
    text: String,
}

/// The prepared statements of a connection.
pub(super) type Statements = HashMap<u32, Prepared>;

impl Request {
    /// Reads a whole message.
    pub(super) fn read(message: &[u8], statements: &Statements, names: &Normaliser) -> Self {
        let said = payload(message);
        let (code, rest) = match said.split_first() {
            Some((code, rest)) => (*code, rest),
            None => return Self::plain(Answer::Results, "(empty)", Class::Reads),
        };
        if code == Command::COM_QUERY as u8 {
            let reading = Arc::new(Reading::of(rest, names));
            let follows = Follows::Answer(Answer::Results);
            return Self { follows, reading, text: text(rest), effect: Effect::Nothing };
        }
        if code == Command::COM_STMT_PREPARE as u8 {
            return Self::prepare(rest, names);
        }
        if code == Command::COM_STMT_EXECUTE as u8 {
            return match statements.get(&number(rest)) {
                Some(Prepared { reading, text }) => Self {
                    follows: Follows::Answer(Answer::Results),
                    reading: Arc::clone(reading),
                    text: text.clone(),
                    effect: Effect::Nothing,
                },
                None => Self::plain(Answer::Results, "execute (unknown)", Class::Writes),
            };
        }
        Self::of_command(code, rest, names)
    }

    fn prepare(statement: &[u8], names: &Normaliser) -> Self {
        let reading = Reading::of(statement, names);
        let fingerprint = format!("prepare: {}", reading.fingerprint);
        let prepared = Prepared { reading: Arc::new(reading), text: text(statement) };
        let mut request = Self::plain(Answer::Prepared, &fingerprint, Class::Reads);
        request.text = format!("prepare: {}", prepared.text);
        request.effect = Effect::Prepares(prepared);
        request
    }

    fn of_command(code: u8, rest: &[u8], names: &Normaliser) -> Self {
        let is = |command: Command| code == command as u8;
        let mut request = if is(Command::COM_QUIT) {
            Self { follows: Follows::End, ..Self::plain(Answer::Nothing, "quit", Class::Reads) }
        } else if is(Command::COM_INIT_DB) {
            let database = names.text(&String::from_utf8_lossy(rest));
            Self::plain(Answer::Results, &format!("use {database}"), Class::Reads)
        } else if is(Command::COM_PING) {
            Self::plain(Answer::Results, "ping", Class::Reads)
        } else if is(Command::COM_STATISTICS) {
            Self::plain(Answer::Single, "statistics", Class::Reads)
        } else if is(Command::COM_SET_OPTION) || is(Command::COM_DEBUG) {
            Self::plain(Answer::Single, "set option", Class::Reads)
        } else if is(Command::COM_FIELD_LIST) {
            Self::plain(Answer::Rows, "list fields", Class::Reads)
        } else if is(Command::COM_PROCESS_KILL) {
            Self::plain(Answer::Results, "kill ?", Class::Locks)
        } else if is(Command::COM_STMT_FETCH) {
            Self::plain(Answer::Rows, "fetch", Class::Reads)
        } else if is(Command::COM_STMT_RESET) {
            Self::plain(Answer::Results, "reset statement", Class::Reads)
        } else if is(Command::COM_STMT_SEND_LONG_DATA) {
            Self::plain(Answer::Nothing, "long data", Class::Reads)
        } else if is(Command::COM_STMT_CLOSE) {
            Self::plain(Answer::Nothing, "close statement", Class::Reads)
        } else if is(Command::COM_RESET_CONNECTION) {
            // It rolls back, and gives back every lock.
            Self::plain(Answer::Results, "reset connection", Class::Locks)
        } else if is(Command::COM_CHANGE_USER) {
            let plain = Self::plain(Answer::Nothing, "change user", Class::Locks);
            Self { follows: Follows::Login, ..plain }
        } else if is(Command::COM_BINLOG_DUMP) || is(Command::COM_BINLOG_DUMP_GTID) {
            let plain = Self::plain(Answer::Nothing, "dump binlog", Class::Snapshot);
            Self { follows: Follows::Bytes, ..plain }
        } else {
            Self::plain(Answer::Results, &format!("command {code}"), Class::Reads)
        };
        if is(Command::COM_STMT_CLOSE) {
            request.effect = Effect::Closes(number(rest));
        } else if is(Command::COM_RESET_CONNECTION) || is(Command::COM_CHANGE_USER) {
            request.effect = Effect::ClosesAll;
        }
        request
    }

    pub(super) fn plain(answer: Answer, fingerprint: &str, class: Class) -> Self {
        let reading = Reading { fingerprint: fingerprint.to_owned(), class, announces: None };
        Self {
            follows: Follows::Answer(answer),
            reading: Arc::new(reading),
            text: fingerprint.to_owned(),
            effect: Effect::Nothing,
        }
    }
}

/// Whether a file from a client ends with this message.
pub(super) fn ends_file(message: &[u8]) -> bool {
    message.len() == HEADER
}

fn number(rest: &[u8]) -> u32 {
    rest.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

fn text(statement: &[u8]) -> String {
    String::from_utf8_lossy(&statement[..statement.len().min(TEXT_MAX)]).into_owned()
}
