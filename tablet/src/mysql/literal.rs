//! Literals and names in statements: the only place that quotes.
//!
//! Statements go as text in one round trip. `sql_mode` is fixed per session without
//! `NO_BACKSLASH_ESCAPES` and `ANSI_QUOTES`, which the escaping relies on.

use std::fmt::Write as _;

use super::Value;

/// A name (database, table, column) in backticks.
pub fn quote_identifier(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// A text as a string literal.
pub fn quote_text(text: &str) -> String {
    Value::Bytes(text.as_bytes().to_vec()).as_sql(false)
}

/// Replaces each `?` of `template` by the literal of the next value. Templates hold no `?` in
/// strings: values never stand in a template.
///
/// # Panics
/// The number of `?` differs from the number of values: a mistake in the code, found by the first
/// test that runs the statement.
pub fn bind(template: &str, values: &[Value]) -> String {
    let holes = template.matches('?').count();
    assert_eq!(holes, values.len(), "values for the holes of a statement template");
    let mut statement = String::with_capacity(template.len() + 16 * values.len());
    let mut values = values.iter();
    for part in template.split('?') {
        statement.push_str(part);
        if let Some(value) = values.next() {
            push_literal(&mut statement, value);
        }
    }
    statement
}

fn push_literal(statement: &mut String, value: &Value) {
    match value {
        // The driver's own rendering of bytes that are no text is quadratic.
        Value::Bytes(bytes) if std::str::from_utf8(bytes).is_err() => {
            statement.push_str("0x");
            statement.push_str(&hex::encode(bytes));
        }
        Value::Int(number) => push_display(statement, number),
        Value::UInt(number) => push_display(statement, number),
        other => statement.push_str(&other.as_sql(false)),
    }
}

fn push_display(statement: &mut String, number: &dyn std::fmt::Display) {
    // Writing to a String cannot fail.
    write!(statement, "{number}").unwrap_or_default();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stand_where_the_holes_were() {
        let values = [Value::from(7), Value::from("it's ? \\"), Value::NULL];
        let statement = bind("update t set a = ?, b = ? where c <=> ?", &values);
        assert_eq!(statement, r"update t set a = 7, b = 'it\'s ? \\' where c <=> NULL");
    }

    #[test]
    fn a_backtick_cannot_end_a_name() {
        assert_eq!(quote_identifier("a`b"), "`a``b`");
    }

    #[test]
    fn bytes_that_are_no_text_become_a_hexadecimal_literal() {
        assert_eq!(bind("?", &[Value::Bytes(vec![0xff, 0x00])]), "0xff00");
    }
}
