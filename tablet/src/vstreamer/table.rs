//! What a row stream needs to know of a table: its columns, and the key that orders its rows.

use tablet_wire::query::{Field, Type};

use super::StreamError;
use crate::mysql::{DbError, Row, Session, Value, bind};

/// The longest text key for which a padded weight is asked for: MySQL's own limit for an index.
const PADDED_CHARS_MAX: u64 = 3072;

/// A table's columns and key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableSchema {
    /// Its name.
    pub name: String,
    /// In the table's order, invisible ones included.
    pub columns: Vec<ColumnSchema>,
    /// The key's columns, in the key's order.
    pub key: Vec<KeyColumn>,
    /// The key's index.
    pub index: String,
}

/// One column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnSchema {
    /// Its name.
    pub name: String,
    /// `varchar`, `decimal`, …
    pub data_type: String,
    /// `varchar(20)`, `decimal(10,2) unsigned`, …
    pub column_type: String,
    /// The collation's number; 63 (binary) where there is none.
    pub collation: u32,
    pad_space: bool,
    chars_max: Option<u64>,
}

/// One column of the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyColumn {
    /// Its name.
    pub name: String,
    /// Its position among the table's columns.
    pub position: usize,
    /// How its values are ordered.
    pub kind: KeyKind,
}

/// How MySQL orders the values of a key column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// Whole numbers, signed or not.
    Integer,
    /// Exact decimals.
    Decimal,
    /// Floating-point numbers.
    Float,
    /// `date`, `datetime`, `timestamp` of one precision: the text's order is the time's.
    Temporal {
        /// The type with its precision: other precisions print other texts.
        column_type: String,
    },
    /// `time`: may be negative.
    Time,
    /// Byte strings.
    Bytes,
    /// Bits, sent as a big-endian byte string.
    Bits,
    /// Texts, by their weights under a collation.
    Text {
        /// The collation's number.
        collation: u32,
    },
}

impl KeyKind {
    /// The kind of a key column, from what the wire says of it.
    pub fn of_field(field: &Field) -> Option<KeyKind> {
        Some(match field.r#type() {
            Type::Int8 | Type::Int16 | Type::Int24 | Type::Int32 | Type::Int64 => KeyKind::Integer,
            Type::Uint8 | Type::Uint16 | Type::Uint24 | Type::Uint32 | Type::Uint64 => {
                KeyKind::Integer
            }
            Type::Year => KeyKind::Integer,
            Type::Decimal => KeyKind::Decimal,
            Type::Float32 | Type::Float64 => KeyKind::Float,
            Type::Date | Type::Datetime | Type::Timestamp => {
                KeyKind::Temporal { column_type: field.column_type.clone() }
            }
            Type::Time => KeyKind::Time,
            Type::Binary | Type::Varbinary | Type::Blob => KeyKind::Bytes,
            Type::Bit => KeyKind::Bits,
            Type::Char | Type::Varchar | Type::Text => KeyKind::Text { collation: field.charset },
            Type::NullType | Type::Enum | Type::Set | Type::Geometry | Type::Json => return None,
        })
    }
}

impl ColumnSchema {
    /// As the wire describes it.
    pub fn field(&self, table: &str) -> Field {
        Field {
            name: self.name.clone(),
            r#type: self.wire_type().into(),
            table: table.to_owned(),
            org_table: table.to_owned(),
            org_name: self.name.clone(),
            charset: self.collation,
            column_type: self.column_type.clone(),
            ..Field::default()
        }
    }

    /// How many characters a weight has to be padded to: the collation ignores trailing spaces.
    pub(super) fn padded_chars(&self) -> Option<u64> {
        self.chars_max.filter(|_| self.pad_space)
    }

    fn wire_type(&self) -> Type {
        let unsigned = self.column_type.contains("unsigned");
        let integer = |signed, without| if unsigned { without } else { signed };
        match self.data_type.as_str() {
            "tinyint" => integer(Type::Int8, Type::Uint8),
            "smallint" => integer(Type::Int16, Type::Uint16),
            "mediumint" => integer(Type::Int24, Type::Uint24),
            "int" => integer(Type::Int32, Type::Uint32),
            "bigint" => integer(Type::Int64, Type::Uint64),
            "year" => Type::Year,
            "decimal" => Type::Decimal,
            "float" => Type::Float32,
            "double" => Type::Float64,
            "date" => Type::Date,
            "datetime" => Type::Datetime,
            "timestamp" => Type::Timestamp,
            "time" => Type::Time,
            "char" => Type::Char,
            "varchar" => Type::Varchar,
            "tinytext" | "text" | "mediumtext" | "longtext" => Type::Text,
            "binary" => Type::Binary,
            "varbinary" => Type::Varbinary,
            "bit" => Type::Bit,
            "enum" => Type::Enum,
            "set" => Type::Set,
            "json" => Type::Json,
            "tinyblob" | "blob" | "mediumblob" | "longblob" | "vector" => Type::Blob,
            _ => Type::Geometry,
        }
    }
}

impl TableSchema {
    /// Reads it from MySQL.
    ///
    /// # Errors
    /// MySQL is away, or the table is missing or has no key by which it can be compared.
    pub async fn read(
        session: &mut Session,
        db_name: &str,
        table: &str,
    ) -> Result<TableSchema, StreamError> {
        let columns = read_columns(session, db_name, table).await?;
        if columns.is_empty() {
            return Err(StreamError::NoTable(table.to_owned()));
        }
        let (index, names) = read_key(session, db_name, table).await?;
        let mut key = Vec::with_capacity(names.len());
        for name in names {
            let position = columns.iter().position(|column| column.name == name);
            let position = position.ok_or_else(|| StreamError::NoKey(table.to_owned()))?;
            let column = &columns[position];
            let supported = column.padded_chars().is_none_or(|chars| chars <= PADDED_CHARS_MAX);
            let kind = KeyKind::of_field(&column.field(table)).filter(|_| supported);
            let kind = kind.ok_or_else(|| StreamError::KeyType {
                table: table.to_owned(),
                column: name.clone(),
                kind: column.column_type.clone(),
            })?;
            key.push(KeyColumn { name, position, kind });
        }
        Ok(TableSchema { name: table.to_owned(), columns, key, index })
    }
}

/// The base tables of a database, in name order, with MySQL's estimate of their rows.
///
/// # Errors
/// MySQL is away or refuses.
pub async fn list_tables(
    session: &mut Session,
    db_name: &str,
) -> Result<Vec<(String, i64)>, DbError> {
    let statement = bind(
        "select table_name, coalesce(table_rows, 0) from information_schema.tables \
         where table_schema = ? and table_type = 'BASE TABLE'",
        &[Value::from(db_name)],
    );
    let rows = session.rows("listing the tables", &statement).await?;
    let mut tables: Vec<(String, i64)> =
        rows.iter().filter_map(|row| Some((row.get(0)?, row.get(1)?))).collect();
    tables.sort();
    Ok(tables)
}

async fn read_columns(
    session: &mut Session,
    db_name: &str,
    table: &str,
) -> Result<Vec<ColumnSchema>, DbError> {
    let statement = bind(
        "select c.column_name, lower(c.data_type), lower(c.column_type), \
         coalesce(o.id, 63), coalesce(o.pad_attribute, 'NO PAD') = 'PAD SPACE', \
         c.character_maximum_length \
         from information_schema.columns c left join information_schema.collations o \
         on o.collation_name = c.collation_name \
         where c.table_schema = ? and c.table_name = ? order by c.ordinal_position",
        &[Value::from(db_name), Value::from(table)],
    );
    let attempted = "reading a table's columns";
    let rows = session.rows(attempted, &statement).await?;
    let parse = |row: &Row| {
        Some(ColumnSchema {
            name: row.get(0)?,
            data_type: row.get(1)?,
            column_type: row.get(2)?,
            collation: row.get(3)?,
            pad_space: row.get::<u8, _>(4)? == 1,
            chars_max: row.get::<Option<u64>, _>(5)?,
        })
    };
    let shape = || DbError::Shape { attempted, column: "information_schema.columns".to_owned() };
    rows.iter().map(|row| parse(row).ok_or_else(shape)).collect()
}

/// The primary key, else the first unique key whose columns are whole and not null.
async fn read_key(
    session: &mut Session,
    db_name: &str,
    table: &str,
) -> Result<(String, Vec<String>), StreamError> {
    let statement = bind(
        "select index_name, column_name, sub_part is not null or nullable = 'YES' or \
         column_name is null from information_schema.statistics \
         where table_schema = ? and table_name = ? and non_unique = 0 \
         order by index_name <> 'PRIMARY', index_name, seq_in_index",
        &[Value::from(db_name), Value::from(table)],
    );
    let rows = session.rows("reading a table's keys", &statement).await?;
    let mut keys: Vec<(String, Vec<String>, bool)> = Vec::new();
    for row in &rows {
        let Some(index) = row.get::<String, _>(0) else { continue };
        let column: Option<String> = row.get::<Option<String>, _>(1).flatten();
        let unfit = row.get::<u8, _>(2) != Some(0);
        if keys.last().is_none_or(|(last, ..)| *last != index) {
            keys.push((index, Vec::new(), false));
        }
        if let Some((_, columns, unusable)) = keys.last_mut() {
            columns.extend(column);
            *unusable |= unfit;
        }
    }
    keys.into_iter()
        .find(|(_, _, unusable)| !unusable)
        .map(|(index, columns, _)| (index, columns))
        .ok_or_else(|| StreamError::NoKey(table.to_owned()))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A table whose key is the first `keys` of `columns` (name, column type, collation, padded).
    pub(in crate::vstreamer) fn schema(
        columns: &[(&str, &str, u32, bool)],
        keys: usize,
    ) -> TableSchema {
        let columns: Vec<_> = columns
            .iter()
            .map(|(name, column_type, collation, pad_space)| ColumnSchema {
                name: (*name).to_owned(),
                data_type: column_type.split(['(', ' ']).next().unwrap().to_owned(),
                column_type: (*column_type).to_owned(),
                collation: *collation,
                pad_space: *pad_space,
                chars_max: Some(20),
            })
            .collect();
        let key = columns[..keys]
            .iter()
            .enumerate()
            .map(|(position, column)| KeyColumn {
                name: column.name.clone(),
                position,
                kind: KeyKind::of_field(&column.field("t")).unwrap(),
            })
            .collect();
        TableSchema { name: "t".to_owned(), columns, key, index: "PRIMARY".to_owned() }
    }

    #[test]
    fn key_kinds_of_two_sides_differ_when_their_order_would() {
        let of = |column_type, collation| schema(&[("a", column_type, collation, false)], 1).key;
        assert_eq!(of("int", 63), of("bigint unsigned", 63));
        assert_ne!(of("varchar(20)", 255), of("varchar(20)", 46));
        assert_ne!(of("datetime(6)", 63), of("datetime", 63));
    }
}
