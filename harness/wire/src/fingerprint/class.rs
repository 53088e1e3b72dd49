//! What a statement does to the server, by its words.

use super::lexer::Token;
use crate::Class;

pub(super) fn of(tokens: &[Token<'_>]) -> Class {
    let words = || {
        tokens.iter().filter_map(|token| match token {
            Token::Word(word) => Some(&**word),
            Token::Name(_)
            | Token::Literal
            | Token::Literals
            | Token::Spoken(_)
            | Token::Open { .. }
            | Token::Symbol(_) => None,
        })
    };
    let mut first_words = words();
    let first = first_words.next().unwrap_or_default();
    let second = first_words.next().unwrap_or_default();
    match first {
        "insert" | "update" | "delete" | "replace" | "load" | "call" | "execute" | "commit"
        | "create" | "alter" | "drop" | "truncate" | "rename" | "grant" | "revoke" | "import"
        | "analyze" | "optimize" | "repair" | "xa" | "install" | "uninstall" | "purge"
        | "change" | "reset" | "stop" => Class::Writes,
        "lock" | "unlock" | "kill" | "flush" => Class::Locks,
        "start" if matches!(second, "replica" | "slave" | "group_replication") => Class::Writes,
        "start" | "begin" | "rollback" | "savepoint" | "release" => Class::Snapshot,
        "set" => of_set(words().skip(1)),
        // A common table expression may stand before a statement of any kind.
        "with" if words().any(|word| matches!(word, "update" | "delete") && !locks(tokens)) => {
            Class::Writes
        }
        _ if locks(tokens) => Class::Locks,
        _ => Class::Reads,
    }
}

fn of_set<'a>(mut words: impl Iterator<Item = &'a str>) -> Class {
    let scope = words.next().unwrap_or_default();
    match scope {
        "transaction" => Class::Snapshot,
        "global" | "persist" | "persist_only" | "password" => Class::Writes,
        "session" | "local" if words.next() == Some("transaction") => Class::Snapshot,
        _ => Class::Reads,
    }
}

/// `for update`, `for share`, `lock in share mode`, and locks with a name.
fn locks(tokens: &[Token<'_>]) -> bool {
    let pair = |pair: &[Token<'_>]| {
        let [first, second] = pair else { return false };
        let row = first.is_word("for") && (second.is_word("update") || second.is_word("share"));
        let shared = first.is_word("lock") && second.is_word("in");
        let named = ["get_lock", "release_lock", "release_all_locks"];
        row || shared || (second.opens() && named.iter().any(|name| first.is_word(name)))
    };
    tokens.windows(2).any(pair)
}
