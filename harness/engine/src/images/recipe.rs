//! The recipes of `ci/images/`, compiled in: an installed program builds the same images as a
//! checkout.

use std::collections::BTreeMap;

use serde::Deserialize;
use sha2::{Digest, Sha256};

/// The recipes and the files that they name.
const MYSQL: &str = include_str!("../../../../ci/images/mysql.json");
const ETCD: &str = include_str!("../../../../ci/images/etcd.json");
const FILES: &[(&str, &str)] = &[("mysql.cnf", MYSQL_SETTINGS)];

/// The settings of every MySQL server of a run.
pub const MYSQL_SETTINGS: &str = include_str!("../../../../ci/images/mysql.cnf");

/// Raised when the code that follows a recipe changes what comes out.
const BUILDER: u32 = 1;

/// How a server's image is made of a distribution's packages.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// `mysql` or `etcd`.
    pub name: String,
    /// The distribution's suite.
    pub(crate) suite: String,
    /// Packages, whose dependencies come along.
    pub(crate) packages: Vec<String>,
    /// Packages whose names begin so are not unpacked.
    pub(crate) leave_out: Vec<String>,
    /// Paths removed after unpacking.
    pub(crate) prune: Vec<String>,
    /// Directories made.
    pub(crate) directories: Vec<String>,
    /// Files added: path in the image, name of the file beside the recipe.
    pub(crate) files: BTreeMap<String, String>,
    /// The image's command.
    pub(crate) command: Vec<String>,
    /// The image's environment.
    pub(crate) environment: Vec<String>,
    /// A command run once, whose traces become part of the image.
    #[serde(default)]
    pub(crate) first_boot: Option<FirstBoot>,
    /// The official image, where packages cannot be had.
    pub official: String,
}

/// See [`Recipe::first_boot`].
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FirstBoot {
    pub(crate) command: Vec<String>,
    pub(crate) deadline_s: u64,
    /// Paths that must not become part of the image.
    pub(crate) forget: Vec<String>,
}

impl Recipe {
    /// MySQL's.
    #[must_use]
    pub fn mysql() -> Self {
        parse(MYSQL)
    }

    /// etcd's.
    #[must_use]
    pub fn etcd() -> Self {
        parse(ETCD)
    }

    /// The same server from other sources: one package, and another official image.
    #[must_use]
    pub fn with_source(mut self, package: &str, official: &str) -> Self {
        self.packages = vec![package.to_owned()];
        self.official = official.to_owned();
        self
    }

    /// The reference of the image that this very recipe makes.
    #[must_use]
    pub fn reference(&self) -> String {
        format!("{}:{}", repository(&self.name), self.tag())
    }

    /// The hash of everything that the recipe puts in.
    pub(crate) fn tag(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(BUILDER.to_le_bytes());
        hash.update(std::env::consts::ARCH);
        for text in [MYSQL, ETCD] {
            let known = parse(text);
            if known.name == self.name {
                hash.update(text);
                if known.packages != self.packages {
                    hash.update(self.packages.join(" "));
                }
            }
        }
        for name in self.files.values() {
            hash.update(file(name));
        }
        short_hash(hash)
    }
}

/// The repository of one of our images.
pub(crate) fn repository(name: &str) -> String {
    format!("vdiff-chaos/{name}")
}

/// The content of a file beside the recipe.
pub(crate) fn file(name: &str) -> &'static str {
    FILES.iter().find(|(known, _)| *known == name).map_or("", |(_, content)| content)
}

/// Twelve digits are enough to tell versions apart, and short enough to read.
pub(crate) fn short_hash(hash: Sha256) -> String {
    hex::encode(hash.finalize())[..12].to_owned()
}

fn parse(text: &str) -> Recipe {
    serde_json::from_str(text).expect("a recipe is compiled in, and a test reads it")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recipes_are_readable_and_name_only_files_that_exist() {
        for recipe in [Recipe::mysql(), Recipe::etcd()] {
            for name in recipe.files.values() {
                assert!(!file(name).is_empty(), "{name}");
            }
            assert_eq!(recipe.tag().len(), 12);
        }
        assert_ne!(Recipe::mysql().reference(), Recipe::etcd().reference());
    }
}
