//! The command line: one file a subcommand.

pub mod assembly;
pub mod competition_check;
pub mod dry_run;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::Settings;

/// 数域 Shuyu: competitions and courses on data that may not leave its domain.
#[derive(Parser, Debug)]
#[command(name = "shuyu", version)]
struct Cli {
    /// A TOML file with settings
    #[arg(long, global = true)]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Competition bundles
    #[command(subcommand)]
    Competition(Competition),
    /// Run the whole pipeline on one submission, without a server
    DryRun(dry_run::DryRunArgs),
}

#[derive(Subcommand, Debug)]
enum Competition {
    /// Say everything that is wrong with a bundle
    Check(competition_check::CompetitionCheckArgs),
}

/// Reads the command line and runs the subcommand it names.
pub fn main() -> ExitCode {
    // the scoring child starts in milliseconds because it does nothing else
    if std::env::args_os().nth(1).is_some_and(|a| a == crate::scoring::native::CHILD_SUBCOMMAND) {
        return crate::scoring::native::child_main();
    }
    let cli = Cli::parse();
    let settings = match Settings::load(cli.config.as_deref(), &BTreeMap::new()) {
        Ok(settings) => settings,
        Err(error) => {
            eprintln!("shuyu: {error}");
            return ExitCode::from(2);
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("shuyu: {error}");
            return ExitCode::from(2);
        }
    };
    runtime.block_on(async {
        match cli.command {
            Command::Competition(Competition::Check(args)) => competition_check::run(&args.bundle, args.json),
            Command::DryRun(args) => dry_run::run(&args, settings).await,
        }
    })
}
