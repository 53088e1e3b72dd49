//! Which source the program was built from: two builds of one version may differ, and their reports say so.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::process::Command;

fn main() {
    for source in ["src", "../src", "../../reports/src", "../../scenarios/src", "../../Cargo.lock"]
    {
        println!("cargo:rerun-if-changed={source}");
    }
    if let Some(log) = git(&["rev-parse", "--git-path", "logs/HEAD"]) {
        println!("cargo:rerun-if-changed={}", String::from_utf8_lossy(&log).trim());
    }
    let version = env!("CARGO_PKG_VERSION");
    let build = build().map_or(version.to_owned(), |build| format!("{version} ({build})"));
    println!("cargo:rustc-env=VDIFF_CHAOS_BUILD={build}");
}

/// The commit, and a digest of what was changed since; none outside a checkout.
fn build() -> Option<String> {
    let commit = git(&["rev-parse", "--short=9", "HEAD"])?;
    let commit = String::from_utf8(commit).ok()?.trim().to_owned();
    let changed = git(&["diff", "HEAD"])?;
    if changed.is_empty() {
        return Some(commit);
    }
    let mut digest = DefaultHasher::new();
    changed.hash(&mut digest);
    Some(format!("{commit}+{:08x}", digest.finish() >> 32))
}

fn git(arguments: &[&str]) -> Option<Vec<u8>> {
    let done = Command::new("git").args(arguments).output().ok()?;
    done.status.success().then_some(done.stdout)
}
