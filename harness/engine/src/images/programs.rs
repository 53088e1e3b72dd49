//! An image of programs that the user has: static ones, from scratch, without a shell or a library.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::packages::label;
use super::recipe::{repository, short_hash};
use super::tablet::same_architecture;
use super::{Image, ImageError, Say, local};
use crate::docker::{Engine, RootFileSystem, Tar};

/// Raised when the image's layout changes.
const BUILDER: u32 = 1;
/// Who the programs run as: some refuse to run as root.
const USER: &str = "chaos:x:999:999::/tmp:/\n";
/// An ELF header's machine, by the architecture's name.
const MACHINES: [(&str, u16); 2] = [("x86_64", 62), ("aarch64", 183)];
/// The program header that names a dynamic loader.
const PT_INTERP: u32 = 3;

/// A program to be put into an image.
#[derive(Clone, Debug)]
pub struct Program {
    /// Where it lies.
    pub file: PathBuf,
    /// Where it is to lie in the image, without the leading slash.
    pub place: String,
}

/// Makes sure that there is an image `name` of these programs; its tag is the hash of their content.
///
/// # Errors
/// When a program cannot be read, is of another architecture, or is not static; when the engine fails.
pub async fn ensure_programs(
    engine: &Engine,
    name: &str,
    programs: &[Program],
    progress: Say<'_>,
) -> Result<Image, ImageError> {
    same_architecture(engine).await?;
    let mut hash = Sha256::new();
    hash.update(BUILDER.to_le_bytes());
    let mut files = Vec::new();
    for program in programs {
        let path = &program.file;
        let bytes = std::fs::read(path)
            .map_err(ImageError::file(format!("cannot read {}", path.display())))?;
        check(path, &bytes)?;
        hash.update(&program.place);
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(&bytes);
        files.push((program.place.as_str(), bytes));
    }
    let tag = short_hash(hash);
    let reference = format!("{}:{tag}", repository(name));
    if let Some(image) = local(engine, &reference).await? {
        return Ok(image);
    }
    progress(&format!("{name}: putting {} programs into an image", files.len()));
    let mut tar = Tar::default();
    for directory in ["etc/", "proc/", "sys/", "dev/"] {
        tar.directory(directory, 0o755);
    }
    tar.directory("tmp/", 0o1777);
    tar.file("etc/passwd", 0o644, USER.as_bytes());
    for (place, bytes) in files {
        tar.file(place, 0o755, &bytes);
    }
    let changes = vec!["USER 999:999".to_owned(), "ENV HOME=/tmp".to_owned(), label(name)];
    let imported =
        engine.import(&repository(name), &tag, RootFileSystem::Bytes(tar.finish()), changes).await;
    imported.map_err(ImageError::engine(name))?;
    local(engine, &reference).await?.ok_or_else(|| {
        let path = PathBuf::from(&reference);
        ImageError::Program { path, why: "vanished after its import".to_owned() }
    })
}

/// That a program will run in an image without libraries, on this host's architecture.
fn check(path: &Path, bytes: &[u8]) -> Result<(), ImageError> {
    let no = |why: String| Err(ImageError::Program { path: path.to_owned(), why });
    let Some(elf) = Elf::read(bytes) else {
        return no("is no 64-bit ELF program: name programs for Linux".to_owned());
    };
    let host = std::env::consts::ARCH;
    let wanted = MACHINES.iter().find(|(name, _)| *name == host).map(|(_, machine)| *machine);
    if wanted.is_some_and(|wanted| wanted != elf.machine) {
        let known = MACHINES.iter().find(|(_, machine)| *machine == elf.machine);
        let its = known.map_or("another one", |(name, _)| name);
        return no(format!("is a program for {its}, and the engine runs on {host}"));
    }
    match elf.is_dynamic {
        true => {
            no("is linked dynamically, and the image that is made has no libraries: build it with \
                    CGO_ENABLED=0, or name a ready image"
                .to_owned())
        }
        false => Ok(()),
    }
}

/// What a program's header says.
struct Elf {
    machine: u16,
    is_dynamic: bool,
}

impl Elf {
    /// None when it is no little-endian 64-bit ELF file.
    fn read(bytes: &[u8]) -> Option<Elf> {
        let number = |at: usize, size: usize| {
            let field = bytes.get(at..at.checked_add(size)?)?;
            Some(field.iter().rev().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte)))
        };
        if bytes.get(..6)? != b"\x7fELF\x02\x01" {
            return None;
        }
        let headers = usize::try_from(number(32, 8)?).ok()?;
        let (size, count) = (usize::try_from(number(54, 2)?).ok()?, number(56, 2)?);
        let mut is_dynamic = false;
        for header in 0..usize::try_from(count).ok()? {
            let at = headers.checked_add(size.checked_mul(header)?)?;
            is_dynamic |= number(at, 4)? == u64::from(PT_INTERP);
        }
        Some(Elf { machine: u16::try_from(number(18, 2)?).ok()?, is_dynamic })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elf(machine: u16, kinds: &[u32]) -> Vec<u8> {
        let mut bytes = vec![0; 64];
        bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
        bytes[18..20].copy_from_slice(&machine.to_le_bytes());
        bytes[32] = 64;
        bytes[54] = 56;
        bytes[56] = u8::try_from(kinds.len()).unwrap();
        for kind in kinds {
            let mut header = vec![0; 56];
            header[..4].copy_from_slice(&kind.to_le_bytes());
            bytes.extend(header);
        }
        bytes
    }

    #[test]
    fn a_program_that_could_not_run_is_refused_with_what_is_needed() {
        let (name, host) =
            MACHINES.iter().find(|(name, _)| *name == std::env::consts::ARCH).unwrap();
        let other = MACHINES.iter().find(|(other, _)| other != name).unwrap();
        let told = |bytes: &[u8]| check(Path::new("vttablet"), bytes).map_err(|it| it.to_string());
        assert_eq!(told(&elf(*host, &[1, 1])), Ok(()));
        let why = told(&elf(*host, &[1, PT_INTERP])).unwrap_err();
        assert!(why.starts_with("vttablet: is linked dynamically"), "{why}");
        assert!(told(&elf(other.1, &[1])).unwrap_err().contains(other.0));
        assert!(told(b"#!/bin/sh\n").unwrap_err().contains("ELF"));
        let cut = &elf(*host, &[1, 1])[..70];
        assert!(told(cut).unwrap_err().contains("ELF"), "a header that is cut off");
    }
}
