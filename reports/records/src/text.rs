//! Text for people: cleaned of what a terminal or a browser would obey, shortened, numbers readable.

use std::fmt::Write as _;

/// Removes terminal escape sequences, control characters and invisible marks that reverse or hide
/// text; tabs and line ends become spaces.
#[must_use]
pub fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => skip_escape(&mut chars),
            '\t' | '\n' | '\r' => out.push(' '),
            c if c.is_control() || is_invisible_mark(c) => {}
            c => out.push(c),
        }
    }
    out
}

/// Skips the rest of a sequence whose ESC was read: `[ … letter`, `] … BEL` or one character.
fn skip_escape(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    match chars.next() {
        Some('[') => {
            for c in chars.by_ref() {
                if ('\u{40}'..='\u{7e}').contains(&c) {
                    break;
                }
            }
        }
        Some(']') => {
            while let Some(c) = chars.next() {
                if c == '\u{7}' || (c == '\u{1b}' && chars.next_if_eq(&'\\').is_some()) {
                    break;
                }
            }
        }
        _ => {}
    }
}

fn is_invisible_mark(c: char) -> bool {
    matches!(
        c,
        '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}'
            | '\u{fffe}' | '\u{ffff}'
    )
}

/// Cuts a text to at most so many characters, the cut shown by an ellipsis.
#[must_use]
pub fn shorten(text: &str, max_chars: usize) -> String {
    match text.char_indices().nth(max_chars) {
        None => text.to_owned(),
        Some(_) => text.chars().take(max_chars.saturating_sub(1)).chain(['…']).collect(),
    }
}

/// `1234567` as `1,234,567`.
#[must_use]
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Milliseconds as a person says them: `87 ms`, `4.2 s`, `3 min 05 s`, `2 h 07 min`.
#[must_use]
pub fn duration(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..60_000 => format!("{:.1} s", ms as f64 / 1e3),
        60_000..3_600_000 => format!("{} min {:02} s", ms / 60_000, ms % 60_000 / 1_000),
        _ => format!("{} h {:02} min", ms / 3_600_000, ms % 3_600_000 / 60_000),
    }
}

/// Bytes as MiB or GiB.
#[must_use]
pub fn bytes(bytes: u64) -> String {
    let mib = bytes as f64 / f64::from(1 << 20);
    match mib {
        _ if mib >= 1024.0 => format!("{:.1} GiB", mib / 1024.0),
        _ if mib >= 10.0 => format!("{mib:.0} MiB"),
        _ => format!("{mib:.1} MiB"),
    }
}

/// `9 sigkill · 3 oom`, or the word for none.
pub fn counts<'a>(counts: impl IntoIterator<Item = (&'a String, &'a u64)>, none: &str) -> String {
    let mut out = String::new();
    for (name, count) in counts {
        let separator = if out.is_empty() { "" } else { " · " };
        // Writing to a String cannot fail.
        write!(out, "{separator}{count} {name}").expect("a String takes all text");
    }
    if out.is_empty() { none.to_owned() } else { out }
}

/// `1 trial`, `2 trials`.
#[must_use]
pub fn plural(count: u64, noun: &str) -> String {
    format!("{} {noun}{}", thousands(count), if count == 1 { "" } else { "s" })
}

/// One argument of a shell's command line, quoted where needed.
#[must_use]
pub fn shell_argument(argument: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    if !argument.is_empty() && argument.chars().all(plain) {
        argument.to_owned()
    } else {
        format!("'{}'", argument.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_removed() {
        for (dirty, cleaned) in [
            ("plain ünï", "plain ünï"),
            ("\u{1b}[31mred\u{1b}[0m", "red"),
            ("\u{1b}]0;title\u{7}after", "after"),
            ("\u{1b}]8;;http://x\u{1b}\\link", "link"),
            ("a\0b\u{8}c\u{7f}d\u{9b}e", "abcde"),
            ("line\r\n\tnext", "line   next"),
            ("gpj\u{202e}exe", "gpjexe"),
            ("\u{1b}", ""),
        ] {
            assert_eq!(clean(dirty), cleaned, "{dirty:?}");
        }
    }

    #[test]
    fn numbers_read_as_people_write_them() {
        assert_eq!(thousands(0), "0");
        assert_eq!(thousands(999), "999");
        assert_eq!(thousands(1_234_567), "1,234,567");
        assert_eq!(duration(87), "87 ms");
        assert_eq!(duration(4_240), "4.2 s");
        assert_eq!(duration(185_000), "3 min 05 s");
        assert_eq!(duration(7_620_000), "2 h 07 min");
        assert_eq!(bytes(64 << 20), "64 MiB");
        assert_eq!(shorten("abcdef", 4), "abc…");
        assert_eq!(shorten("abcd", 4), "abcd");
    }

    #[test]
    fn an_argument_survives_a_shell() {
        assert_eq!(shell_argument("a/b-1.json"), "a/b-1.json");
        assert_eq!(shell_argument("it's here"), r"'it'\''s here'");
        assert_eq!(shell_argument(""), "''");
    }
}
