//! Places in words: a crash point (`after the unanswered 2nd "update …" to its MySQL in the streaming
//! phase`), or a link.

use std::str::FromStr;

use cucumber::Parameter;
use records::schedule::{CrashPoint, Link, Moment};

use super::phase;

/// A place in the target tablet's conversation.
#[derive(Clone, Debug, PartialEq, Eq, Parameter)]
#[param(
    name = "point",
    regex = r#"(?:before the|after the unanswered|after the answered) \d+(?:st|nd|rd|th) "(?:[^"\\]|\\.)*" to (?:its MySQL|etcd|the source tablet)(?: in the [a-z]+ phase)?"#
)]
pub(super) struct Point(pub(super) CrashPoint);

impl FromStr for Point {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no crash point");
        let (moment, rest) = [
            ("before the ", Moment::Before),
            ("after the unanswered ", Moment::Executed),
            ("after the answered ", Moment::Replied),
        ]
        .into_iter()
        .find_map(|(said, moment)| Some((moment, text.strip_prefix(said)?)))
        .ok_or_else(wrong)?;
        let (ordinal, rest) = rest.split_once(" \"").ok_or_else(wrong)?;
        let nth = ordinal.trim_end_matches(|c: char| !c.is_ascii_digit()).parse();
        let nth = nth.map_err(|_| wrong())?;
        let (fingerprint, rest) = unquote(rest).ok_or_else(wrong)?;
        let rest = rest.strip_prefix(" to ").ok_or_else(wrong)?;
        let (link, rest) = peer(rest).ok_or_else(wrong)?;
        let phase = match rest {
            "" => None,
            rest => {
                let name = rest.strip_prefix(" in the ").and_then(|r| r.strip_suffix(" phase"));
                Some(phase(name.ok_or_else(wrong)?)?)
            }
        };
        Ok(Self(CrashPoint { link, fingerprint, phase, nth, moment }))
    }
}

/// A link, by what is at its other end; and the text after that.
fn peer(text: &str) -> Option<(Link, &str)> {
    let known = [
        ("its MySQL", Link::Mysql),
        ("etcd", Link::Etcd),
        ("the source tablet", Link::SourceTablet),
    ];
    known.into_iter().find_map(|(said, link)| Some((link, text.strip_prefix(said)?)))
}

/// Where a fault strikes, and for how long: `the link to etcd for 900 milliseconds`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Parameter)]
#[param(
    name = "manner",
    regex = r"the link to (?:its MySQL|etcd|the source tablet)(?: for \d+ milliseconds)?|for \d+ milliseconds"
)]
pub(super) struct Manner {
    pub(super) link: Option<Link>,
    pub(super) lasts_ms: Option<u64>,
}

impl FromStr for Manner {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is neither a link nor a length");
        let (link, rest) = match text.strip_prefix("the link to ") {
            Some(rest) => {
                let (link, rest) = peer(rest).ok_or_else(wrong)?;
                (Some(link), rest.trim_start())
            }
            None => (None, text),
        };
        let lasts_ms = match rest {
            "" => None,
            rest => {
                let ms = rest.strip_prefix("for ").and_then(|r| r.strip_suffix(" milliseconds"));
                Some(ms.and_then(|ms| ms.parse().ok()).ok_or_else(wrong)?)
            }
        };
        Ok(Self { link, lasts_ms })
    }
}

/// The text up to the closing quote, and what follows it.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut unquoted = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((unquoted, &text[at + 1..])),
            '\\' => unquoted.push(match chars.next()?.1 {
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                other => other,
            }),
            other => unquoted.push(other),
        }
    }
    None
}
