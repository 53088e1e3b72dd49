//! What is compared with what: the tables of a workflow, and the columns of a pair of tables.

use tablet_wire::binlogdata::{BinlogSource, VStreamRowsResponse};
use tablet_wire::query::{Field, Type};

use crate::vstreamer::KeyKind;

/// One table of a diff.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TableToDiff {
    /// Its name on the target.
    pub(super) name: String,
    /// What to ask the source for.
    pub(super) source_query: String,
    /// What to ask the target for.
    pub(super) target_query: String,
}

/// Something in the workflow or in the tables does not fit; somebody has to change it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum PlanError {
    #[error("the workflow has no rule")]
    NoRules,
    #[error("the workflow's table '{0}' does not exist on the target")]
    NotOnTarget(String),
    #[error("the table '{0}' that the diff is to compare is not part of the workflow")]
    NotInWorkflow(String),
    #[error("no table of the target belongs to the workflow")]
    NoTables,
    #[error("the rule of table '{table}' is not supported: {filter}")]
    Filter { table: String, filter: String },
    #[error(
        "table '{table}': columns only on the source: [{source_only}]; only on the target: [{target_only}]"
    )]
    Columns { table: String, source_only: String, target_only: String },
    #[error("table '{table}': the keys differ: source ({source_key}), target ({target_key})")]
    Keys { table: String, source_key: String, target_key: String },
    #[error("table '{0}': the description of its columns is malformed")]
    Header(String),
}

/// The tables to compare, in name order.
pub(super) fn tables(
    source: &BinlogSource,
    on_target: &[String],
    only: &[String],
) -> Result<Vec<TableToDiff>, PlanError> {
    let rules = source.filter.as_ref().map(|filter| &filter.rules[..]).unwrap_or_default();
    if rules.is_empty() {
        return Err(PlanError::NoRules);
    }
    let mut tables: Vec<TableToDiff> = Vec::new();
    for rule in rules {
        let names: Vec<&String> = match rule.r#match.as_str() {
            "/.*" | "/.*/" | "/" => on_target.iter().collect(),
            literal => {
                let found = on_target.iter().find(|name| *name == literal);
                vec![found.ok_or_else(|| PlanError::NotOnTarget(literal.to_owned()))?]
            }
        };
        for name in names {
            if tables.iter().all(|table| table.name != *name) {
                tables.push(table(name, &rule.filter)?);
            }
        }
    }
    for name in only {
        if tables.iter().all(|table| table.name != *name) {
            return Err(PlanError::NotInWorkflow(name.clone()));
        }
    }
    tables.retain(|table| only.is_empty() || only.contains(&table.name));
    tables.sort_by(|a, b| a.name.cmp(&b.name));
    if tables.is_empty() { Err(PlanError::NoTables) } else { Ok(tables) }
}

fn table(name: &str, filter: &str) -> Result<TableToDiff, PlanError> {
    let quoted = crate::mysql::quote_identifier(name);
    let filter = filter.trim().trim_end_matches(';');
    if filter.is_empty() {
        let query = format!("select * from {quoted}");
        return Ok(TableToDiff {
            name: name.to_owned(),
            source_query: query.clone(),
            target_query: query,
        });
    }
    let refused = || PlanError::Filter {
        table: name.to_owned(),
        filter: crate::mysql::truncate_chars(filter, 200).to_owned(),
    };
    let lower = filter.to_ascii_lowercase();
    let from = lower.find(" from ").ok_or_else(refused)?;
    let columns = filter.get(..from).ok_or_else(refused)?;
    let rest = filter.get(from + " from ".len()..).ok_or_else(refused)?.trim();
    if !lower.starts_with("select ") || rest.contains(char::is_whitespace) {
        return Err(refused());
    }
    Ok(TableToDiff {
        name: name.to_owned(),
        source_query: filter.to_owned(),
        target_query: format!("{columns} from {quoted}"),
    })
}

/// How rows of a pair of tables are compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// The columns, in the source's order.
    pub(super) columns: Vec<PlanColumn>,
    /// The key, in key order.
    pub(super) key: Vec<PlanKey>,
    /// Both sides deliver their columns in the same order.
    pub(super) same_order: bool,
    /// Values in a row, weights included.
    pub(super) source_width: usize,
    /// Values in a row, weights included.
    pub(super) target_width: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PlanColumn {
    pub(super) name: String,
    pub(super) source_at: usize,
    pub(super) target_at: usize,
    /// Rendered as hexadecimal digits.
    pub(super) binary: bool,
    pub(super) in_key: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PlanKey {
    pub(super) name: String,
    pub(super) kind: KeyKind,
    pub(super) source: KeyAt,
    pub(super) target: KeyAt,
}

/// Where a key column's value is, and the value that orders it (its weight, for texts).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct KeyAt {
    pub(super) value: usize,
    pub(super) order: usize,
}

impl Plan {
    /// From the first responses of both sides.
    pub(super) fn new(
        table: &str,
        source: &VStreamRowsResponse,
        target: &VStreamRowsResponse,
    ) -> Result<Plan, PlanError> {
        let (left, right) = (Header::read(table, source)?, Header::read(table, target)?);
        let only = |a: &Header<'_>, b: &Header<'_>| -> String {
            let names = a.columns.iter().filter(|field| b.position(&field.name).is_none());
            names.map(|field| field.name.as_str()).collect::<Vec<_>>().join(", ")
        };
        let (source_only, target_only) = (only(&left, &right), only(&right, &left));
        if !source_only.is_empty() || !target_only.is_empty() {
            return Err(PlanError::Columns { table: table.to_owned(), source_only, target_only });
        }
        let key = Plan::key(table, &left, &right)?;
        let mut columns = Vec::with_capacity(left.columns.len());
        for (source_at, field) in left.columns.iter().enumerate() {
            let target_at = right.position(&field.name);
            let target_at = target_at.ok_or_else(|| PlanError::Header(table.to_owned()))?;
            columns.push(PlanColumn {
                name: field.name.clone(),
                source_at,
                target_at,
                binary: is_binary(field),
                in_key: key.iter().any(|key| key.source.value == source_at),
            });
        }
        Ok(Plan {
            same_order: columns.iter().all(|column| column.source_at == column.target_at),
            columns,
            key,
            source_width: source.fields.len(),
            target_width: target.fields.len(),
        })
    }

    fn key(table: &str, left: &Header<'_>, right: &Header<'_>) -> Result<Vec<PlanKey>, PlanError> {
        let same = left.key.len() == right.key.len()
            && left.key.iter().zip(right.key).all(|(a, b)| {
                a.name.eq_ignore_ascii_case(&b.name)
                    && KeyKind::of_field(a).is_some()
                    && KeyKind::of_field(a) == KeyKind::of_field(b)
            });
        if !same {
            let describe = |fields: &[Field]| {
                let columns = fields.iter().map(|f| format!("{} {}", f.name, f.column_type));
                columns.collect::<Vec<_>>().join(", ")
            };
            return Err(PlanError::Keys {
                table: table.to_owned(),
                source_key: describe(left.key),
                target_key: describe(right.key),
            });
        }
        let malformed = || PlanError::Header(table.to_owned());
        let mut key = Vec::with_capacity(left.key.len());
        for field in left.key {
            let kind = KeyKind::of_field(field).ok_or_else(malformed)?;
            let source = left.key_at(&field.name, &kind).ok_or_else(malformed)?;
            let target = right.key_at(&field.name, &kind).ok_or_else(malformed)?;
            key.push(PlanKey { name: field.name.clone(), kind, source, target });
        }
        if key.is_empty() { Err(malformed()) } else { Ok(key) }
    }
}

struct Header<'a> {
    columns: &'a [Field],
    weights: &'a [Field],
    key: &'a [Field],
}

impl Header<'_> {
    fn read<'a>(table: &str, first: &'a VStreamRowsResponse) -> Result<Header<'a>, PlanError> {
        let columns = first.fields.iter().take_while(|field| !field.table.is_empty()).count();
        let (columns, weights) = first.fields.split_at(columns);
        if columns.is_empty() || weights.iter().any(|field| !field.table.is_empty()) {
            return Err(PlanError::Header(table.to_owned()));
        }
        Ok(Header { columns, weights, key: &first.pkfields })
    }

    fn position(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|field| field.name.eq_ignore_ascii_case(name))
    }

    fn key_at(&self, name: &str, kind: &KeyKind) -> Option<KeyAt> {
        let value = self.position(name)?;
        let order = match kind {
            KeyKind::Text { .. } => {
                let weight = |field: &Field| field.org_name.eq_ignore_ascii_case(name);
                self.columns.len() + self.weights.iter().position(weight)?
            }
            KeyKind::Integer
            | KeyKind::Decimal
            | KeyKind::Float
            | KeyKind::Temporal { .. }
            | KeyKind::Time
            | KeyKind::Bytes
            | KeyKind::Bits => value,
        };
        Some(KeyAt { value, order })
    }
}

fn is_binary(field: &Field) -> bool {
    matches!(
        field.r#type(),
        Type::Binary | Type::Varbinary | Type::Blob | Type::Bit | Type::Geometry
    )
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A first response: columns as (name, type), the first `keys` of them the key.
    pub(in crate::vdiff) fn header(columns: &[(&str, Type)], keys: usize) -> VStreamRowsResponse {
        let field = |(name, kind): &(&str, Type)| Field {
            name: (*name).to_owned(),
            org_name: (*name).to_owned(),
            r#type: (*kind).into(),
            table: "t".to_owned(),
            charset: 255,
            ..Field::default()
        };
        let mut fields: Vec<Field> = columns.iter().map(field).collect();
        let pkfields = fields[..keys].to_vec();
        for key in &pkfields {
            if matches!(key.r#type(), Type::Varchar | Type::Char) {
                let name = format!("weight_string({})", key.name);
                fields.push(Field { table: String::new(), name, ..key.clone() });
            }
        }
        VStreamRowsResponse { fields, pkfields, ..VStreamRowsResponse::default() }
    }

    fn source(rules: &[(&str, &str)]) -> BinlogSource {
        let rules = rules.iter().map(|(name, filter)| tablet_wire::binlogdata::Rule {
            r#match: (*name).to_owned(),
            filter: (*filter).to_owned(),
        });
        BinlogSource {
            filter: Some(tablet_wire::binlogdata::Filter { rules: rules.collect() }),
            ..BinlogSource::default()
        }
    }

    fn names(plan: Result<Vec<TableToDiff>, PlanError>) -> Vec<String> {
        plan.unwrap().into_iter().map(|table| table.name).collect()
    }

    #[test]
    fn tables_come_in_name_order_whatever_the_rules_order() {
        let target = ["a".to_owned(), "b".to_owned(), "c".to_owned()];
        let rules = source(&[("c", "select * from c"), ("a", "")]);
        assert_eq!(names(tables(&rules, &target, &[])), ["a", "c"]);
        assert_eq!(names(tables(&source(&[("/.*/", "")]), &target, &[])), ["a", "b", "c"]);
        assert_eq!(names(tables(&rules, &target, &["c".to_owned()])), ["c"]);
    }

    #[test]
    fn what_is_missing_is_named() {
        let target = ["a".to_owned()];
        let missing = tables(&source(&[("gone", "")]), &target, &[]).unwrap_err().to_string();
        assert!(missing.contains("'gone'"), "{missing}");
        let other = tables(&source(&[("a", "")]), &target, &["b".to_owned()]);
        assert_eq!(other, Err(PlanError::NotInWorkflow("b".to_owned())));
        assert_eq!(tables(&source(&[]), &target, &[]), Err(PlanError::NoRules));
        assert_eq!(tables(&source(&[("/.*", "")]), &[], &[]), Err(PlanError::NoTables));
    }

    #[test]
    fn a_renamed_table_is_asked_for_by_its_name_on_each_side() {
        let rules = source(&[("new", "select a, b from old")]);
        let plan = tables(&rules, &["new".to_owned()], &[]).unwrap();
        assert_eq!(plan[0].source_query, "select a, b from old");
        assert_eq!(plan[0].target_query, "select a, b from `new`");
        let where_clause = source(&[("new", "select * from old where a > 1")]);
        assert!(tables(&where_clause, &["new".to_owned()], &[]).is_err());
    }

    #[test]
    fn columns_in_another_order_are_compared_by_name() {
        let left = header(&[("id", Type::Int64), ("a", Type::Varchar), ("b", Type::Blob)], 1);
        let right = header(&[("b", Type::Blob), ("id", Type::Int64), ("a", Type::Varchar)], 0);
        let right = VStreamRowsResponse { pkfields: vec![right.fields[1].clone()], ..right };
        let plan = Plan::new("t", &left, &right).unwrap();
        assert!(!plan.same_order);
        assert_eq!((plan.columns[2].target_at, plan.columns[2].binary), (0, true));
        assert_eq!(plan.key[0].target, KeyAt { value: 1, order: 1 });
    }

    #[test]
    fn columns_that_differ_are_named() {
        let left = header(&[("id", Type::Int64), ("old", Type::Int64)], 1);
        let right = header(&[("id", Type::Int64), ("new", Type::Int64)], 1);
        let text = Plan::new("t", &left, &right).unwrap_err().to_string();
        assert!(text.contains("source: [old]") && text.contains("target: [new]"), "{text}");
    }

    /// Keys of other columns or another collation are ordered differently: the merge would be wrong.
    #[test]
    fn keys_that_differ_are_refused() {
        let pair = [("a", Type::Int64), ("b", Type::Int64)];
        let one = Plan::new("t", &header(&pair, 1), &header(&pair, 2));
        assert!(matches!(one, Err(PlanError::Keys { .. })));
        let text = header(&[("a", Type::Varchar)], 1);
        let mut other = text.clone();
        other.pkfields[0].charset = 46;
        assert!(matches!(Plan::new("t", &text, &other), Err(PlanError::Keys { .. })));
    }

    #[test]
    fn a_text_key_is_ordered_by_its_weight() {
        let text = header(&[("a", Type::Varchar), ("b", Type::Int64)], 1);
        let plan = Plan::new("t", &text, &text).unwrap();
        assert_eq!(plan.key[0].source, KeyAt { value: 0, order: 2 });
        assert_eq!(plan.source_width, 3);
    }
}
