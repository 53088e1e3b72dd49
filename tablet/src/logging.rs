//! Logs: JSON lines on stderr, one record a line, with the fields beside the message.
//!
//! `RUST_LOG` chooses what is logged; by default `info`.

use tracing_subscriber::EnvFilter;

/// Starts logging; later calls change nothing.
pub fn install() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let installed = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .try_init();
    // Only a test that runs beside another comes here twice; its records go where the first's do.
    drop(installed);
}
