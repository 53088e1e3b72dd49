//! A writer of small tar archives: what an upload or an import of a few files needs.

/// An archive under construction; owner root, time zero, so that equal contents are equal bytes.
#[derive(Debug, Default)]
pub struct Tar {
    bytes: Vec<u8>,
}

const BLOCK: usize = 512;
/// The longest name that the header's first field takes.
const NAME_MAX: usize = 100;

impl Tar {
    /// Appends a file. `path` is relative and at most 100 bytes long.
    pub fn file(&mut self, path: &str, mode: u32, content: &[u8]) {
        self.header(path, mode, content.len(), b'0');
        self.bytes.extend_from_slice(content);
        let rest = content.len() % BLOCK;
        if rest > 0 {
            self.bytes.resize(self.bytes.len() + BLOCK - rest, 0);
        }
    }

    /// The header of a file whose content is sent by itself.
    pub(super) fn header_of(path: &str, size: usize) -> Vec<u8> {
        let mut tar = Tar::default();
        tar.header(path, 0o600, size, b'0');
        tar.bytes
    }

    /// Appends a directory.
    pub fn directory(&mut self, path: &str, mode: u32) {
        self.header(path, mode, 0, b'5');
    }

    /// The finished archive.
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        self.bytes.resize(self.bytes.len() + 2 * BLOCK, 0);
        self.bytes
    }

    fn header(&mut self, path: &str, mode: u32, size: usize, kind: u8) {
        assert!(path.len() <= NAME_MAX, "callers pass short, constant paths");
        let mut header = [0_u8; BLOCK];
        let mut put = |at: usize, text: &str| {
            header[at..at + text.len()].copy_from_slice(text.as_bytes());
        };
        put(0, path);
        put(100, &format!("{mode:07o}"));
        put(108, "0000000");
        put(116, "0000000");
        put(124, &format!("{size:011o}"));
        put(136, "00000000000");
        put(148, "        ");
        put(257, "ustar\x0000");
        header[156] = kind;
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        self.bytes.extend_from_slice(&header);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The system's tar is the independent reader: a wrong checksum or padding makes it refuse.
    #[test]
    fn the_systems_tar_reads_what_was_written() {
        let mut tar = Tar::default();
        tar.directory("etc/", 0o755);
        tar.file("etc/one", 0o600, &[b'x'; 513]);
        tar.file("two", 0o755, b"");
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.tar");
        std::fs::write(&file, tar.finish()).unwrap();
        let status = std::process::Command::new("tar")
            .args(["-xf", "a.tar", "--no-same-owner"])
            .current_dir(dir.path())
            .status()
            .unwrap();
        assert!(status.success());
        assert_eq!(std::fs::read(dir.path().join("etc/one")).unwrap(), vec![b'x'; 513]);
        assert_eq!(std::fs::read(dir.path().join("two")).unwrap(), b"");
    }
}
