//! `memory`.

use tokio_util::sync::CancellationToken;

use super::arguments::MemoryArgs;
use super::{Exit, Failure, put, putln, say};
use crate::memory::{self, MemoryError, MemoryOptions};
use crate::prepare::PrepareError;

pub(super) async fn memory(args: MemoryArgs, stop: &CancellationToken) -> Result<Exit, Failure> {
    let mut rows = args.rows.clone();
    if let [one] = rows.as_slice() {
        rows.insert(0, (*one / 10).max(100));
    }
    let limit_bytes = args.limit;
    let times = args.times;
    let options = MemoryOptions { rows, times, limit_bytes, images: args.images.of_tablet(false)? };
    let all = memory::run(&options, stop, &say).await.map_err(|error| match error {
        MemoryError::Plan(_) => Failure::usage(&error),
        MemoryError::Stopped | MemoryError::Prepare(PrepareError::Stopped) => {
            Failure::stopped(&error)
        }
        _ => Failure::harness(&error),
    })?;
    put(&memory::table(&all, limit_bytes));
    let broken = memory::broken(&all);
    for line in &broken {
        putln!("FAIL     {line}");
    }
    if broken.is_empty() {
        putln!("PASS     memory does not follow the size of the table");
        return Ok(Exit::Pass);
    }
    Ok(Exit::Finding)
}
