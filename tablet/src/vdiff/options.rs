//! The options of a diff: given by the client, stored in `vdiff.options` as Vitess stores them.

use serde::{Deserialize, Serialize};
use tablet_wire::tabletmanagerdata::VDiffOptions;

const EXTRA_ROWS_DEFAULT: i64 = 1000;
const SAMPLE_ROWS_DEFAULT: i64 = 10;
const TRUNCATE_DEFAULT: i64 = 128;
/// Of vtctldclient: how long a replication that is behind is waited for. There is none to wait for.
const TIMEOUT_SECONDS_DEFAULT: i64 = 30;

/// What is stored. Unknown fields are ignored: another version may have written them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct StoredOptions {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) picker_options: Option<Picker>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) core_options: Option<Core>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) report_options: Option<Reporting>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Picker {
    tablet_types: String,
    source_cell: String,
    target_cell: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Core {
    tables: String,
    auto_retry: bool,
    max_rows: i64,
    timeout_seconds: i64,
    max_extra_rows_to_compare: i64,
    update_table_stats: bool,
    max_diff_seconds: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    auto_start: Option<bool>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Reporting {
    only_pks: bool,
    debug_query: bool,
    format: String,
    max_sample_rows: i64,
    row_diff_column_truncate_at: i64,
}

/// What a diff goes by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DiffOptions {
    /// Only these tables; all if empty.
    pub(super) tables: Vec<String>,
    /// Ephemeral errors are retried by the tablet itself.
    pub(super) auto_retry: bool,
    /// Extra rows of each side that are kept, to be matched with each other at the end; `None`: all.
    ///
    /// What is kept stands in the report, which every checkpoint writes anew, whole, together with
    /// counts and cursor: unlimited, it costs memory and the size of a statement in proportion to the
    /// differences, and binlog in proportion to differences times checkpoints. A report that exceeds
    /// `max_allowed_packet` fails the diff for good, with an error that says so.
    pub(super) extra_rows_max: Option<usize>,
    /// Samples of each kind in the final report; `None`: all, at the cost told above.
    pub(super) sample_rows_max: Option<usize>,
    /// Samples show the key only.
    pub(super) only_pks: bool,
    /// Samples carry a `select` for their row.
    pub(super) debug_query: bool,
    /// Values longer than this are cut in samples; `None`: never.
    pub(super) truncate_at: Option<usize>,
}

impl StoredOptions {
    /// From a request.
    pub(super) fn from_wire(options: Option<VDiffOptions>) -> StoredOptions {
        let Some(options) = options else { return StoredOptions::default() };
        StoredOptions {
            picker_options: options.picker_options.map(|picker| Picker {
                tablet_types: picker.tablet_types,
                source_cell: picker.source_cell,
                target_cell: picker.target_cell,
            }),
            core_options: options.core_options.map(|core| Core {
                tables: core.tables,
                auto_retry: core.auto_retry,
                max_rows: core.max_rows,
                timeout_seconds: core.timeout_seconds,
                max_extra_rows_to_compare: core.max_extra_rows_to_compare,
                update_table_stats: core.update_table_stats,
                max_diff_seconds: core.max_diff_seconds,
                auto_start: core.auto_start,
            }),
            report_options: options.report_options.map(|report| Reporting {
                only_pks: report.only_pks,
                debug_query: report.debug_query,
                format: report.format,
                max_sample_rows: report.max_sample_rows,
                row_diff_column_truncate_at: report.row_diff_column_truncate_at,
            }),
        }
    }

    /// Refuses what was asked for and would be ignored. Vitess's defaults ask for nothing.
    pub(super) fn check(&self) -> Result<(), String> {
        let core = self.core_options.clone().unwrap_or_default();
        let picker = self.picker_options.clone().unwrap_or_default();
        let primary = |kinds: &str| {
            let kinds = kinds.strip_prefix("in_order:").unwrap_or(kinds);
            kinds.is_empty()
                || kinds.split(',').any(|kind| kind.trim().eq_ignore_ascii_case("primary"))
        };
        let asked = [
            ("core_options.max_rows", core.max_rows > 0 && core.max_rows != i64::MAX),
            (
                "core_options.timeout_seconds",
                core.timeout_seconds > 0 && core.timeout_seconds != TIMEOUT_SECONDS_DEFAULT,
            ),
            ("core_options.update_table_stats", core.update_table_stats),
            ("core_options.max_diff_seconds", core.max_diff_seconds > 0),
            ("picker_options.source_cell", !picker.source_cell.is_empty()),
            ("picker_options.target_cell", !picker.target_cell.is_empty()),
            ("picker_options.tablet_types without primary", !primary(&picker.tablet_types)),
        ];
        let names: Vec<&str> =
            asked.iter().filter(|(_, asked)| *asked).map(|(name, _)| *name).collect();
        if names.is_empty() {
            return Ok(());
        }
        Err(format!("not supported, and would be ignored: {}", names.join(", ")))
    }

    /// Whether the diff is to start at once.
    pub(super) fn auto_start(&self) -> bool {
        self.core_options.as_ref().and_then(|core| core.auto_start).unwrap_or(true)
    }

    /// With Vitess's defaults for option groups that were not given.
    pub(super) fn resolve(&self) -> DiffOptions {
        let core = self.core_options.clone().unwrap_or_else(|| Core {
            auto_retry: true,
            max_extra_rows_to_compare: EXTRA_ROWS_DEFAULT,
            ..Core::default()
        });
        let report = self.report_options.clone().unwrap_or_else(|| Reporting {
            max_sample_rows: SAMPLE_ROWS_DEFAULT,
            row_diff_column_truncate_at: TRUNCATE_DEFAULT,
            ..Reporting::default()
        });
        let names = core.tables.split(',').map(str::trim).filter(|name| !name.is_empty());
        DiffOptions {
            tables: names.map(str::to_owned).collect(),
            auto_retry: core.auto_retry,
            extra_rows_max: limit(core.max_extra_rows_to_compare),
            sample_rows_max: limit(report.max_sample_rows),
            only_pks: report.only_pks,
            debug_query: report.debug_query,
            truncate_at: limit(report.row_diff_column_truncate_at),
        }
    }
}

/// Zero (or less) is no limit.
fn limit(value: i64) -> Option<usize> {
    usize::try_from(value).ok().filter(|value| *value > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_reads_back_with_unknown_fields_ignored() {
        let text = r#"{"core_options":{"tables":"a, b","auto_retry":true,"novel":1},"x":{}}"#;
        let stored: StoredOptions = serde_json::from_str(text).unwrap();
        let options = stored.resolve();
        assert_eq!(options.tables, ["a", "b"]);
        assert_eq!((options.auto_retry, options.extra_rows_max), (true, None));
        assert_eq!(options.sample_rows_max, Some(10));
        let again = serde_json::to_string(&stored).unwrap();
        assert_eq!(serde_json::from_str::<StoredOptions>(&again).unwrap(), stored);
    }

    fn refused(core: Core, picker: Picker) -> String {
        let stored = StoredOptions {
            core_options: Some(core),
            picker_options: Some(picker),
            ..StoredOptions::default()
        };
        stored.check().err().unwrap_or_default()
    }

    #[test]
    fn an_option_that_would_be_ignored_is_refused_by_name() {
        let (core, picker) = (Core::default(), Picker::default());
        let cases = [
            ("max_rows", Core { max_rows: 10, ..core.clone() }, picker.clone()),
            ("timeout_seconds", Core { timeout_seconds: 5, ..core.clone() }, picker.clone()),
            ("max_diff_seconds", Core { max_diff_seconds: 60, ..core.clone() }, picker.clone()),
            (
                "update_table_stats",
                Core { update_table_stats: true, ..core.clone() },
                picker.clone(),
            ),
            ("source_cell", core.clone(), Picker { source_cell: "zone2".into(), ..picker.clone() }),
            ("tablet_types", core, Picker { tablet_types: "replica,rdonly".into(), ..picker }),
        ];
        for (name, core, picker) in cases {
            let refused = refused(core, picker);
            assert!(refused.contains(name), "{name}: {refused}");
        }
    }

    /// One client is to drive Vitess and this tablet.
    #[test]
    fn the_defaults_of_vitess_s_client_are_accepted() {
        let core = Core { max_rows: i64::MAX, timeout_seconds: 30, ..Core::default() };
        let tablet_types = "in_order:RDONLY,REPLICA,PRIMARY".to_owned();
        assert_eq!(refused(core, Picker { tablet_types, ..Picker::default() }), "");
        assert_eq!(StoredOptions::default().check(), Ok(()));
    }

    #[test]
    fn without_options_a_diff_retries_and_starts_at_once() {
        let stored = StoredOptions::from_wire(None);
        assert!(stored.auto_start() && stored.resolve().auto_retry);
    }
}
