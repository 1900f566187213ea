//! A submitted model's run: it is looked at before anything runs it, and then run by the platform's own runner
//! in a container like a program's. From its predictions on, it is scored as any program is.

use std::fs::{self, File, Permissions};
use std::io::BufReader;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::predict::{PACKAGES, bind, container};
use super::prepare::Desk;
use super::{Carrier, Job, RunError};
use crate::contest::definition::ModelRules;
use crate::sandbox::{End, Profile, RunSpec};
use crate::submission::mapping::{self, Manifest, Plan};
use crate::submission::model::Reason;
use crate::submission::onnx::{self, Limits};
use crate::submission::unpack::contents::{has_table, is_pickled, pickle_below};
use crate::submission::unpack::detect::{LaidOut, SubmissionKind};

/// The runner in the image, and its job beside the model.
const RUNNER: &str = "/usr/local/lib/shuyu/run_model.py";
const JOB: &str = "job.json";
/// The image whose runner it is, as bundles name it.
const IMAGE: &str = "python";
/// What the runner's last line begins with when it failed, and the code with which it says that memory
/// did not suffice.
const SAID: &str = "shuyu: ";
const NO_MEMORY: i64 = 3;

fn pickle(name: &str) -> Reason {
    let text = format!(
        "{name} is a model in a format whose loading runs code, and is not taken; export it to ONNX (for scikit-learn: \
         skl2onnx) and submit the .onnx file"
    );
    Reason::new("model-pickle", text)
}

/// Lays a model out in a directory of the desk, with the runner's job. Of what is no model: nothing, or that it
/// is one in a form that is not taken. The inner error is a fault of the upload, from public facts alone.
pub(super) async fn lay_out(
    job: &Job,
    desk: &Desk,
    laid: &LaidOut,
) -> Result<Result<Option<PathBuf>, Reason>, RunError> {
    let failed = |error: std::io::Error| RunError::io("looking at the model", &error);
    let task = &job.task.definition;
    let SubmissionKind::Model { manifest, files } = &laid.kind else {
        let for_program = task.metrics.is_empty() || task.ingestion_program.is_some();
        if laid.kind != SubmissionKind::Result || for_program {
            return Ok(Ok(None));
        }
        return Ok(match without_table(&laid.root).map_err(failed)? {
            Some(name) => Err(pickle(&name)),
            None => Ok(None),
        });
    };
    let Some(rules) = &task.model else { return Ok(Ok(None)) };
    let [file] = files.as_slice() else {
        return Ok(Err(match pickle_below(&laid.root).map_err(failed)? {
            Some(name) if files.is_empty() => pickle(&name),
            _ => {
                let text = format!(
                    "the zip holds {} .onnx files and one is taken; submit model.yaml with the one model that predicts",
                    files.len()
                );
                Reason::new("model-files", text)
            }
        }));
    };
    if is_pickled(file).map_err(failed)? {
        return Ok(Err(pickle(&job.submission.file_name)));
    }
    let (rules, manifest, file) = (rules.clone(), manifest.clone(), file.clone());
    let (memory, directory) = (task.resources.memory, desk.directory("model")?);
    let looked = tokio::task::spawn_blocking(move || {
        let plan = match look(&file, manifest.as_deref(), &rules, memory)? {
            Ok(plan) => plan,
            Err(reason) => return Ok(Err(reason)),
        };
        let model = directory.join(&plan.model);
        fs::rename(&file, &model)?;
        fs::write(directory.join(JOB), serde_json::to_vec(&plan)?)?;
        for path in [model, directory.join(JOB)] {
            fs::set_permissions(path, Permissions::from_mode(0o644))?;
        }
        Ok(Ok(Some(directory)))
    });
    let looked = looked.await.map_err(|error| failed(error.into()))?;
    looked.map_err(failed)
}

/// A model by its name or first bytes in what was handed in as predictions and has no table.
fn without_table(root: &Path) -> std::io::Result<Option<String>> {
    match has_table(root)? {
        true => Ok(None),
        false => pickle_below(root),
    }
}

/// Looks at a model; gives the runner's job.
fn look(
    file: &Path,
    manifest: Option<&str>,
    rules: &ModelRules,
    memory: u64,
) -> std::io::Result<Result<Plan, Reason>> {
    let manifest = match manifest.map(mapping::read) {
        None => Manifest::default(),
        Some(Ok(manifest)) => manifest,
        Some(Err(faulty)) => return Ok(Err(Reason::faulty("model-manifest", faulty))),
    };
    let limits = Limits { bytes: rules.max_bytes, memory, opset: rules.opset };
    let opened = File::open(file)?;
    let size = opened.metadata()?.len();
    let signature = match onnx::read(BufReader::new(opened), size, &limits) {
        Ok(signature) => signature,
        Err(error) => return Ok(Err(Reason::new(error.code(), error.to_string()))),
    };
    let plan = mapping::plan(rules, &signature, &manifest, "model.onnx");
    Ok(plan.map_err(|why| Reason::new("model-mapping", why)))
}

/// The container that runs it: the platform's own image, whatever the bundle's programs run in, and nobody's
/// packages.
pub(super) async fn spec(
    carrier: &Carrier,
    job: &Job,
    model: &Path,
    input: Option<PathBuf>,
) -> Result<RunSpec, RunError> {
    let mut binds = vec![bind(model.to_owned(), "/app/program")];
    binds.extend(input.map(|input| bind(input, "/app/input_data")));
    let command = ["python3", RUNNER, "/app/program/job.json", "/app/input_data", "/app/output"];
    let command = command.map(str::to_owned).to_vec();
    let mut spec = container(carrier, job, Profile::Submission, command, binds, None).await?;
    spec.image = carrier.images.local(IMAGE)?.to_owned();
    spec.binds.retain(|bind| bind.container != PACKAGES);
    // one call of a model may take as long as it likes within the limit, and prints nothing meanwhile
    spec.silent_limit = None;
    Ok(spec)
}

/// Why a model has no predictions; nothing when it has.
pub(super) fn ended(job: &Job, end: End, log: &[u8]) -> Option<Reason> {
    let memory = job.task.definition.resources.memory >> 20;
    match end {
        End::Exited(0) => None,
        End::OutOfMemory | End::Exited(NO_MEMORY) => {
            let text = format!(
                "the model needed more than {memory} MiB of memory; make it smaller, or let fewer rows pass at once: \
                 `batch: 256` in model.yaml"
            );
            Some(Reason::new("model-out-of-memory", text))
        }
        End::TimedOut => {
            let text = format!(
                "the model took longer than {} s for all rows, this phase's limit; make it smaller, and leave the number \
                 of rows open when exporting it",
                job.limit().as_secs()
            );
            Some(Reason::new("model-time-limit", text))
        }
        End::Cancelled => Some(Reason::new("cancelled", "stopped before it ended")),
        End::Silent => {
            Some(Reason::new("model-failed", "the model was stopped, since nothing was heard of it"))
        }
        End::Exited(code) => {
            let log = String::from_utf8_lossy(log);
            let said = log.lines().rev().find_map(|line| line.strip_prefix(SAID));
            let text = match said {
                Some(said) => said.chars().take(1000).collect(),
                None => format!(
                    "the runtime broke off with exit code {code}; try the model with onnxruntime, and with onnx.checker"
                ),
            };
            Some(Reason::new("model-failed", text))
        }
    }
}
