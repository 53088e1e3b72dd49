//! Partial JSON updates: a server with `binlog_row_value_options = PARTIAL_JSON` writes what changed
//! in a document instead of the document.

use mysql_async::binlog::jsondiff::{JsonDiff, JsonDiffOperation};
use serde_json::Value;

/// A step of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Leg {
    Member(String),
    Element(usize),
}

/// The legs of a path like `$.a[0]."b c"`, with or without the leading `$`.
pub(super) fn parse_path(path: &str) -> Option<Vec<Leg>> {
    let mut rest = path.strip_prefix('$').unwrap_or(path);
    let mut legs = Vec::new();
    while !rest.is_empty() {
        if let Some(inner) = rest.strip_prefix('[') {
            let (index, behind) = inner.split_once(']')?;
            legs.push(Leg::Element(index.trim().parse().ok()?));
            rest = behind;
        } else if let Some(name) = rest.strip_prefix('.') {
            if name.starts_with('"') {
                let mut values = serde_json::Deserializer::from_str(name).into_iter::<String>();
                legs.push(Leg::Member(values.next()?.ok()?));
                rest = &name[values.byte_offset()..];
            } else {
                let end = name.find(['.', '[']).unwrap_or(name.len());
                legs.push(Leg::Member(name[..end].to_owned()));
                rest = &name[end..];
            }
        } else {
            return None;
        }
    }
    Some(legs)
}

/// Applies one change; none where it does not fit the document.
pub(super) fn apply(document: &mut Value, diff: &JsonDiff<'_>) -> Option<()> {
    let value = match diff.value() {
        None => None,
        Some(value) => Some(Value::from(value.clone().into_owned().parse().ok()?)),
    };
    change(document, &parse_path(&diff.path_str())?, diff.operation(), value)
}

fn change(
    document: &mut Value,
    legs: &[Leg],
    operation: JsonDiffOperation,
    value: Option<Value>,
) -> Option<()> {
    let Some((last, parents)) = legs.split_last() else {
        *document = value?;
        return Some(());
    };
    let mut parent = document;
    for leg in parents {
        parent = match leg {
            Leg::Member(name) => parent.get_mut(name)?,
            Leg::Element(index) => parent.get_mut(index)?,
        };
    }
    match (last, operation) {
        (Leg::Member(name), JsonDiffOperation::REMOVE) => {
            parent.as_object_mut()?.shift_remove(name).map(|_| ())
        }
        (Leg::Member(name), JsonDiffOperation::REPLACE | JsonDiffOperation::INSERT) => {
            parent.as_object_mut()?.insert(name.clone(), value?);
            Some(())
        }
        (Leg::Element(index), operation) => {
            let elements = parent.as_array_mut()?;
            match operation {
                JsonDiffOperation::REPLACE => *elements.get_mut(*index)? = value?,
                JsonDiffOperation::INSERT if *index <= elements.len() => {
                    elements.insert(*index, value?);
                }
                JsonDiffOperation::REMOVE if *index < elements.len() => {
                    elements.remove(*index);
                }
                JsonDiffOperation::INSERT | JsonDiffOperation::REMOVE => return None,
            }
            Some(())
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_path_has_members_quoted_members_and_elements() {
        let member = |name: &str| Leg::Member(name.to_owned());
        let legs = vec![member("a"), Leg::Element(3), member("b \"c\""), member("d")];
        assert_eq!(parse_path(r#"$.a[3]."b \"c\"".d"#), Some(legs));
        assert_eq!(parse_path("$"), Some(vec![]));
        assert_eq!(parse_path("$x"), None);
    }

    #[test]
    fn a_change_replaces_inserts_and_removes() {
        let mut document = json!({"a": [1, 2], "b": {"c": 1}});
        let mut run = |path: &str, operation, value| {
            change(&mut document, &parse_path(path).unwrap(), operation, value)
        };
        use JsonDiffOperation::{INSERT, REMOVE, REPLACE};
        assert!(run("$.a[1]", REPLACE, Some(json!(5))).is_some());
        assert!(run("$.a[2]", INSERT, Some(json!(6))).is_some());
        assert!(run("$.a[0]", REMOVE, None).is_some());
        assert!(run("$.b.d", INSERT, Some(json!("x"))).is_some());
        assert!(run("$.b.c", REMOVE, None).is_some());
        assert!(run("$.nothing.c", REMOVE, None).is_none());
        assert!(run("$.a[9]", REMOVE, None).is_none());
        assert_eq!(document, json!({"a": [5, 6], "b": {"d": "x"}}));
    }
}
