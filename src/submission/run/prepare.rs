//! Prepares a run: its desk on a tmpfs, the submission laid out on it, inputs and programs at hand.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::cache::cached;
use super::{Carrier, Job, RunError, model};
use crate::contest::definition::InputVisibility;
use crate::contest::model::{FileKind, StoredFile};
use crate::sandbox::Staging;
use crate::store::ObjectKey;
use crate::submission::app::{self, Manifest};
use crate::submission::command::{CommandError, METADATA_NAMES, read_metadata};
use crate::submission::model::{Kind, Reason};
use crate::submission::unpack::detect::{DetectError, LaidOut, SubmissionKind, lay_out};
use crate::submission::unpack::{UnpackError, UnpackLimits, unpack_zip};

/// Most that a run's files may take on its tmpfs, in bytes. The kernel takes memory only for what
/// is written.
const DESK_BYTES: u64 = 8 << 30;

/// Where a run's files lie while it lasts: a tmpfs, since some of them are hidden data in plain.
pub(super) struct Desk {
    staging: Staging,
}

impl Desk {
    pub async fn set_up(carrier: &Carrier, job: &Job) -> Result<Self, RunError> {
        let staging = carrier.engine.stage(job.owner(), DESK_BYTES)?;
        Ok(Self { staging })
    }

    /// A directory of the desk, made when absent.
    pub fn directory(&self, name: &str) -> Result<PathBuf, RunError> {
        let path = self.staging.path().join(name);
        fs::create_dir_all(&path).map_err(|e| RunError::io("making a directory of the run", &e))?;
        Ok(path)
    }

    /// Clears the desk; what cannot be cleared now the reaper clears.
    pub async fn clear(self) {
        if let Err(error) = self.staging.release().await {
            tracing::warn!(%error, "a run's desk could not be cleared; the reaper will");
        }
    }
}

/// The submission's files, and what they are.
pub(super) struct Laid {
    pub files: LaidOut,
    /// Of an app, how it is started.
    manifest: Option<Manifest>,
    /// Of a model, the directory with it and the runner's job.
    model: Option<PathBuf>,
}

impl Laid {
    pub fn kind(&self) -> Kind {
        match self.files.kind {
            SubmissionKind::App { .. } => Kind::App,
            SubmissionKind::Code { .. } => Kind::Code,
            SubmissionKind::Model { .. } => Kind::Model,
            SubmissionKind::Result => Kind::Result,
        }
    }

    pub fn manifest(&self) -> Option<&Manifest> {
        self.manifest.as_ref()
    }

    pub fn model(&self) -> Option<&Path> {
        self.model.as_deref()
    }

    pub fn command(&self) -> Option<&str> {
        match &self.files.kind {
            SubmissionKind::Code { command } => command.as_deref(),
            SubmissionKind::App { .. } | SubmissionKind::Model { .. } | SubmissionKind::Result => None,
        }
    }
}

/// Lays the submission out on the desk. The inner error is a fault of the upload, from public facts
/// alone.
pub(super) async fn lay_out_submission(
    carrier: &Carrier,
    job: &Job,
    desk: &Desk,
) -> Result<Result<Laid, Reason>, RunError> {
    let key: ObjectKey = job.submission.object_key.parse()?;
    let upload = desk.directory("upload")?.join("file");
    carrier.house.objects.get_to_file(&key, &upload).await?;
    let program = desk.directory("program")?;
    let name = job.submission.file_name.clone();
    let laid = tokio::task::spawn_blocking(move || {
        let file = File::open(&upload).map_err(DetectError::Io)?;
        let laid = lay_out(file, &name, &program, &UnpackLimits::default())?;
        fs::remove_file(&upload).map_err(DetectError::Io)?;
        Ok(laid)
    });
    let files = match laid.await.map_err(|e| RunError::io("laying out the submission", &e.into()))? {
        Ok(files) => files,
        Err(DetectError::Io(error)) => return Err(RunError::io("laying out the submission", &error)),
        // the desk is far larger than what is taken: a full one is our own fault
        Err(DetectError::Unpack(UnpackError::Io { source, .. }))
            if source.kind() == std::io::ErrorKind::StorageFull =>
        {
            return Err(RunError::io("laying out the submission", &source));
        }
        Err(DetectError::Unpack(error)) => {
            let text = format!("{error}. {}", error.mend());
            return Ok(Err(Reason::new(error.code(), text)));
        }
        Err(error) => return Ok(Err(Reason::new(error.code(), error.to_string()))),
    };
    let manifest = match &files.kind {
        SubmissionKind::App { manifest } => match app::read(manifest) {
            Ok(manifest) => Some(manifest),
            Err(faulty) => return Ok(Err(Reason::faulty("app-manifest", faulty))),
        },
        _ => None,
    };
    let mut laid = Laid { files: as_the_task_sees_it(job, files), manifest, model: None };
    if let Some(reason) = not_taken(job, laid.kind()) {
        return Ok(Err(reason));
    }
    if matches!(laid.kind(), Kind::Code | Kind::Model) && job.phase.definition.accepts_only_result_submissions
    {
        let text = "this phase takes results only (.csv, .parquet, or a zip of them without metadata.yaml)";
        return Ok(Err(Reason::new("results-only", text)));
    }
    match model::lay_out(job, desk, &laid.files).await? {
        Ok(directory) => laid.model = directory,
        Err(reason) => return Ok(Err(reason)),
    }
    let task = &job.task.definition;
    if task.has_ingestion_beside_scoring() && !task.shared {
        let text = format!(
            "this task's programs and scorer would talk through a shared directory, which its organizer \
             has not allowed; the organizer has to set shuyu.tasks.{}.shared: true",
            task.index
        );
        return Ok(Err(Reason::new("shared-not-allowed", text)));
    }
    if laid.command().is_some_and(|command| command.contains('\0')) {
        return Ok(Err(Reason::new("command", CommandError::Nul.to_string())));
    }
    if laid.kind() == Kind::Code && laid.command().is_none() && task.ingestion_program.is_none() {
        return Ok(Err(without_command(&laid.files.root)));
    }
    Ok(Ok(laid))
}

/// Where a scoring program scores, what only looks like a model is a result: the program may load it.
fn as_the_task_sees_it(job: &Job, files: LaidOut) -> LaidOut {
    let task = &job.task.definition;
    let zipped = job.submission.file_name.to_ascii_lowercase().ends_with(".zip");
    match files.kind {
        SubmissionKind::Model { .. } if zipped && task.metrics.is_empty() && !task.takes_apps() => {
            LaidOut { kind: SubmissionKind::Result, ..files }
        }
        _ => files,
    }
}

/// Why the task does not take a submission of this kind.
fn not_taken(job: &Job, kind: Kind) -> Option<Reason> {
    let task = &job.task.definition;
    if kind == Kind::Model && task.model.is_none() && !task.takes_apps() {
        let text = "this task takes no models (.onnx): it does not say what a model is given and asked for; submit \
                    predictions, or a program that runs the model";
        return Some(Reason::new("no-models", text));
    }
    match (task.takes_apps(), kind == Kind::App) {
        (true, false) => {
            let text = "this task takes apps: a zip with app.yaml, which says how the app is started and on which \
                        port it listens";
            Some(Reason::new("app-wanted", text))
        }
        (false, true) => {
            let text = "this task takes no apps (a zip with app.yaml); its page says what it takes";
            Some(Reason::new("no-apps", text))
        }
        _ => None,
    }
}

/// Why a program has no command: its metadata file cannot be read, or has none.
fn without_command(root: &Path) -> Reason {
    let example = "such as: command: python3 $program/main.py $input $output";
    let text = METADATA_NAMES.iter().find_map(|name| fs::read_to_string(root.join(name)).ok());
    match text.as_deref().map(read_metadata) {
        Some(Err(why)) => {
            let text = format!("metadata.yaml is no YAML mapping: {why}; write it {example}");
            Reason::new("metadata-unreadable", text)
        }
        _ => Reason::new("no-command", format!("metadata.yaml has no command; write one, {example}")),
    }
}

/// The input data of the run, ready to be bound: the twin's, the public one from the cache, or the
/// hidden one on the desk.
pub(super) async fn input(carrier: &Carrier, job: &Job, desk: &Desk) -> Result<Option<PathBuf>, RunError> {
    let task = &job.task.definition;
    if job.on_twin() {
        let twin = twin(job)?;
        return cached(carrier, job.file(&twin.input)?).await.map(Some);
    }
    let Some(path) = &task.input_data else { return Ok(None) };
    match task.input {
        InputVisibility::Public => cached(carrier, job.file(path)?).await.map(Some),
        InputVisibility::Hidden => on_desk(carrier, job.file(path)?, desk, "input").await.map(Some),
    }
}

/// The reference data of the run: the twin's, or the hidden one on the desk.
pub(super) async fn reference(
    carrier: &Carrier,
    job: &Job,
    desk: &Desk,
) -> Result<Option<PathBuf>, RunError> {
    if job.on_twin() {
        let twin = twin(job)?;
        return cached(carrier, job.file(&twin.reference)?).await.map(Some);
    }
    let Some(path) = &job.task.definition.reference_data else { return Ok(None) };
    on_desk(carrier, job.file(path)?, desk, "ref").await.map(Some)
}

fn twin(job: &Job) -> Result<&crate::contest::definition::Twin, RunError> {
    job.task.definition.twin.as_ref().ok_or_else(|| {
        RunError::Ours("the task's twin was removed from the bundle after the run was queued".to_owned())
    })
}

/// A program of the organizer's, ready to be bound. A scoring program is on the desk, since it may
/// hold answers.
pub(super) async fn program(
    carrier: &Carrier,
    job: &Job,
    desk: &Desk,
    path: &str,
    name: &str,
) -> Result<PathBuf, RunError> {
    let file = job.file(path)?;
    if is_hidden(file)? { on_desk(carrier, file, desk, name).await } else { cached(carrier, file).await }
}

pub(super) fn is_hidden(file: &StoredFile) -> Result<bool, RunError> {
    let key: ObjectKey = file.object_key.parse()?;
    Ok(key.class() == crate::store::Class::Hidden)
}

/// Unpacks a file of the bundle on the desk.
async fn on_desk(carrier: &Carrier, file: &StoredFile, desk: &Desk, name: &str) -> Result<PathBuf, RunError> {
    let target = desk.directory(name)?;
    let archive = desk.directory("packed")?.join(name);
    fetch(carrier, file, &archive, &target).await?;
    Ok(target)
}

pub(super) fn is_packed(file: &StoredFile) -> bool {
    file.kind == FileKind::Directory || file.path.to_ascii_lowercase().ends_with(".zip")
}

/// Its last part, which a single file keeps in the container.
pub(super) fn file_name(file: &StoredFile) -> &str {
    file.path.rsplit('/').next().unwrap_or("file")
}

/// Brings an object to `target`: a zip is unpacked within bounds, any other file lies there under
/// its own name.
pub(super) async fn fetch(
    carrier: &Carrier,
    file: &StoredFile,
    archive: &Path,
    target: &Path,
) -> Result<(), RunError> {
    let key: ObjectKey = file.object_key.parse()?;
    carrier.house.objects.get_to_file(&key, archive).await?;
    let (packed, target) = (archive.to_owned(), target.to_owned());
    let is_zip = is_packed(file);
    let name = file_name(file).to_owned();
    let path = file.path.clone();
    let unpacked = tokio::task::spawn_blocking(move || {
        if is_zip {
            let limits = UnpackLimits {
                entries: 1 << 20,
                total_bytes: 64 << 30,
                file_bytes: 64 << 30,
                ..UnpackLimits::default()
            };
            let opened = File::open(&packed).map_err(|e| e.to_string())?;
            unpack_zip(opened, &target, &limits).map_err(|e| e.to_string())?;
            fs::remove_file(&packed).map_err(|e| e.to_string())
        } else {
            let placed = target.join(name);
            fs::rename(&packed, &placed).map_err(|e| e.to_string())?;
            let readable = std::os::unix::fs::PermissionsExt::from_mode(0o644);
            fs::set_permissions(&placed, readable).map_err(|e| e.to_string())
        }
    });
    let done = unpacked.await.map_err(|e| RunError::io("unpacking", &e.into()))?;
    done.map_err(|problem| RunError::Ours(format!("unpacking {path} of the competition failed: {problem}")))
}
