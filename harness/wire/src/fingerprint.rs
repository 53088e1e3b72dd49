//! What a statement says, without what differs from run to run: literals, comments, spacing, names of
//! the trial. The same statement has the same fingerprint in every recording, and a person can read it.
//!
//! Laws: a fingerprint's fingerprint is itself; no literal shows, but for the words of the system under
//! test that tell one change of state from another (see [`super::Vocabulary`]).

mod class;
mod lexer;

use records::schedule::Phase;
use sha2::{Digest, Sha256};

use super::Class;
use super::normaliser::Normaliser;
use lexer::Token;

/// A longer fingerprint ends with a digest of the whole.
const LENGTH_MAX: usize = 400;

/// What was read of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Without literals.
    pub fingerprint: String,
    /// What the statement does to the server.
    pub class: Class,
    /// The phase that begins with it, when it announces one: the inner none ends a table's phases.
    pub announces: Option<Option<Phase>>,
}

impl Reading {
    /// Reads a statement. Never fails: of what is no SQL, the fingerprint says as much as it can.
    #[must_use]
    pub fn of(statement: &[u8], names: &Normaliser) -> Self {
        let tokens = lexer::tokens(statement, names);
        let tokens = collapse_values(collapse_in_lists(tokens));
        let class = class::of(&tokens);
        let fingerprint = shortened(&tokens);
        let announces = (names.vocabulary().announces)(&fingerprint);
        Self { fingerprint, class, announces }
    }
}

/// `in (?, ?, ?)` and `in (?)` are the same.
fn collapse_in_lists(tokens: Vec<Token<'_>>) -> Vec<Token<'_>> {
    let mut result = Vec::with_capacity(tokens.len());
    let mut rest = tokens.into_iter().peekable();
    let mut pending = Vec::new();
    while let Some(token) = rest.next() {
        let is_in = token.is_word("in");
        result.push(token);
        if !is_in || !rest.peek().is_some_and(Token::opens) {
            continue;
        }
        pending.clear();
        let mut depth = 0_u32;
        for token in rest.by_ref() {
            depth = if token.opens() {
                depth + 1
            } else if token.closes() {
                depth - 1
            } else {
                depth
            };
            pending.push(token);
            if depth == 0 || !is_of_list(pending.last()) {
                break;
            }
        }
        let is_list = depth == 0 && pending.len() > 2;
        if is_list {
            pending.truncate(1);
            pending.extend([Token::Literals, Token::Symbol(")")]);
        }
        result.append(&mut pending);
    }
    result
}

fn is_of_list(token: Option<&Token<'_>>) -> bool {
    token.is_some_and(|token| match token {
        Token::Literal | Token::Literals | Token::Symbol("," | "(" | ")") | Token::Open { .. } => {
            true
        }
        Token::Word(_) | Token::Name(_) | Token::Spoken(_) | Token::Symbol(_) => false,
    })
}

/// `values (?, ?), (?, ?)` is the same whatever its number of rows.
fn collapse_values(tokens: Vec<Token<'_>>) -> Vec<Token<'_>> {
    let mut result: Vec<Token<'_>> = Vec::with_capacity(tokens.len());
    let mut at = 0;
    while at < tokens.len() {
        let is_values = tokens[at].is_word("values") || tokens[at].is_word("value");
        result.push(tokens[at].clone());
        at += 1;
        if !is_values {
            continue;
        }
        let mut last: Option<Vec<Token<'_>>> = None;
        let mut separator = 0;
        while let Some(length) = tokens.get(at + separator..).and_then(tuple_length) {
            let tuple = collapsed_tuple(&tokens[at + separator..at + separator + length]);
            if last.as_ref() != Some(&tuple) {
                result.extend_from_slice(&tokens[at..at + separator]);
                result.extend_from_slice(&tuple);
            }
            last = Some(tuple);
            at += separator + length;
            if tokens.get(at) != Some(&Token::Symbol(",")) {
                break;
            }
            separator = 1;
        }
    }
    result
}

/// The length of the bracketed tokens at the beginning of these.
fn tuple_length(tokens: &[Token<'_>]) -> Option<usize> {
    tokens.first().filter(|token| token.opens())?;
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate() {
        if token.opens() {
            depth += 1;
        } else if token.closes() {
            depth -= 1;
            if depth == 0 {
                return Some(at + 1);
            }
        }
    }
    None
}

fn collapsed_tuple<'a>(tuple: &[Token<'a>]) -> Vec<Token<'a>> {
    let is_literal = |token: &Token<'_>| match token {
        Token::Literal | Token::Literals | Token::Symbol(",") => true,
        Token::Word(_)
        | Token::Name(_)
        | Token::Spoken(_)
        | Token::Open { .. }
        | Token::Symbol(_) => false,
    };
    let inner = &tuple[1..tuple.len() - 1];
    if inner.is_empty() || !inner.iter().all(is_literal) {
        tuple.to_vec()
    } else {
        vec![tuple[0].clone(), Token::Literals, Token::Symbol(")")]
    }
}

fn shortened(tokens: &[Token<'_>]) -> String {
    let mut text = String::with_capacity(256);
    // Of each length, how many bytes there were after the token.
    let mut ends = Vec::with_capacity(tokens.len());
    push_tokens(&mut text, None, tokens, &mut ends);
    if text.len() <= LENGTH_MAX {
        return text;
    }
    let digest = Sha256::digest(text.as_bytes());
    let mark = Token::Word(format!("…{}", hex::encode(&digest[..4])).into());
    let room = LENGTH_MAX - (mark_length(&mark) + 1);
    let kept = ends.iter().take_while(|end| **end <= room).count();
    text.truncate(kept.checked_sub(1).map_or(0, |last| ends[last]));
    let before = kept.checked_sub(1).map(|last| &tokens[last]);
    push_tokens(&mut text, before, std::slice::from_ref(&mark), &mut ends);
    text
}

fn mark_length(mark: &Token<'_>) -> usize {
    match mark {
        Token::Word(text) => text.len(),
        _ => 0,
    }
}

fn push_tokens(
    text: &mut String,
    before: Option<&Token<'_>>,
    tokens: &[Token<'_>],
    ends: &mut Vec<usize>,
) {
    let mut before = before;
    for token in tokens {
        if before.is_some_and(|before| !sticks(before, token)) {
            text.push(' ');
        }
        token.push_to(text);
        ends.push(text.len());
        before = Some(token);
    }
}

/// Whether no space stands between the two.
fn sticks(before: &Token<'_>, next: &Token<'_>) -> bool {
    match (before, next) {
        (_, Token::Symbol("," | ")" | ";" | ".")) => true,
        (Token::Open { .. } | Token::Symbol("." | "@"), _) => true,
        (Token::Literal | Token::Spoken(_), Token::Symbol("@")) => true,
        (Token::Word(_) | Token::Name(_), Token::Open { spaced }) => !spaced,
        _ => false,
    }
}

#[cfg(test)]
mod tests;
