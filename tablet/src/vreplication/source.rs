//! The text form of a `BinlogSource`, as it stands in `vreplication.source`.

use tablet_wire::binlogdata::{BinlogSource, Filter, Rule};

/// The text is not a `BinlogSource`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the workflow's source is malformed at byte {at}: expected {expected}")]
pub struct SourceError {
    at: usize,
    expected: &'static str,
}

/// Reads `keyspace:"commerce" shard:"0" filter:{rules:{match:"t" filter:"select * from t"}}`.
/// Fields that VDiff does not need are skipped.
///
/// # Errors
/// The text is not in protobuf's text form.
pub fn parse_source(text: &str) -> Result<BinlogSource, SourceError> {
    let mut reader = Reader { text, at: 0 };
    let mut source = BinlogSource::default();
    reader.message(true, 0, &mut |reader, name, depth| {
        match name {
            "keyspace" => source.keyspace = reader.string()?,
            "shard" => source.shard = reader.string()?,
            "filter" => source.filter = Some(filter(reader, depth)?),
            _ => reader.skip(depth)?,
        }
        Ok(())
    })?;
    Ok(source)
}

fn filter(reader: &mut Reader<'_>, depth: usize) -> Result<Filter, SourceError> {
    let mut filter = Filter::default();
    reader.message(false, depth, &mut |reader, name, depth| {
        if name == "rules" {
            filter.rules.push(rule(reader, depth)?);
        } else {
            reader.skip(depth)?;
        }
        Ok(())
    })?;
    Ok(filter)
}

fn rule(reader: &mut Reader<'_>, depth: usize) -> Result<Rule, SourceError> {
    let mut rule = Rule::default();
    reader.message(false, depth, &mut |reader, name, depth| {
        match name {
            "match" => rule.r#match = reader.string()?,
            "filter" => rule.filter = reader.string()?,
            _ => reader.skip(depth)?,
        }
        Ok(())
    })?;
    Ok(rule)
}

/// Nesting deeper than this is refused rather than followed.
const DEPTH_MAX: usize = 32;

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

type Field<'f> = &'f mut dyn FnMut(&mut Reader<'_>, &str, usize) -> Result<(), SourceError>;

impl Reader<'_> {
    fn refused(&self, expected: &'static str) -> SourceError {
        SourceError { at: self.at, expected }
    }

    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn space(&mut self) {
        let rest = self.rest();
        let trimmed = rest.trim_start_matches(|c: char| c.is_whitespace() || c == ',' || c == ';');
        self.at += rest.len() - trimmed.len();
    }

    fn eat(&mut self, c: char) -> bool {
        self.space();
        let found = self.rest().starts_with(c);
        if found {
            self.at += c.len_utf8();
        }
        found
    }

    /// The fields of a message: at the top up to the end of the text, else between braces.
    fn message(&mut self, top: bool, depth: usize, field: Field<'_>) -> Result<(), SourceError> {
        if depth > DEPTH_MAX {
            return Err(self.refused("less nesting"));
        }
        let close = if top {
            None
        } else {
            self.eat(':');
            if self.eat('{') {
                Some('}')
            } else if self.eat('<') {
                Some('>')
            } else {
                return Err(self.refused("'{'"));
            }
        };
        loop {
            match close {
                Some(close) if self.eat(close) => return Ok(()),
                Some(_) => {}
                None => {
                    self.space();
                    if self.rest().is_empty() {
                        return Ok(());
                    }
                }
            }
            let name = self.name()?;
            field(self, &name, depth + 1)?;
        }
    }

    fn name(&mut self) -> Result<String, SourceError> {
        self.space();
        let rest = self.rest();
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let name = rest[..end.unwrap_or(rest.len())].to_owned();
        if name.is_empty() {
            return Err(self.refused("a field's name"));
        }
        self.at += name.len();
        Ok(name)
    }

    fn string(&mut self) -> Result<String, SourceError> {
        if !self.eat(':') {
            return Err(self.refused("':'"));
        }
        self.space();
        let quote = self.rest().chars().next().filter(|c| *c == '"' || *c == '\'');
        let quote = quote.ok_or_else(|| self.refused("a quoted text"))?;
        self.at += 1;
        let mut bytes = Vec::new();
        loop {
            let c = self.rest().chars().next().ok_or_else(|| self.refused("a closing quote"))?;
            self.at += c.len_utf8();
            if c == quote {
                return String::from_utf8(bytes).map_err(|_| self.refused("a text in UTF-8"));
            }
            if c == '\\' {
                self.escape(&mut bytes)?;
            } else {
                bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
    }

    fn escape(&mut self, bytes: &mut Vec<u8>) -> Result<(), SourceError> {
        let c = self.rest().chars().next().ok_or_else(|| self.refused("an escape"))?;
        if c.is_digit(8) {
            let digits: String =
                self.rest().chars().take(3).take_while(|c| c.is_digit(8)).collect();
            let byte = u8::from_str_radix(&digits, 8).map_err(|_| self.refused("an octal byte"))?;
            self.at += digits.len();
            bytes.push(byte);
            return Ok(());
        }
        self.at += c.len_utf8();
        match c {
            'n' => bytes.push(b'\n'),
            'r' => bytes.push(b'\r'),
            't' => bytes.push(b'\t'),
            other => bytes.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
        }
        Ok(())
    }

    /// Skips the value of a field.
    fn skip(&mut self, depth: usize) -> Result<(), SourceError> {
        let before = self.at;
        self.eat(':');
        self.space();
        match self.rest().chars().next() {
            Some('{' | '<') => {
                self.message(false, depth, &mut |reader, _, depth| reader.skip(depth))
            }
            Some('"' | '\'') => {
                self.at = before;
                self.string().map(|_| ())
            }
            Some(_) => {
                let rest = self.rest();
                let end = rest.find(|c: char| c.is_whitespace() || ",;}>".contains(c));
                self.at += end.unwrap_or(rest.len()).max(1);
                Ok(())
            }
            None => Err(self.refused("a value")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_vitess_writes_is_read() {
        let source = parse_source(
            r#"keyspace:"commerce" shard:"0" tablet_type:REPLICA filter:{rules:{match:"customer" filter:"select * from customer where name = \"a\\303\\251\""} rules:{match:"/.*"}} on_ddl:EXEC key_range:{start:"\200"}"#,
        );
        // The last field is no text in UTF-8, and is skipped as text all the same.
        assert!(source.is_err());
        let source = parse_source(
            "keyspace:\"commerce\" shard:\"0\" tablet_type:REPLICA \
             filter:{rules:{match:\"customer\" filter:\"select \\\"\\303\\251\\\"\"} \
             rules:<match:'/.*/'>} on_ddl:EXEC stop_after_copy:false",
        )
        .unwrap();
        assert_eq!((source.keyspace.as_str(), source.shard.as_str()), ("commerce", "0"));
        let rules = source.filter.unwrap().rules;
        assert_eq!((rules.len(), rules[0].filter.as_str()), (2, "select \"é\""));
        assert_eq!(rules[1].r#match, "/.*/");
    }

    #[test]
    fn rubbish_is_refused_and_never_panics() {
        for text in [
            "keyspace",
            "keyspace:",
            "keyspace:\"a",
            "filter:{rules:{",
            "{",
            "é:1",
            "filter:{rules:{match:\"\\",
            "a:{b:<c:1}",
        ] {
            assert!(parse_source(text).is_err(), "{text}");
        }
        assert!(parse_source(&"a:{".repeat(10_000)).is_err());
    }
}
