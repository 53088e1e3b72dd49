//! Statements that an operator (or the harness) sends for the `vreplication` table.

use crate::sidecardb::Sidecar;

/// Why a statement was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExecError {
    /// Another kind of statement or another table.
    #[error("only insert, update, delete and select on _vt.vreplication are accepted")]
    Refused,
    /// A quote or a comment is not closed, or there is more than one statement.
    #[error("the statement is malformed: {0}")]
    Malformed(&'static str),
    /// It would touch every workflow.
    #[error("an update or delete needs a where")]
    NoWhere,
}

/// A statement that may be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// With the configured sidecar's table.
    pub statement: String,
    /// Whether it returns rows.
    pub reads: bool,
}

/// Checks a statement and points it at the configured sidecar database.
///
/// # Errors
/// It is not one insert, update, delete or select on `_vt.vreplication`.
pub fn rewrite(statement: &str, sidecar: &Sidecar) -> Result<Accepted, ExecError> {
    rewrite_for(statement, &sidecar.table("vreplication"))
}

fn rewrite_for(statement: &str, table: &str) -> Result<Accepted, ExecError> {
    let statement = statement.trim().trim_end_matches(';').trim_end();
    let words = words(statement)?;
    let word = |at: usize| words.get(at).map(|word| word.text.as_str()).unwrap_or_default();
    let (table_at, reads) = match (word(0), word(1)) {
        ("insert", "into") => (2, false),
        ("update", _) => (1, false),
        ("delete", "from") => (2, false),
        ("select", _) => {
            let froms = words.iter().filter(|word| word.text == "from").count();
            let from = words.iter().position(|word| word.text == "from");
            match from {
                Some(from) if froms == 1 => (from + 1, true),
                _ => return Err(ExecError::Refused),
            }
        }
        _ => return Err(ExecError::Refused),
    };
    let is_ours = |text: &str| text.replace('`', "") == "_vt.vreplication";
    let target =
        words.get(table_at).filter(|word| is_ours(&word.text)).ok_or(ExecError::Refused)?;
    let forbidden = |word: &str| {
        matches!(word, "select" | "into" | "join" | "union" | "outfile" | "load_file" | "table")
    };
    if words[table_at + 1..].iter().any(|word| forbidden(&word.text)) {
        return Err(ExecError::Refused);
    }
    if matches!(word(0), "update" | "delete") && !words.iter().any(|word| word.text == "where") {
        return Err(ExecError::NoWhere);
    }
    let (begin, end) = (target.begin, target.begin + target.text.len());
    let rewritten = format!("{}{table}{}", &statement[..begin], &statement[end..]);
    Ok(Accepted { statement: rewritten, reads })
}

struct Word {
    begin: usize,
    /// In lower case.
    text: String,
}

/// The words outside of quoted texts. Comments and further statements are refused.
fn words(statement: &str) -> Result<Vec<Word>, ExecError> {
    let bytes = statement.as_bytes();
    let mut words: Vec<Word> = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let byte = bytes[at];
        let next = bytes.get(at + 1).copied().unwrap_or_default();
        match byte {
            b'\'' | b'"' => at = after_text(bytes, at)?,
            b';' => return Err(ExecError::Malformed("more than one statement")),
            b'#' => return Err(ExecError::Malformed("a comment")),
            b'/' if next == b'*' => return Err(ExecError::Malformed("a comment")),
            b'-' if next == b'-' => return Err(ExecError::Malformed("a comment")),
            _ if is_word(byte) => {
                let length = bytes[at..].iter().take_while(|byte| is_word(**byte)).count();
                let text = statement[at..at + length].to_ascii_lowercase();
                words.push(Word { begin: at, text });
                at += length;
            }
            _ => at += 1,
        }
    }
    Ok(words)
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'`' | b'$') || byte >= 0x80
}

fn after_text(bytes: &[u8], begin: usize) -> Result<usize, ExecError> {
    let quote = bytes[begin];
    let mut at = begin + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            byte if byte == quote => return Ok(at + 1),
            _ => at += 1,
        }
    }
    Err(ExecError::Malformed("a quote is not closed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(statement: &str) -> Result<String, ExecError> {
        rewrite_for(statement, "`_s`.`vreplication`").map(|accepted| accepted.statement)
    }

    #[test]
    fn the_four_statements_are_pointed_at_the_sidecar() {
        let insert = "insert into _vt.vreplication (workflow) values ('from _vt.x; select')";
        assert_eq!(
            accepted(insert).unwrap(),
            "insert into `_s`.`vreplication` (workflow) values ('from _vt.x; select')"
        );
        for statement in [
            "update _vt.vreplication set state='Running' where id=1",
            "DELETE FROM `_vt`.`vreplication` where workflow = 'move';",
            "select id, state from _vt.vreplication where workflow='move'",
        ] {
            assert!(accepted(statement).unwrap().contains("`_s`.`vreplication`"), "{statement}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for statement in [
            "",
            "drop table _vt.vreplication",
            "update _vt.vdiff set state='x' where id=1",
            "delete from _vt.vreplication",
            "update _vt.vreplication set state='x'",
            "select * from mysql.user",
            "select 1",
            "select (select user from mysql.user) from _vt.vreplication",
            "insert into _vt.vreplication select * from mysql.user",
            "delete from _vt.vreplication where id=1; drop table t",
            "select * from _vt.vreplication into outfile 'x'",
            "update _vt.vreplication set state='x' -- where",
            "update _vt.vreplication set state='x where id = 1",
            "select * from _vt.vreplication join mysql.user",
        ] {
            assert!(accepted(statement).is_err(), "{statement}");
        }
    }
}
