//! The scoring step: a native metric in a child process of our own binary, or the organizer's
//! scoring program in a container of its own. No participant code runs here.

use std::path::{Path, PathBuf};

use tokio_util::sync::CancellationToken;

use super::predict::{bind, container, keep_log, note_step, program_root, release, word, written_command};
use super::prepare::{self, Desk, Laid};
use super::{Carrier, Job, Outcome, RunError, beside};
use crate::airlock::rule::{ColumnAudience, ColumnRule};
use crate::contest::definition::{Column, Leaderboard};
use crate::sandbox::{CollectLimits, End, Profile, SandboxError};
use crate::scoring::metric::{MetricName, MetricSpec};
use crate::scoring::native::{self, CheckRequest, Failure, ProcessLimits, Request, ScoringError};
use crate::scoring::predictions::{IdList, Limits};
use crate::scoring::scores_json::read_scores;
use crate::submission::command::{self, StepKind};
use crate::submission::model::{Kind, Reason, Step};
use crate::submission::queue::Ending;

/// Scores what lies in the desk's `res`.
pub(super) async fn score(
    carrier: &Carrier,
    job: &Job,
    desk: &Desk,
    laid: &Laid,
    cancel: &CancellationToken,
    ending: &mut Ending,
) -> Result<Outcome, RunError> {
    if !job.task.definition.metrics.is_empty() {
        return native_metric(carrier, job, desk, laid, ending).await;
    }
    let Some(path) = job.task.definition.scoring_program.clone() else {
        return Err(RunError::Ours("the task has neither a metric nor a scoring program".to_owned()));
    };
    scoring_program(carrier, job, desk, laid, cancel, ending, &path).await
}

/// The columns that a run's scores may have, with what is declared of them.
fn program_columns(board: &Leaderboard) -> Vec<ColumnRule> {
    let written = board.columns.iter().filter(|c| c.computation.is_none());
    written
        .map(|c| ColumnRule {
            key: c.key.clone(),
            range: None,
            distinct: None,
            optional: true,
            audience: audience(c),
        })
        .collect()
}

pub(super) fn audience(column: &Column) -> ColumnAudience {
    if column.hidden { ColumnAudience::Organizer } else { ColumnAudience::Team }
}

fn metric_columns(board: &Leaderboard, metrics: &[MetricSpec], rows: Option<u64>) -> Vec<ColumnRule> {
    let rule = |metric: &MetricSpec| {
        let column = board.columns.iter().find(|c| c.key == metric.column)?;
        let range = metric.score_range();
        // accuracy on n rows is one of n + 1 numbers, unless rows have weights
        let counted = metric.name == MetricName::Accuracy && metric.sample_weight.is_none();
        #[expect(clippy::cast_precision_loss, reason = "rows are far below 2^53")]
        let distinct = rows.filter(|_| counted).map(|n| n as f64 + 1.0);
        Some(ColumnRule {
            key: metric.column.clone(),
            range: range.iter().all(|end| end.is_finite()).then_some(range),
            distinct,
            optional: false,
            audience: audience(column),
        })
    };
    metrics.iter().filter_map(rule).collect()
}

async fn native_metric(
    carrier: &Carrier,
    job: &Job,
    desk: &Desk,
    laid: &Laid,
    ending: &mut Ending,
) -> Result<Outcome, RunError> {
    let task = &job.task.definition;
    let results = desk.directory("res")?;
    let Some(predictions) = table_in(&results, "predictions") else {
        let text = "no predictions found: one .csv or .parquet file is expected, or one named predictions.csv among several";
        let reason = Reason::new("no-predictions", text);
        return Ok(match laid.kind() {
            Kind::Result if !job.task.definition.has_ingestion_before_scoring() => Outcome::Rejected(reason),
            _ => Outcome::Failed(with_ending(reason, ending)),
        });
    };
    let ids = match &task.ids {
        Some(path) if !job.on_twin() => {
            let folder = prepare::program(carrier, job, desk, path, "ids").await?;
            table_in(&folder, "ids")
        }
        _ => None,
    };
    // public facts only, and never of what a program wrote that saw hidden input
    if !job.sees_hidden(laid.kind())
        && !job.on_twin()
        && let Some(reason) = public_faults(carrier, &predictions, &task.metrics, ids.clone()).await?
    {
        let by_program = laid.kind() != Kind::Result || task.has_ingestion_before_scoring();
        return Ok(match by_program {
            false => Outcome::Rejected(reason),
            true => Outcome::Failed(with_ending(reason, ending)),
        });
    }
    let folder = prepare::reference(carrier, job, desk).await?;
    let Some(reference) = folder.and_then(|folder| table_in(&folder, "labels")) else {
        return Err(RunError::Ours("the reference data holds no .csv or .parquet file".to_owned()));
    };
    // the twin is public, labels and all: what is wrong with the predictions may be told line by line
    if job.on_twin()
        && let Some(reason) =
            public_faults(carrier, &predictions, &task.metrics, Some(reference.clone())).await?
    {
        ending.scoring_end = Some("failed".to_owned());
        ending.scoring_log = Some(keep_log(carrier, job, false, "scoring", reason.text.as_bytes()).await?);
        return Ok(Outcome::Failed(reason));
    }
    let rows = ids.as_deref().and_then(count_rows);
    let request = Request {
        predictions,
        reference,
        metrics: task.metrics.clone(),
        limits: Limits::default(),
        process: process_limits(job),
    };
    match native::evaluate(&carrier.scorer, &request).await {
        Ok(scores) => {
            ending.scoring_end = Some("exit 0".to_owned());
            let board = &job.competition.definition.leaderboard;
            Ok(Outcome::Scored { scores, columns: metric_columns(board, &task.metrics, rows) })
        }
        Err(error) if error.is_ours() => Err(RunError::Ours(error.to_string())),
        Err(error) => {
            ending.scoring_end = Some("failed".to_owned());
            let reason = match &error {
                ScoringError::Failed(Failure::Predictions) => {
                    Reason::new("predictions-refused", error.to_string())
                }
                ScoringError::Failed(Failure::Metric { column, .. }) => {
                    // why may tell of the labels, such as how many classes they have
                    let why = error.to_string();
                    let log = keep_log(carrier, job, !job.on_twin(), "scoring", why.as_bytes()).await?;
                    ending.scoring_log = Some(log);
                    let text = format!(
                        "the metric of column `{column}` has no value for these predictions; the organizer can read why"
                    );
                    Reason::new("metric-undefined", text)
                }
                _ => Reason::new("scoring-failed", error.to_string()),
            };
            Ok(Outcome::Failed(with_ending(reason, ending)))
        }
    }
}

/// Says how the program before it ended when the scoring found nothing to score.
fn with_ending(mut reason: Reason, ending: &Ending) -> Reason {
    if let Some(code) = ending.prediction_end.as_deref().filter(|end| *end != "exit 0") {
        reason.text = format!("the program ended with {code}; {}", reason.text);
        reason.code = "program-failed".to_owned();
    }
    reason
}

fn process_limits(job: &Job) -> ProcessLimits {
    let wall_seconds = job.limit().as_secs();
    ProcessLimits { wall_seconds, cpu_seconds: wall_seconds.saturating_mul(2), ..ProcessLimits::default() }
}

async fn public_faults(
    carrier: &Carrier,
    predictions: &Path,
    metrics: &[MetricSpec],
    ids: Option<PathBuf>,
) -> Result<Option<Reason>, RunError> {
    let column = metrics.first().map(|m| m.id.clone()).unwrap_or_default();
    let request = CheckRequest {
        predictions: predictions.to_owned(),
        metrics: metrics.to_vec(),
        ids: ids.map(|path| IdList { path, column }),
        limits: Limits::default(),
        process: ProcessLimits::default(),
    };
    match native::check(&carrier.scorer, &request).await {
        Ok(report) if report.total == 0 => Ok(None),
        Ok(report) => Ok(Some(Reason {
            faults: serde_json::to_value(&report).ok(),
            ..Reason::new("faulty-file", report.to_string())
        })),
        Err(error) if error.is_ours() => Err(RunError::Ours(error.to_string())),
        Err(error) => Ok(Some(Reason::new("unreadable-file", error.to_string()))),
    }
}

/// The one table in a directory: named `stem`, or the only one there is.
fn table_in(directory: &Path, stem: &str) -> Option<PathBuf> {
    let mut tables = Vec::new();
    collect_tables(directory, 0, &mut tables);
    let named = tables.iter().find(|path| path.file_stem().is_some_and(|s| s == stem)).cloned();
    named.or_else(|| if tables.len() == 1 { tables.pop() } else { None })
}

fn collect_tables(directory: &Path, depth: usize, tables: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && depth < 4 => collect_tables(&path, depth + 1, tables),
            Ok(kind) if kind.is_file() => {
                let ending = path.extension().and_then(|e| e.to_str()).map(str::to_ascii_lowercase);
                if matches!(ending.as_deref(), Some("csv" | "parquet")) {
                    tables.push(path);
                }
            }
            _ => {}
        }
    }
}

/// Data rows of a published CSV list of ids.
fn count_rows(ids: &Path) -> Option<u64> {
    if ids.extension()? != "csv" {
        return None;
    }
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_path(ids).ok()?;
    let mut record = csv::ByteRecord::new();
    let mut rows = 0;
    while reader.read_byte_record(&mut record).ok()? {
        rows += 1;
    }
    Some(rows)
}

async fn scoring_program(
    carrier: &Carrier,
    job: &Job,
    desk: &Desk,
    laid: &Laid,
    cancel: &CancellationToken,
    ending: &mut Ending,
    path: &str,
) -> Result<Outcome, RunError> {
    let closed = job.is_closed(laid.kind());
    note_step(carrier, job, closed, Step::Scoring).await?;
    let root = program_root(&prepare::program(carrier, job, desk, path, "scoring").await?);
    let mend = "the organizer has to mend the bundle";
    let Some(written) = written_command(&root) else {
        let text = format!("the scoring program has no metadata file with a command; {mend}");
        return Ok(Outcome::Failed(Reason::new("scorer-command", text)));
    };
    let argv = match command::split(&command::substitute(
        &written,
        StepKind::Scoring,
        job.task.definition.has_ingestion_beside_scoring(),
    )) {
        Ok(argv) => argv,
        Err(error) => {
            return Ok(Outcome::Failed(Reason::new(
                "scorer-command",
                format!("scoring program: {error}; {mend}"),
            )));
        }
    };
    let mut binds = vec![bind(root.clone(), "/app/program"), bind(desk.directory("res")?, "/app/input/res")];
    if let Some(reference) = prepare::reference(carrier, job, desk).await? {
        binds.push(bind(reference, "/app/input/ref"));
    }
    let beside = match beside::set_up(carrier, job, desk, laid).await? {
        Ok(beside) => beside,
        Err(reason) => return Ok(Outcome::Failed(reason)),
    };
    match &beside {
        Some(_) => binds.push(bind(root, "/app/ingestion_program")),
        None => binds.push(bind(desk.directory("shared")?, "/app/shared")),
    }
    let spec = container(carrier, job, Profile::Scoring, argv, binds, None).await?;
    let ran = match beside {
        Some(beside) => beside.run(carrier, job, spec, cancel, ending).await?,
        None => carrier.engine.run(spec, cancel.clone()).await?,
    };
    ending.scoring_end = Some(word(ran.end));
    let output = desk.directory("scores")?;
    let collected = ran.output.collect(&output, &CollectLimits::default()).await;
    release(ran.output.release().await);
    // what a scorer prints derives from hidden data: sealed, whatever the run
    ending.scoring_log = Some(keep_log(carrier, job, !job.on_twin(), "scoring", &ran.log.bytes()).await?);
    match ran.end {
        End::Cancelled => return Ok(Outcome::Cancelled),
        End::Exited(0) => {}
        _ => {
            let reason =
                Reason::new("scorer-failed", "the scoring program failed; the organizer can read its log");
            return Ok(Outcome::Failed(with_ending(reason, ending)));
        }
    }
    match collected {
        Ok(_) => {}
        Err(SandboxError::Output(_)) => {
            let text = format!(
                "the scoring program left files that are refused (links, devices, too many or too large); {mend}"
            );
            return Ok(Outcome::Failed(Reason::new("scorer-output", text)));
        }
        Err(error) => return Err(error.into()),
    }
    let columns = program_columns(&job.competition.definition.leaderboard);
    let declared: Vec<String> = columns.iter().map(|c| c.key.clone()).collect();
    match read_scores(&output, &declared) {
        Ok(scores) => Ok(Outcome::Scored { scores, columns }),
        Err(error) => Ok(Outcome::Failed(Reason::new("scorer-scores", error.to_string()))),
    }
}
