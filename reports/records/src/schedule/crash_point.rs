//! Crash points: places in the conversation of the target tablet with what it leans on.

use serde::{Deserialize, Serialize};

use super::Phase;

/// A place in the target tablet's conversation: the `nth` exchange of one kind, and a moment of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CrashPoint {
    /// With whom.
    pub link: Link,
    /// What is said, without its literals: a statement's text, or method and keys of a call.
    pub fingerprint: String,
    /// The diff's phase, as the conversation itself announces it; none outside a table's phases.
    pub phase: Option<Phase>,
    /// Which of the equal exchanges of that phase, from 1, counted since the tablet's last start.
    pub nth: u32,
    /// The moment of the exchange.
    pub moment: Moment,
}

/// A connection between the target tablet and something it leans on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Link {
    /// Its own MySQL.
    Mysql,
    /// The topology server.
    Etcd,
    /// The source tablet.
    SourceTablet,
}

/// A moment of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Moment {
    /// The request has not been sent on: the other side never hears of it.
    Before,
    /// The other side has acted and answered, and the tablet has not heard it: the unknown outcome.
    Executed,
    /// The tablet has been sent the answer.
    Replied,
}

impl Link {
    /// Every link.
    pub const ALL: [Self; 3] = [Self::Mysql, Self::Etcd, Self::SourceTablet];

    /// Its name in schedules and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Mysql => "mysql",
            Self::Etcd => "etcd",
            Self::SourceTablet => "source-tablet",
        }
    }
}

impl Moment {
    /// Every moment, in order.
    pub const ALL: [Self; 3] = [Self::Before, Self::Executed, Self::Replied];

    /// Its name in schedules and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::Executed => "executed",
            Self::Replied => "replied",
        }
    }
}

impl std::fmt::Display for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl std::fmt::Display for Moment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl std::fmt::Display for CrashPoint {
    /// `mysql executed #2 “update …” (streaming)`
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { link, fingerprint, phase, nth, moment } = self;
        write!(f, "{link} {moment} #{nth} “{fingerprint}”")?;
        match phase {
            Some(phase) => write!(f, " ({phase})"),
            None => Ok(()),
        }
    }
}
