//! Tables of predictions and of reference data: CSV and Parquet, read within limits, rows matched by
//! id in any order. Whatever is wrong with a file is counted and described as data
//! ([`FaultReport`]), never a panic.
//!
//! [`check_against_ids`] uses public facts only (columns, types, a published list of ids), so its
//! report may be shown to whoever made the file. The comparison with reference data happens in the
//! scoring child alone, whose reports never reach a participant.

mod columns;
mod csv_table;
mod fault;
mod ids;
mod parquet_table;
mod table;
#[cfg(test)]
mod tests;

pub(crate) use columns::{Coded, Kind, Wanted};
pub(crate) use fault::Faults;
pub use fault::{Fault, FaultKind, FaultReport, LISTED_FAULTS};
pub(crate) use ids::{Order, match_ids};
pub(crate) use table::{Table, read_table};

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::metric::{Family, MetricName, MetricSpec, PROBABILITY_SUM_TOLERANCE};

/// What a file may be like at most.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Size of the file, in bytes.
    pub file_bytes: u64,
    /// Rows.
    pub rows: u64,
    /// Bytes in one cell.
    pub cell_bytes: usize,
    /// Bytes in one line of a CSV file.
    pub record_bytes: u64,
    /// Columns.
    pub columns: usize,
    /// Different classes in one column.
    pub classes: usize,
    /// Bytes that the needed columns of a Parquet file unpack to.
    pub unpacked_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            file_bytes: 2 << 30,
            rows: 20_000_000,
            cell_bytes: 64 << 10,
            record_bytes: 16 << 20,
            columns: 10_000,
            classes: 100_000,
            unpacked_bytes: 2 << 30,
        }
    }
}

/// A published list of ids: a table whose id column names every row to be predicted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdList {
    /// The CSV or Parquet file.
    pub path: PathBuf,
    /// Its id column.
    pub column: String,
}

/// Checks a predictions file by public facts only. `metrics` are those of one task; without `ids`
/// only columns, types and duplicates are looked at.
///
/// # Errors
/// The list of ids itself cannot be read or is at fault, which is the organizer's to mend.
pub fn check_against_ids(
    predictions: &Path,
    metrics: &[MetricSpec],
    ids: Option<&IdList>,
    limits: &Limits,
) -> Result<FaultReport, FaultReport> {
    let mut faults = Faults::default();
    let Some(id) = metrics.first().map(|metric| metric.id.as_str()) else {
        faults.about_file(FaultKind::Unreadable, None, "a task with a native metric");
        return Err(faults.report());
    };
    let published = match ids {
        None => None,
        Some(list) => {
            let mut about_list = Faults::default();
            let table = read_table(&list.path, &list.column, &[], limits, &mut about_list);
            match table {
                Some(table) if about_list.is_empty() => Some(table),
                _ => return Err(about_list.report()),
            }
        }
    };
    let table = read_table(predictions, id, &wanted_predictions(metrics), limits, &mut faults);
    if let Some(table) = table {
        check_rows(&table, metrics, &mut faults);
        match published {
            Some(published) => {
                match_ids(&published.ids, &table, id, &mut faults);
            }
            None => table.find_duplicates(id, &mut faults),
        }
    }
    Ok(faults.report())
}

/// Columns that `metrics` need of a predictions file, each once.
pub(crate) fn wanted_predictions(metrics: &[MetricSpec]) -> Vec<Wanted> {
    let mut wanted = Vec::new();
    for metric in metrics {
        let kind = prediction_kind(metric);
        for name in &metric.prediction {
            let column = Wanted { name: name.clone(), kind: kind.clone() };
            if !wanted.contains(&column) {
                wanted.push(column);
            }
        }
    }
    wanted
}

/// Columns that `metrics` need of a reference file, each once.
pub(crate) fn wanted_reference(metrics: &[MetricSpec]) -> Vec<Wanted> {
    let mut wanted: Vec<Wanted> = Vec::new();
    for metric in metrics {
        let target = Wanted { name: metric.target.clone(), kind: target_kind(metric) };
        let weight =
            metric.sample_weight.iter().map(|name| Wanted { name: name.clone(), kind: Kind::number() });
        let group = metric.group.iter().map(|name| Wanted { name: name.clone(), kind: Kind::Text });
        for column in [target].into_iter().chain(weight).chain(group) {
            if !wanted.contains(&column) {
                wanted.push(column);
            }
        }
    }
    wanted
}

/// What a prediction column of `metric` must hold.
pub(crate) fn prediction_kind(metric: &MetricSpec) -> Kind {
    match (metric.name.family(), metric.name) {
        (Family::Classes, MetricName::CohenKappa) => Kind::Class { among: metric.labels.clone() },
        (Family::Classes, _) => Kind::Class { among: None },
        (_, MetricName::LogLoss) => Kind::probability(),
        (_, MetricName::RocAuc) if metric.prediction.len() > 1 => Kind::probability(),
        (_, MetricName::Rmsle) if metric.clip.is_none_or(|[lo, _]| lo <= -1.0) => Kind::above_minus_one(),
        _ => Kind::number(),
    }
}

/// What the target column of `metric` must hold.
pub(crate) fn target_kind(metric: &MetricSpec) -> Kind {
    match metric.name.family() {
        Family::Numbers | Family::Rankings => Kind::number(),
        Family::Scores => Kind::Class { among: metric.labels.clone() },
        // Classes outside `labels` are simply not averaged over, but kappa has no place for them.
        Family::Classes => prediction_kind(metric),
    }
}

/// Looks at what only several cells of a row show together.
pub(crate) fn check_rows(table: &Table, metrics: &[MetricSpec], faults: &mut Faults) {
    for metric in metrics {
        let sums = matches!(metric.name, MetricName::LogLoss | MetricName::RocAuc);
        if !sums || metric.prediction.len() < 2 {
            continue;
        }
        let kind = prediction_kind(metric);
        let columns: Vec<&[f64]> =
            metric.prediction.iter().filter_map(|name| table.numbers(name, &kind)).collect();
        for row in 0..table.rows() {
            let sum: f64 = columns.iter().filter_map(|column| column.get(row)).sum();
            // A cell that was no number is a fault of its own.
            if (sum - 1.0).abs() > PROBABILITY_SUM_TOLERANCE {
                faults.add(FaultKind::ProbabilitySum, || Fault {
                    line: Some(table.lines.of(row)),
                    column: None,
                    found: Some(format!("{sum}")),
                    expected: format!("probabilities {} that add up to 1", metric.prediction.join(" + ")),
                    about: None,
                    kind: FaultKind::ProbabilitySum,
                });
            }
        }
    }
}
