//! That no crate of the workspace has a circle between its modules (between crates the compiler sees to it), and
//! that what is our tablet's own stays in its crate.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The modules that each module of a crate uses.
type Uses = BTreeMap<String, BTreeSet<String>>;

#[test]
fn no_crate_has_a_circle_between_its_modules() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let crates = crates(root);
    assert!(crates.len() > 10, "{crates:?}");
    let told = crates.iter().filter_map(|sources| {
        let uses = uses(sources);
        let circle = circle(&uses)?;
        Some(format!("{}: {}", sources.display(), circle.join(" → ")))
    });
    let told: Vec<String> = told.collect();
    assert!(told.is_empty(), "{}", told.join("\n"));
}

/// Words of systems under test: columns, tables of the sidecar, texts of a log, pages, variables and options.
const WORDS: [&str; 14] = [
    "_vt.",
    "vdiff_table",
    "vdiff_log",
    "vreplication",
    "error_kind",
    "owner_epoch",
    "/debug/",
    "/readyz",
    "TasksAlive",
    "TabletType\"",
    "VDiffActionsTotal",
    "RowStreams",
    "--vdiff-",
    "State changed to",
];

// What knows a system's words outside its crate would judge or hurt no other one.
#[test]
fn a_systems_words_are_known_in_its_own_crate_only() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut told = Vec::new();
    for sources in crates(root) {
        let name = sources.strip_prefix(root).unwrap().to_str().unwrap();
        let of_systems = ["system-tablet", "system-vitess", "sidecar"];
        if name.starts_with("tablet") || of_systems.iter().any(|own| name.contains(own)) {
            continue;
        }
        // Samples are for tests, and this list knows the words itself.
        let ours = |file: &PathBuf| !file.ends_with("sample.rs") && !file.ends_with("layers.rs");
        for file in files(&sources).into_iter().filter(ours) {
            let text = std::fs::read_to_string(&file).unwrap();
            // A test may show what a system says.
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            let lines = code.lines().enumerate();
            for (number, line) in lines.filter(|(_, line)| !line.trim_start().starts_with("//")) {
                let known = WORDS.into_iter().filter(|word| line.contains(word));
                told.extend(known.map(|word| format!("{}:{}: {word}", file.display(), number + 1)));
            }
        }
    }
    assert!(told.is_empty(), "{}", told.join("\n"));
}

/// The directories of sources of all crates.
fn crates(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() && path.join("Cargo.toml").is_file() {
            found.push(path.join("src"));
        }
        if path.is_dir() && !name.starts_with('.') && !name.starts_with("target") && name != "src" {
            found.extend(crates(&path));
        }
    }
    found
}

fn uses(sources: &Path) -> Uses {
    let mut uses = Uses::new();
    for file in files(sources) {
        let path = file.strip_prefix(sources).unwrap().with_extension("");
        let depth = path.iter().count();
        let module = path.iter().next().unwrap().to_str().unwrap().to_owned();
        let text = std::fs::read_to_string(&file).unwrap();
        uses.entry(module).or_default().extend(named(&text, depth));
    }
    // What a path names may be an item of the crate's root, and a module is none of its own users.
    let modules: BTreeSet<String> = uses.keys().cloned().collect();
    for (module, used) in &mut uses {
        used.retain(|name| name != module && modules.contains(name));
    }
    uses
}

/// Files of modules, without those of tests: they may use what they like.
fn files(directory: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let is_root = ["lib.rs", "main.rs"].contains(&name.as_str());
        match path.is_dir() {
            true if name != "tests" => all.extend(files(&path)),
            false if name.ends_with(".rs") && name != "tests.rs" && !is_root => all.push(path),
            _ => {}
        }
    }
    all
}

/// What a file at this depth names of its crate's root: after `crate::`, and after as many `super::` as
/// lead there.
fn named(text: &str, depth: usize) -> BTreeSet<String> {
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap_or(text);
    let code: Vec<&str> =
        text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let text = &code.join("\n");
    let from_root = "super::".repeat(depth);
    let mut names = BTreeSet::new();
    for prefix in ["crate::", from_root.as_str()] {
        for (at, _) in text.match_indices(prefix) {
            let before = text[..at].chars().next_back();
            if before.is_none_or(|c| !c.is_alphanumeric() && c != '_' && c != ':') {
                names.extend(first_names(&text[at + prefix.len()..]));
            }
        }
    }
    names
}

/// `a::B` names `a`; `{a::B, c}` names `a` and `c`.
fn first_names(path: &str) -> Vec<String> {
    let word = |text: &str| {
        text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
    };
    let Some(group) = path.strip_prefix('{') else { return vec![word(path)] };
    let (mut depth, mut names, mut at) = (0_i32, vec![word(group)], group);
    while let Some(next) = at.find(['{', '}', ',']) {
        let (mark, rest) = (at.as_bytes()[next], &at[next + 1..]);
        match mark {
            b'{' => depth += 1,
            b'}' if depth == 0 => break,
            b'}' => depth -= 1,
            _ if depth == 0 => names.push(word(rest)),
            _ => {}
        }
        at = rest;
    }
    names
}

/// A way from a module back to itself.
fn circle(uses: &Uses) -> Option<Vec<&str>> {
    let mut done = BTreeSet::new();
    uses.keys().find_map(|module| way_back(uses, module, &mut Vec::new(), &mut done))
}

fn way_back<'a>(
    uses: &'a Uses,
    module: &'a str,
    way: &mut Vec<&'a str>,
    done: &mut BTreeSet<&'a str>,
) -> Option<Vec<&'a str>> {
    if let Some(begin) = way.iter().position(|other| *other == module) {
        return Some([&way[begin..], &[module]].concat());
    }
    if !done.insert(module) {
        return None;
    }
    way.push(module);
    let found = uses[module].iter().find_map(|next| way_back(uses, next, way, done));
    way.pop();
    found
}

#[test]
fn what_a_file_names_is_found() {
    let text = "//! See [`crate::run`].\nuse crate::docker::Run;\nuse crate::{a::{B, C}, d};\nuse super::e;\nfn f() \
                { crate::errors::chain(e); other_crate::x() }\n#[cfg(test)]\nmod tests { use crate::cli; }";
    let found = |depth| named(text, depth).into_iter().collect::<Vec<_>>().join(" ");
    assert_eq!(found(1), "a d docker e errors");
    assert_eq!(found(2), "a d docker errors", "one super is the module's own");
}

#[test]
fn a_circle_is_told_with_its_way() {
    let uses = |pairs: &[(&str, &[&str])]| -> Uses {
        let of = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        pairs.iter().map(|(module, used)| ((*module).to_owned(), of(used))).collect()
    };
    let round = uses(&[("a", &["b"]), ("b", &["c", "d"]), ("c", &[]), ("d", &["b"])]);
    assert_eq!(circle(&round), Some(vec!["b", "d", "b"]));
    assert_eq!(circle(&uses(&[("a", &["b", "c"]), ("b", &["c"]), ("c", &[])])), None);
}
