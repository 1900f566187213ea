//! Native metrics in a child process of our own binary, under memory, time and file limits.
//!
//! The parent ([`evaluate`], [`check`]) writes one JSON [`Job`] to the child's standard input and
//! reads one JSON answer of at most 64 KiB from its standard output. The child has no environment,
//! its standard error is discarded, and it dies with the future that waits for it. So neither a
//! malformed file nor a bug in a decoder reaches the service, and nothing that a file holds can
//! come out but scores, kinds of failure, and (for the check by public facts) a fault report.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};

use super::Scores;
use super::metric::{MetricError, MetricSpec};
use super::predictions::{FaultReport, IdList, Limits};
use crate::airlock::Hidden;

pub use super::native_child::{check_reference, child_main};

/// The hidden subcommand under which the binary calls [`child_main`] before anything else.
pub const CHILD_SUBCOMMAND: &str = "native-scoring-child";

/// Bytes of the child's answer at most.
const ANSWER_BYTES: u64 = 64 << 10;

/// What the child process may use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProcessLimits {
    /// Address space, in bytes.
    pub memory_bytes: u64,
    /// Processor time over all threads, in seconds.
    pub cpu_seconds: u64,
    /// Time until it is killed, in seconds.
    pub wall_seconds: u64,
}

impl Default for ProcessLimits {
    fn default() -> Self {
        Self { memory_bytes: 4 << 30, cpu_seconds: 120, wall_seconds: 120 }
    }
}

/// Predictions to be scored against reference data.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Request {
    /// CSV or Parquet file of predictions: a plain copy that nobody writes to any more.
    pub predictions: PathBuf,
    /// CSV or Parquet file with the targets.
    pub reference: PathBuf,
    /// The task's metrics, which share one id column.
    pub metrics: Vec<MetricSpec>,
    /// What the files may be like.
    pub limits: Limits,
    /// What the process may use.
    pub process: ProcessLimits,
}

/// Predictions to be checked by public facts.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CheckRequest {
    /// CSV or Parquet file of predictions.
    pub predictions: PathBuf,
    /// The task's metrics, which share one id column.
    pub metrics: Vec<MetricSpec>,
    /// The published list of ids, where there is one.
    pub ids: Option<IdList>,
    /// What the file may be like.
    pub limits: Limits,
    /// What the process may use.
    pub process: ProcessLimits,
}

/// What the child is asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Job {
    /// Score.
    Score(Request),
    /// Check by public facts.
    Check(CheckRequest),
}

/// What the child answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Answer {
    /// Scores by column, as the bits of the number, which JSON would not keep to the last digit.
    Scores(Vec<(String, u64)>),
    /// Why there are none.
    Failed(Failure),
    /// The check's report.
    Checked(FaultReport),
}

/// Why there is no score. It names no row and no value: it is about hidden data.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Failure {
    /// The predictions file does not hold what the task asks for.
    #[error(
        "the predictions file does not hold what the task asks for: check columns, ids and values against the task's page"
    )]
    Predictions,
    /// The reference file does not hold what the metric declares.
    #[error(
        "the reference data does not hold what the metric declares: the organizer can see why with `shuyu competition check`"
    )]
    Reference,
    /// The published list of ids cannot be read.
    #[error("the published list of ids cannot be read: check `ids` in the bundle")]
    IdList,
    /// The metric has no value for these rows.
    #[error("the metric of column `{column}` has no value: {error}")]
    Metric {
        /// Leaderboard column.
        column: String,
        /// Why.
        error: MetricError,
    },
    /// The request made no sense to the child.
    #[error("the scoring process did not understand its request: parent and child must be the same binary")]
    Request,
}

/// Why no answer, or no score, came.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScoringError {
    /// The child says why.
    #[error(transparent)]
    Failed(#[from] Failure),
    /// The child was not done in time.
    #[error("scoring took longer than {seconds} s; raise the limit or shorten the file")]
    TimedOut {
        /// The limit.
        seconds: u64,
    },
    /// The child ended without an answer: out of memory or processor time, or a malformed file.
    #[error("the scoring process ended without an answer; the file may need more memory than allowed")]
    Died,
    /// The child could not be started or talked to.
    #[error("the scoring process could not be used: {0}")]
    Process(#[from] std::io::Error),
}

impl ScoringError {
    /// Whether the fault is ours (or the machine's) rather than the file's, so that it must not eat
    /// quota and may be tried again.
    pub fn is_ours(&self) -> bool {
        matches!(
            self,
            Self::Process(_) | Self::Failed(Failure::Request | Failure::Reference | Failure::IdList)
        )
    }
}

/// Scores predictions against hidden reference data in a child process of `exe` (our binary).
///
/// # Errors
/// When there is no score; the message names no row and no value of either file.
pub async fn evaluate(exe: &Path, request: &Request) -> Result<Hidden<Scores>, ScoringError> {
    let answer = ask(exe, &Job::Score(request.clone()), &request.process).await?;
    match answer {
        Answer::Scores(scores) => {
            let scores: Scores = scores.into_iter().map(|(key, bits)| (key, f64::from_bits(bits))).collect();
            let complete = request.metrics.iter().all(|metric| scores.contains_key(&metric.column));
            let finite = scores.values().all(|score| score.is_finite());
            if complete && finite { Ok(Hidden::new(scores)) } else { Err(ScoringError::Died) }
        }
        Answer::Failed(failure) => Err(failure.into()),
        Answer::Checked(_) => Err(ScoringError::Died),
    }
}

/// Checks a predictions file by public facts alone, in a child process of `exe`. The report may be
/// shown to whoever made the file; no faults means it can be scored.
///
/// # Errors
/// When the file could not be checked.
pub async fn check(exe: &Path, request: &CheckRequest) -> Result<FaultReport, ScoringError> {
    match ask(exe, &Job::Check(request.clone()), &request.process).await? {
        Answer::Checked(report) => Ok(report),
        Answer::Failed(failure) => Err(failure.into()),
        Answer::Scores(_) => Err(ScoringError::Died),
    }
}

async fn ask(exe: &Path, job: &Job, limits: &ProcessLimits) -> Result<Answer, ScoringError> {
    let question = serde_json::to_vec(job).map_err(std::io::Error::other)?;
    let mut child = Command::new(exe)
        .arg(CHILD_SUBCOMMAND)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let wall = Duration::from_secs(limits.wall_seconds);
    let answer = match tokio::time::timeout(wall, exchange(&mut child, &question)).await {
        Ok(answer) => answer?,
        Err(_) => {
            child.kill().await?;
            return Err(ScoringError::TimedOut { seconds: limits.wall_seconds });
        }
    };
    serde_json::from_slice(&answer).map_err(|_| ScoringError::Died)
}

/// Writes the question, reads the answer and waits for the end.
async fn exchange(child: &mut Child, question: &[u8]) -> Result<Vec<u8>, ScoringError> {
    if let Some(mut stdin) = child.stdin.take() {
        match stdin.write_all(question).await {
            // A child that died early says so by its missing answer.
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => return Err(error.into()),
            _ => {}
        }
    }
    let mut answer = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        stdout.take(ANSWER_BYTES + 1).read_to_end(&mut answer).await?;
    }
    if answer.len() as u64 > ANSWER_BYTES {
        child.kill().await?;
        return Err(ScoringError::Died);
    }
    if child.wait().await?.success() { Ok(answer) } else { Err(ScoringError::Died) }
}
