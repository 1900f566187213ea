//! The command line: one file a subcommand.

pub mod backup;
pub mod competition_check;

use std::process::ExitCode;

/// Reads the command line and runs the subcommand it names.
pub fn main() -> ExitCode {
    ExitCode::SUCCESS
}
