//! The prediction step: the submission's program, or the organizer's ingestion program around it,
//! on the input data, in a container that sees no reference data.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::prepare::{self, Desk, Laid};
use super::{Carrier, Job, Outcome, RunError};
use crate::airlock::lane1;
use crate::contest::definition;
use crate::contest::packages::PackageSet;
use crate::sandbox::{
    CollectLimits, End, LogChunk, OutputSpec, Profile, ReadOnlyBind, Resources, RunLabel, RunSpec,
    SandboxError, Step as ContainerStep,
};
use crate::store::{ObjectKey, events};
use crate::submission::command::{self, METADATA_NAMES, StepKind};
use crate::submission::model::{Kind, Origin, Reason, Step};
use crate::submission::queue::{self, Ending};
use crate::submission::topic;

/// How long a submission's program may print nothing. A phase whose own limit is shorter needs none.
const SILENT: Duration = Duration::from_secs(600);
/// Where a run's program finds extra packages; the image's Python looks there.
pub(super) const PACKAGES: &str = "/app/packages";
/// Bytes of log kept of a step.
const LOG_CAP: usize = 1 << 20;

/// Runs the prediction step where there is one; the predictions lie in the desk's `res` afterwards.
/// Gives an outcome when there is nothing left to score.
pub(super) async fn predict(
    carrier: &Carrier,
    job: &Job,
    desk: &Desk,
    laid: &Laid,
    cancel: &CancellationToken,
    ending: &mut Ending,
) -> Result<Option<Outcome>, RunError> {
    let results = desk.directory("res")?;
    let is_result = laid.kind() == Kind::Result;
    let task = &job.task.definition;
    let has_ingestion = task.has_ingestion_before_scoring();
    // a program without a command of its own is what an ingestion program beside the scorer works on
    let has_program = laid.command().is_some() || laid.model().is_some();
    if !has_ingestion && !has_program {
        let (from, to) = (laid.files.root.clone(), results);
        let copied = tokio::task::spawn_blocking(move || copy_tree(&from, &to)).await;
        copied.map_err(|e| RunError::io("copying predictions", &e.into()))??;
        write_ending(&desk.directory("res")?, has_ingestion, None)?;
        return Ok(None);
    }
    // a result lies in the output first of all, so that it survives a failing ingestion
    let seed = is_result.then_some(laid.files.root.as_path());
    note_step(carrier, job, job.is_closed(laid.kind()), Step::Predicting).await?;
    // what a program prints that saw hidden input is sealed, and told to nobody as it comes
    let sealed = job.sees_hidden(laid.kind());
    let spec = match spec(carrier, job, desk, laid, seed).await? {
        Ok(spec) => spec,
        Err(reason) => return Ok(Some(Outcome::Failed(reason))),
    };
    let (spec, live) = follow(carrier, job, spec, sealed);
    let ran = carrier.engine.run(spec, cancel.clone()).await;
    if let Some(live) = live {
        let _ = live.await;
    }
    let outcome = ran?;
    ending.prediction_end = Some(word(outcome.end));
    ending.cpu_ms = outcome.cpu.and_then(|d| i64::try_from(d.as_millis()).ok());
    ending.memory_peak = outcome.peak_memory.and_then(|b| i64::try_from(b).ok());
    let limits = CollectLimits { bytes: job.task.definition.resources.output, ..CollectLimits::default() };
    let collected = outcome.output.collect(&results, &limits).await;
    release(outcome.output.release().await);
    if let End::Exited(code) = outcome.end {
        let took = if sealed { tick_after(outcome.wall, job.limit()) } else { outcome.wall };
        write_ending(&results, has_ingestion, Some((code, took)))?;
    }
    ending.prediction_log = Some(keep_log(carrier, job, sealed, "prediction", &outcome.log.bytes()).await?);
    match (outcome.end, collected) {
        (End::Cancelled, _) => Ok(Some(Outcome::Cancelled)),
        (_, Err(SandboxError::Output(refused))) => {
            Ok(Some(Outcome::Failed(Reason::new("output-refused", refused.to_string()))))
        }
        (_, Err(error)) => Err(error.into()),
        (end, Ok(_)) if laid.model().is_some() => {
            let reason = super::model::ended(job, end, &outcome.log.bytes());
            Ok(reason.map(Outcome::Failed))
        }
        // a failed prediction step does not stop scoring (COMPAT): a scorer may give it its due
        (End::Exited(_), Ok(_)) => Ok(None),
        (end, Ok(_)) => Ok(Some(Outcome::Failed(ended_badly(job, end)))),
    }
}

/// The time from a closed run's start to the tick at which a step that took so long is told.
fn tick_after(wall: Duration, limit: Duration) -> Duration {
    let start = jiff::Timestamp::UNIX_EPOCH;
    let end = start.checked_add(wall).unwrap_or(jiff::Timestamp::MAX);
    Duration::try_from(lane1::release_tick(start, end, limit).at.duration_since(start)).unwrap_or(limit)
}

/// Writes beside the predictions how the step went, in the file `metadata` that Codabench's scorers
/// read (its `push_output`). Of a closed run the time is that of its tick, since a scorer may put it in
/// a score. A file of that name that the program wrote itself stays.
fn write_ending(results: &Path, by_ingestion: bool, ended: Option<(i64, Duration)>) -> Result<(), RunError> {
    let null = || "null".to_owned();
    let code = ended.map_or_else(null, |(code, _)| code.to_string());
    let seconds = ended.map_or_else(null, |(_, took)| format!("{:.3}", took.as_secs_f64()));
    let (ours, other) = match by_ingestion {
        true => (["ingestionExitCode", "ingestionElapsedTime"], ["exitCode", "elapsedTime"]),
        false => (["exitCode", "elapsedTime"], ["ingestionExitCode", "ingestionElapsedTime"]),
    };
    let text =
        format!("{}: {code}\n{}: {seconds}\n{}: null\n{}: null\n", ours[0], ours[1], other[0], other[1]);
    let created = std::fs::File::create_new(results.join("metadata"));
    match created.and_then(|mut file| file.write_all(text.as_bytes())) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        written => written.map_err(|e| RunError::io("writing how the prediction step went", &e)),
    }
}

pub(super) fn release(released: Result<(), SandboxError>) {
    if let Err(error) = released {
        tracing::warn!(%error, "an output directory could not be unmounted; the reaper will");
    }
}

/// How a step ended, in a word for its row.
pub(super) fn word(end: End) -> String {
    match end {
        End::Exited(code) => format!("exit {code}"),
        End::TimedOut => "time limit".to_owned(),
        End::OutOfMemory => "out of memory".to_owned(),
        End::Cancelled => "cancelled".to_owned(),
        End::Silent => "silent".to_owned(),
    }
}

fn ended_badly(job: &Job, end: End) -> Reason {
    let resources = &job.task.definition.resources;
    match end {
        End::TimedOut => Reason::new(
            "time-limit",
            format!(
                "the program ran longer than {} s, this phase's limit; make it faster",
                job.limit().as_secs()
            ),
        ),
        End::OutOfMemory => Reason::new(
            "out-of-memory",
            format!("the program needed more than {} MiB of memory; use less", resources.memory >> 20),
        ),
        End::Silent => Reason::new(
            "silent",
            format!(
                "the program printed nothing for {} s and was stopped; print how far it is",
                SILENT.as_secs()
            ),
        ),
        End::Exited(code) => Reason::new("exit-code", format!("the program ended with exit code {code}")),
        End::Cancelled => Reason::new("cancelled", "stopped before it ended"),
    }
}

async fn spec(
    carrier: &Carrier,
    job: &Job,
    desk: &Desk,
    laid: &Laid,
    seed: Option<&Path>,
) -> Result<Result<RunSpec, Reason>, RunError> {
    let task = &job.task.definition;
    let input = prepare::input(carrier, job, desk).await?;
    if let Some(model) = laid.model() {
        return super::model::spec(carrier, job, model, input).await.map(Ok);
    }
    let mut binds = Vec::new();
    let command = if let Some(path) =
        task.ingestion_program.as_deref().filter(|_| task.has_ingestion_before_scoring())
    {
        let (root, written) = match ingestion(carrier, job, desk, path).await? {
            Ok(program) => program,
            Err(reason) => return Ok(Err(reason)),
        };
        binds.push(bind(root, "/app/program"));
        binds.push(bind(laid.files.root.clone(), "/app/ingested_program"));
        command::substitute(&written, StepKind::Ingestion, false)
    } else {
        binds.push(bind(laid.files.root.clone(), "/app/program"));
        command::substitute(laid.command().unwrap_or_default(), StepKind::Prediction, false)
    };
    if let Some(input) = input {
        // $input means /app/input_data to an ingestion program and /app/input to a submission's own
        binds.push(bind(input.clone(), "/app/input_data"));
        binds.push(bind(input, "/app/input"));
    }
    let argv = match command::split(&command) {
        Ok(argv) => argv,
        Err(error) => return Ok(Err(Reason::new("command", error.to_string()))),
    };
    Ok(Ok(container(carrier, job, Profile::Submission, argv, binds, seed).await?))
}

/// The ingestion program's root and command, or what its bundle lacks.
pub(super) async fn ingestion(
    carrier: &Carrier,
    job: &Job,
    desk: &Desk,
    path: &str,
) -> Result<Result<(PathBuf, String), Reason>, RunError> {
    let root = program_root(&prepare::program(carrier, job, desk, path, "ingestion").await?);
    Ok(match written_command(&root) {
        Some(written) => Ok((root, written)),
        None => {
            let text = format!(
                "the ingestion program {path} has no metadata file with a command; the organizer has to mend the bundle"
            );
            Err(Reason::new("ingestion-command", text))
        }
    })
}

/// A program's root: a bundle's zip may hold one folder around everything.
pub(super) fn program_root(directory: &Path) -> PathBuf {
    if METADATA_NAMES.iter().any(|name| directory.join(name).is_file()) {
        return directory.to_owned();
    }
    let folder = crate::submission::unpack::detect::only_folder(directory).ok().flatten();
    folder.unwrap_or_else(|| directory.to_owned())
}

/// The command that a program's metadata file holds.
pub(super) fn written_command(root: &Path) -> Option<String> {
    METADATA_NAMES
        .iter()
        .find_map(|name| std::fs::read_to_string(root.join(name)).ok())
        .and_then(|text| command::command_of(&text))
}

pub(super) fn bind(host: PathBuf, container: &str) -> ReadOnlyBind {
    ReadOnlyBind { host, container: container.to_owned() }
}

/// How long a step within `limit` may print nothing: a scorer, and a step that is shorter anyway, as
/// long as it likes.
fn silent_limit(profile: Profile, limit: Duration) -> Option<Duration> {
    (profile == Profile::Submission && limit > SILENT).then_some(SILENT)
}

/// The extra packages of a step: a program of a participant's finds what was there when it was handed in,
/// a scorer what the organizer has there now, and never anything of a participant's.
async fn packages(carrier: &Carrier, job: &Job, profile: Profile) -> Result<Option<ReadOnlyBind>, RunError> {
    let mut conn = carrier.house.db.read().await?;
    let set = match profile {
        Profile::Submission => PackageSet::frozen(&mut conn, job.submission.id).await?,
        Profile::Scoring => PackageSet::now(&mut conn, job.competition.id, None).await?,
    };
    drop(conn);
    let laid = carrier.packages.lay_out(&carrier.house, &set).await?;
    Ok(laid.map(|directory| bind(directory, PACKAGES)))
}

/// What both kinds of step have in common.
pub(super) async fn container(
    carrier: &Carrier,
    job: &Job,
    profile: Profile,
    command: Vec<String>,
    binds: Vec<ReadOnlyBind>,
    seed: Option<&Path>,
) -> Result<RunSpec, RunError> {
    container_of(carrier, job, (profile, &job.task.definition.resources), command, binds, seed).await
}

/// The same with other resources than the task's.
pub(super) async fn container_of(
    carrier: &Carrier,
    job: &Job,
    (profile, declared): (Profile, &definition::Resources),
    command: Vec<String>,
    mut binds: Vec<ReadOnlyBind>,
    seed: Option<&Path>,
) -> Result<RunSpec, RunError> {
    binds.extend(packages(carrier, job, profile).await?);
    let own = profile.default_resources();
    let step = match (profile, job.on_twin()) {
        (Profile::Submission, false) => ContainerStep::Prediction,
        (Profile::Submission, true) => ContainerStep::TwinPrediction,
        (Profile::Scoring, false) => ContainerStep::Scoring,
        (Profile::Scoring, true) => ContainerStep::TwinScoring,
    };
    let pids = if profile == Profile::Submission { declared.pids } else { own.pids };
    Ok(RunSpec {
        profile,
        label: RunLabel { run: job.run().id, attempt: job.run().attempt, step },
        image: carrier.images.local(&job.competition.definition.docker_image)?.to_owned(),
        command,
        workdir: "/app/program".to_owned(),
        env: Vec::new(),
        binds,
        output: OutputSpec {
            container: "/app/output".to_owned(),
            bytes: declared.output,
            inodes: 65_536,
            seed: seed.map(Path::to_owned),
        },
        shared: None,
        relay: None,
        resources: Resources { cpus: declared.cpus, memory: declared.memory, pids },
        gpus: carrier.gpus.of(&job.competition.slug).filter(|_| profile == Profile::Submission),
        wall_clock: job.limit(),
        silent_limit: silent_limit(profile, job.limit()),
        log_cap: LOG_CAP,
        log_sink: None,
    })
}

/// Notes the step of a run and tells it live; of a closed run nothing is noted, and only the lease is
/// looked at.
pub(super) async fn note_step(
    carrier: &Carrier,
    job: &Job,
    closed: bool,
    step: Step,
) -> Result<(), RunError> {
    let house = &carrier.house;
    let run = job.run();
    if closed {
        let held = queue::db::is_held(&mut *house.db.read().await?, run.id, run.fence).await?;
        return if held { Ok(()) } else { Err(queue::QueueError::Fenced(run.id).into()) };
    }
    let mut tx = house.db.begin().await?;
    queue::step(&mut tx, &job.lease, step).await?;
    let payload = serde_json::json!({
        "id": job.submission.id, "run": run.id, "task": job.task.definition.index, "step": step,
    });
    events::publish(&mut tx, house.clock.now(), (&topic(job.submission.id), "step"), &payload).await?;
    tx.commit().await?;
    house.event_bell.notify_waiters();
    house.event_bell.notify_one();
    Ok(())
}

/// Follows a run's output live, unless it is sealed, or of a program from inside a sandbox: that is counted
/// as content shown when it is shown.
pub(super) fn follow(
    carrier: &Carrier,
    job: &Job,
    mut spec: RunSpec,
    sealed: bool,
) -> (RunSpec, Option<tokio::task::JoinHandle<()>>) {
    if sealed || job.submission.origin == Origin::Sandbox {
        return (spec, None);
    }
    let (sender, receiver) = mpsc::channel(64);
    spec.log_sink = Some(sender);
    let house = carrier.house.clone();
    let (submission, run) = (job.submission.id, job.run().id);
    let live = tokio::spawn(async move {
        if let Err(error) = tell_live(&house, submission, run, receiver).await {
            tracing::warn!(%submission, %error, "a run's output could not be shown live");
        }
    });
    (spec, Some(live))
}

/// Publishes output as it comes, gathered twice a second so that a chatty program costs little.
async fn tell_live(
    house: &crate::house::House,
    submission: crate::ids::SubmissionId,
    run: crate::ids::RunId,
    mut receiver: mpsc::Receiver<LogChunk>,
) -> Result<(), crate::store::StoreError> {
    const LIVE_CAP: usize = 64 << 10;
    let mut told = 0;
    while let Some(first) = receiver.recv().await {
        let mut bytes = first.bytes.to_vec();
        let mut gathered = std::pin::pin!(tokio::time::sleep(std::time::Duration::from_millis(500)));
        loop {
            tokio::select! {
                more = receiver.recv() => match more {
                    Some(more) => bytes.extend_from_slice(&more.bytes),
                    // the program has ended: nobody waits for the half second to pass
                    None => break,
                },
                () = &mut gathered => break,
            }
        }
        bytes.truncate(LIVE_CAP - told);
        told += bytes.len();
        if bytes.is_empty() {
            continue;
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let payload = serde_json::json!({ "id": submission, "run": run, "text": text });
        let mut tx = house.db.begin().await?;
        events::publish(&mut tx, house.clock.now(), (&topic(submission), "output"), &payload).await?;
        tx.commit().await?;
        house.event_bell.notify_waiters();
        house.event_bell.notify_one();
    }
    Ok(())
}

/// Stores a step's log: in plain when its author may read it, else sealed.
pub(super) async fn keep_log(
    carrier: &Carrier,
    job: &Job,
    sealed: bool,
    step: &str,
    log: &[u8],
) -> Result<String, RunError> {
    let run = job.run();
    let place = format!("logs/{}/{}-{step}", run.id, run.attempt);
    let key = if sealed { ObjectKey::hidden(place)? } else { ObjectKey::plain(place)? };
    carrier.house.objects.put_bytes(&key, log).await?;
    Ok(key.as_str().to_owned())
}

/// Copies regular files from one directory of ours to another.
fn copy_tree(from: &Path, to: &Path) -> Result<(), RunError> {
    let failed = |e: std::io::Error| RunError::io("copying predictions", &e);
    for entry in std::fs::read_dir(from).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let kind = entry.file_type().map_err(failed)?;
        let target = to.join(entry.file_name());
        if kind.is_dir() {
            std::fs::create_dir_all(&target).map_err(failed)?;
            copy_tree(&entry.path(), &target)?;
        } else if kind.is_file() {
            std::fs::copy(entry.path(), &target).map_err(failed)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_submission_that_prints_nothing_is_stopped_before_a_long_limit() {
        let minutes = |n: u64| Duration::from_secs(60 * n);
        assert_eq!(silent_limit(Profile::Submission, minutes(60)), Some(minutes(10)));
        assert_eq!(silent_limit(Profile::Submission, minutes(10)), None);
        assert_eq!(silent_limit(Profile::Scoring, minutes(60)), None);
    }
}
