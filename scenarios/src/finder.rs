//! What a feature file is: the one answer of program, tests and floor.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::bad::BadFeatures;

/// The feature files of a directory and all below it, by path; a file is taken whatever it is called.
///
/// In a directory, a feature file ends in `.feature`, in letters of any case. Links are followed, to files
/// and to directories; what is reached twice is taken once. A directory that is called like a file is a
/// directory.
///
/// # Errors
/// With all directories that cannot be read.
pub(crate) fn files(features: &Path) -> Result<Vec<PathBuf>, BadFeatures> {
    let mut found = Found::default();
    found.look(features, true);
    found.files.sort();
    found.bad.none_or_err()?;
    Ok(found.files)
}

#[derive(Default)]
struct Found {
    files: Vec<PathBuf>,
    seen: BTreeSet<PathBuf>,
    bad: BadFeatures,
}

impl Found {
    fn look(&mut self, path: &Path, is_asked_for: bool) {
        let is_feature =
            path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("feature"));
        // A link that leads nowhere is told if somebody could mean it.
        let real = match path.canonicalize() {
            Ok(real) => real,
            Err(error) if is_feature || is_asked_for => return self.bad.add(path, error),
            Err(_) => return,
        };
        let is_wanted = real.is_dir() || is_feature || is_asked_for;
        if !is_wanted || !self.seen.insert(real.clone()) {
            return;
        }
        if !real.is_dir() {
            return self.files.push(path.to_owned());
        }
        let entries = std::fs::read_dir(path)
            .and_then(|entries| entries.collect::<Result<Vec<_>, std::io::Error>>());
        match entries {
            Err(error) => self.bad.add(path, error),
            Ok(mut entries) => {
                entries.sort_by_key(std::fs::DirEntry::file_name);
                for entry in entries {
                    self.look(&entry.path(), false);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(root: &Path) -> Vec<String> {
        let name = |path: PathBuf| path.strip_prefix(root).unwrap().display().to_string();
        files(root).unwrap().into_iter().map(name).collect()
    }

    // cucumber's own walker ignores the case and does not follow links: two answers to one question.
    #[test]
    fn letter_case_links_and_directories_with_the_name_of_a_file() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        std::fs::create_dir_all(at("x.feature/deep")).unwrap();
        for file in ["a.FEATURE", "b.feature", "c.txt", "x.feature/deep/d.feature"] {
            std::fs::write(at(file), "").unwrap();
        }
        let elsewhere = tempfile::tempdir().unwrap();
        std::fs::write(elsewhere.path().join("e.feature"), "").unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), at("linked")).unwrap();
        std::os::unix::fs::symlink(root.path(), at("x.feature/loop")).unwrap();
        std::os::unix::fs::symlink(at("b.feature"), at("twice.feature")).unwrap();
        let expected = ["a.FEATURE", "b.feature", "linked/e.feature", "x.feature/deep/d.feature"];
        assert_eq!(names(root.path()), expected);
        assert_eq!(files(&at("c.txt")).unwrap(), [at("c.txt")]);
    }

    #[test]
    fn what_is_not_there_is_named() {
        let root = tempfile::tempdir().unwrap();
        for gone in ["gone.feature", "also.feature"] {
            std::os::unix::fs::symlink("/nowhere", root.path().join(gone)).unwrap();
        }
        let error = files(root.path()).unwrap_err().to_string();
        assert!(error.contains("gone.feature") && error.contains("also.feature"), "{error}");
        assert!(files(&root.path().join("missing")).is_err());
        assert!(files(tempfile::tempdir().unwrap().path()).unwrap().is_empty());
    }
}
