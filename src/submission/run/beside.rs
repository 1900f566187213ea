//! The ingestion program beside the scoring program (`ingestion_only_during_scoring`): two containers
//! that talk through a directory which both write, where the organizer opted in.
//!
//! The container that holds the submission sees no reference data here either, and what it prints and
//! writes to its own output goes nowhere near the scores; but what the scorer writes to the shared
//! directory the submission can read. So such a run is closed, and the competition's page says so.

use tokio_util::sync::CancellationToken;

use super::predict::{self, bind, container, keep_log, release, word};
use super::prepare::{self, Desk, Laid};
use super::{Carrier, Job, RunError};
use crate::sandbox::{End, Profile, RunOutcome, RunSpec, SharedBind, SharedDir};
use crate::submission::command::{self, StepKind};
use crate::submission::model::Reason;
use crate::submission::queue::Ending;

/// Where both programs see the directory.
const SHARED: &str = "/app/shared";

/// An ingestion program ready to run beside the scorer.
pub(super) struct Beside {
    spec: RunSpec,
    shared: SharedDir,
}

/// Gets the ingestion program ready; `None` where the task has none beside its scorer. The inner
/// error is a fault of the bundle.
pub(super) async fn set_up(
    carrier: &Carrier,
    job: &Job,
    desk: &Desk,
    laid: &Laid,
) -> Result<Result<Option<Beside>, Reason>, RunError> {
    let task = &job.task.definition;
    let Some(path) = task.ingestion_program.as_deref().filter(|_| task.has_ingestion_beside_scoring()) else {
        return Ok(Ok(None));
    };
    let (root, written) = match predict::ingestion(carrier, job, desk, path).await? {
        Ok(program) => program,
        Err(reason) => return Ok(Err(reason)),
    };
    let argv = match command::split(&command::substitute(&written, StepKind::IngestionWhileScoring, true)) {
        Ok(argv) => argv,
        Err(error) => return Ok(Err(Reason::new("ingestion-command", error.to_string()))),
    };
    let mut binds = vec![
        bind(root.clone(), "/app/program"),
        bind(root, "/app/ingestion_program"),
        bind(laid.files.root.clone(), "/app/ingested_program"),
        bind(desk.directory("res")?, "/app/input/res"),
    ];
    if let Some(input) = prepare::input(carrier, job, desk).await? {
        binds.push(bind(input, "/app/input_data"));
    }
    let mut spec = container(carrier, job, Profile::Submission, argv, binds, None).await?;
    spec.label.step = spec.label.step.beside();
    // it waits for the scorer's questions, and may have nothing to print
    spec.silent_limit = None;
    let shared = carrier.engine.share(job.owner(), task.resources.output)?;
    spec.shared = Some(bind_shared(&shared, task.resources.output));
    Ok(Ok(Some(Beside { spec, shared })))
}

fn bind_shared(shared: &SharedDir, bytes: u64) -> SharedBind {
    SharedBind { host: shared.path().to_owned(), container: SHARED.to_owned(), bytes }
}

impl Beside {
    /// Runs both; gives how the scorer went. The ingestion program is stopped when the scorer has
    /// ended: nobody listens to it any more.
    pub(super) async fn run(
        self,
        carrier: &Carrier,
        job: &Job,
        mut scorer: RunSpec,
        cancel: &CancellationToken,
        ending: &mut Ending,
    ) -> Result<RunOutcome, RunError> {
        scorer.shared = Some(bind_shared(&self.shared, job.task.definition.resources.output));
        let stop = cancel.child_token();
        let scoring = async {
            let scored = carrier.engine.run(scorer, cancel.clone()).await;
            stop.cancel();
            scored
        };
        let (scored, ingested) = tokio::join!(scoring, carrier.engine.run(self.spec, stop.clone()));
        if let Err(error) = self.shared.release().await {
            tracing::warn!(%error, "a shared directory could not be unmounted; the reaper will");
        }
        let ingested = ingested?;
        release(ingested.output.release().await);
        let scored = scored?;
        // stopped since the scorer is done is a good end
        ending.prediction_end = Some(match ingested.end {
            End::Cancelled if scored.end != End::Cancelled => word(End::Exited(0)),
            end => word(end),
        });
        ending.cpu_ms = ingested.cpu.and_then(|d| i64::try_from(d.as_millis()).ok());
        ending.memory_peak = ingested.peak_memory.and_then(|b| i64::try_from(b).ok());
        let closed = !job.on_twin();
        ending.prediction_log =
            Some(keep_log(carrier, job, closed, "ingestion", &ingested.log.bytes()).await?);
        Ok(scored)
    }
}
