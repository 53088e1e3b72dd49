//! The laws of a dataset, held against a comparison of its generated rows in memory.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use records::journal::{Side, TableTruth};
use records::schedule::Workload;

use super::*;

fn workload(
    seed: u64,
    tables: &[&'static Shape],
    rows: u64,
    differences: u32,
    run: u64,
) -> Workload {
    let tables = tables.iter().map(|table| table.name.to_owned()).collect();
    Workload { seed, tables, rows, differences, run_length: run, keys_alike: false }
}

fn text(cell: &Cell) -> String {
    match cell {
        Cell::Text(text) => text.clone(),
        Cell::Null | Cell::Bytes(_) => panic!("a key is text"),
    }
}

/// The table of this name.
fn shape(name: &str) -> &'static Shape {
    shape_of(name).unwrap()
}

/// The key of a row: as printed, and as it sorts, spelled out by hand for each table.
fn key(table: &'static Shape, row: &Row) -> (String, (String, i128)) {
    let plain = |text: &str| -> String {
        let unaccented = |letter| match letter {
            'á' => 'a',
            'é' => 'e',
            'î' => 'i',
            'ö' => 'o',
            'ü' => 'u',
            other => other,
        };
        text.to_lowercase().chars().map(unaccented).collect()
    };
    let number = |index: usize| text(&row[index]).parse::<i128>().unwrap();
    match table.name {
        "customer" | "event" => (text(&row[0]), (String::new(), number(0))),
        "corder" => {
            let printed = format!("{},{}", text(&row[2]), text(&row[0]));
            (printed, (format!("{:020}", number(2)), number(0)))
        }
        "product" => (text(&row[1]), (plain(&text(&row[1])), 0)),
        "document" => {
            let printed = format!("{},{}", text(&row[0]), text(&row[1]));
            (printed, (plain(&text(&row[0])), number(1)))
        }
        "stay" => {
            let printed = format!("{},{}", text(&row[2]), text(&row[0]));
            (printed, (text(&row[2]), number(0)))
        }
        other => panic!("spell out the key of {other}"),
    }
}

type Merged = BTreeMap<(String, i128), [Option<(String, Row)>; 2]>;

/// Both sides by key; fails where a side is not in strict key order.
fn merge(dataset: &Dataset, table: &'static Shape) -> Merged {
    let mut merged = Merged::new();
    for (index, side) in [Side::Source, Side::Target].into_iter().enumerate() {
        let mut last = None;
        for row in dataset.rows(table.name, side) {
            let (printed, order) = key(table, &row);
            assert!(last.as_ref() < Some(&order), "{table} is out of order at {printed}");
            last = Some(order.clone());
            merged.entry(order).or_default()[index] = Some((printed, row));
        }
    }
    merged
}

fn brute_force(merged: &Merged) -> TableTruth {
    let mut truth = TableTruth::default();
    for pair in merged.values() {
        truth.processed += 1;
        match pair {
            [Some((_, source)), Some((_, target))] if source == target => truth.matching += 1,
            [Some((key, _)), Some(_)] => truth.mismatched.push(key.clone()),
            [Some((key, _)), None] => truth.extra_source.push(key.clone()),
            [None, Some((key, _))] => truth.extra_target.push(key.clone()),
            [None, None] => unreachable!("a key without a row"),
        }
    }
    truth.mismatched.sort();
    truth.extra_source.sort();
    truth.extra_target.sort();
    truth
}

fn cursor(table: &'static Shape, printed: &str) -> String {
    let columns: &[&str] = match table.name {
        "customer" | "event" => &["id"],
        "corder" => &["customer_id", "order_no"],
        "product" => &["sku"],
        "document" => &["kind", "id"],
        "stay" => &["day", "room"],
        other => panic!("spell out the key of {other}"),
    };
    let values: Vec<&str> = printed.split(',').collect();
    serde_json::json!({ "columns": columns, "values": values }).to_string()
}

fn tables() -> impl Strategy<Value = Vec<&'static Shape>> {
    proptest::sample::subsequence(SHAPES.to_vec(), 1..=SHAPES.len()).prop_shuffle()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    // A truth that is not what the rows say would make the oracle of exactness judge wrongly.
    #[test]
    fn truth_and_cursors_agree_with_the_rows(
        seed: u64, tables in tables(), rows in 0u64..400, differences in 0u32..80, run in 0u64..90,
    ) {
        let workload = workload(seed, &tables, rows, differences, run);
        let Ok(dataset) = Dataset::new(&workload) else { return Ok(()) };
        let truth = dataset.truth();
        let mut planted = 0;
        let mut total = 0;
        for table in tables {
            let merged = merge(&dataset, table);
            let found = &truth.tables[table.name];
            prop_assert_eq!(found, &brute_force(&merged));
            let rows_of = |side| dataset.row_count(table.name, side).unwrap();
            prop_assert_eq!(rows_of(Side::Source), dataset.rows(table.name, Side::Source).count() as u64);
            prop_assert_eq!(rows_of(Side::Target), dataset.rows(table.name, Side::Target).count() as u64);
            prop_assert_eq!(rows_of(Side::Source), rows);
            planted += found.processed - found.matching;
            total += found.processed;
            for (index, pair) in merged.values().enumerate() {
                for (printed, _) in pair.iter().flatten() {
                    let ordinal = dataset.cursor_ordinal(table.name, &cursor(table, printed));
                    prop_assert_eq!(ordinal, Some(index as u64 + 1));
                }
            }
        }
        prop_assert_eq!(total, dataset.rows_total());
        prop_assert_eq!(planted, u64::from(differences) + 3 * run);
    }

    #[test]
    fn the_same_workload_is_the_same_rows_and_another_seed_is_others(seed: u64, tables in tables()) {
        let all = |seed| -> Vec<Row> {
            let dataset = Dataset::new(&workload(seed, &tables, 200, 20, 10)).unwrap();
            let rows = |name: String| {
                let both = [Side::Source, Side::Target];
                both.into_iter().flat_map(|side| dataset.rows(&name, side).collect::<Vec<_>>()).collect::<Vec<_>>()
            };
            dataset.tables().into_iter().flat_map(rows).collect()
        };
        prop_assert_eq!(all(seed), all(seed));
        prop_assert_ne!(all(seed), all(seed ^ 1));
    }
}

fn issue_workload(seed: u64) -> Workload {
    workload(
        seed,
        &[shape("customer"), shape("corder"), shape("product"), shape("event")],
        20_000,
        37,
        1250,
    )
}

#[test]
fn thirty_seven_differences_hold_every_kind_and_every_table_has_some() {
    for seed in 0..40 {
        let dataset = Dataset::new(&issue_workload(seed)).unwrap();
        let mut seen = BTreeSet::new();
        for name in dataset.tables() {
            let spots: Vec<Spot> = dataset.spots(&name).collect();
            let planted = spots.iter().filter(|spot| **spot != Spot::Equal).count();
            assert!(planted > 0, "nothing in {name}");
            for spot in &spots {
                seen.insert(match spot {
                    Spot::Equal => "equal".to_owned(),
                    Spot::Unequal(flaw) => format!("{flaw:?}"),
                    Spot::OnlySource => "only source".to_owned(),
                    Spot::OnlyTarget => "only target".to_owned(),
                });
            }
            let ends = [
                ("first", &spots[0], &spots[1]),
                ("last", &spots[spots.len() - 1], &spots[spots.len() - 2]),
            ];
            for (end, outer, inner) in ends {
                for spot in [outer, inner] {
                    match spot {
                        Spot::Unequal(_) => seen.insert(format!("{end} row")),
                        Spot::OnlySource | Spot::OnlyTarget => seen.insert(format!("{end} extra")),
                        Spot::Equal => false,
                    };
                }
            }
        }
        // Seven flaws, two kinds of extra rows, equal pairs; first and last, as pair and as extra.
        assert_eq!(seen.len(), 10 + 4, "seed {seed}: {seen:?}");
    }
}

#[test]
fn each_kind_of_run_lies_in_the_middle_of_another_table() {
    let dataset = Dataset::new(&issue_workload(7)).unwrap();
    let mut longest = BTreeMap::new();
    for name in dataset.tables() {
        let spots: Vec<Spot> = dataset.spots(&name).collect();
        for (at, run) in spots.chunk_by(|a, b| kind(a) == kind(b)).scan(0, |at, run| {
            *at += run.len();
            Some((*at - run.len(), run))
        }) {
            if run[0] != Spot::Equal && run.len() >= 1250 {
                let middle = at + run.len() / 2;
                assert!((spots.len() / 5..spots.len() * 4 / 5).contains(&middle), "{name} {at}");
                longest.insert(kind(&run[0]), name.clone());
            }
        }
    }
    assert_eq!(longest.len(), 3);
    assert_eq!(longest.into_values().collect::<BTreeSet<_>>().len(), 3);
}

fn kind(spot: &Spot) -> u8 {
    match spot {
        Spot::Equal => 0,
        Spot::Unequal(_) => 1,
        Spot::OnlySource => 2,
        Spot::OnlyTarget => 3,
    }
}

// Guards the promise that a schedule replays to the same data with a later build.
#[test]
fn the_bytes_of_a_seed_do_not_change_between_builds() {
    use sha2::{Digest, Sha256};
    let before = ["corder", "customer", "document", "event", "product"].map(shape);
    let dataset = Dataset::new(&workload(7, &before, 300, 40, 20)).unwrap();
    let mut hash = Sha256::new();
    for name in dataset.tables() {
        for side in [Side::Source, Side::Target] {
            for row in dataset.rows(&name, side) {
                hash.update(format!("{row:?}"));
            }
        }
    }
    let digest = hex::encode(hash.finalize());
    assert_eq!(digest, "0817180f3175e7203fbc5b97db8500e039ff5f9132e1790bc2787543bcaca268");
}

#[test]
fn a_million_rows_have_a_truth_and_cursors_without_a_scan() {
    let dataset = Dataset::new(&workload(3, &SHAPES, 1_000_000, 37, 2500)).unwrap();
    let truth = dataset.truth();
    let begun = std::time::Instant::now();
    for table in SHAPES {
        for key in truth.tables[table.name].extra_target.iter().step_by(40) {
            assert!(dataset.cursor_ordinal(table.name, &cursor(table, key)).is_some());
        }
    }
    assert!(begun.elapsed().as_secs() < 10, "cursors are found by scanning");
}

#[test]
fn cursors_between_before_and_behind_keys_count_what_lies_below() {
    let dataset = Dataset::new(&workload(1, &[shape("customer")], 100, 0, 0)).unwrap();
    let at = |value: &str| dataset.cursor_ordinal("customer", &cursor(shape("customer"), value));
    assert_eq!(at("-1000"), Some(0));
    assert_eq!(at("1000"), Some(100));
    assert_eq!(
        dataset.cursor_ordinal("customer", r#"{"columns":["id"],"values":[1000]}"#),
        Some(100)
    );
    for wrong in [
        "",
        "{}",
        r#"{"columns":["id"],"values":[]}"#,
        r#"{"columns":["x"],"values":["1"]}"#,
        r#"{"columns":["id"],"values":["one"]}"#,
        r#"{"columns":["id"],"values":[null]}"#,
    ] {
        assert_eq!(dataset.cursor_ordinal("customer", wrong), None, "{wrong}");
    }
    assert_eq!(dataset.cursor_ordinal("nobody", r#"{"columns":["id"],"values":["1"]}"#), None);
}

#[test]
fn what_cannot_be_made_is_refused_with_what_to_do() {
    let error = |workload: Workload| Dataset::new(&workload).unwrap_err().to_string();
    let mut unknown = workload(1, &[], 10, 0, 0);
    assert_eq!(
        error(unknown.clone()),
        "tables: the list is empty; name at least one of corder, customer, document, event, product, stay"
    );
    unknown.tables = vec!["orders".to_owned()];
    assert_eq!(
        error(unknown),
        "tables: there is no table 'orders' in the catalogue; known are corder, customer, document, event, product, stay"
    );
    assert_eq!(
        error(workload(1, &[shape("event"); 2], 10, 0, 0)),
        "tables: 'event' is listed twice; name each table once"
    );
    assert_eq!(
        error(workload(1, &[shape("event")], 10, 0, 9)),
        "rows: 10 rows are too few for what is to be planted in 'event', which needs at least 18; \
         raise rows, or lower differences or run_length, or name more tables"
    );
    assert_eq!(
        error(workload(1, &[shape("event")], u64::MAX, 0, 9)),
        format!("rows: {} is more than the 100000000 that can be made; lower it", u64::MAX)
    );
}

#[test]
fn a_workflow_names_its_tables() {
    let dataset =
        Dataset::new(&workload(1, &[shape("customer"), shape("corder")], 1, 0, 0)).unwrap();
    assert_eq!(
        dataset.workflow_source("commerce", "0"),
        r#"keyspace:"commerce" shard:"0" filter:{rules:{match:"customer" filter:"select * from customer"} rules:{match:"corder" filter:"select * from corder"}}"#
    );
}
