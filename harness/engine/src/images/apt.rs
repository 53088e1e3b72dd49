//! Getting packages from the distribution, signed, without touching the host's own package state:
//! apt with a state, a cache and sources of its own.
//!
//! The mirror is the one that the host's own sources name. A host whose sources are pinned to a
//! snapshot gets the suite from the same snapshot.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::process::Command;

use super::{ImageError, Say, command};

const UPDATE: Duration = Duration::from_secs(120);
const DOWNLOAD: Duration = Duration::from_secs(600);
const KEYRINGS: [&str; 2] = [
    "/usr/share/keyrings/debian-archive-keyring.gpg",
    "/usr/share/keyrings/debian-archive-keyring.pgp",
];

/// What the host offers for a build from packages.
#[derive(Clone, Debug)]
pub(crate) struct PackageHost {
    /// Mirrors of the distribution's main archive, in the order in which they are tried.
    pub(crate) mirrors: Vec<String>,
    /// The distribution's keyring.
    pub(crate) keyring: PathBuf,
}

/// Looks at the host; the error says what is missing.
pub(crate) fn host() -> Result<PackageHost, ImageError> {
    for tool in ["apt-get", "apt-config", "dpkg-deb", "tar"] {
        if !in_path(tool) {
            return Err(ImageError::NoPackages(format!("`{tool}` is not installed")));
        }
    }
    let keyring = KEYRINGS.iter().map(PathBuf::from).find(|path| path.is_file());
    let keyring = keyring.ok_or_else(|| {
        ImageError::NoPackages(
            "Debian's keyring is not installed (package debian-archive-keyring)".to_owned(),
        )
    })?;
    let mirrors = mirrors(&sources());
    if mirrors.is_empty() {
        let why = "the host's apt sources name no mirror of Debian".to_owned();
        return Err(ImageError::NoPackages(why));
    }
    Ok(PackageHost { mirrors, keyring })
}

/// Downloads packages with their dependencies into `directory`; returns the package files.
pub(super) async fn download(
    host: &PackageHost,
    directory: &Path,
    suite: &str,
    packages: &[String],
    progress: Say<'_>,
) -> Result<Vec<PathBuf>, ImageError> {
    let mut last = None;
    for mirror in &host.mirrors {
        let apt = Apt::prepare(directory, host, mirror, suite).await?;
        progress(&format!("reading the package lists of {suite}"));
        match apt.run(UPDATE, &["update", "-o", "APT::Update::Error-Mode=any"]).await {
            Ok(_) => {
                progress(&format!("downloading {}", packages.join(", ")));
                let mut arguments = vec!["install", "--yes", "--download-only"];
                arguments.extend(packages.iter().map(String::as_str));
                apt.run(DOWNLOAD, &arguments).await?;
                return apt.downloaded();
            }
            Err(error) => {
                progress("this mirror does not have it");
                last = Some(error);
            }
        }
    }
    Err(last.unwrap_or_else(|| ImageError::NoPackages("no mirror".to_owned())))
}

/// An apt with a private state.
struct Apt {
    directory: PathBuf,
}

impl Apt {
    async fn prepare(
        directory: &Path,
        host: &PackageHost,
        mirror: &str,
        suite: &str,
    ) -> Result<Self, ImageError> {
        let write = |name: &str, text: String| {
            let path = directory.join(name);
            std::fs::write(&path, text)
                .map_err(ImageError::file(format!("cannot write {}", path.display())))
        };
        for name in ["lists/partial", "archives/partial", "parts"] {
            let path = directory.join(name);
            std::fs::create_dir_all(&path)
                .map_err(ImageError::file(format!("cannot create {}", path.display())))?;
        }
        // A snapshot's release file is old by nature; the signature is checked all the same.
        let checks = if is_snapshot(mirror) { " check-valid-until=no" } else { "" };
        let keyring = host.keyring.display();
        write("status", String::new())?;
        write(
            "sources.list",
            format!("deb [signed-by={keyring}{checks}] {mirror} {suite} main\n"),
        )?;
        // Proxies and certificates of the host stay; its sources, hooks and preferences do not.
        let mut dump = Command::new("apt-config");
        dump.args(["dump", "--no-empty", "Acquire"]);
        let acquire = command::run(&mut dump, UPDATE, &|_| ()).await?;
        let at = |name: &str| directory.join(name).display().to_string();
        let settings = [
            ("Dir::State", at("")),
            ("Dir::State::lists", at("lists")),
            ("Dir::State::status", at("status")),
            ("Dir::Cache", at("")),
            ("Dir::Cache::archives", at("archives")),
            ("Dir::Etc::sourcelist", at("sources.list")),
            ("Dir::Etc::sourceparts", at("parts")),
            ("Dir::Etc::main", "/dev/null".to_owned()),
            ("Dir::Etc::parts", at("parts")),
            ("Dir::Etc::preferences", "/dev/null".to_owned()),
            ("Dir::Etc::preferencesparts", at("parts")),
            ("Dir::Log", at("")),
            ("APT::Install-Recommends", "false".to_owned()),
            ("APT::Sandbox::User", "".to_owned()),
            ("Acquire::Languages", "none".to_owned()),
            ("Acquire::Retries", "3".to_owned()),
            ("Acquire::http::Timeout", "20".to_owned()),
            ("Debug::NoLocking", "true".to_owned()),
        ];
        let settings = settings.map(|(key, value)| format!("{key} \"{value}\";\n")).concat();
        write("apt.conf", format!("{acquire}{settings}"))?;
        Ok(Self { directory: directory.to_owned() })
    }

    async fn run(&self, deadline: Duration, arguments: &[&str]) -> Result<String, ImageError> {
        let mut apt = Command::new("apt-get");
        apt.env("APT_CONFIG", self.directory.join("apt.conf"))
            .env("DEBIAN_FRONTEND", "noninteractive")
            .env("LC_ALL", "C")
            .arg("--quiet=2")
            .args(arguments);
        command::run(&mut apt, deadline, &|_| ()).await
    }

    fn downloaded(&self) -> Result<Vec<PathBuf>, ImageError> {
        let archives = self.directory.join("archives");
        let what = || ImageError::file(format!("cannot read {}", archives.display()));
        let mut files = Vec::new();
        for entry in std::fs::read_dir(&archives).map_err(what())? {
            let path = entry.map_err(what())?.path();
            if path.extension().is_some_and(|extension| extension == "deb") {
                files.push(path);
            }
        }
        files.sort();
        Ok(files)
    }
}

/// All of the host's apt sources, as one text.
fn sources() -> String {
    let mut files = vec![PathBuf::from("/etc/apt/sources.list")];
    if let Ok(entries) = std::fs::read_dir("/etc/apt/sources.list.d") {
        files.extend(entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| {
            path.extension().is_some_and(|extension| extension == "list" || extension == "sources")
        }));
    }
    files.sort();
    files
        .iter()
        .filter_map(|file| std::fs::read_to_string(file).ok())
        .collect::<Vec<_>>()
        .join("\n")
}

/// The mirrors of Debian's main archive in the text of apt sources, one-line or deb822.
fn mirrors(sources: &str) -> Vec<String> {
    let lines = sources.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    let words = lines
        .filter(|line| line.starts_with("deb ") || line.starts_with("deb\t") || is_uris(line))
        .flat_map(str::split_ascii_whitespace);
    let mut found: Vec<String> = Vec::new();
    for word in words {
        let word = word.trim_end_matches('/');
        let http = word.starts_with("http://") || word.starts_with("https://");
        let main_archive = word.ends_with("/debian") || is_snapshot(word);
        if http && main_archive && !found.iter().any(|known| known == word) {
            found.push(word.to_owned());
        }
    }
    found
}

/// A deb822 field of addresses.
fn is_uris(line: &str) -> bool {
    line.get(..5).is_some_and(|field| field.eq_ignore_ascii_case("uris:"))
}

/// An address of one day's state of the main archive.
fn is_snapshot(address: &str) -> bool {
    address.contains("/archive/debian/")
}

fn in_path(tool: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(tool).is_file()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_main_archive_is_found_in_both_formats_and_nothing_else_is() {
        let sources = "\
# deb http://commented.example/debian sid main
deb [arch=amd64 signed-by=/k.gpg] http://one.example/debian/ bookworm main
deb-src http://source.example/debian bookworm main
deb http://security.example/debian-security bookworm-security main
deb https://packages.example/apt stable main

Types: deb
# http://snapshot.example/archive/debian/20250520T000000Z
URIs: http://two.example/debian
Suites: bookworm

Types: deb
URIs: http://three.example/archive/debian/20250520T000000Z/ http://one.example/debian
Suites: bookworm
";
        let expected = [
            "http://one.example/debian",
            "http://two.example/debian",
            "http://three.example/archive/debian/20250520T000000Z",
        ];
        assert_eq!(mirrors(sources), expected);
    }

    #[test]
    fn a_host_of_another_distribution_has_no_mirror() {
        assert!(mirrors("deb http://archive.example/ubuntu noble main").is_empty());
    }
}
