//! The statements of a row stream: what is asked for, and the `select` that reads it.

use super::{KeyKind, StreamError, TableSchema};
use crate::mysql::{quote_identifier, quote_text};

/// What a query of a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) table: String,
    /// `None`: all.
    pub(super) columns: Option<Vec<String>>,
}

/// Understands `select * from t` and `select a, b from t`, with or without backticks.
pub(super) fn parse(query: &str) -> Result<Wanted, StreamError> {
    let refused = || StreamError::Query(crate::mysql::truncate_chars(query, 200).to_owned());
    let mut words = tokens(query).ok_or_else(refused)?.into_iter().peekable();
    let is = |token: Option<Token>, word: &str| matches!(token, Some(Token::Name { text, quoted: false }) if text.eq_ignore_ascii_case(word));
    if !is(words.next(), "select") {
        return Err(refused());
    }
    let columns = if words.next_if_eq(&Token::Symbol('*')).is_some() {
        None
    } else {
        let mut columns = Vec::new();
        loop {
            let Some(Token::Name { text, .. }) = words.next() else { return Err(refused()) };
            columns.push(text);
            if words.next_if_eq(&Token::Symbol(',')).is_none() {
                break Some(columns);
            }
        }
    };
    if !is(words.next(), "from") {
        return Err(refused());
    }
    match (words.next(), words.next()) {
        (Some(Token::Name { text: table, .. }), None) => Ok(Wanted { table, columns }),
        _ => Err(refused()),
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Name { text: String, quoted: bool },
    Symbol(char),
}

fn tokens(query: &str) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut rest = query.trim().trim_end_matches(';').trim_end().chars().peekable();
    while let Some(c) = rest.next() {
        if c.is_whitespace() {
            continue;
        }
        if c == '`' {
            let mut text = String::new();
            loop {
                match rest.next()? {
                    '`' if rest.next_if_eq(&'`').is_some() => text.push('`'),
                    '`' => break,
                    other => text.push(other),
                }
            }
            tokens.push(Token::Name { text, quoted: true });
        } else if is_name(c) {
            let mut text = String::from(c);
            while let Some(next) = rest.next_if(|next| is_name(*next)) {
                text.push(next);
            }
            tokens.push(Token::Name { text, quoted: false });
        } else if c == '*' || c == ',' {
            tokens.push(Token::Symbol(c));
        } else {
            return None;
        }
    }
    Some(tokens)
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$'
}

/// The reading statement: the wanted columns, then the weight of each text key column, in key order,
/// strictly after `after`.
pub(super) fn statement(
    schema: &TableSchema,
    columns: &[usize],
    db_name: &str,
    after: Option<&[Vec<u8>]>,
) -> Result<String, StreamError> {
    let mut list: Vec<String> = columns.iter().map(|at| expression(schema, *at)).collect();
    list.extend(weights(schema).into_iter().map(|at| weight(schema, at)));
    let order: Vec<String> = schema.key.iter().map(|key| quote_identifier(&key.name)).collect();
    let condition = match after {
        Some(after) => format!(" where {}", greater(schema, after)?),
        None => String::new(),
    };
    Ok(format!(
        "select {} from {}.{} force index ({}){condition} order by {}",
        list.join(", "),
        quote_identifier(db_name),
        quote_identifier(&schema.name),
        quote_identifier(&schema.index),
        order.join(", ")
    ))
}

/// The columns whose weights are sent, in key order.
pub(super) fn weights(schema: &TableSchema) -> Vec<usize> {
    let text = |kind: &KeyKind| matches!(kind, KeyKind::Text { .. });
    schema.key.iter().filter(|key| text(&key.kind)).map(|key| key.position).collect()
}

/// MySQL prints a `float` with six digits: two different ones can print the same.
fn expression(schema: &TableSchema, at: usize) -> String {
    let column = &schema.columns[at];
    let name = quote_identifier(&column.name);
    if column.data_type == "float" { format!("cast({name} as double)") } else { name }
}

fn weight(schema: &TableSchema, at: usize) -> String {
    let column = &schema.columns[at];
    let name = quote_identifier(&column.name);
    match column.padded_chars() {
        Some(chars) => format!("weight_string({name} as char({chars}))"),
        None => format!("weight_string({name})"),
    }
}

/// `(a, b) > (x, y)` in a form that MySQL answers by a range of the index.
fn greater(schema: &TableSchema, after: &[Vec<u8>]) -> Result<String, StreamError> {
    let refused = |reason: String| StreamError::LastKey { table: schema.name.clone(), reason };
    if after.len() != schema.key.len() {
        let (has, needs) = (after.len(), schema.key.len());
        return Err(refused(format!("it has {has} values, the key has {needs} columns")));
    }
    let mut pairs = Vec::with_capacity(after.len());
    for (key, value) in schema.key.iter().zip(after) {
        let literal = literal(&key.kind, value)
            .ok_or_else(|| refused(format!("the value of '{}' is malformed", key.name)))?;
        pairs.push((quote_identifier(&key.name), literal));
    }
    let alternatives: Vec<String> = (0..pairs.len())
        .map(|last| {
            let equal = pairs[..last].iter().map(|(name, value)| format!("{name} = {value}"));
            let (name, value) = &pairs[last];
            let all: Vec<String> = equal.chain([format!("{name} > {value}")]).collect();
            format!("({})", all.join(" and "))
        })
        .collect();
    if alternatives.len() == 1 {
        return Ok(alternatives.concat());
    }
    let (name, value) = &pairs[0];
    Ok(format!("{name} >= {value} and ({})", alternatives.join(" or ")))
}

fn literal(kind: &KeyKind, value: &[u8]) -> Option<String> {
    let text = || std::str::from_utf8(value).ok();
    let plain = |allowed: &str| {
        let fits = |text: &&str| {
            !text.is_empty() && text.chars().all(|c| c.is_ascii_digit() || allowed.contains(c))
        };
        text().filter(fits).map(str::to_owned)
    };
    match kind {
        KeyKind::Integer => plain("-"),
        KeyKind::Decimal => plain("-."),
        KeyKind::Float => plain("-+.eE"),
        KeyKind::Temporal { .. } => plain("-: .").map(|text| format!("'{text}'")),
        KeyKind::Time => plain("-:.").map(|text| format!("'{text}'")),
        KeyKind::Bytes if value.is_empty() => Some("''".to_owned()),
        KeyKind::Bytes => Some(format!("0x{}", hex::encode(value))),
        KeyKind::Bits => Some(format!("cast(0x{} as unsigned)", hex::encode(value))),
        KeyKind::Text { .. } => text().map(|text| format!("_utf8mb4{}", quote_text(text))),
    }
}

#[cfg(test)]
mod tests {
    use super::super::table::tests::schema;
    use super::*;

    #[test]
    fn a_plain_query_is_understood() {
        let all = Wanted { table: "customer".to_owned(), columns: None };
        assert_eq!(parse("select * from customer").unwrap(), all);
        assert_eq!(parse(" SELECT * FROM `customer` ;").unwrap(), all);
        let some = parse("select `a``b`, c from t").unwrap();
        assert_eq!(some.columns.unwrap(), ["a`b", "c"]);
    }

    #[test]
    fn any_other_query_is_refused() {
        for query in [
            "",
            "delete from t",
            "select a from",
            "select * from t where a = 1",
            "select a b from t",
            "select * from t, u",
            "select 'a' from t",
            "select * from t; drop table t",
        ] {
            assert!(matches!(parse(query), Err(StreamError::Query(_))), "{query}");
        }
    }

    #[test]
    fn a_composite_key_is_continued_in_key_order() {
        let schema = schema(&[("a", "bigint", 63, false), ("b", "varbinary(9)", 63, false)], 2);
        let after = [b"7".to_vec(), vec![0, 0xff]];
        assert_eq!(
            statement(&schema, &[0, 1], "db", Some(&after)).unwrap(),
            "select `a`, `b` from `db`.`t` force index (`PRIMARY`) where `a` >= 7 and \
             ((`a` > 7) or (`a` = 7 and `b` > 0x00ff)) order by `a`, `b`"
        );
    }

    #[test]
    fn text_keys_carry_their_weight_padded_where_the_collation_pads() {
        let padded = schema(&[("a", "varchar(20)", 45, true)], 1);
        let plain = schema(&[("a", "varchar(20)", 255, false)], 1);
        let statement = |schema| statement(schema, &[0], "db", None).unwrap();
        assert!(statement(&padded).contains("weight_string(`a` as char(20))"));
        assert!(statement(&plain).contains("weight_string(`a`)"));
    }

    #[test]
    fn a_float_is_read_as_a_double() {
        let schema = schema(&[("id", "int", 63, false), ("f", "float", 63, false)], 1);
        assert!(statement(&schema, &[0, 1], "d", None).unwrap().contains("cast(`f` as double)"));
    }

    /// The last key comes over the network and ends in a statement.
    #[test]
    fn a_last_key_cannot_carry_sql() {
        let numbers = schema(&[("a", "int", 63, false)], 1);
        let attack = [b"1 or 1=1".to_vec()];
        assert!(statement(&numbers, &[0], "d", Some(&attack)).is_err());
        assert!(statement(&numbers, &[0], "d", Some(&[])).is_err());
        let texts = schema(&[("a", "varchar(20)", 255, false)], 1);
        let quoted = statement(&texts, &[0], "d", Some(&[b"' or 1='1".to_vec()])).unwrap();
        assert!(quoted.contains(r"> _utf8mb4'\' or 1=\'1'"), "{quoted}");
    }
}
