//! The report of one table: counts and samples, in Vitess's JSON. It is saved with the cursor in one
//! statement, so that both always tell of the same rows.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use super::merge::Step;
use super::options::DiffOptions;
use super::table_plan::{Plan, PlanColumn};
use crate::mysql::{quote_identifier, quote_text};
use crate::vstreamer::{Cell, RowCells};

const TRUNCATED: &str = "...[TRUNCATED]";
/// A value is cut only if that makes it shorter by at least this much.
const WORTH_CUTTING: usize = 20;

/// Counts and samples of one table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Report {
    pub(super) table_name: String,
    pub(super) processed_rows: u64,
    pub(super) matching_rows: u64,
    pub(super) mismatched_rows: u64,
    pub(super) extra_rows_source: u64,
    pub(super) extra_rows_target: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) extra_rows_source_sample: Vec<Sample>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) extra_rows_target_sample: Vec<Sample>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) mismatched_rows_sample: Vec<MismatchSample>,
}

/// One row as it is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Sample {
    /// Column to text; NULL is JSON's null, so that it stays apart from an empty text.
    pub(super) row: Map<String, Json>,
    pub(super) query: String,
    /// Of all values in full, where `row` does not show them so; extra rows are matched by it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) digest: String,
}

/// The two rows of one key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct MismatchSample {
    pub(super) source: Sample,
    pub(super) target: Sample,
}

impl Report {
    /// Of a table of which nothing was compared yet.
    pub(super) fn new(table: &str) -> Report {
        Report { table_name: table.to_owned(), ..Report::default() }
    }

    /// Keeps the counts alone: only a seeded bug does that.
    pub(super) fn forget_samples(&mut self) {
        self.extra_rows_source_sample.clear();
        self.extra_rows_target_sample.clear();
        self.mismatched_rows_sample.clear();
    }

    /// Whether the table differs.
    pub(super) fn has_mismatch(&self) -> bool {
        self.mismatched_rows > 0 || self.extra_rows_source > 0 || self.extra_rows_target > 0
    }

    /// Counts one step and keeps its sample.
    pub(super) fn count(
        &mut self,
        step: Step,
        source: Option<&RowCells>,
        target: Option<&RowCells>,
        sampler: &Sampler<'_>,
    ) {
        let options = sampler.options;
        match step {
            Step::End => return,
            Step::Match => self.matching_rows += 1,
            Step::Mismatch => {
                self.mismatched_rows += 1;
                if let (Some(source), Some(target)) = (source, target)
                    && fits(&self.mismatched_rows_sample, options.sample_rows_max)
                {
                    let (source, target) = (sampler.source(source), sampler.target(target));
                    self.mismatched_rows_sample.push(MismatchSample { source, target });
                }
            }
            Step::ExtraSource => {
                self.extra_rows_source += 1;
                if let Some(row) = source
                    && fits(&self.extra_rows_source_sample, extra_max(options))
                {
                    self.extra_rows_source_sample.push(sampler.source(row));
                }
            }
            Step::ExtraTarget => {
                self.extra_rows_target += 1;
                if let Some(row) = target
                    && fits(&self.extra_rows_target_sample, extra_max(options))
                {
                    self.extra_rows_target_sample.push(sampler.target(row));
                }
            }
        }
        self.processed_rows += 1;
    }

    /// Matches extra rows of both sides that are equal in all values, and drops the samples that are
    /// more than asked for. Pairs count as matching; each of their rows was processed.
    pub(super) fn reconcile(&mut self, options: &DiffOptions) {
        let mut unmatched: std::collections::HashMap<String, usize> =
            std::collections::HashMap::new();
        for sample in &self.extra_rows_target_sample {
            *unmatched.entry(sample.identity()).or_default() += 1;
        }
        let mut paired: std::collections::HashMap<String, usize> = std::collections::HashMap::new();
        self.extra_rows_source_sample.retain(|sample| {
            let identity = sample.identity();
            match unmatched.get_mut(&identity) {
                Some(left) if *left > 0 => {
                    *left -= 1;
                    *paired.entry(identity).or_default() += 1;
                    false
                }
                _ => true,
            }
        });
        self.extra_rows_target_sample.retain(|sample| match paired.get_mut(&sample.identity()) {
            Some(left) if *left > 0 => {
                *left -= 1;
                self.extra_rows_source = self.extra_rows_source.saturating_sub(1);
                self.extra_rows_target = self.extra_rows_target.saturating_sub(1);
                self.matching_rows += 1;
                false
            }
            _ => true,
        });
        if let Some(max) = options.sample_rows_max {
            self.extra_rows_source_sample.truncate(max);
            self.extra_rows_target_sample.truncate(max);
            self.mismatched_rows_sample.truncate(max);
        }
    }
}

fn fits<T>(samples: &[T], max: Option<usize>) -> bool {
    max.is_none_or(|max| samples.len() < max)
}

/// Extra rows are kept for matching and for showing: as many as the greater of both limits.
fn extra_max(options: &DiffOptions) -> Option<usize> {
    Some(options.extra_rows_max?.max(options.sample_rows_max?))
}

impl Sample {
    fn identity(&self) -> String {
        if self.digest.is_empty() {
            Json::Object(self.row.clone()).to_string()
        } else {
            self.digest.clone()
        }
    }
}

/// Renders rows as samples.
pub(super) struct Sampler<'a> {
    pub(super) table: &'a str,
    pub(super) plan: &'a Plan,
    pub(super) options: &'a DiffOptions,
}

impl Sampler<'_> {
    fn source(&self, row: &RowCells) -> Sample {
        self.sample(row, |column| column.source_at)
    }

    fn target(&self, row: &RowCells) -> Sample {
        self.sample(row, |column| column.target_at)
    }

    fn sample(&self, row: &RowCells, at: impl Fn(&PlanColumn) -> usize) -> Sample {
        let columns = &self.plan.columns;
        let mut shown = Map::new();
        let mut lossy = false;
        for column in columns {
            if self.options.only_pks && !column.in_key {
                lossy = true;
                continue;
            }
            let value = row.get(at(column)).map(|value| {
                let cut = self.options.truncate_at.filter(|_| !column.in_key);
                let short = cut.and_then(|max| truncated(value, column.binary, max));
                lossy |= short.is_some();
                short.unwrap_or_else(|| render(value, column.binary))
            });
            shown.insert(column.name.clone(), value.map_or(Json::Null, Json::String));
        }
        let digest = if lossy {
            digest(columns.iter().map(|column| row.get(at(column))))
        } else {
            String::new()
        };
        let query = if self.options.debug_query { self.query(row, &at) } else { String::new() };
        Sample { row: shown, query, digest }
    }

    fn query(&self, row: &RowCells, at: &impl Fn(&PlanColumn) -> usize) -> String {
        let names = |in_key_only: bool| {
            self.plan.columns.iter().filter(move |column| column.in_key || !in_key_only)
        };
        let list: Vec<String> =
            names(self.options.only_pks).map(|column| quote_identifier(&column.name)).collect();
        let condition: Vec<String> = names(true)
            .map(|column| {
                let value = row.get(at(column)).unwrap_or_default();
                let literal = if column.binary {
                    render(value, true)
                } else {
                    quote_text(&String::from_utf8_lossy(value))
                };
                format!("{}={literal}", quote_identifier(&column.name))
            })
            .collect();
        format!(
            "select {} from {} where {};",
            list.join(", "),
            quote_identifier(self.table),
            condition.join(" and ")
        )
    }
}

/// The beginning of a value that is worth cutting, without rendering the rest: a value can be as
/// large as MySQL lets it be.
fn truncated(value: &[u8], binary: bool, max: usize) -> Option<String> {
    let length = if binary { "0x".len() + 2 * value.len() } else { value.len() };
    if length < max + TRUNCATED.len() + WORTH_CUTTING {
        return None;
    }
    // One character more than is shown, so that the last one shown is whole.
    let beginning = render(&value[..value.len().min(max + 4)], binary);
    Some(format!("{}{TRUNCATED}", crate::mysql::truncate_chars(&beginning, max)))
}

/// A value as text: binary as `0x` and lower-case digits.
pub(super) fn render(value: &[u8], binary: bool) -> String {
    if binary {
        format!("0x{}", hex::encode(value))
    } else {
        String::from_utf8_lossy(value).into_owned()
    }
}

/// 128 bits (FNV-1a) over length-prefixed values, NULL marked: neither separators inside values nor
/// NULLs can make two different rows alike.
fn digest<'a>(values: impl Iterator<Item = Cell<'a>>) -> String {
    const OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    let mut hash = OFFSET;
    let mut add = |bytes: &[u8]| {
        for byte in bytes {
            hash = (hash ^ u128::from(*byte)).wrapping_mul(PRIME);
        }
    };
    for value in values {
        match value {
            None => add(&[0]),
            Some(value) => {
                add(&[1]);
                add(&(value.len() as u64).to_le_bytes());
                add(value);
            }
        }
    }
    format!("{hash:032x}")
}

#[cfg(test)]
mod tests {
    use tablet_wire::query::Type;

    use super::super::options::StoredOptions;
    use super::super::table_plan::tests::header;
    use super::*;
    use crate::mysql::Value;
    use crate::vstreamer::encode_row;

    fn options() -> DiffOptions {
        let options = StoredOptions::default().resolve();
        DiffOptions { truncate_at: None, ..options }
    }

    fn plan() -> Plan {
        let columns = [("id", Type::Int64), ("v", Type::Varchar), ("b", Type::Blob)];
        Plan::new("t", &header(&columns, 1), &header(&columns, 1)).unwrap()
    }

    fn row(id: i64, text: Value, bytes: &[u8]) -> RowCells {
        let id = id.to_string();
        let values = vec![id.as_str().into(), text, Value::Bytes(bytes.to_vec())];
        RowCells::new(encode_row(values), 3).unwrap()
    }

    fn extras(options: &DiffOptions, source: &[RowCells], target: &[RowCells]) -> Report {
        let plan = plan();
        let sampler = Sampler { table: "t", plan: &plan, options };
        let mut report = Report::new("t");
        source.iter().for_each(|row| {
            report.count(Step::ExtraSource, Some(row), None, &sampler);
        });
        target.iter().for_each(|row| {
            report.count(Step::ExtraTarget, None, Some(row), &sampler);
        });
        report
    }

    #[test]
    fn a_sample_keeps_null_apart_from_empty_and_shows_bytes_in_hexadecimal() {
        let rows = [row(1, Value::NULL, b""), row(2, Value::from(""), &[0xAB])];
        let report = extras(&options(), &rows, &[]);
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["ExtraRowsSourceSample"][0]["Row"]["v"], Json::Null);
        assert_eq!(json["ExtraRowsSourceSample"][1]["Row"]["v"], "");
        assert_eq!(json["ExtraRowsSourceSample"][1]["Row"]["b"], "0xab");
        assert!(json.get("MismatchedRowsSample").is_none());
        assert_eq!(serde_json::from_value::<Report>(json).unwrap(), report);
    }

    /// Rows that differ only behind the cut must not be matched with each other.
    #[test]
    fn extra_rows_are_matched_by_their_full_values() {
        let long = |end: &str| Value::from(format!("{}{end}", "x".repeat(100)));
        let cut = DiffOptions { truncate_at: Some(5), ..options() };
        let rows = |end| [row(1, long(end), b"")];
        let mut differ = extras(&cut, &rows("a"), &rows("b"));
        assert_eq!(differ.extra_rows_source_sample[0].row, differ.extra_rows_target_sample[0].row);
        differ.reconcile(&cut);
        assert_eq!((differ.matching_rows, differ.extra_rows_source), (0, 1));
        let mut same = extras(&cut, &rows("a"), &rows("a"));
        same.reconcile(&cut);
        assert_eq!((same.matching_rows, same.extra_rows_source, same.extra_rows_target), (1, 0, 0));
        assert!(!same.has_mismatch() && same.processed_rows == 2);
    }

    #[test]
    fn a_cut_ends_between_characters_and_only_where_it_saves_something() {
        let long = "é".repeat(60);
        assert_eq!(truncated(long.as_bytes(), false, 5).unwrap(), format!("éé{TRUNCATED}"));
        assert_eq!(truncated(&[0xAB; 60], true, 5).unwrap(), format!("0xaba{TRUNCATED}"));
        let barely = TRUNCATED.len() + WORTH_CUTTING + 5;
        assert_eq!(truncated(&vec![b'x'; barely - 1], false, 5), None);
        assert!(truncated(&vec![b'x'; barely], false, 5).is_some());
        assert_eq!(truncated(&[0; 8], true, 5), None);
    }

    #[test]
    fn limits_bound_the_samples_and_zero_does_not() {
        let rows: Vec<_> = (0..40).map(|id| row(id, Value::NULL, b"")).collect();
        let few = DiffOptions { extra_rows_max: Some(5), sample_rows_max: Some(3), ..options() };
        let mut report = extras(&few, &rows, &[]);
        assert_eq!((report.extra_rows_source_sample.len(), report.extra_rows_source), (5, 40));
        report.reconcile(&few);
        assert_eq!(report.extra_rows_source_sample.len(), 3);
        let all = DiffOptions { extra_rows_max: None, sample_rows_max: None, ..options() };
        assert_eq!(extras(&all, &rows, &[]).extra_rows_source_sample.len(), 40);
    }

    #[test]
    fn a_debug_query_finds_the_row_by_its_key() {
        let options = DiffOptions { debug_query: true, only_pks: true, ..options() };
        let report = extras(&options, &[row(7, Value::NULL, b"")], &[]);
        assert_eq!(
            report.extra_rows_source_sample[0].query,
            "select `id` from `t` where `id`='7';"
        );
    }
}
