//! One build at a time: a lock on a file, which the kernel gives back when its holder dies.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::time::Duration;

use super::{ImageError, Say};

/// A build may take as long as a first compilation on a slow machine.
const DEADLINE: Duration = Duration::from_secs(30 * 60);

/// Held until it is dropped.
#[derive(Debug)]
pub(super) struct BuildLock {
    _file: File,
}

impl BuildLock {
    /// Takes the lock; while another process has it, waits and says so once.
    pub(super) async fn take(path: &Path, progress: Say<'_>) -> Result<Self, ImageError> {
        let opening = || ImageError::file(format!("cannot open the lock {}", path.display()));
        if let Some(directory) = path.parent() {
            std::fs::create_dir_all(directory).map_err(opening())?;
        }
        let file = File::options().create(true).append(true).open(path).map_err(opening())?;
        let wait = async {
            let mut said = false;
            let mut pause = tokio::time::interval(Duration::from_millis(100));
            loop {
                pause.tick().await;
                match file.try_lock() {
                    Ok(()) => return Ok(()),
                    Err(TryLockError::Error(source)) => return Err(opening()(source)),
                    Err(TryLockError::WouldBlock) if said => {}
                    Err(TryLockError::WouldBlock) => {
                        progress("another run builds this image: waiting for it");
                        said = true;
                    }
                }
            }
        };
        match tokio::time::timeout(DEADLINE, wait).await {
            Ok(taken) => taken?,
            Err(_) => {
                return Err(ImageError::Locked { lock: path.to_owned(), deadline: DEADLINE });
            }
        }
        Ok(Self { _file: file })
    }
}
