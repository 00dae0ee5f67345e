//! The sandbox portal as a program.

use std::process::ExitCode;

fn main() -> ExitCode {
    hubspot_sandbox::cli::run(std::env::args_os())
}
