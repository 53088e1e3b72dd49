//! Which Vitess it is, and what differs between releases: how options are spelled, which MySQL it knows.

use std::fmt;

/// From this major release on, options are spelled with dashes throughout; before, with underscores.
const DASHES_FROM: u32 = 23;
/// From this major release on, a server that greets as 9.x is known; before, it is taken for a 5.7.
const KNOWS_MYSQL_9_FROM: u32 = 23;
/// The oldest major release that can stand here: VDiff's present records are of v18, and the client's commands
/// of v20.
const OLDEST: u32 = 20;
/// Options that had dashes before all had.
const EARLY_DASHES: [&str; 2] = ["tablet-path", "bind-address"];

/// A release of Vitess.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    text: String,
    major: u32,
}

impl Release {
    /// From what a program of it says for `--version`; none when that is no version.
    #[must_use]
    pub fn read(said: &str) -> Option<Release> {
        // "vttablet version Version: 21.0.1 (Git revision …", also without the first words.
        let (_, after) = said.split_once("Version: ")?;
        let text = after.split_whitespace().next()?.to_owned();
        let major = text.split('.').next()?.parse().ok()?;
        Some(Release { text, major })
    }

    /// Why it cannot stand here; none: it can.
    #[must_use]
    pub fn too_old(&self) -> Option<String> {
        let old = self.major < OLDEST;
        old.then(|| format!("Vitess {self} is too old: v{OLDEST} or later is needed"))
    }

    /// An option as this release spells it, with its value. `name` has dashes.
    #[must_use]
    pub fn option(&self, name: &str, value: impl fmt::Display) -> String {
        let old = self.major < DASHES_FROM && !EARLY_DASHES.contains(&name);
        let name = if old { name.replace('-', "_") } else { name.to_owned() };
        format!("--{name}={value}")
    }

    /// Its log goes to files, unless it is told otherwise.
    #[must_use]
    pub fn logs_to_files(&self) -> bool {
        self.major < DASHES_FROM
    }

    /// As what a MySQL of this version must greet it; none: as what it is.
    #[must_use]
    pub fn greeting_for(&self, mysql: &str) -> Option<&'static str> {
        let major: u32 = mysql.split('.').next()?.parse().ok()?;
        (self.major < KNOWS_MYSQL_9_FROM && major >= 9).then_some("8.4.4")
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(version: &str) -> Release {
        Release::read(&format!("vttablet version Version: {version} (Git revision …)")).unwrap()
    }

    #[test]
    fn options_and_greetings_follow_the_release() {
        let (old, new) = (of("21.0.1"), of("24.0.4"));
        assert_eq!(old.option("grpc-port", 7), "--grpc_port=7");
        assert_eq!(old.option("tablet-path", "a"), "--tablet-path=a");
        assert_eq!(new.option("grpc-port", 7), "--grpc-port=7");
        assert_eq!(old.greeting_for("9.7.4"), Some("8.4.4"));
        assert_eq!((old.greeting_for("8.4.4"), new.greeting_for("9.7.4")), (None, None));
    }

    #[test]
    fn what_is_no_version_or_too_old_is_told() {
        assert_eq!(Release::read("command not found"), None);
        assert_eq!(Release::read("Version: SNAPSHOT"), None);
        assert!(of("19.0.4").too_old().unwrap().contains("19.0.4"));
        assert_eq!(of("20.0.0").too_old(), None);
    }
}
