//! The command line: one file a subcommand, each with its `Args` and a `run`. Errors are `anyhow`
//! here and are printed with their causes; the exit code is 0 for success, 1 for failure, 2 for a
//! command that was not understood, 3 (client verbs) when the server cannot be reached.

pub mod assembly;
pub mod backup;
mod bench_claim;
mod client;
pub mod competition;
pub mod competition_check;
pub mod dataset;
pub mod dry_run;
mod memory;
mod sandbox_port;
mod serve;
mod user;
mod worker;

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::clock::{Clock, Entropy};
use crate::config::{Log, LogFormat, Settings};
use crate::store::Db;

/// 数域 Shuyu: competitions and courses on public data that may not leave its domain.
#[derive(Debug, Parser)]
#[command(name = "shuyu", version, about, long_about = None, propagate_version = true)]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

/// What every subcommand of the service takes.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Common {
    /// A TOML file with settings (docs/configuration.md)
    #[arg(long, global = true, value_name = "FILE", env = "SHUYU_CONFIG")]
    config: Option<PathBuf>,
    /// Where the embedded database, local objects and the key file are kept
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the pages and the API, and take runs from the queue
    Serve(serve::Args),
    /// Take runs from the queue and hold sandboxes, without pages; needs a database and a store shared with `serve`
    Worker(worker::Args),
    /// Add users, make reset links, list users
    #[command(subcommand)]
    User(user::Command),
    /// Check, import and publish competitions
    #[command(subcommand)]
    Competition(competition::Command),
    /// The data catalogue
    #[command(subcommand)]
    Dataset(dataset::Command),
    /// Write the database and the objects to one archive
    Backup(backup::BackupArgs),
    /// Read such an archive into an empty database and object store
    Restore(backup::RestoreArgs),
    /// Run the whole pipeline on one submission, without a server
    DryRun(dry_run::DryRunArgs),
    /// Log in to a server, so that the verbs of `competitions` can be used
    Login(client::LoginArgs),
    /// Forget the login, and have the server revoke its token
    Logout,
    /// Take part in competitions on a server: list, files, download, submit, submissions, leaderboard
    #[command(subcommand)]
    Competitions(client::Command),
}

/// Reads the command line and runs the subcommand it names.
pub fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    // before anything else: the scoring child limits itself and starts no runtime
    match arguments.next().as_deref() {
        Some(crate::scoring::native::CHILD_SUBCOMMAND) => return crate::scoring::native::child_main(),
        Some("bench-metrics") => return crate::scoring::bench::main(arguments),
        Some("bench-claim") => return bench_claim::main(arguments),
        _ => {}
    }
    let cli = Cli::parse();
    if matches!(cli.command, Command::Serve(_) | Command::Worker(_)) {
        memory::give_back();
    }
    let done = match cli.command {
        Command::Serve(args) => serve::run(&cli.common, args).map(|()| ExitCode::SUCCESS),
        Command::Worker(args) => worker::run(&cli.common, args).map(|()| ExitCode::SUCCESS),
        Command::User(command) => user::run(&cli.common, command).map(|()| ExitCode::SUCCESS),
        Command::Competition(command) => competition::run(&cli.common, command),
        Command::Dataset(command) => dataset::run(&cli.common, command).map(|()| ExitCode::SUCCESS),
        Command::Backup(args) => backup_now(&cli.common, &args).map(|()| ExitCode::SUCCESS),
        Command::Restore(args) => restore_now(&cli.common, &args).map(|()| ExitCode::SUCCESS),
        Command::DryRun(args) => dry_run::run(&cli.common, args),
        Command::Login(args) => Ok(client::log_in(args)),
        Command::Logout => Ok(client::log_out()),
        Command::Competitions(command) => Ok(client::run(command)),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("shuyu: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn backup_now(common: &Common, args: &backup::BackupArgs) -> anyhow::Result<()> {
    let settings = common.settings(&[])?;
    block_on(async {
        let house = assembly::house(&settings, Clock::system()).await?;
        let done = backup::run_backup(args, &house.db, &house.objects, &house.clock).await;
        house.db.close().await;
        done.map(|_| ())
    })
}

fn restore_now(common: &Common, args: &backup::RestoreArgs) -> anyhow::Result<()> {
    let settings = common.settings(&[])?;
    block_on(async {
        let db = database(&settings).await?;
        let place = assembly::object_place(&settings);
        let done = backup::run_restore(args, &db, &place, &settings.key_file).await;
        db.close().await;
        done.map(|_| ())
    })
}

impl Common {
    /// The settings, with these flags and those of the subcommand, by their names in the TOML file.
    pub(crate) fn settings(&self, flags: &[(&'static str, Option<String>)]) -> anyhow::Result<Settings> {
        let data_dir = self.data_dir.as_ref().map(|path| path.display().to_string());
        let mut all: std::collections::BTreeMap<_, _> =
            flags.iter().filter_map(|(name, value)| Some((*name, value.clone()?))).collect();
        if let Some(data_dir) = data_dir {
            all.insert("data_dir", data_dir);
        }
        Ok(Settings::load(self.config.as_deref(), &all)?)
    }
}

/// Opens the database, making the data directory when there is none.
pub(crate) async fn database(settings: &Settings) -> anyhow::Result<Db> {
    use anyhow::Context as _;
    std::fs::create_dir_all(&settings.data_dir)
        .with_context(|| format!("the data directory {} cannot be made", settings.data_dir.display()))?;
    Ok(Db::connect(&settings.database).await?)
}

/// The clock and the randomness of a real process.
pub(crate) fn world() -> (Clock, Entropy) {
    (Clock::system(), Entropy)
}

/// Runs a future on a fresh multi-threaded runtime.
pub(crate) fn block_on<T>(future: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(future)
}

/// Sends log lines to standard error, as the settings say.
pub(crate) fn log(settings: &Log) -> anyhow::Result<()> {
    let filter = tracing_subscriber::EnvFilter::try_new(&settings.filter)?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let json = match settings.format {
        LogFormat::Json => true,
        LogFormat::Text => false,
        LogFormat::Auto => !std::io::stderr().is_terminal(),
    };
    let set = if json { lines.json().try_init() } else { lines.try_init() };
    set.map_err(|error| anyhow::anyhow!("logging cannot be set up: {error}"))?;
    for name in crate::config::unknown_variables() {
        tracing::warn!(name, "this variable is no setting of ours; docs/configuration.md lists them");
    }
    Ok(())
}

/// Makes a directory that nobody else on this machine can look into.
fn private_directory(path: &std::path::Path) -> anyhow::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;

    use anyhow::Context as _;

    let made = std::fs::DirBuilder::new().mode(0o700).create(path);
    made.with_context(|| format!("cannot make {}", path.display()))
}
