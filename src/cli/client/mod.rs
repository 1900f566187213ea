//! The client verbs: what a participant does from a terminal, over the same API that anybody may use
//! (`/api/openapi.json`), with its own types for what is sent.
//!
//! The exit code tells what became of it: 0 done, 1 refused or failed, 2 not understood, 3 the server
//! cannot be reached. A refusal is printed as the server worded it: what happened, why, what to do.

mod credentials;
mod dto;
mod login;
mod server;
mod show;
mod submit;
mod transfer;
mod verbs;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use dto::Problem;

/// Exit code when the server refused, or what was asked for failed.
const REFUSED: u8 = 1;
/// Exit code when the command cannot be carried out as it was given.
const USAGE: u8 = 2;
/// Exit code when the server cannot be reached.
const UNREACHABLE: u8 = 3;

/// What `shuyu login` takes.
#[derive(Debug, Args)]
pub(super) struct LoginArgs {
    /// Address of the server, as https://data.example.cn
    #[arg(long, value_name = "URL", env = "SHUYU_SERVER")]
    server: String,
    /// The name to log in with
    #[arg(long, value_name = "NAME")]
    login: String,
    /// What the token may be used for: read, submit, organize or admin
    #[arg(long, default_value = "submit")]
    scope: String,
    /// Days until the token ends, 1 to 365
    #[arg(long, default_value_t = 90)]
    days: u32,
    /// Read the password from standard input instead of asking for it
    #[arg(long)]
    password_stdin: bool,
}

/// What every client verb takes.
#[derive(Clone, Debug, Args)]
pub(super) struct Common {
    /// Address of the server; the one logged in to when not given
    #[arg(long, value_name = "URL", env = "SHUYU_SERVER")]
    server: Option<String>,
    /// Print CSV
    #[arg(short = 'v', long)]
    csv: bool,
    /// Print no progress
    #[arg(short, long)]
    quiet: bool,
}

/// What `shuyu competitions` takes.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List the competitions
    List {
        #[command(flatten)]
        common: Common,
    },
    /// List the files of a competition
    Files {
        /// The competition's short name
        competition: String,
        #[command(flatten)]
        common: Common,
    },
    /// Download the files of a competition
    Download(DownloadArgs),
    /// Hand in a submission and wait for its score
    Submit(SubmitArgs),
    /// List your team's submissions
    Submissions {
        /// The competition's short name
        competition: String,
        /// One phase, counted from 0; all when not given
        #[arg(long, value_name = "N")]
        phase: Option<i64>,
        #[command(flatten)]
        common: Common,
    },
    /// Show or download the leaderboard
    Leaderboard(LeaderboardArgs),
}

/// What `shuyu competitions download` takes.
#[derive(Debug, Args)]
pub(super) struct DownloadArgs {
    /// The competition's short name
    competition: String,
    /// One file; all when not given
    #[arg(short, long, value_name = "FILE")]
    file: Option<String>,
    /// The folder to write to
    #[arg(short, long, value_name = "FOLDER", default_value = ".")]
    path: PathBuf,
    /// Replace files that differ
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    common: Common,
}

/// What `shuyu competitions submit` takes.
#[derive(Debug, Args)]
pub(super) struct SubmitArgs {
    /// The competition's short name
    competition: String,
    /// The file to hand in: .zip, .csv, .parquet, .py or .onnx
    #[arg(short, long, value_name = "FILE")]
    file: PathBuf,
    /// A note for your team
    #[arg(short, long, value_name = "TEXT", default_value = "")]
    message: String,
    /// The phase, counted from 0; the one that is open when not given
    #[arg(long, value_name = "N")]
    phase: Option<i64>,
    /// Answers to the fact sheet, a JSON object
    #[arg(long, value_name = "JSON")]
    facts: Option<String>,
    /// Only try it on the public twin: no quota, no leaderboard
    #[arg(long)]
    trial: bool,
    /// Wait for the score (the default)
    #[arg(long, overrides_with = "no_wait")]
    wait: bool,
    /// Return as soon as it was accepted
    #[arg(long)]
    no_wait: bool,
    #[command(flatten)]
    common: Common,
}

/// What `shuyu competitions leaderboard` takes.
#[derive(Debug, Args)]
pub(super) struct LeaderboardArgs {
    /// The competition's short name
    competition: String,
    /// Show it (the default)
    #[arg(short, long, conflicts_with = "download")]
    show: bool,
    /// Download all of it as CSV
    #[arg(short, long)]
    download: bool,
    /// The folder to download to
    #[arg(short, long, value_name = "FOLDER", default_value = ".")]
    path: PathBuf,
    /// The phase, counted from 0; the one that is open, or else the last, when not given
    #[arg(long, value_name = "N")]
    phase: Option<i64>,
    #[command(flatten)]
    common: Common,
}

/// Why a verb did not do what was asked.
#[derive(Debug)]
enum Failure {
    /// The server said no.
    Refused(Box<Problem>),
    /// It was done, and the outcome is not what one hopes for; everything is said already.
    Failed,
    /// It cannot be done as asked.
    Usage(String),
    /// The server cannot be reached.
    Unreachable(String),
    /// Something on this side failed.
    Local(anyhow::Error),
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Local(error)
    }
}

impl Failure {
    /// Says what happened on standard error, and gives the exit code.
    fn told(self) -> ExitCode {
        let code = match self {
            Self::Failed => REFUSED,
            Self::Refused(problem) => {
                eprintln!("shuyu: {problem}");
                REFUSED
            }
            Self::Usage(text) => {
                eprintln!("shuyu: {text}");
                USAGE
            }
            Self::Unreachable(text) => {
                eprintln!("shuyu: {text}");
                UNREACHABLE
            }
            Self::Local(error) => {
                eprintln!("shuyu: {error:#}");
                REFUSED
            }
        };
        ExitCode::from(code)
    }
}

type Done<T = ()> = Result<T, Failure>;

/// Runs a verb on a runtime of its own.
fn finish(verb: impl Future<Output = Done>) -> ExitCode {
    let done = super::block_on(async { Ok(verb.await) });
    match done.map_err(Failure::Local).and_then(|done| done) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.told(),
    }
}

/// `shuyu login`.
pub(super) fn log_in(args: LoginArgs) -> ExitCode {
    finish(login::log_in(args))
}

/// `shuyu logout`.
pub(super) fn log_out() -> ExitCode {
    finish(login::log_out())
}

/// `shuyu competitions …`.
pub(super) fn run(command: Command) -> ExitCode {
    finish(async {
        match command {
            Command::List { common } => verbs::list(&common).await,
            Command::Files { competition, common } => verbs::files(&common, &competition).await,
            Command::Download(args) => transfer::download_all(&args).await,
            Command::Submit(args) => submit::submit(&args).await,
            Command::Submissions { competition, phase, common } => {
                verbs::submissions(&common, &competition, phase).await
            }
            Command::Leaderboard(args) => verbs::leaderboard(&args).await,
        }
    })
}
