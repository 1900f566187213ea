//! `shuyu dry-run BUNDLE --submission ZIP`: the whole pipeline (sandbox, scoring, airlock) on one
//! submission, with no server and a store that is thrown away.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{Common, assembly};
use crate::airlock::lane1;
use crate::clock::{Clock, Entropy};
use crate::config::Settings;
use crate::contest::bundle;
use crate::contest::{db as contest_db, entry, import, terms_digest};
use crate::house::House;
use crate::ids::SubmissionId;
use crate::people::{By, NewUser, People, Role, SessionTerms};
use crate::probing::report::{REPORT_BYTES, Report};
use crate::sandbox::ImageTable;
use crate::store::{Class, ObjectKey};
use crate::submission::accept::{self, Request};
use crate::submission::model::{Aim, Origin, State, Submission};
use crate::submission::worker::Worker;
use crate::submission::{db as submission_db, queue};

/// Lines of a log that are shown, its last ones.
const SHOWN_LINES: usize = 40;

// A reader that has gone away (`| head`) is no reason to break off.
macro_rules! say {
    ($($what:tt)*) => { let _ = writeln!(std::io::stderr(), $($what)*); };
}
macro_rules! show {
    ($($what:tt)*) => { let _ = writeln!(std::io::stdout(), $($what)*); };
}

/// Arguments of `shuyu dry-run`.
#[derive(Args, Clone, Debug)]
pub struct DryRunArgs {
    /// The folder that holds competition.yaml, or a zip of it
    pub bundle: PathBuf,
    /// What to submit: a .zip, .csv, .parquet, .py or .onnx file, or a folder to be packed
    #[arg(long)]
    pub submission: PathBuf,
    /// The phase, counted from 0; its dates are not looked at
    #[arg(long, default_value_t = 0)]
    pub phase: usize,
    /// Run on the debug twin alone
    #[arg(long)]
    pub twin: bool,
    /// Print one JSON document on standard output
    #[arg(long)]
    pub json: bool,
}

/// Runs the pipeline and prints what came out. Exit code 0 only when the submission finished.
///
/// # Errors
/// When the settings cannot be read; everything else is told in the document and the exit code.
pub(crate) fn run(common: &Common, args: DryRunArgs) -> Result<ExitCode> {
    let mut settings = common.settings(&[])?;
    settings.log.filter = "warn".to_owned();
    super::log(&settings.log)?;
    super::block_on(async { Ok(tried(&args, settings).await) })
}

async fn tried(args: &DryRunArgs, settings: Settings) -> ExitCode {
    match pipeline(args, settings).await {
        Ok(outcome) => {
            let finished = outcome.get("status").and_then(Value::as_str) == Some("finished");
            print(&outcome, args.json);
            if finished { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            if args.json {
                show!(
                    "{}",
                    json!({ "status": "error", "error": format!("{error:#}"), "scores": {}, "tasks": [] })
                );
            }
            say!("dry-run: {error:#}");
            ExitCode::from(2)
        }
    }
}

async fn pipeline(args: &DryRunArgs, mut settings: Settings) -> Result<Value> {
    let scratch = Scratch::new()?;
    settings.data_dir = scratch.0.join("data");
    settings.database = format!("sqlite:{}", settings.data_dir.join("shuyu.db").display());
    settings.objects.kind = crate::config::ObjectsKind::Local;
    settings.key_file = settings.data_dir.join("key");
    settings.work_dir = scratch.0.join("work");
    let house = assembly::house(&settings, Clock::movable()).await?;

    say!("reading {}", args.bundle.display());
    let staging = scratch.directory("bundle")?;
    let images = ImageTable::with(settings.images.clone());
    let knows = |name: &str| images.local(name).is_ok();
    let table =
        bundle::ImageTable { knows: &knows, setting: "SHUYU_IMAGES (or [images] in the configuration)" };
    let limits = bundle::Limits::default();
    let (bundle, report) = bundle::read_with_images(&args.bundle, &staging, &limits, Some(table))?;
    if !report.findings.is_empty() {
        say!("{report}");
    }
    let Some(mut bundle) = bundle else { bail!("the bundle has errors; mend them first") };
    open_phases(&mut bundle, args.phase)?;
    // a dry run has no catalogue to ask: everything it scores against came with the bundle
    bundle.definition.datasets.clear();

    let organizer = person(&house, "organizer").await?;
    let imported =
        import::import(&house, &bundle, "dry-run", organizer, &scratch.directory("packed")?).await?;
    let submission = submit(args, &house, &imported.competition, &scratch).await?;

    let instance = format!("dry{}", hex::encode(Entropy.bytes::<4>()));
    let carrier = assembly::carrier(&settings, house.clone(), &instance).await?;
    let engine = carrier.engine.clone();
    let stop = CancellationToken::new();
    let working = tokio::spawn(Worker::new(carrier, "dry-run", 1).work(stop.clone()));
    let waited = tokio::select! {
        waited = wait(&house, submission.id) => waited,
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("stopped")),
    };
    stop.cancel();
    working.await.context("the worker broke off")?;
    engine.reap(|_| false).await?;
    let submission = waited?;
    house.db.close().await;
    let again = crate::store::Db::connect(&settings.database).await?;
    let house = House { db: again, ..house };
    describe(&house, &imported.competition, &submission).await
}

/// A dry run does not wait for a phase to begin.
fn open_phases(bundle: &mut bundle::Bundle, wanted: usize) -> Result<()> {
    let count = bundle.definition.phases.len();
    let Some(phase) = bundle.definition.phases.get_mut(wanted) else {
        bail!("the bundle has no phase {wanted}; it has {count}, counted from 0");
    };
    phase.start = jiff::Timestamp::UNIX_EPOCH;
    phase.end = None;
    bundle.definition.auto_run_submissions = true;
    bundle.definition.registration_auto_approve = true;
    for question in &mut bundle.definition.fact_sheet {
        question.is_required = false;
    }
    // nothing migrates in a dry run
    for phase in &mut bundle.definition.phases {
        phase.auto_migrate_to_this_phase = false;
    }
    Ok(())
}

async fn person(house: &House, login: &str) -> Result<crate::ids::UserId> {
    let people = People::new(house.db.clone(), house.clock.clone(), house.entropy, SessionTerms::default());
    let new = NewUser {
        login: login.to_owned(),
        name: login.to_owned(),
        email: format!("{login}@localhost.localdomain"),
        password: house.entropy.secret(),
        ..NewUser::default()
    };
    Ok(people.add_user(By::Machine, new, &[Role::Organizer]).await?)
}

async fn submit(
    args: &DryRunArgs,
    house: &House,
    competition: &crate::contest::model::Competition,
    scratch: &Scratch,
) -> Result<Submission> {
    let contestant = person(house, "contestant").await?;
    let terms = terms_digest(&mut *house.db.read().await?, competition).await?;
    let mut tx = house.db.begin().await?;
    entry::register(&mut tx, &house.clock, competition, contestant, &terms).await?;
    tx.commit().await?;
    let phases = contest_db::phases(&mut *house.db.read().await?, competition.id).await?;
    let phase = phases.get(args.phase).context("the phase was not imported")?;
    let file = upload(&args.submission, scratch).await?;
    let name = file.file_name().and_then(|n| n.to_str()).context("the submission's name is not UTF-8")?;
    let request = Request {
        user: contestant,
        display_name: "contestant".to_owned(),
        file_name: name.to_owned(),
        message: String::new(),
        facts: BTreeMap::new(),
        aim: if args.twin { Aim::Trial } else { Aim::Compete },
        origin: Origin::Outside,
        began: house.clock.now(),
    };
    let content =
        tokio::fs::File::open(&file).await.with_context(|| format!("cannot read {}", file.display()))?;
    say!("submitting {} to phase {} ({})", name, args.phase, phase.definition.name);
    Ok(accept::accept(house, competition, phase, request, content, u64::MAX).await?)
}

/// A folder is packed as a contestant would.
async fn upload(path: &Path, scratch: &Scratch) -> Result<PathBuf> {
    if !path.is_dir() {
        return Ok(path.to_owned());
    }
    let packed = scratch.0.join("submission.zip");
    let (from, to) = (path.to_owned(), packed.clone());
    tokio::task::spawn_blocking(move || import::pack(&from, &to)).await??;
    Ok(packed)
}

async fn wait(house: &House, id: SubmissionId) -> Result<Submission> {
    let mut shown = String::new();
    loop {
        let mut conn = house.db.read().await?;
        let submission = submission_db::by_id(&mut conn, id).await?.context("the submission is gone")?;
        let runs = queue::db::of_submission(&mut conn, id).await?;
        drop(conn);
        let now: Vec<String> = runs.iter().map(|r| format!("{} {}", r.purpose, r.step)).collect();
        let now = now.join(", ");
        if now != shown {
            say!("{}: {now}", submission.disclosed_state);
            shown = now;
        }
        // nobody is kept from learning anything here: a closed run's tick comes at once
        if let Some(at) = submission.release_at {
            house.clock.shift((at.as_millisecond() - house.clock.millis()).max(0));
        }
        let idle = runs.iter().all(|r| r.finished_at.is_some());
        if submission.state.is_final() && submission.disclosed_state.is_final() && idle {
            return Ok(submission);
        }
        tokio::select! {
            () = house.event_bell.notified() => {}
            () = tokio::time::sleep(Duration::from_millis(100)) => {}
        }
    }
}

/// The one document: what the leaderboard row would show, and each task's own scores.
async fn describe(
    house: &House,
    competition: &crate::contest::model::Competition,
    submission: &Submission,
) -> Result<Value> {
    let mut conn = house.db.read().await?;
    let board = &competition.definition.leaderboard;
    let row = lane1::row_for_team(&mut conn, board, submission.id).await?;
    let runs = queue::db::of_submission(&mut conn, submission.id).await?;
    let mut tasks = Vec::new();
    for task in contest_db::tasks_of_phase(&mut conn, submission.phase).await? {
        let Some(run) = runs.iter().rev().find(|r| r.task == task.id) else { continue };
        let scores = row.tasks.iter().find(|(id, _)| *id == Some(task.id)).map(|(_, s)| json!(s));
        tasks.push(json!({
            "index": task.definition.index,
            "status": run.state,
            "scores": scores.unwrap_or_else(|| json!({})),
            "prediction": run.prediction_end,
            "scoring": run.scoring_end,
            "log": last_lines(house, run.prediction_log.as_deref()).await,
            "scoring_log": last_lines(house, run.scoring_log.as_deref()).await,
            "probes": report(house, run.report.as_deref()).await,
        }));
    }
    let mut document = json!({ "status": submission.disclosed_state, "scores": row.scores, "tasks": tasks });
    if submission.disclosed_state != State::Finished {
        // whoever runs this holds the whole bundle: the true reason, not what participants are told
        document["reason"] = json!(submission.reason);
    }
    Ok(document)
}

/// The last lines of a step's log, sealed or not: the bundle's hidden data is the caller's own.
async fn last_lines(house: &House, key: Option<&str>) -> Value {
    let Some(key) = key.and_then(|key| key.parse::<ObjectKey>().ok()) else { return Value::Null };
    let bytes = match key.class() {
        Class::Plain => house.objects.get_bytes(&key, lane1::LOG_SHOWN).await.map(|bytes| bytes.to_vec()),
        Class::Hidden => {
            let log = lane1::scoring_log_for_organizer(&house.objects, &key).await;
            log.map(|log| log.get().clone().into_bytes())
        }
    };
    let Ok(bytes) = bytes else { return Value::Null };
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    let cut = lines.len().saturating_sub(SHOWN_LINES);
    let before = if cut > 0 { format!("… {cut} lines before these\n") } else { String::new() };
    json!(before + &lines[cut..].join("\n"))
}

/// What came of the public probes of an app.
async fn report(house: &House, key: Option<&str>) -> Value {
    let Some(key) = key.and_then(|key| key.parse::<ObjectKey>().ok()) else { return Value::Null };
    let bytes = house.objects.get_bytes(&key, REPORT_BYTES).await;
    bytes.ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
}

/// The probes that failed, for a person at a terminal.
fn print_probes(report: &Value) {
    let Ok(report) = serde_json::from_value::<Report>(report.clone()) else { return };
    show!("public probes: {} of {} passed", report.passed(), report.probes.len());
    for probe in report.probes.iter().filter(|probe| !probe.passed) {
        show!("failed: {}", probe.name);
        for step in &probe.steps {
            let status = step.status.map_or("no answer".to_owned(), |status| status.to_string());
            show!("  {} {}: {status}, {}", step.method, step.target, step.latency);
            if let Some(fault) = &step.fault {
                show!("    {fault}");
            }
            for unmet in &step.unmet {
                show!(
                    "    {} {}: expected {}, found {}",
                    unmet.what,
                    unmet.place,
                    unmet.expected,
                    unmet.found
                );
            }
        }
    }
}

fn print(outcome: &Value, as_json: bool) {
    if as_json {
        show!("{outcome}");
        return;
    }
    show!("{}", outcome["status"].as_str().unwrap_or_default());
    if let Some(text) = outcome["reason"]["text"].as_str() {
        show!("{text}");
    }
    for (key, value) in outcome["scores"].as_object().into_iter().flatten() {
        show!("{key}\t{value}");
    }
    for task in outcome["tasks"].as_array().into_iter().flatten() {
        show!("task {}: {} {}", task["index"], task["status"].as_str().unwrap_or_default(), task["scores"]);
        print_probes(&task["probes"]);
        for (step, end, log) in [("prediction", "prediction", "log"), ("scoring", "scoring", "scoring_log")] {
            if let Some(end) = task[end].as_str() {
                say!("{step}: {end}");
            }
            if let Some(log) = task[log].as_str().filter(|log| !log.is_empty()) {
                say!("{log}");
            }
        }
    }
}

/// A directory that is gone when the dry run is.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Self> {
        let path = std::env::temp_dir().join(format!("shuyu-dry-run-{}", hex::encode(Entropy.bytes::<8>())));
        // the bundle's hidden data lies in it
        super::private_directory(&path)?;
        Ok(Self(path))
    }

    fn directory(&self, name: &str) -> Result<PathBuf> {
        let path = self.0.join(name);
        std::fs::create_dir(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            say!("dry-run: {} could not be removed: {error}", self.0.display());
        }
    }
}
