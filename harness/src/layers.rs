//! The layers of this crate: a module uses those before it in the list, and no other.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The modules, the lowest first.
const LAYERS: [&str; 30] = [
    "errors",
    "version",
    "naive",
    "history",
    "journal",
    "workload",
    "plan",
    // What runs in containers.
    "docker",
    "images",
    "clean",
    "cluster",
    "proxy",
    "tablet",
    "survey",
    "prepare",
    "observer",
    // What judges: records only.
    "oracle",
    "judge",
    "merge",
    // What a trial does.
    "stage",
    "trigger",
    "fault",
    "trial",
    // Many trials.
    "campaign",
    "crash_points",
    "zoo",
    "memory",
    "shrink",
    // The program.
    "doctor",
    "cli",
];

#[test]
fn a_module_uses_only_those_below_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    for file in sources(&root) {
        let path = file.strip_prefix(&root).unwrap();
        let module = path.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs");
        if module == "lib" || module == "layers" {
            continue;
        }
        let text = std::fs::read_to_string(&file).unwrap();
        let above = used_above(module, &text);
        wrong.extend(above.iter().map(|used| format!("{} uses {used}", path.display())));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What a module's file uses and must not: what lies above it, or in no layer.
fn used_above<'a>(module: &str, text: &'a str) -> Vec<&'a str> {
    let rank: BTreeMap<&str, usize> = LAYERS.into_iter().zip(0..).collect();
    let mine = rank.get(module).unwrap_or_else(|| panic!("{module} is in no layer"));
    let mut used = used_modules(text);
    used.retain(|used| rank.get(used).is_none_or(|theirs| theirs > mine));
    used
}

/// The modules of this crate that a file names; the tests of a module may use what they like.
fn used_modules(text: &str) -> Vec<&str> {
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap_or(text);
    let after = text.match_indices("crate::").filter_map(|(at, _)| {
        let is_own =
            text[..at].chars().next_back().is_none_or(|c| !c.is_alphanumeric() && c != '_');
        is_own.then(|| &text[at + "crate::".len()..])
    });
    let names = after.map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        assert!(end > 0, "write one use for each module, not crate::{{…}}");
        &rest[..end]
    });
    names.collect()
}

fn sources(directory: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        match path.is_dir() {
            true if name != "tests" => all.extend(sources(&path)),
            false if name.ends_with(".rs") && name != "tests.rs" => all.push(path),
            _ => {}
        }
    }
    all
}

#[test]
fn what_a_file_names_is_found() {
    let text = "use crate::docker::Run;\nfn f() { crate::errors::chain(e) }\n\
                #[cfg(test)]\nmod tests { use crate::cli; }";
    assert_eq!(used_modules(text), ["docker", "errors"]);
    assert_eq!(used_above("cli", text), [""; 0]);
    assert_eq!(used_above("errors", text), ["docker"]);
    assert_eq!(used_above("stage", "use crate::trial::run_trial;"), ["trial"]);
}
