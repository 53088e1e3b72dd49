//! Splits a statement into words, names, literals and symbols, as MySQL does under the `sql_mode` of
//! the tablet (no `ANSI_QUOTES`, no `NO_BACKSLASH_ESCAPES`).

use std::borrow::Cow;

use crate::normaliser::Normaliser;

/// A piece of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// A keyword, or a plain identifier.
    Word(Cow<'a, str>),
    /// An identifier that needs its backticks.
    Name(Cow<'a, str>),
    /// A number, a string, a null.
    Literal,
    /// One literal or more.
    Literals,
    /// A literal that stays visible.
    Spoken(&'static str),
    /// `(`, and whether space stood before it: the one place where both are usual.
    Open {
        /// Whether it did.
        spaced: bool,
    },
    /// Anything else.
    Symbol(&'a str),
}

impl Token<'_> {
    pub(super) fn is_word(&self, word: &str) -> bool {
        matches!(self, Token::Word(text) if text == word)
    }

    pub(super) fn opens(&self) -> bool {
        matches!(self, Token::Open { .. })
    }

    pub(super) fn closes(&self) -> bool {
        *self == Token::Symbol(")")
    }

    pub(super) fn push_to(&self, text: &mut String) {
        match self {
            Token::Word(word) => text.push_str(word),
            Token::Name(name) => {
                text.push('`');
                text.push_str(&name.replace('`', "``"));
                text.push('`');
            }
            Token::Literal => text.push('?'),
            Token::Literals => text.push_str("?+"),
            Token::Spoken(word) => {
                text.push('\'');
                text.push_str(word);
                text.push('\'');
            }
            Token::Open { .. } => text.push('('),
            Token::Symbol(symbol) => text.push_str(symbol),
        }
    }
}

/// Character sets that may stand before a string.
const INTRODUCERS: [&str; 9] =
    ["_binary", "_utf8mb4", "_utf8mb3", "_utf8", "_latin1", "_ascii", "_ucs2", "_utf16", "_utf32"];

/// After these, a sign belongs to the number.
const BEFORE_OPERAND: [&str; 18] = [
    "select", "where", "and", "or", "not", "then", "else", "when", "between", "by", "limit",
    "offset", "like", "is", "interval", "in", "set", "values",
];

/// The longest first.
const SYMBOLS: [&str; 12] =
    ["<=>", "->>", "<=", ">=", "<>", "!=", ":=", "->", "<<", ">>", "||", "&&"];

pub(super) fn tokens<'a>(statement: &'a [u8], names: &'a Normaliser) -> Vec<Token<'a>> {
    let mut lexer = Lexer { rest: statement, names, tokens: Vec::with_capacity(64), is_ddl: false };
    while lexer.step() {}
    while lexer.tokens.last() == Some(&Token::Symbol(";")) {
        lexer.tokens.pop();
    }
    lexer.tokens
}

struct Lexer<'a> {
    rest: &'a [u8],
    names: &'a Normaliser,
    tokens: Vec<Token<'a>>,
    /// There, a null belongs to a column's definition.
    is_ddl: bool,
}

impl<'a> Lexer<'a> {
    /// Takes one token off; false at the end.
    fn step(&mut self) -> bool {
        let spaced = self.skip_space();
        let Some(&first) = self.rest.first() else { return false };
        let second = self.rest.get(1).copied().unwrap_or_default();
        match first {
            b'\'' | b'"' => self.string(first),
            b'`' => self.name(),
            b'0'..=b'9' => self.number(),
            b'.' if second.is_ascii_digit() && !self.follows_operand() => self.number(),
            b'-' | b'+' if self.signs_a_number() => {
                self.rest = &self.rest[1..];
                self.skip_space();
                self.number();
            }
            b'x' | b'X' | b'b' | b'B' | b'n' | b'N' if second == b'\'' => {
                self.rest = &self.rest[1..];
                self.string(b'\'');
            }
            b'?' if self.rest.starts_with(b"?+)") => self.push(Token::Literals, 2),
            b'?' => self.push(Token::Literal, 1),
            b'(' => self.push(Token::Open { spaced }, 1),
            _ if is_of_word(first) => self.word(),
            _ => self.symbol(first),
        }
        true
    }

    fn push(&mut self, token: Token<'a>, length: usize) {
        self.rest = &self.rest[length..];
        self.tokens.push(token);
    }

    /// White space and comments, hints among them. Whether there was any.
    fn skip_space(&mut self) -> bool {
        let before = self.rest.len();
        loop {
            let rest = self.rest;
            self.rest = match rest {
                [first, ..] if *first <= b' ' || *first == 0x7f => &rest[1..],
                [b'/', b'*', inner @ ..] => after(inner, b"*/"),
                [b'#', inner @ ..] => after(inner, b"\n"),
                [b'-', b'-'] => &[],
                [b'-', b'-', space, inner @ ..] if *space <= b' ' => {
                    if *space == b'\n' {
                        inner
                    } else {
                        after(inner, b"\n")
                    }
                }
                _ => return rest.len() < before,
            };
        }
    }

    fn string(&mut self, quote: u8) {
        let inner = &self.rest[1..];
        let mut at = 0;
        // Ends at its quote, or with the statement.
        while let Some(found) = inner[at..].iter().position(|byte| *byte == quote || *byte == b'\\')
        {
            at += found;
            let doubled = inner.get(at + 1) == Some(&quote);
            if inner[at] == quote && !doubled {
                break;
            }
            at = (at + 2).min(inner.len());
            if at == inner.len() {
                break;
            }
        }
        let is_closed = inner.get(at) == Some(&quote);
        let text = if is_closed { &inner[..at] } else { inner };
        let token = self.names.vocabulary().spoken(text).map_or(Token::Literal, Token::Spoken);
        self.rest = if is_closed { &inner[at + 1..] } else { &[] };
        self.drop_introducers();
        self.tokens.push(token);
    }

    /// Before a string: its character set is a part of the literal.
    fn drop_introducers(&mut self) {
        let is_one = |token: &Token<'_>| INTRODUCERS.iter().any(|word| token.is_word(word));
        while self.tokens.last().is_some_and(is_one) {
            self.tokens.pop();
        }
    }

    fn name(&mut self) {
        let inner = &self.rest[1..];
        let mut at = 0;
        loop {
            match inner[at..].iter().position(|byte| *byte == b'`') {
                None => {
                    at = inner.len();
                    break;
                }
                Some(found) => at += found,
            }
            if inner.get(at + 1) != Some(&b'`') {
                break;
            }
            at += 2;
        }
        let raw = &inner[..at];
        self.rest = inner.get(at + 1..).unwrap_or_default();
        let name = match self.names.name(raw) {
            Some(by) => Cow::Borrowed(by),
            None => match String::from_utf8_lossy(raw) {
                text if text.contains("``") => Cow::Owned(text.replace("``", "`")),
                text => text,
            },
        };
        let token = if is_plain(&name) { Token::Word(name) } else { Token::Name(name) };
        self.tokens.push(token);
    }

    fn word(&mut self) {
        let length = self.rest.iter().take_while(|byte| is_of_word(**byte)).count();
        let (raw, rest) = self.rest.split_at(length);
        self.rest = rest;
        if let Some(by) = self.names.name(raw) {
            let by = Cow::Borrowed(by);
            self.tokens.push(if is_plain(&by) { Token::Word(by) } else { Token::Name(by) });
            return;
        }
        let text = match String::from_utf8_lossy(raw) {
            text if text.bytes().any(|byte| byte.is_ascii_uppercase()) => {
                Cow::Owned(text.to_ascii_lowercase())
            }
            text => text,
        };
        if self.tokens.is_empty() {
            self.is_ddl = text == "create" || text == "alter";
        }
        let token = if self.is_literal(&text) { Token::Literal } else { Token::Word(text) };
        self.tokens.push(token);
    }

    fn is_literal(&self, word: &str) -> bool {
        match word {
            "true" | "false" => !self.is_ddl,
            "null" => {
                let syntax = |last: &Token<'_>| last.is_word("is") || last.is_word("not");
                !self.is_ddl && !self.tokens.last().is_some_and(syntax)
            }
            _ => false,
        }
    }

    /// Also what MySQL would read as a name that begins with a digit.
    fn number(&mut self) {
        let is_hexadecimal = matches!(self.rest, [b'0', b'x' | b'X', ..]);
        if is_hexadecimal {
            self.drop_introducers();
        }
        let mut length = 0;
        while let Some(&byte) = self.rest.get(length) {
            let exponent = !is_hexadecimal
                && matches!(byte, b'+' | b'-')
                && matches!(self.rest[length - 1], b'e' | b'E')
                && self.rest.get(length + 1).is_some_and(u8::is_ascii_digit);
            if !is_of_word(byte) && byte != b'.' && !exponent {
                break;
            }
            length += 1;
        }
        self.push(Token::Literal, length);
    }

    /// Whether the sign here begins a number, rather than joining two.
    fn signs_a_number(&self) -> bool {
        let after_sign = self.rest[1..].iter().find(|byte| **byte > b' ');
        after_sign.is_some_and(u8::is_ascii_digit) && !self.follows_operand()
    }

    fn follows_operand(&self) -> bool {
        match self.tokens.last() {
            None | Some(Token::Open { .. }) => false,
            Some(Token::Symbol(symbol)) => *symbol == ")",
            Some(Token::Word(word)) => !BEFORE_OPERAND.contains(&&**word),
            Some(Token::Name(_) | Token::Literal | Token::Literals | Token::Spoken(_)) => true,
        }
    }

    fn symbol(&mut self, first: u8) {
        let known = SYMBOLS.iter().find(|symbol| self.rest.starts_with(symbol.as_bytes()));
        let length = known.map_or(1, |symbol| symbol.len());
        debug_assert!(first.is_ascii(), "other bytes belong to words");
        let symbol = std::str::from_utf8(&self.rest[..length]).unwrap_or_default();
        self.push(Token::Symbol(symbol), length);
    }
}

fn after<'a>(bytes: &'a [u8], end: &[u8]) -> &'a [u8] {
    let found = bytes.windows(end.len()).position(|window| window == end);
    found.map_or(&[], |at| &bytes[at + end.len()..])
}

fn is_of_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || byte >= 0x80
}

/// Whether it reads back as the same word without its backticks.
fn is_plain(name: &str) -> bool {
    let plain = |byte: u8| is_of_word(byte) && !byte.is_ascii_uppercase();
    !name.is_empty()
        && name.bytes().all(plain)
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && !matches!(name, "null" | "true" | "false")
        && !INTRODUCERS.contains(&name)
}
