//! The tablet's image: a static binary and the memory helper, from scratch. One builder serves the
//! program and the tests.
//!
//! The compilation has a target directory and a profile of its own, and takes no compiler settings
//! from the environment, so that it neither disturbs nor depends on what the developer compiles. Its
//! tag is the hash of all sources: with the image there, no compiler runs.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::process::Command;

use super::lock::BuildLock;
use super::packages::label;
use super::patch::Patch;
use super::recipe::{repository, short_hash};
use super::{Image, ImageError, Say, command, local};
use crate::docker::{Engine, RootFileSystem, Tar};

/// A first compilation, dependencies included, on a slow machine.
const COMPILE: Duration = Duration::from_secs(30 * 60);
/// The image of a patched tablet.
const PATCHED: &str = "tablet-patched";
/// The memory helper in the image.
pub const HELPER: &str = "/chaos-helper";
/// Raised when the image's layout changes.
const BUILDER: u32 = 2;
/// Memory that was freed goes back to the kernel: a tablet that stopped a diff for memory pressure
/// would otherwise sit at the mark for good. glibc's threshold for large blocks grows with use and
/// leaves them in its arenas; MySQL's driver keeps up to 128 buffers of 4 MiB each.
const MEMORY_SETTINGS: &str = "ENV MALLOC_ARENA_MAX=2 MALLOC_MMAP_THRESHOLD_=65536 \
     MALLOC_TRIM_THRESHOLD_=65536 MYSQL_ASYNC_BUFFER_SIZE_CAP=65536";
/// Everything that the two binaries are made of.
const SOURCES: [&str; 5] =
    ["Cargo.lock", "Cargo.toml", "rust-toolchain.toml", "tablet", "harness/helper"];
/// Settings of cargo that say where things are, not how to compile.
const KEEP: [&str; 6] = [
    "CARGO_HOME",
    "CARGO_HTTP_",
    "CARGO_NET_",
    "CARGO_REGISTRIES_",
    "CARGO_REGISTRY_",
    "CARGO_SOURCE_",
];

/// Makes sure that the image of this checkout's tablet exists.
pub(super) async fn ensure(
    engine: &Engine,
    seeded_bugs: bool,
    progress: Say<'_>,
) -> Result<Image, ImageError> {
    let root = workspace_root()?;
    let (tag, reference) = reference(seeded_bugs)?;
    let name = name(seeded_bugs);
    if let Some(image) = local(engine, &reference).await? {
        return Ok(image);
    }
    let say = |text: &str| progress(&format!("{name}: {text}"));
    let target = root.join("target/image");
    let _lock = BuildLock::take(&target.join("build.lock"), &say).await?;
    let build = Build { sources: &root, target: &target, name, tag, seeded_bugs };
    build.ensure(engine, &say).await
}

/// Makes sure that the image of the patched tablet exists. Its sources are always at the same place:
/// cargo would keep what it compiles at each new one for ever. Its target directory is its own: cargo
/// knows the packages of a workspace by their place in it, and by the age of their files, and would
/// take the patched tablet for the one of the checkout.
pub(super) async fn ensure_patched(
    engine: &Engine,
    patch: &Patch,
    progress: Say<'_>,
) -> Result<Image, ImageError> {
    let root = workspace_root()?;
    let say = |text: &str| progress(&format!("{PATCHED}: {text}"));
    let target = root.join("target/image-patched");
    let _lock = BuildLock::take(&target.join("build.lock"), &say).await?;
    let sources = Scratch::new(target.join("sources"))?;
    let applied = patch.apply(&root, &sources.0).await;
    applied.map_err(|error| ImageError::Patch(Box::new(error)))?;
    let tag = hash_of_sources(&sources.0, PATCHED)?;
    let build =
        Build { sources: &sources.0, target: &target, name: PATCHED, tag, seeded_bugs: false };
    build.ensure(engine, &say).await
}

/// The memory helper, as a static binary for any container, compiled from this checkout.
///
/// # Errors
/// When this is no checkout, or it does not compile.
pub async fn helper(progress: Say<'_>) -> Result<Vec<u8>, ImageError> {
    let root = workspace_root()?;
    let target = root.join("target/image");
    let _lock = BuildLock::take(&target.join("build.lock"), progress).await?;
    let packages = ["--package", "chaos-helper"];
    let path = compile(&root, &target, &packages, progress).await?.join("chaos-helper");
    std::fs::read(&path).map_err(ImageError::file(format!("cannot read {}", path.display())))
}

/// An empty directory that is removed when it is done with.
struct Scratch(PathBuf);

impl Scratch {
    fn new(path: PathBuf) -> Result<Self, ImageError> {
        match std::fs::remove_dir_all(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(ImageError::file(format!("cannot empty {}", path.display()))(error))
            }
            // Files of a build that was killed are gone, or there were none.
            Ok(()) | Err(_) => Ok(Self(path)),
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(path = %self.0.display(), %error, "patched sources were not removed");
        }
    }
}

/// One build, under the build lock.
struct Build<'a> {
    sources: &'a Path,
    target: &'a Path,
    name: &'static str,
    tag: String,
    seeded_bugs: bool,
}

impl Build<'_> {
    async fn ensure(self, engine: &Engine, say: Say<'_>) -> Result<Image, ImageError> {
        let reference = format!("{}:{}", repository(self.name), self.tag);
        if let Some(image) = local(engine, &reference).await? {
            return Ok(image);
        }
        same_architecture(engine).await?;
        say("compiling (minutes the first time)");
        let mut packages = vec!["--package", "tablet", "--package", "chaos-helper"];
        if self.seeded_bugs {
            packages.extend(["--features", "tablet/seeded-bugs"]);
        }
        let binaries = compile(self.sources, self.target, &packages, say).await?;
        import(engine, &binaries, self.name, &self.tag).await?;
        say("built");
        local(engine, &reference)
            .await?
            .ok_or_else(|| ImageError::NoPackages(format!("{reference} vanished after its build")))
    }
}

async fn import(engine: &Engine, binaries: &Path, name: &str, tag: &str) -> Result<(), ImageError> {
    let mut tar = Tar::default();
    for directory in ["etc/", "etc/tablet/", "proc/", "sys/", "dev/"] {
        tar.directory(directory, 0o755);
    }
    tar.directory("tmp/", 0o1777);
    for binary in ["tablet", "chaos-helper"] {
        let path = binaries.join(binary);
        let bytes = std::fs::read(&path)
            .map_err(ImageError::file(format!("cannot read {}", path.display())))?;
        tar.file(binary, 0o755, &bytes);
    }
    let changes =
        vec!["ENTRYPOINT [\"/tablet\"]".to_owned(), MEMORY_SETTINGS.to_owned(), label(name)];
    engine
        .import(&repository(name), tag, RootFileSystem::Bytes(tar.finish()), changes)
        .await
        .map(|_| ())
        .map_err(ImageError::engine(name))
}

/// Tag and reference of the image that the checkout makes.
pub(super) fn reference(seeded_bugs: bool) -> Result<(String, String), ImageError> {
    let name = name(seeded_bugs);
    let tag = hash_of_sources(&workspace_root()?, name)?;
    let reference = format!("{}:{tag}", repository(name));
    Ok((tag, reference))
}

fn name(seeded_bugs: bool) -> &'static str {
    if seeded_bugs { "tablet-seeded" } else { "tablet" }
}

/// The checkout: where this program was compiled, or around the current directory.
pub fn workspace_root() -> Result<PathBuf, ImageError> {
    let is_root = |path: &Path| path.join("tablet/Cargo.toml").is_file();
    let compiled_in = Path::new(env!("CARGO_MANIFEST_DIR"));
    let current = std::env::current_dir().unwrap_or_default();
    let mut candidates = compiled_in.ancestors().chain(current.ancestors());
    candidates.find(|path| is_root(path)).map(Path::to_path_buf).ok_or_else(|| {
        ImageError::NoWorkspace { looked: format!("{} and its parents", current.display()) }
    })
}

/// What this program compiles runs only on an engine of the same architecture.
pub(super) async fn same_architecture(engine: &Engine) -> Result<(), ImageError> {
    let facts = engine.facts().await.map_err(ImageError::engine("any"))?;
    let host = std::env::consts::ARCH;
    if facts.arch == host {
        return Ok(());
    }
    Err(ImageError::Architecture { engine: facts.arch, host: host.to_owned() })
}

async fn compile(
    root: &Path,
    target: &Path,
    packages: &[&str],
    say: Say<'_>,
) -> Result<PathBuf, ImageError> {
    let triple = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut cargo = Command::new(program);
    for (key, _) in std::env::vars_os() {
        let name = key.to_string_lossy();
        let kept = KEEP.iter().any(|prefix| name.starts_with(prefix));
        let compiler = ["CARGO", "RUSTC", "RUSTFLAGS", "RUSTDOC", "TARGET_"]
            .iter()
            .any(|prefix| name.starts_with(prefix));
        if compiler && !kept {
            cargo.env_remove(&key);
        }
    }
    cargo
        .current_dir(root)
        .env("RUSTFLAGS", "-C target-feature=+crt-static")
        .env("RUSTC_WRAPPER", "")
        .env("CARGO_TARGET_DIR", target)
        .args(["build", "--locked", "--profile", "image", "--target", &triple])
        .args(packages);
    let watch = |line: &str| {
        let line = line.trim();
        if line.starts_with("Compiling") || line.starts_with("Downloading") {
            say(line);
        }
    };
    command::run(&mut cargo, COMPILE, &watch).await?;
    Ok(target.join(triple).join("image"))
}

fn hash_of_sources(root: &Path, name: &str) -> Result<String, ImageError> {
    let mut hash = Sha256::new();
    hash.update(BUILDER.to_le_bytes());
    hash.update(name);
    hash.update(std::env::consts::ARCH);
    for source in SOURCES {
        hash_path(&mut hash, root, &root.join(source))?;
    }
    Ok(short_hash(hash))
}

/// Adds a file, or a directory with all below it, by name and content.
fn hash_path(hash: &mut Sha256, root: &Path, path: &Path) -> Result<(), ImageError> {
    let cannot = || ImageError::file(format!("cannot read {}", path.display()));
    if path.is_dir() {
        let entries = std::fs::read_dir(path).map_err(cannot())?;
        let mut paths = entries
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<Vec<_>, _>>()
            .map_err(cannot())?;
        paths.sort();
        return paths.iter().try_for_each(|path| hash_path(hash, root, path));
    }
    let content = std::fs::read(path).map_err(cannot())?;
    let name = path.strip_prefix(root).unwrap_or(path).to_string_lossy();
    // Lengths between the parts: no two trees have the same text.
    hash.update((name.len() as u64).to_le_bytes());
    hash.update(name.as_bytes());
    hash.update((content.len() as u64).to_le_bytes());
    hash.update(&content);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_a_moved_and_an_added_byte_each_change_the_hash() {
        let dir = tempfile::tempdir().unwrap();
        let hash = || {
            let mut hash = Sha256::new();
            hash_path(&mut hash, dir.path(), dir.path()).unwrap();
            short_hash(hash)
        };
        let mut seen = vec![];
        for files in
            [[("a", "xy"), ("b", "z")], [("a", "x"), ("b", "yz")], [("a", "xy"), ("c", "z")]]
        {
            for (name, content) in files {
                std::fs::write(dir.path().join(name), content).unwrap();
            }
            seen.push(hash());
        }
        assert_eq!(seen[0].len(), 12);
        assert!(seen[0] != seen[1] && seen[1] != seen[2] && seen[0] != seen[2]);
    }
}
