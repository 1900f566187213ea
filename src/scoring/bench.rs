//! Times every metric on generated columns: what `scripts/bench-metrics` compares with scikit-learn.

use std::time::Instant;

use super::metric::{Average, KappaWeights, MetricError, MetricName, MetricSpec, Rows};

/// Classes of the class metrics.
const CLASSES: u32 = 5;
/// Items of a query.
const ITEMS: usize = 100;

/// One metric's time and memory.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Timing {
    /// Name in the table.
    pub name: String,
    /// Wall-clock time of the fastest of three runs, in seconds.
    pub seconds: f64,
    /// The value, so that both sides can be seen to compute something.
    pub value: f64,
    /// Most memory resident during the runs, in bytes, where the system tells.
    pub peak_bytes: Option<u64>,
    /// Memory of the columns scored: 8 bytes a value, as both sides' users hold them.
    pub column_bytes: u64,
}

/// Columns by the SplitMix64 generator, so that the Python side can make the same ones.
fn column(rows: usize, seed: u64) -> Vec<f64> {
    let value = |row: u64| {
        let mut z =
            (seed.wrapping_mul(rows as u64).wrapping_add(row + 1)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    };
    (0..rows as u64).map(value).collect()
}

/// Class codes: as true as a coin that falls right half of the time.
fn codes(rows: usize, classes: u32) -> (Vec<u32>, Vec<u32>) {
    let pick =
        |column: Vec<f64>| column.into_iter().map(|u| (u * f64::from(classes)) as u32).collect::<Vec<_>>();
    let truth = pick(column(rows, 1));
    let mut predicted = pick(column(rows, 2));
    for ((p, t), u) in predicted.iter_mut().zip(&truth).zip(column(rows, 3)) {
        if u < 0.5 {
            *p = *t;
        }
    }
    (truth, predicted)
}

/// Scores the named metric (a name of [`names`]) on `rows` generated rows.
///
/// # Errors
/// For a name that is not listed, and where a metric fails.
pub fn run(name: &str, rows: usize) -> Result<Timing, MetricError> {
    let spec = spec(name)?;
    let classes: Vec<String> = (0..CLASSES).map(|class| class.to_string()).collect();
    match spec.name {
        MetricName::RocAuc | MetricName::AveragePrecision | MetricName::LogLoss => {
            scores(name, &spec, &classes, rows)
        }
        MetricName::Ndcg | MetricName::Map => {
            let queries: Vec<u32> = (0..rows).map(|row| (row / ITEMS) as u32).collect();
            let relevance: Vec<f64> = column(rows, 1).into_iter().map(|u| (u * 3.0).floor()).collect();
            let scores = column(rows, 2);
            let data = Rows::Rankings { relevance: &relevance, scores: &scores, queries: Some(&queries) };
            time(name, &spec, &data, 16 * rows)
        }
        MetricName::Rmse
        | MetricName::Mae
        | MetricName::Mape
        | MetricName::Rmsle
        | MetricName::R2
        | MetricName::Spearman => {
            let truth: Vec<f64> = column(rows, 1).into_iter().map(|u| 100.0 * u).collect();
            let mut predicted = column(rows, 2);
            predicted.iter_mut().zip(&truth).for_each(|(p, t)| *p = t + 20.0 * *p);
            let data = Rows::Numbers { truth: &truth, predicted: &predicted, weights: None };
            time(name, &spec, &data, 16 * rows)
        }
        _ => {
            let binary = matches!(spec.average, Some(Average::Binary));
            let (truth, predicted) = codes(rows, if binary { 2 } else { CLASSES });
            let data =
                Rows::Classes { classes: &classes, truth: &truth, predicted: &predicted, weights: None };
            time(name, &spec, &data, 16 * rows)
        }
    }
}

fn scores(name: &str, spec: &MetricSpec, classes: &[String], rows: usize) -> Result<Timing, MetricError> {
    let truth: Vec<u32> = column(rows, 1)
        .into_iter()
        .map(|u| (u * if name.ends_with("_ovr") { 3.0 } else { 2.0 }) as u32)
        .collect();
    if !name.ends_with("_ovr") {
        let mut scores = column(rows, 2);
        scores.iter_mut().zip(&truth).for_each(|(p, t)| *p = (*p + 0.3 * f64::from(*t)) / 1.3);
        let columns = [scores.as_slice()];
        let data = Rows::Scores { classes: &classes[..2], truth: &truth, columns: &columns, weights: None };
        return time(name, spec, &data, 16 * rows);
    }
    let mut columns = [column(rows, 2), column(rows, 3), column(rows, 4)];
    for (row, class) in truth.iter().enumerate() {
        columns[*class as usize][row] += 0.5;
        let total: f64 = columns.iter().map(|column| column[row]).sum();
        columns.iter_mut().for_each(|column| column[row] /= total);
    }
    let slices = columns.each_ref().map(Vec::as_slice);
    let data = Rows::Scores { classes: &classes[..3], truth: &truth, columns: &slices, weights: None };
    time(name, spec, &data, 32 * rows)
}

/// The names [`run`] knows.
pub fn names() -> Vec<&'static str> {
    vec![
        "accuracy",
        "balanced_accuracy",
        "precision",
        "recall",
        "f1",
        "f1_macro",
        "f1_micro",
        "f1_weighted",
        "roc_auc",
        "roc_auc_ovr",
        "average_precision",
        "log_loss",
        "matthews_corrcoef",
        "cohen_kappa",
        "cohen_kappa_quadratic",
        "rmse",
        "mae",
        "mape",
        "rmsle",
        "r2",
        "spearman",
        "ndcg@10",
        "map",
    ]
}

fn spec(name: &str) -> Result<MetricSpec, MetricError> {
    let (base, average, k) = match name {
        "precision" | "recall" | "f1" => (name, Some(Average::Binary), None),
        "f1_macro" => ("f1", Some(Average::Macro), None),
        "f1_micro" => ("f1", Some(Average::Micro), None),
        "f1_weighted" => ("f1", Some(Average::Weighted), None),
        "roc_auc_ovr" => ("roc_auc", None, None),
        "cohen_kappa_quadratic" => ("cohen_kappa", None, None),
        "ndcg@10" => ("ndcg", None, Some(10)),
        _ => (name, None, None),
    };
    let metric = MetricName::ALL.into_iter().find(|metric| metric.as_str() == base);
    let metric = metric.ok_or(MetricError::WrongRows)?;
    let weights = (name == "cohen_kappa_quadratic").then_some(KappaWeights::Quadratic);
    Ok(MetricSpec { average, k, weights, ..MetricSpec::new(metric, "score", "p", "t", "id") })
}

fn time(name: &str, spec: &MetricSpec, rows: &Rows<'_>, column_bytes: usize) -> Result<Timing, MetricError> {
    let (mut seconds, mut value) = (f64::INFINITY, 0.0);
    for _ in 0..3 {
        let start = Instant::now();
        value = spec.score(rows)?;
        seconds = seconds.min(start.elapsed().as_secs_f64());
    }
    let column_bytes = column_bytes as u64;
    Ok(Timing { name: name.to_owned(), seconds, value, peak_bytes: peak_bytes(), column_bytes })
}

/// The largest resident size of this process so far.
fn peak_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib * 1024)
}

/// `shuyu bench-metrics ROWS NAME`: one line of JSON with the metric's time; without NAME the names.
pub fn main(mut arguments: impl Iterator<Item = String>) -> std::process::ExitCode {
    let rows = arguments.next().and_then(|rows| rows.parse().ok()).unwrap_or(10_000_000);
    let Some(name) = arguments.next() else {
        names().iter().for_each(|name| println!("{name}"));
        return std::process::ExitCode::SUCCESS;
    };
    match run(&name, rows).map(|timing| serde_json::json!(timing)) {
        Ok(timing) => {
            println!("{timing}");
            std::process::ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{name}: {error}");
            std::process::ExitCode::FAILURE
        }
    }
}
