//! A submitted app's run: it is started in a container of its own and asked the task's probes over the relay.
//!
//! Public probes come first, and what an author reads of them is fixed before the first hidden one is asked:
//! from then on the app knows what nobody may see, and all that leaves the run are the scores, through the
//! airlock. Of an app that reads hidden input that holds from its start: there is no report then.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::cache::cached;
use super::predict::{bind, container_of, follow, keep_log, note_step, release, word};
use super::prepare::{self, Desk, Laid};
use super::score::audience;
use super::{Carrier, Job, Outcome, RunError};
use crate::airlock::Hidden;
use crate::airlock::rule::ColumnRule;
use crate::contest::definition::{InputVisibility, ProbeFile, Resources};
use crate::probing::answer::AskError;
use crate::probing::report::Report;
use crate::probing::session::{self, App, Asked, Outcome as Probed, Unhealthy};
use crate::probing::suite::{Suite, Visibility};
use crate::probing::{read, tally};
use crate::sandbox::{End, Profile, Relay, RelayError, RelayStream, RunRelay, RunSpec, Staging};
use crate::store::ObjectKey;
use crate::submission::app::{Manifest, files};
use crate::submission::model::{Reason, Step};
use crate::submission::queue::Ending;

/// Most that an app's files and wheels may take, in bytes.
const PROGRAM_BYTES: u64 = 2 << 30;

/// The app behind a relay.
struct Behind<'a> {
    relay: &'a Relay,
    port: u16,
}

impl App for Behind<'_> {
    type Stream = RelayStream;

    async fn open(&self) -> Result<RelayStream, AskError> {
        self.relay.open(self.port).await.map_err(|error| match error {
            RelayError::Refused { port } => AskError::Refused { port },
            RelayError::Away | RelayError::Silent { .. } | RelayError::Busy => AskError::NoConnection,
        })
    }

    fn port(&self) -> u16 {
        self.port
    }
}

/// The probes of a task, as far as this run asks them.
struct Probes {
    public: Vec<Suite>,
    hidden: Vec<Suite>,
}

/// What came of asking.
struct Heard {
    public: Vec<Probed>,
    hidden: Vec<Probed>,
}

/// Starts the app, asks it everything, and scores the answers.
pub(super) async fn probe(
    carrier: &Carrier,
    job: &Job,
    desk: &Desk,
    (laid, manifest): (&Laid, &Manifest),
    cancel: &CancellationToken,
    ending: &mut Ending,
) -> Result<Outcome, RunError> {
    let probes = match load(carrier, job, desk).await? {
        Ok(probes) => probes,
        Err(reason) => return Ok(Outcome::Failed(reason)),
    };
    let resources = match manifest.resources.within(&job.task.definition.resources) {
        Ok(resources) => resources,
        Err(why) => return Ok(Outcome::Rejected(Reason::new("app-resources", why))),
    };
    // before anything is mounted for it
    carrier.engine.check_relay()?;
    let program = match stage(carrier, job, laid, manifest).await? {
        Ok(program) => program,
        Err(reason) => return Ok(Outcome::Rejected(reason)),
    };
    note_step(carrier, job, job.is_closed(laid.kind()), Step::Predicting).await?;
    let relay = carrier.engine.listen_for_run()?;
    let spec = spec(carrier, job, desk, (program.path(), manifest), resources, &relay).await?;
    let asked = ask(carrier, job, (laid, manifest), &probes, &relay, spec, cancel, ending).await;
    if let Err(error) = program.release().await {
        tracing::warn!(%error, "an app's files could not be unmounted; the reaper will");
    }
    let heard = match asked? {
        Ok(heard) => heard,
        Err(outcome) => return Ok(outcome),
    };
    score(carrier, job, &probes, heard, ending).await
}

/// The task's probe files, read again as they were when the bundle was checked. The inner error is a fault of
/// the bundle.
async fn load(carrier: &Carrier, job: &Job, desk: &Desk) -> Result<Result<Probes, Reason>, RunError> {
    let mut probes = Probes { public: Vec::new(), hidden: Vec::new() };
    for (number, file) in job.task.definition.probes.iter().enumerate() {
        if job.on_twin() && file.visibility == Visibility::Hidden {
            continue;
        }
        let suite = match suite(carrier, job, desk, number, file).await? {
            Ok(suite) => suite,
            Err(why) => {
                let text = format!("the probes cannot be read: {why}; the organizer has to mend the bundle");
                return Ok(Err(Reason::new("probes-unreadable", text)));
            }
        };
        match file.visibility {
            Visibility::Public => probes.public.push(suite),
            Visibility::Hidden => probes.hidden.push(suite),
        }
    }
    Ok(Ok(probes))
}

async fn suite(
    carrier: &Carrier,
    job: &Job,
    desk: &Desk,
    number: usize,
    file: &ProbeFile,
) -> Result<Result<Suite, String>, RunError> {
    let mut attached: HashMap<&str, Arc<[u8]>> = HashMap::new();
    for (place, (name, path)) in file.attached.iter().enumerate() {
        let bytes = bytes(carrier, job, desk, path, &format!("probes{number}-{place}")).await?;
        attached.insert(name, Arc::from(bytes));
    }
    let text = bytes(carrier, job, desk, &file.path, &format!("probes{number}")).await?;
    let Ok(text) = String::from_utf8(text) else { return Ok(Err(format!("{} is not UTF-8", file.path))) };
    let (suite, findings) = read::suite(&file.path, &text, &mut |name| {
        attached.get(name).cloned().ok_or_else(|| format!("{name} was not stored with the bundle"))
    });
    let first = || findings.into_report().findings.first().map(|found| found.problem.clone());
    Ok(suite.ok_or_else(|| first().unwrap_or_default()))
}

async fn bytes(
    carrier: &Carrier,
    job: &Job,
    desk: &Desk,
    path: &str,
    name: &str,
) -> Result<Vec<u8>, RunError> {
    let folder = prepare::program(carrier, job, desk, path, name).await?;
    let file = folder.join(path.rsplit('/').next().unwrap_or(path));
    fs::read(file).map_err(|e| RunError::io("reading a probe file", &e))
}

/// Lays the app out where machine code can be run, with its wheels beside it. The inner error is a fault of
/// the upload.
async fn stage(
    carrier: &Carrier,
    job: &Job,
    laid: &Laid,
    manifest: &Manifest,
) -> Result<Result<Staging, Reason>, RunError> {
    let staged = carrier.engine.stage_program(job.owner(), PROGRAM_BYTES)?;
    let (from, to, manifest) = (laid.files.root.clone(), staged.path().to_owned(), manifest.clone());
    let staging = tokio::task::spawn_blocking(move || files::lay_out(&from, &to, &manifest)).await;
    match staging.map_err(std::io::Error::from).and_then(|laid| laid) {
        Ok(Ok(())) => Ok(Ok(staged)),
        Ok(Err(reason)) => {
            release(staged.release().await);
            Ok(Err(reason))
        }
        Err(error) => Err(RunError::io("laying out an app", &error)),
    }
}

async fn spec(
    carrier: &Carrier,
    job: &Job,
    desk: &Desk,
    (staged, manifest): (&Path, &Manifest),
    resources: Resources,
    relay: &RunRelay,
) -> Result<RunSpec, RunError> {
    let mut binds = vec![bind(files::program_in(staged), files::PROGRAM)];
    if !manifest.wheels.is_empty() {
        binds.push(bind(files::wheels_in(staged), files::WHEELS));
    }
    if let Some(input) = input(carrier, job, desk).await? {
        binds.push(bind(input.clone(), "/app/input_data"));
        binds.push(bind(input, "/app/input"));
    }
    let command = RunRelay::around(manifest.command(files::PROGRAM, files::WHEELS));
    let mut spec =
        container_of(carrier, job, (Profile::Submission, &resources), command, binds, None).await?;
    spec.relay = Some(relay.directory().to_owned());
    // it waits for questions, and may have nothing to print
    spec.silent_limit = None;
    Ok(spec)
}

/// The input data, where there is some that this run may see.
async fn input(carrier: &Carrier, job: &Job, desk: &Desk) -> Result<Option<PathBuf>, RunError> {
    let task = &job.task.definition;
    if job.on_twin() && task.twin.is_none() {
        // a trial on the public probes alone
        let Some(path) = task.input_data.as_ref().filter(|_| task.input == InputVisibility::Public) else {
            return Ok(None);
        };
        return cached(carrier, job.file(path)?).await.map(Some);
    }
    prepare::input(carrier, job, desk).await
}

/// Runs the app and asks it. The inner error is what the run ends with where nothing can be scored.
#[expect(clippy::too_many_arguments, reason = "what one run is about, and what it leaves")]
async fn ask(
    carrier: &Carrier,
    job: &Job,
    (laid, manifest): (&Laid, &Manifest),
    probes: &Probes,
    relay: &RunRelay,
    spec: RunSpec,
    cancel: &CancellationToken,
    ending: &mut Ending,
) -> Result<Result<Heard, Outcome>, RunError> {
    let sealed = job.sees_hidden(laid.kind());
    let (spec, live) = follow(carrier, job, spec, sealed);
    let (stop, gone) = (cancel.child_token(), CancellationToken::new());
    let running = async {
        let ran = carrier.engine.run(spec, stop.clone()).await;
        gone.cancel();
        ran
    };
    let app = Behind { relay: relay.relay(), port: manifest.port };
    let asking = async {
        let heard = questions(job, &app, manifest, probes, &gone).await;
        stop.cancel();
        heard
    };
    let (ran, heard) = tokio::join!(running, asking);
    if let Some(live) = live {
        let _ = live.await;
    }
    let ran = ran?;
    release(ran.output.release().await);
    // stopped since everything was asked is a good end
    let stopped = ran.end == End::Cancelled && !cancel.is_cancelled();
    let ready = heard.is_ok();
    ending.prediction_end = Some(word(if stopped && ready { End::Exited(0) } else { ran.end }));
    ending.cpu_ms = ran.cpu.and_then(|d| i64::try_from(d.as_millis()).ok());
    ending.memory_peak = ran.peak_memory.and_then(|b| i64::try_from(b).ok());
    ending.prediction_log = Some(keep_log(carrier, job, sealed, "prediction", &ran.log.bytes()).await?);
    if cancel.is_cancelled() {
        return Ok(Err(Outcome::Cancelled));
    }
    Ok(heard.map_err(|why| {
        let reason = not_up(manifest, &why, (!stopped).then_some(ran.end));
        if reads_hidden(job) { Outcome::Failed(reason) } else { Outcome::FailedOpenly(reason) }
    }))
}

async fn questions(
    job: &Job,
    app: &Behind<'_>,
    manifest: &Manifest,
    probes: &Probes,
    gone: &CancellationToken,
) -> Result<Heard, Unhealthy> {
    session::until_healthy(app, &manifest.health, manifest.start_timeout, gone).await?;
    let submission = job.submission.id.to_string();
    let mut told = |_| {};
    let public = session::unrolled(&probes.public, &submission);
    let public = session::ask_all(app, &public, gone, &mut told).await;
    let hidden = session::unrolled(&probes.hidden, &submission);
    let hidden = session::ask_all(app, &hidden, gone, &mut told).await;
    Ok(Heard { public, hidden })
}

/// Whether the app reads hidden input from its start: whatever it does may tell of that.
fn reads_hidden(job: &Job) -> bool {
    let task = &job.task.definition;
    task.input_data.is_some() && task.input == InputVisibility::Hidden && !job.on_twin()
}

/// Why an app could not be asked anything. `end` is how it ended, where it did so by itself.
fn not_up(manifest: &Manifest, why: &Unhealthy, end: Option<End>) -> Reason {
    let Manifest { health, port, start_timeout, .. } = manifest;
    match end {
        Some(End::Exited(code)) => Reason::new(
            "app-ended",
            format!(
                "the app ended with exit code {code} before it answered; it has to run until it is stopped"
            ),
        ),
        Some(End::OutOfMemory) => Reason::new(
            "out-of-memory",
            "the app needed more memory than it has before it answered; use less",
        ),
        _ => Reason::new(
            "app-not-up",
            format!(
                "the app did not answer GET {health} on 127.0.0.1:{port} with a status below 400 within {} s ({why}); \
                 see its log, and `port`, `health` and `start_timeout` in app.yaml",
                start_timeout.as_secs()
            ),
        ),
    }
}

async fn score(
    carrier: &Carrier,
    job: &Job,
    probes: &Probes,
    heard: Heard,
    ending: &mut Ending,
) -> Result<Outcome, RunError> {
    let submission = job.submission.id.to_string();
    let public = session::unrolled(&probes.public, &submission);
    let hidden = session::unrolled(&probes.hidden, &submission);
    let mut sealed = summary(&hidden, &heard.hidden);
    if reads_hidden(job) {
        // an answer to a public probe may quote the input
        sealed = summary(&public, &heard.public) + &sealed;
    } else {
        let report = Report::of(&public, &heard.public, hidden.len());
        ending.report = Some(keep_report(carrier, job, &report).await?);
    }
    if !sealed.is_empty() {
        ending.scoring_log = Some(keep_log(carrier, job, true, "scoring", sealed.as_bytes()).await?);
    }
    ending.scoring_end = Some("exit 0".to_owned());
    let asked: Vec<Asked<'_>> = public.into_iter().chain(hidden).collect();
    let outcomes: Vec<Probed> = heard.public.into_iter().chain(heard.hidden).collect();
    let board = &job.competition.definition.leaderboard;
    let declared = board.columns.iter().filter(|column| column.computation.is_none());
    let columns: Vec<ColumnRule> = declared
        .filter_map(|column| {
            let facts = tally::facts(&column.key, &asked)?;
            Some(ColumnRule {
                key: column.key.clone(),
                range: Some(facts.range),
                distinct: facts.distinct,
                optional: false,
                audience: audience(column),
            })
        })
        .collect();
    Ok(Outcome::Scored { scores: Hidden::new(tally::scores(&asked, &outcomes)), columns })
}

/// Keeps what the author may read. It was fixed before the app was asked anything hidden.
async fn keep_report(carrier: &Carrier, job: &Job, report: &Report) -> Result<String, RunError> {
    let run = job.run();
    let key = ObjectKey::plain(format!("reports/{}/{}", run.id, run.attempt))?;
    let text = serde_json::to_vec(report).map_err(|error| RunError::Ours(error.to_string()))?;
    carrier.house.objects.put_bytes(&key, &text).await?;
    Ok(key.as_str().to_owned())
}

/// What the organizer can read of the hidden probes, a line for each and for each fault of it.
fn summary(asked: &[Asked<'_>], outcomes: &[Probed]) -> String {
    let report = Report::of(asked, outcomes, 0);
    let mut text = String::new();
    for probe in &report.probes {
        text.push_str(if probe.passed { "passed  " } else { "failed  " });
        text.push_str(&probe.name);
        text.push('\n');
        for step in &probe.steps {
            let status = step.status.map_or("—".to_owned(), |status| status.to_string());
            text.push_str(&format!(
                "        {} {} → {status} ({})\n",
                step.method, step.target, step.latency
            ));
            if let Some(fault) = &step.fault {
                text.push_str(&format!("            {fault}\n"));
            }
            for unmet in &step.unmet {
                text.push_str(&format!(
                    "            {} {}: expected {}, found {}\n",
                    unmet.what, unmet.place, unmet.expected, unmet.found
                ));
            }
        }
    }
    text
}
