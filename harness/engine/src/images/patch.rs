//! Somebody's patch of the tablet, applied to a copy of the checkout's sources and never to the
//! checkout itself.
//!
//! `git apply` does the work. What the patch has changed is told by comparing the copy before and
//! after, not by reading the patch.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::process::Command;

use super::{ImageError, command, workspace_root};

/// What may be patched.
const MAY_CHANGE: &str = "tablet/";
/// Of the checkout, what no source is: build outputs (`target…`), history, reports of runs.
const LEFT_OUT: [&str; 3] = ["target", ".git", "runs"];
const APPLY: Duration = Duration::from_secs(60);

/// A patch that applies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Patch {
    file: PathBuf,
}

/// A patch that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PatchError {
    /// It is not there, or no file.
    #[error("the patch {} cannot be read", file.display())]
    Unreadable {
        /// The patch.
        file: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// It is no patch, or one of other sources.
    #[error(
        "the patch {} does not apply: {said}. Expected a unified diff against this checkout, as \
         `git diff` writes it",
        file.display()
    )]
    DoesNotApply {
        /// The patch.
        file: PathBuf,
        /// What `git apply` said.
        said: String,
    },
    /// It changes more than the tablet.
    #[error(
        "the patch {} changes {changes}: only files in {MAY_CHANGE} may be changed, for nothing \
         else is built into the tablet",
        file.display()
    )]
    OutsideTablet {
        /// The patch.
        file: PathBuf,
        /// The files.
        changes: String,
    },
    /// Nothing would be hunted.
    #[error("the patch {} changes no file's content in {MAY_CHANGE}", file.display())]
    ChangesNothing {
        /// The patch.
        file: PathBuf,
    },
    /// The sources could not be copied, or git not be run.
    #[error("the patch {} could not be tried", file.display())]
    Untried {
        /// The patch.
        file: PathBuf,
        /// Why not.
        #[source]
        source: ImageError,
    },
}

impl PatchError {
    /// Whether the patch is to blame, and not the host.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        match self {
            Self::Unreadable { .. }
            | Self::DoesNotApply { .. }
            | Self::OutsideTablet { .. }
            | Self::ChangesNothing { .. } => true,
            Self::Untried { .. } => false,
        }
    }
}

impl Patch {
    /// Tries the patch on a copy of the checkout, which is gone afterwards. No Docker is needed.
    ///
    /// # Errors
    /// See [`PatchError`].
    pub async fn open(file: &Path) -> Result<Self, PatchError> {
        let unreadable = |source| PatchError::Unreadable { file: file.to_owned(), source };
        // Absolute: git runs elsewhere. Read: a directory exists, too.
        let patch = Self { file: file.canonicalize().map_err(unreadable)? };
        std::fs::read(&patch.file).map_err(unreadable)?;
        let root = workspace_root().map_err(|source| patch.untried(source))?;
        let copy = tempfile::tempdir().map_err(|source| {
            patch.untried(ImageError::file("cannot make a temporary directory")(source))
        })?;
        patch.apply(&root, copy.path()).await?;
        Ok(patch)
    }

    /// The file's name.
    #[must_use]
    pub fn name(&self) -> String {
        self.file.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
    }

    /// Copies the sources into the directory `copy` and changes them there.
    pub(super) async fn apply(&self, root: &Path, copy: &Path) -> Result<(), PatchError> {
        copy_sources(root, copy).map_err(|source| self.untried(source))?;
        let before = contents(copy).map_err(|source| self.untried(source))?;
        self.git_apply(copy).await?;
        let after = contents(copy).map_err(|source| self.untried(source))?;
        let changed = changed(&before, &after);
        let outside: Vec<&str> =
            changed.iter().copied().filter(|path| !path.starts_with(MAY_CHANGE)).collect();
        match (changed.is_empty(), outside.is_empty()) {
            (true, _) => Err(PatchError::ChangesNothing { file: self.file.clone() }),
            (false, true) => Ok(()),
            (false, false) => Err(PatchError::OutsideTablet {
                file: self.file.clone(),
                changes: outside.join(", "),
            }),
        }
    }

    async fn git_apply(&self, copy: &Path) -> Result<(), PatchError> {
        let mut git = Command::new("git");
        git.current_dir(copy).args(["apply", "--whitespace=nowarn"]).arg(&self.file);
        // A repository around the copy would make git look for the files at its own root.
        git.env("GIT_CEILING_DIRECTORIES", copy.parent().unwrap_or(copy));
        for variable in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX"] {
            git.env_remove(variable);
        }
        match command::run(&mut git, APPLY, &|_| ()).await {
            Ok(_) => Ok(()),
            Err(ImageError::Command { output, .. }) => Err(PatchError::DoesNotApply {
                file: self.file.clone(),
                said: output.replace('\n', "; "),
            }),
            Err(source) => Err(self.untried(source)),
        }
    }

    fn untried(&self, source: ImageError) -> PatchError {
        PatchError::Untried { file: self.file.clone(), source }
    }
}

fn is_source(name: &str) -> bool {
    !LEFT_OUT.iter().any(|left_out| match *left_out {
        "target" => name.starts_with("target"),
        other => name == other,
    })
}

fn copy_sources(from: &Path, to: &Path) -> Result<(), ImageError> {
    let cannot = || ImageError::file(format!("cannot copy {} to {}", from.display(), to.display()));
    std::fs::create_dir_all(to).map_err(cannot())?;
    for entry in std::fs::read_dir(from).map_err(cannot())? {
        let entry = entry.map_err(cannot())?;
        let name = entry.file_name();
        if !is_source(&name.to_string_lossy()) {
            continue;
        }
        let (kind, to) = (entry.file_type().map_err(cannot())?, to.join(&name));
        if kind.is_dir() {
            copy_sources(&entry.path(), &to)?;
        } else if kind.is_file() {
            std::fs::copy(entry.path(), to).map_err(cannot())?;
        }
    }
    Ok(())
}

/// The hash of each file, by its path below the directory.
fn contents(root: &Path) -> Result<BTreeMap<String, Vec<u8>>, ImageError> {
    fn add(
        root: &Path,
        directory: &Path,
        all: &mut BTreeMap<String, Vec<u8>>,
    ) -> Result<(), ImageError> {
        let cannot = || ImageError::file(format!("cannot read {}", directory.display()));
        for entry in std::fs::read_dir(directory).map_err(cannot())? {
            let path = entry.map_err(cannot())?.path();
            if path.is_dir() {
                add(root, &path, all)?;
                continue;
            }
            let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
            let content = std::fs::read(&path).map_err(cannot())?;
            all.insert(name, Sha256::digest(content).to_vec());
        }
        Ok(())
    }
    let mut all = BTreeMap::new();
    add(root, root, &mut all)?;
    Ok(all)
}

/// The files that are new, gone or different.
fn changed<'a>(
    before: &'a BTreeMap<String, Vec<u8>>,
    after: &'a BTreeMap<String, Vec<u8>>,
) -> Vec<&'a str> {
    let gone = before.keys().filter(|path| !after.contains_key(*path));
    let other = after.iter().filter(|(path, hash)| before.get(*path) != Some(hash));
    gone.chain(other.map(|(path, _)| path)).map(String::as_str).collect()
}

#[cfg(test)]
mod tests;
