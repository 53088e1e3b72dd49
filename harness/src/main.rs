//! `vdiff-chaos`: parses, runs, exits.

use std::process::ExitCode;

fn main() -> ExitCode {
    harness::cli::main(std::env::args_os())
}
