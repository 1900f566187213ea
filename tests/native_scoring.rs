//! The child process behind native metrics, driven as the worker drives it: the real binary, real
//! files, one request in, one answer out.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test says what it could not do by failing")]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;
use serde_json::{Value, json};
use shuyu::scoring::metric::{MetricName, MetricSpec};
use shuyu::scoring::native::{
    CHILD_SUBCOMMAND, CheckRequest, Failure, ProcessLimits, Request, ScoringError, check, evaluate,
};
use shuyu::scoring::predictions::{FaultKind, FaultReport, IdList, Limits};

fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_shuyu"))
}

fn rmse() -> MetricSpec {
    MetricSpec::new(MetricName::Rmse, "rmse", "delay", "delay", "row_id")
}

/// A directory with the two files of a request.
struct Files {
    folder: tempfile::TempDir,
}

impl Files {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    fn parquet(&self, name: &str, columns: Vec<(&str, ArrayRef)>) -> PathBuf {
        let path = self.folder.path().join(name);
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let mut writer =
            ArrowWriter::try_new(fs::File::create(&path).unwrap(), batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        path
    }
}

fn request(predictions: &Path, reference: &Path, metrics: Vec<MetricSpec>) -> Request {
    Request {
        predictions: predictions.to_owned(),
        reference: reference.to_owned(),
        metrics,
        limits: Limits::default(),
        process: ProcessLimits::default(),
    }
}

/// The child's own answer: scores are sealed once the parent has them.
fn ask(job: &Value) -> Value {
    let mut child = Command::new(binary())
        .arg(CHILD_SUBCOMMAND)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(job.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}

fn scores(request: &Request) -> Vec<(String, f64)> {
    let answer = ask(&json!({ "score": request }));
    let pairs: Vec<(String, u64)> = serde_json::from_value(answer["scores"].clone()).expect("scores");
    pairs.into_iter().map(|(key, bits)| (key, f64::from_bits(bits))).collect()
}

async fn report(predictions: &Path, metrics: Vec<MetricSpec>, ids: Option<&Path>) -> FaultReport {
    let request = CheckRequest {
        predictions: predictions.to_owned(),
        metrics,
        ids: ids.map(|path| IdList { path: path.to_owned(), column: "row_id".to_owned() }),
        limits: Limits::default(),
        process: ProcessLimits::default(),
    };
    check(binary(), &request).await.unwrap()
}

fn kinds(report: &FaultReport) -> Vec<(FaultKind, u64)> {
    report.counts.iter().map(|(kind, count)| (*kind, *count)).collect()
}

#[test]
fn rows_in_any_order_and_either_format_score_alike() {
    let files = Files::new();
    let reference = files.write("reference.csv", "row_id,delay\n1,10\n2,-5\n3,0.5\n");
    let same = files.write("a.csv", "row_id,delay\n1,11\n2,-5\n3,2.5\n");
    let shuffled =
        files.write("b.csv", "\u{feff}note,delay,row_id\r\n\"x,\ny\",2.5,3\r\n,11,1\r\nz, -5 ,2.0\r\n");
    let parquet = files.parquet(
        "c.parquet",
        vec![
            ("row_id", Arc::new(Int32Array::from(vec![2, 3, 1])) as ArrayRef),
            ("delay", Arc::new(Float64Array::from(vec![-5.0, 2.5, 11.0]))),
        ],
    );
    let expected = vec![("rmse".to_owned(), (5.0f64 / 3.0).sqrt())];
    for predictions in [same, shuffled, parquet] {
        assert_eq!(scores(&request(&predictions, &reference, vec![rmse()])), expected);
    }
}

#[test]
fn several_metrics_of_one_task_are_answered_together() {
    let files = Files::new();
    let reference = files.write("r.csv", "id,kind,query\na,1,q\nb,0,q\nc,true,q\n");
    let predictions = files.parquet(
        "p.parquet",
        vec![
            ("id", Arc::new(StringArray::from(vec!["c", "a", "b"])) as ArrayRef),
            ("kind", Arc::new(Int64Array::from(vec![Some(0), Some(1), Some(0)]))),
            ("flag", Arc::new(BooleanArray::from(vec![true, false, false]))),
        ],
    );
    let classes =
        |name, column: &str, prediction: &str| MetricSpec::new(name, column, prediction, "kind", "id");
    let metrics = vec![
        classes(MetricName::Accuracy, "by_kind", "kind"),
        classes(MetricName::Accuracy, "by_flag", "flag"),
    ];
    // `true` is a class of its own beside 0 and 1.
    let expected = vec![("by_kind".to_owned(), 2.0 / 3.0), ("by_flag".to_owned(), 1.0 / 3.0)];
    assert_eq!(scores(&request(&predictions, &reference, metrics)), expected);
}

#[test]
fn predictions_beyond_the_declared_range_are_pulled_in() {
    let files = Files::new();
    let reference = files.write("r.csv", "row_id,delay\n1,10\n2,-20\n");
    let predictions = files.write("p.csv", "row_id,delay\n1,1e308\n2,-1e308\n");
    let ranged = MetricSpec { range: Some([0.0, 300.0]), ..rmse() };
    let value = |metric: MetricSpec| scores(&request(&predictions, &reference, vec![metric]))[0].1;
    assert_eq!(value(ranged.clone()), 300.0);
    assert_eq!(value(MetricSpec { clip: Some([-20.0, 11.0]), ..ranged }), 0.5f64.sqrt());
}

#[tokio::test]
async fn every_fault_is_counted_and_the_first_ten_are_shown() {
    let files = Files::new();
    let ids = files.write("ids.csv", "row_id\n1\n2\n3\n4\n5\n6\n");
    let predictions =
        files.write("p.csv", "row_id,delay\n1,1\n\n2,NaN\n2,2\n99,3\n\"4\",abc\n5\n6,inf\nx\u{1b}[2J,1\n");
    let report = report(&predictions, vec![rmse()], Some(&ids)).await;
    let expected = [
        (FaultKind::CellCount, 1),
        (FaultKind::NotANumber, 2),
        (FaultKind::NotNumeric, 1),
        (FaultKind::Infinite, 1),
        (FaultKind::DuplicateId, 1),
        (FaultKind::UnknownId, 2),
        (FaultKind::MissingId, 1),
    ];
    assert_eq!(kinds(&report), expected);
    assert_eq!(report.total, 9);
    let line = |kind: FaultKind| report.first.iter().find(|fault| fault.kind == kind).unwrap();
    assert_eq!(line(FaultKind::NotANumber).line, Some(4));
    assert_eq!(line(FaultKind::DuplicateId).line, Some(5));
    assert_eq!(line(FaultKind::UnknownId).line, Some(6));
    assert_eq!(line(FaultKind::UnknownId).found.as_deref(), Some("99"));
    assert_eq!(line(FaultKind::NotNumeric).line, Some(7));
    assert_eq!(line(FaultKind::NotNumeric).found.as_deref(), Some("abc"));
    assert_eq!(line(FaultKind::Infinite).line, Some(9));
    assert_eq!(line(FaultKind::MissingId).expected, "a row for the id 3");
    assert!(report.first.iter().all(|fault| !fault.to_string().contains('\u{1b}')));
}

#[tokio::test]
async fn many_faults_of_one_kind_show_the_first_ten_lines() {
    let files = Files::new();
    let rows: String = (0..50).map(|row| format!("{row},?\n")).collect();
    let predictions = files.write("p.csv", format!("row_id,delay\n{rows}"));
    let report = report(&predictions, vec![rmse()], None).await;
    assert_eq!(report.total, 50);
    let lines: Vec<_> = report.first.iter().filter_map(|fault| fault.line).collect();
    assert_eq!(lines, (2..12).collect::<Vec<u64>>());
}

#[tokio::test]
async fn wrong_columns_encodings_and_sizes_are_named() {
    let files = Files::new();
    let one = |name: &str, bytes: &[u8]| files.write(name, bytes);
    let cases = [
        (one("columns.csv", b"id;delay\n1;2\n"), FaultKind::MissingColumn, 2),
        (one("twice.csv", b"row_id,delay,delay\n1,2,3\n"), FaultKind::DuplicateColumn, 1),
        (one("gbk.csv", b"row_id,delay,\xb1\xb8\xd7\xa2\n1,2,x\n"), FaultKind::NotUtf8, 1),
        (one("header.csv", b"row_id,delay\n"), FaultKind::NoRows, 1),
        (one("empty.csv", b""), FaultKind::NoRows, 1),
        (
            one("long.csv", format!("row_id,delay\n1,{}\n", "1".repeat(70_000)).as_bytes()),
            FaultKind::CellTooLong,
            2,
        ),
        (one("cut.parquet", b"PAR1 and then nothing of the kind PAR1"), FaultKind::Unreadable, 1),
        (files.folder.path().to_owned(), FaultKind::Unreadable, 1),
        (files.folder.path().join("absent.csv"), FaultKind::Unreadable, 1),
    ];
    for (path, kind, total) in cases {
        let report = report(&path, vec![rmse()], None).await;
        assert_eq!(
            report.counts.get(&kind).copied(),
            Some(if kind == FaultKind::CellTooLong { 1 } else { total }),
            "{path:?}: {report}"
        );
        assert_eq!(report.total, total, "{path:?}: {report}");
    }
}

#[tokio::test]
async fn a_link_and_an_endless_quotation_are_refused() {
    let files = Files::new();
    let target = files.write("labels.csv", "row_id,delay\n1,2\n");
    let link = files.folder.path().join("link.csv");
    std::os::unix::fs::symlink(&target, &link).unwrap();
    assert_eq!(kinds(&report(&link, vec![rmse()], None).await), [(FaultKind::Unreadable, 1)]);

    let open_quote = files.write("quote.csv", format!("row_id,delay\n1,\"{}", "x\n".repeat(12 << 20)));
    assert_eq!(kinds(&report(&open_quote, vec![rmse()], None).await), [(FaultKind::CellTooLong, 1)]);
}

#[tokio::test]
async fn a_parquet_bomb_is_refused_before_it_unpacks() {
    let files = Files::new();
    let rows = 3_000_000;
    let path = files.parquet(
        "bomb.parquet",
        vec![
            ("row_id", Arc::new(Int64Array::from(vec![7; rows])) as ArrayRef),
            ("delay", Arc::new(Float64Array::from(vec![0.0; rows]))),
        ],
    );
    assert!(fs::metadata(&path).unwrap().len() < 100_000);
    let mut request = CheckRequest {
        predictions: path,
        metrics: vec![rmse()],
        ids: None,
        limits: Limits { rows: 1_000_000, ..Limits::default() },
        process: ProcessLimits::default(),
    };
    assert_eq!(kinds(&check(binary(), &request).await.unwrap()), [(FaultKind::TooLarge, 1)]);
    request.limits = Limits { unpacked_bytes: 10, ..Limits::default() };
    assert_eq!(kinds(&check(binary(), &request).await.unwrap()), [(FaultKind::TooLarge, 1)]);
    // And when nothing is declared truly, the process's own limit holds.
    request.limits = Limits::default();
    request.process.memory_bytes = 96 << 20;
    assert!(matches!(check(binary(), &request).await, Err(ScoringError::Died)));
}

#[tokio::test]
async fn a_failure_says_nothing_of_the_files() {
    let files = Files::new();
    let reference = files.write("r.csv", "row_id,delay\n1,10\n77777,-5\n");
    let cases = [
        ("row_id,delay\n1,10\n", "missing"),
        ("row_id,delay\n1,10\n77777,secret\n", "not numeric"),
        ("row_id,delay\n1,10\n77777,1\n77777,1\n", "duplicate"),
    ];
    for (text, note) in cases {
        let predictions = files.write("p.csv", text);
        let error = evaluate(binary(), &request(&predictions, &reference, vec![rmse()])).await.err().unwrap();
        assert!(matches!(error, ScoringError::Failed(Failure::Predictions)), "{note}: {error}");
        assert!(!error.is_ours());
        let message = error.to_string();
        assert!(!message.contains("77777") && !message.contains("secret"), "{message}");
    }
    let broken = files.write("broken.csv", "row_id,delay\n1,ten\n");
    let predictions = files.write("p.csv", "row_id,delay\n1,10\n");
    let error = evaluate(binary(), &request(&predictions, &broken, vec![rmse()])).await.err().unwrap();
    assert!(matches!(error, ScoringError::Failed(Failure::Reference)) && error.is_ours());
    let good = files.write("good.csv", "row_id,delay\n1,10\n");
    assert!(evaluate(binary(), &request(&predictions, &good, vec![rmse()])).await.is_ok());
}

#[tokio::test]
async fn a_child_that_takes_too_long_or_says_nonsense_is_an_error() {
    let files = Files::new();
    let fifo_like = files.write("p.csv", "row_id,delay\n1,10\n");
    let mut asked = request(&fifo_like, &fifo_like, vec![rmse()]);
    let script = files.write("endless", "#!/bin/sh\nexec sleep 600\n");
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    asked.process.wall_seconds = 1;
    assert!(matches!(evaluate(&script, &asked).await, Err(ScoringError::TimedOut { seconds: 1 })));
    asked.process.wall_seconds = 60;
    assert!(matches!(evaluate(Path::new("/bin/true"), &asked).await, Err(ScoringError::Died)));
    let flood = files.write("flood", "#!/bin/sh\nexec /usr/bin/yes\n");
    fs::set_permissions(&flood, fs::Permissions::from_mode(0o755)).unwrap();
    assert!(matches!(evaluate(&flood, &asked).await, Err(ScoringError::Died)));
    assert!(matches!(evaluate(Path::new("/nonexistent"), &asked).await, Err(ScoringError::Process(_))));
}
