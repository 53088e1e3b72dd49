//! `chaos-helper fill` writes to `/dev/shm` of the container in which it runs, until a limit or its
//! death; `chaos-helper release` deletes what it wrote.
//!
//! Pages of a tmpfs are charged to the container but belong to no process. So when the limit is
//! reached, the kernel kills the container's largest process, and not this one.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

const USAGE: &str = "usage: chaos-helper fill [--mib-per-second N] [--to-mib M] [--hold-seconds S]
       chaos-helper release
       chaos-helper hog [--mib M]     (stands in for a tablet: holds memory, waits for a signal)

  --mib-per-second N  at most so fast (default 0: as fast as it goes)
  --to-mib M          stop after so much (default 0: go on until the kernel kills)
  --hold-seconds S    then hold it for so long before the end (default 0)";

const DIRECTORY: &str = "/dev/shm";
const PREFIX: &str = "chaos-";
const MIB: usize = 1024 * 1024;
/// A step small enough that the ramp is smooth and the kernel's answer quick.
const STEP: usize = MIB / 4;
const USAGE_EXIT: u8 = 64;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match arguments.first().map(String::as_str) {
        Some("fill") => match Fill::parse(&arguments[1..]) {
            Ok(fill) => fill.run(Path::new(DIRECTORY)),
            Err(wrong) => return usage(&wrong),
        },
        Some("release") if arguments.len() == 1 => release(Path::new(DIRECTORY)),
        Some("hog") => match option(&arguments[1..], "--mib") {
            Ok(mib) => hog(mib.unwrap_or(16)),
            Err(wrong) => return usage(&wrong),
        },
        _ => return usage("no such command"),
    };
    match result {
        Ok(done) => {
            println!("{done}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("chaos-helper: {error}");
            ExitCode::FAILURE
        }
    }
}

fn usage(wrong: &str) -> ExitCode {
    eprintln!("chaos-helper: {wrong}\n{USAGE}");
    ExitCode::from(USAGE_EXIT)
}

#[derive(Debug, PartialEq, Eq)]
struct Fill {
    mib_per_second: u64,
    to_mib: u64,
    hold: Duration,
}

impl Fill {
    fn parse(arguments: &[String]) -> Result<Self, String> {
        let known = ["--mib-per-second", "--to-mib", "--hold-seconds"];
        for name in arguments.iter().step_by(2) {
            if !known.contains(&name.as_str()) {
                return Err(format!("unknown option `{name}`"));
            }
        }
        let number = |name: &str| option(arguments, name).map(|value| value.unwrap_or(0));
        Ok(Self {
            mib_per_second: number("--mib-per-second")?,
            to_mib: number("--to-mib")?,
            hold: Duration::from_secs(number("--hold-seconds")?),
        })
    }

    fn run(&self, directory: &Path) -> io::Result<String> {
        let path = directory.join(format!("{PREFIX}{}", std::process::id()));
        let mut file = File::create(path)?;
        let block = vec![0xA5_u8; STEP];
        let start = Instant::now();
        let mut written: u64 = 0;
        let goal = self.to_mib.saturating_mul(MIB as u64);
        while goal == 0 || written < goal {
            file.write_all(&block)?;
            written += STEP as u64;
            if self.mib_per_second > 0 {
                let due = written as f64 / (self.mib_per_second as f64 * MIB as f64);
                wait(Duration::from_secs_f64(due).saturating_sub(start.elapsed()));
            }
        }
        println!("filled {} MiB", written / MIB as u64);
        wait(self.hold);
        Ok("held".to_owned())
    }
}

fn release(directory: &Path) -> io::Result<String> {
    let mine = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(PREFIX))
    };
    let mut freed = 0;
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if mine(&path) {
            let length = fs::metadata(&path)?.len();
            // Truncated first: a filler that still has the file open would keep its pages.
            File::options().write(true).open(&path)?.set_len(0)?;
            fs::remove_file(&path)?;
            freed += length;
        }
    }
    Ok(format!("released {} MiB", freed / MIB as u64))
}

/// Holds memory until it is killed.
fn hog(mib: u64) -> io::Result<String> {
    let bytes = vec![0x5A_u8; usize::try_from(mib).unwrap_or(usize::MAX).saturating_mul(MIB)];
    println!("holding {} MiB", std::hint::black_box(&bytes).len() / MIB);
    loop {
        wait(Duration::from_secs(3600));
    }
}

/// The value of a numeric option.
fn option(arguments: &[String], name: &str) -> Result<Option<u64>, String> {
    let Some(at) = arguments.iter().position(|argument| argument == name) else {
        return Ok(None);
    };
    let value = arguments.get(at + 1).ok_or_else(|| format!("{name} needs a number"))?;
    value.parse().map(Some).map_err(|_| format!("{name} needs a number, not `{value}`"))
}

#[expect(clippy::disallowed_methods, reason = "the pace of a ramp: there is nothing to wait for")]
fn wait(time: Duration) {
    std::thread::sleep(time);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn options_are_read_and_mistakes_are_told() {
        let fill = Fill::parse(&arguments("--to-mib 3 --mib-per-second 5")).unwrap();
        assert_eq!(fill, Fill { mib_per_second: 5, to_mib: 3, hold: Duration::ZERO });
        for wrong in ["--to-mib", "--to-mib x", "--to-mb 3"] {
            assert!(Fill::parse(&arguments(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_was_filled_is_released_and_nothing_else() {
        let directory = std::env::temp_dir().join(format!("helper-test-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("other"), "x").unwrap();
        let fill = Fill { mib_per_second: 0, to_mib: 2, hold: Duration::ZERO };
        fill.run(&directory).unwrap();
        assert_eq!(release(&directory).unwrap(), "released 2 MiB");
        let left: Vec<_> = fs::read_dir(&directory).unwrap().map(|e| e.unwrap().path()).collect();
        assert_eq!(left, [directory.join("other")]);
        fs::remove_dir_all(&directory).unwrap();
    }
}
