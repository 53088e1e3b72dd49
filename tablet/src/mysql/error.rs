//! What MySQL and its connection can answer, and which answers are worth another try: decided here
//! and nowhere else.

use std::time::Duration;

/// The longest error text that is kept, in bytes: `last_error` and log messages hold no more.
const TEXT_MAX: usize = 1024;

/// A statement or connection failed. The texts never hold the statement.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// MySQL answered with an error.
    #[error("MySQL error {code} while {attempted}: {message}")]
    Server {
        /// What was being done.
        attempted: &'static str,
        /// MySQL's error number.
        code: u16,
        /// MySQL's text, truncated.
        message: String,
    },
    /// The connection could not be made, or broke.
    #[error("the connection to MySQL failed while {attempted}: {reason}")]
    Connection {
        /// What was being done.
        attempted: &'static str,
        /// The driver's text, truncated.
        reason: String,
    },
    /// No answer in time; the statement was killed.
    #[error("MySQL did not answer within {after:?} while {attempted}")]
    TimedOut {
        /// What was being done.
        attempted: &'static str,
        /// The deadline.
        after: Duration,
    },
    /// The statement is larger than the server accepts.
    #[error("a statement is larger than MySQL's max_allowed_packet while {attempted}")]
    TooLarge {
        /// What was being done.
        attempted: &'static str,
    },
    /// A value has another type than the schema promises.
    #[error("MySQL's answer was not understood while {attempted}: column {column}")]
    Shape {
        /// What was being done.
        attempted: &'static str,
        /// Which column.
        column: String,
    },
}

impl DbError {
    pub(super) fn from_driver(attempted: &'static str, error: mysql_async::Error) -> DbError {
        const TOO_LARGE: u16 = 1153;
        match error {
            mysql_async::Error::Server(error) if error.code == TOO_LARGE => {
                DbError::TooLarge { attempted }
            }
            mysql_async::Error::Server(error) => DbError::Server {
                attempted,
                code: error.code,
                message: truncate_chars(&error.message, TEXT_MAX).to_owned(),
            },
            mysql_async::Error::Driver(mysql_async::DriverError::PacketTooLarge) => {
                DbError::TooLarge { attempted }
            }
            other => DbError::Connection {
                attempted,
                reason: truncate_chars(&other.to_string(), TEXT_MAX).to_owned(),
            },
        }
    }

    /// MySQL's error number, if it answered.
    pub fn code(&self) -> Option<u16> {
        match self {
            DbError::Server { code, .. } => Some(*code),
            DbError::Connection { .. }
            | DbError::TimedOut { .. }
            | DbError::TooLarge { .. }
            | DbError::Shape { .. } => None,
        }
    }

    /// Whether the same statement may succeed later without anybody changing anything.
    pub fn is_ephemeral(&self) -> bool {
        match self {
            DbError::Connection { .. } | DbError::TimedOut { .. } => true,
            DbError::TooLarge { .. } | DbError::Shape { .. } => false,
            DbError::Server { code, .. } => is_ephemeral_code(*code),
        }
    }

    /// Whether the connection is of no further use.
    pub fn is_connection_dead(&self) -> bool {
        match self {
            DbError::Connection { .. } | DbError::TimedOut { .. } | DbError::TooLarge { .. } => {
                true
            }
            DbError::Shape { .. } => false,
            DbError::Server { code, .. } => {
                matches!(code, 1053 | 1152 | 1184 | 1927 | 2006 | 2013 | 3169 | 4031)
            }
        }
    }

    /// The named table does not exist.
    pub fn is_missing_table(&self) -> bool {
        matches!(self.code(), Some(1146 | 1051 | 1109))
    }
}

/// Grouped: out of something (disk, memory, threads, connections); network; shutdown; lock waits and
/// deadlocks; killed or interrupted; read-only for a while (a reparent); storage engine busy.
fn is_ephemeral_code(code: u16) -> bool {
    matches!(
        code,
        3 | 1021 | 1026 | 1114 | 1037 | 1038 | 1040 | 1041 | 1135 | 1203 | 1226
            | 1042 | 1043 | 1080 | 1129 | 1130 | 1152 | 1156..=1161 | 1184 | 2006 | 2013 | 4031
            | 1053 | 1077..=1079 | 3168
            | 1099 | 1205 | 1206 | 1213 | 1637 | 3572
            | 1317 | 1927 | 3024 | 3169
            | 1209 | 1290 | 1836 | 3750
            | 1015 | 1020 | 1030 | 1180 | 1181 | 1192 | 1223 | 1412 | 1615
    )
}

/// The longest beginning of `text` that has at most `max` bytes and ends between two characters.
pub fn truncate_chars(text: &str, max: usize) -> &str {
    if text.len() <= max {
        return text;
    }
    let end = (0..=max).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(code: u16) -> DbError {
        DbError::Server { attempted: "testing", code, message: String::new() }
    }

    #[test]
    fn a_lock_wait_or_a_lost_server_is_worth_another_try() {
        for code in [1114, 1026, 1205, 1213, 2006, 2013, 1053, 1290, 1317, 1040] {
            assert!(server(code).is_ephemeral(), "{code}");
        }
    }

    #[test]
    fn a_missing_table_or_a_column_that_is_too_short_is_not() {
        for code in [1146, 1054, 1406, 1064, 1142] {
            assert!(!server(code).is_ephemeral(), "{code}");
        }
        assert!(!DbError::TooLarge { attempted: "saving" }.is_ephemeral());
    }

    /// A text cut inside a character would be refused by a utf8mb4 column, for ever.
    #[test]
    fn truncation_never_splits_a_character() {
        assert_eq!(truncate_chars("aé", 2), "a");
        assert_eq!(truncate_chars("aé", 3), "aé");
        assert_eq!(truncate_chars("é", 1), "");
    }
}
