//! One run through the data diode (DESIGN): prepare, predict, check and copy, score, and hand what
//! came out to the airlock.
//!
//! Participant code runs in the prediction step alone, where no reference data is mounted; the
//! scoring step sees predictions and reference data and no participant code. Everything a run needs
//! in plain lies on a tmpfs that is gone when it ends. A run on hidden input is *closed*: nothing of
//! it is written where its author could read it.

mod app;
mod beside;
mod cache;
mod conclude;
mod model;
mod predict;
mod prepare;
mod score;

pub(crate) use cache::{Leftovers, cache_names, public_input, tidy_cache};
pub(crate) use conclude::{disclose as disclose_outcome, give_up, stop_closed};

use std::path::PathBuf;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::model::{Kind, Reason, Run, Submission};
use super::queue::{Ending, Lease, QueueError};
use crate::airlock::Hidden;
use crate::catalog::{self, Authorised, CatalogError, Scoring};
use crate::contest::model::{Competition, Phase, StoredFile, Task};
use crate::contest::packages::cache::{CacheError, PackageCache};
use crate::house::House;
use crate::sandbox::{Engine, GpuGrants, ImageTable, Owner, SandboxError};
use crate::scoring::leaderboard::Scores;
use crate::store::{ObjectError, StoreError};

/// What carries runs: this machine's engine, images and directories.
#[derive(Clone)]
pub struct Carrier {
    /// Database, objects, time.
    pub house: House,
    /// The Docker engine.
    pub engine: Engine,
    /// Local images by the names that bundles use.
    pub images: ImageTable,
    /// Which competitions' submissions get graphics processors.
    pub gpus: GpuGrants,
    /// Our own binary, which scores with native metrics in a child process.
    pub scorer: PathBuf,
    /// Where public inputs and programs are kept unpacked between runs.
    pub cache: PathBuf,
    /// Where extra packages are laid out to be mounted.
    pub packages: PackageCache,
}

/// Everything a run is about.
pub(super) struct Job {
    pub lease: Lease,
    pub submission: Submission,
    pub competition: Competition,
    pub phase: Phase,
    pub task: Task,
    /// All tasks of the phase.
    pub tasks: Vec<Task>,
    pub files: Vec<StoredFile>,
    /// Proof that the competition may still score on what derives from its datasets.
    pub authorised: Authorised<Scoring>,
}

impl Job {
    pub fn run(&self) -> &Run {
        &self.lease.run
    }

    /// Whether the run sees the twin's data instead of the task's.
    pub fn on_twin(&self) -> bool {
        self.run().purpose.is_on_twin()
    }

    /// Whether a program, the submission's or the organizer's ingestion program around it, sees hidden
    /// input, in this task or another of the phase: a run's begin and end tell those of its siblings.
    pub fn sees_hidden(&self, kind: Kind) -> bool {
        let mut tasks = self.tasks.iter().chain([&self.task]);
        !self.on_twin() && tasks.any(|task| kind.is_closed_by(&task.definition))
    }

    /// Whether nothing may be told of the run but its outcome at its tick.
    pub fn is_closed(&self, kind: Kind) -> bool {
        self.run().purpose.may_close() && self.sees_hidden(kind)
    }

    pub fn owner(&self) -> Owner {
        Owner { run: self.run().id, attempt: self.run().attempt }
    }

    /// Wall-clock limit of each step.
    pub fn limit(&self) -> Duration {
        limit(&self.phase)
    }

    pub fn file(&self, path: &str) -> Result<&StoredFile, RunError> {
        self.files.iter().find(|f| f.path == path).ok_or_else(|| {
            RunError::Ours(format!(
                "the competition's file {path} is not in the store; import the bundle again"
            ))
        })
    }
}

/// Wall-clock limit of each step of a phase's runs.
fn limit(phase: &Phase) -> Duration {
    Duration::from_secs(u64::from(phase.definition.execution_time_limit.max(1)))
}

/// How the scoring went, before the airlock has seen it.
pub(super) enum Outcome {
    /// Exact scores.
    Scored { scores: Hidden<Scores>, columns: Vec<crate::airlock::rule::ColumnRule> },
    /// Refused for public facts.
    Rejected(Reason),
    /// The program or the scorer failed.
    Failed(Reason),
    /// The program failed before it saw anything hidden: why is a public fact, also of a closed run.
    FailedOpenly(Reason),
    /// Somebody stopped it.
    Cancelled,
}

/// What a run leaves for its conclusion.
pub(super) struct Report {
    pub kind: Kind,
    pub outcome: Outcome,
    pub ending: Ending,
}

/// Why a run was not carried to a conclusion.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The lease was lost: somebody else has the run now.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// Our own failure; the run is handed back to the queue.
    #[error("{0}")]
    Ours(String),
    /// The sandbox failed.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// The object store failed.
    #[error(transparent)]
    Objects(#[from] ObjectError),
    /// The use of the competition's data is not authorised (any more).
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<CacheError> for RunError {
    fn from(error: CacheError) -> Self {
        match error {
            CacheError::Objects(error) => Self::Objects(error),
            CacheError::Io(error) => Self::io("laying out packages", &error),
            CacheError::Wheel { .. } => Self::Ours(error.to_string()),
        }
    }
}

impl RunError {
    fn io(what: &str, error: &std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::StorageFull {
            let what = format!("{what}: {error}");
            return Self::Sandbox(SandboxError::DiskFull { what });
        }
        Self::Ours(format!("{what} failed: {error}"))
    }

    /// Whether the run may well succeed later without anybody changing anything.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::Sandbox(error) => error.is_transient(),
            Self::Objects(ObjectError::Full { .. } | ObjectError::Store { .. }) | Self::Store(_) => true,
            Self::Queue(_) | Self::Ours(_) | Self::Objects(_) | Self::Catalog(_) => false,
        }
    }
}

impl Carrier {
    /// Carries one leased run to its conclusion and writes it. `cancel` stops its containers.
    ///
    /// # Errors
    /// [`RunError`] when it could not be concluded: nothing was written, and the lease is still held
    /// unless the error says otherwise.
    pub async fn carry(&self, lease: Lease, cancel: CancellationToken) -> Result<(), RunError> {
        let job = self.load(lease).await?;
        let stoppable = job.run().purpose.is_asked_for();
        if stoppable && job.submission.cancel_requested_at.is_some() {
            cancel.cancel();
        }
        let desk = prepare::Desk::set_up(self, &job).await?;
        let report = self.proceed(&job, &desk, &cancel).await;
        desk.clear().await;
        conclude::conclude(self, &job, report?).await
    }

    async fn proceed(
        &self,
        job: &Job,
        desk: &prepare::Desk,
        cancel: &CancellationToken,
    ) -> Result<Report, RunError> {
        let mut ending = Ending::default();
        let laid = match prepare::lay_out_submission(self, job, desk).await? {
            Ok(laid) => laid,
            Err(reason) => {
                let outcome = Outcome::Rejected(reason);
                return Ok(Report { kind: job.submission.kind, outcome, ending });
            }
        };
        let kind = laid.kind();
        if cancel.is_cancelled() {
            return Ok(Report { kind, outcome: Outcome::Cancelled, ending });
        }
        if let Some(manifest) = laid.manifest() {
            let outcome = app::probe(self, job, desk, (&laid, manifest), cancel, &mut ending).await?;
            return Ok(Report { kind, outcome, ending });
        }
        if let Some(outcome) = predict::predict(self, job, desk, &laid, cancel, &mut ending).await? {
            return Ok(Report { kind, outcome, ending });
        }
        let outcome = score::score(self, job, desk, &laid, cancel, &mut ending).await?;
        Ok(Report { kind, outcome, ending })
    }

    async fn load(&self, lease: Lease) -> Result<Job, RunError> {
        use crate::contest::db as contest_db;

        let mut conn = self.house.db.read().await?;
        let run = &lease.run;
        let gone = |what: &str| RunError::Ours(format!("the run's {what} is not in the database"));
        let submission =
            super::db::by_id(&mut conn, run.submission).await?.ok_or_else(|| gone("submission"))?;
        let competition =
            contest_db::by_id(&mut conn, run.competition).await?.ok_or_else(|| gone("competition"))?;
        let phase =
            contest_db::phase_by_id(&mut conn, submission.phase).await?.ok_or_else(|| gone("phase"))?;
        let task = contest_db::task_by_id(&mut conn, run.task).await?.ok_or_else(|| gone("task"))?;
        let tasks = contest_db::tasks_of_phase(&mut conn, phase.id).await?;
        let files = contest_db::files(&mut conn, run.competition).await?;
        let datasets = &competition.definition.datasets;
        let authorised = catalog::authorise_scoring(&mut conn, competition.id, datasets).await?;
        Ok(Job { lease, submission, competition, phase, task, tasks, files, authorised })
    }
}
