//! The command line: one file a subcommand.

pub mod competition_check;

use std::process::ExitCode;

/// Reads the command line and runs the subcommand it names.
pub fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    // Before anything else: the child limits itself and starts no runtime.
    match arguments.next().as_deref() {
        Some(crate::scoring::native::CHILD_SUBCOMMAND) => crate::scoring::native::child_main(),
        Some("bench-metrics") => bench_metrics(arguments),
        _ => ExitCode::SUCCESS,
    }
}

/// `shuyu bench-metrics ROWS NAME`: one line of JSON with the metric's time; without NAME the names.
fn bench_metrics(mut arguments: impl Iterator<Item = String>) -> ExitCode {
    let rows = arguments.next().and_then(|rows| rows.parse().ok()).unwrap_or(10_000_000);
    let Some(name) = arguments.next() else {
        crate::scoring::bench::names().iter().for_each(|name| println!("{name}"));
        return ExitCode::SUCCESS;
    };
    match crate::scoring::bench::run(&name, rows).map(|timing| serde_json::json!(timing)) {
        Ok(timing) => {
            println!("{timing}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{name}: {error}");
            ExitCode::FAILURE
        }
    }
}
