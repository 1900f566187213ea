//! The child's side of native scoring: limits on itself, one request in, one answer out.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::Path;
use std::process::ExitCode;

use rustix::process::{Resource, Rlimit, setrlimit};

use super::metric::{Family, MetricSpec, Rows};
use super::native::{Answer, CheckRequest, Failure, Job, ProcessLimits, Request};
use super::predictions::{
    Coded, FaultReport, Faults, Order, Table, check_against_ids, check_rows, match_ids, prediction_kind,
    read_table, target_kind, wanted_predictions, wanted_reference,
};
use super::predictions::{Kind, Limits};

/// Bytes of a request at most.
const REQUEST_BYTES: u64 = 1 << 20;
/// Open files at most: three standard streams, two tables, and room for the runtime.
const OPEN_FILES: u64 = 32;

/// What the binary does under [`CHILD_SUBCOMMAND`](super::native::CHILD_SUBCOMMAND): reads one
/// request, limits itself, computes, prints one answer. To be called before any thread is started.
pub fn child_main() -> ExitCode {
    let mut request = Vec::new();
    let read = std::io::stdin().lock().take(REQUEST_BYTES).read_to_end(&mut request);
    let job = read.ok().and_then(|_| serde_json::from_slice::<Job>(&request).ok());
    let answer = match job {
        None => Answer::Failed(Failure::Request),
        Some(Job::Score(request)) => match limit(&request.process) {
            Ok(()) => score(&request).map_or_else(Answer::Failed, Answer::Scores),
            Err(_) => Answer::Failed(Failure::Request),
        },
        Some(Job::Check(request)) => match limit(&request.process) {
            Ok(()) => check(&request),
            Err(_) => Answer::Failed(Failure::Request),
        },
    };
    let written = serde_json::to_vec(&answer).map_err(std::io::Error::other);
    let mut stdout = std::io::stdout().lock();
    match written.and_then(|bytes| stdout.write_all(&bytes).and_then(|()| stdout.flush())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn limit(limits: &ProcessLimits) -> rustix::io::Result<()> {
    let set = |resource, most| setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) });
    set(Resource::Core, 0)?;
    // Enough for an answer, should standard output be a file.
    set(Resource::Fsize, 64 << 10)?;
    set(Resource::Nofile, OPEN_FILES)?;
    set(Resource::Cpu, limits.cpu_seconds)?;
    set(Resource::As, limits.memory_bytes)
}

fn check(request: &CheckRequest) -> Answer {
    match check_against_ids(&request.predictions, &request.metrics, request.ids.as_ref(), &request.limits) {
        Ok(report) => Answer::Checked(report),
        Err(_) => Answer::Failed(Failure::IdList),
    }
}

/// Checks a reference file against what the metrics declare, for the organizer who brought it: the
/// report shows cells of the file.
pub fn check_reference(reference: &Path, metrics: &[MetricSpec], limits: &Limits) -> FaultReport {
    let mut faults = Faults::default();
    if let Some(table) = read(reference, metrics, &wanted_reference(metrics), limits, &mut faults) {
        table.find_duplicates(id_of(metrics), &mut faults);
    }
    faults.report()
}

fn id_of(metrics: &[MetricSpec]) -> &str {
    metrics.first().map_or("", |metric| &metric.id)
}

fn read(
    path: &Path,
    metrics: &[MetricSpec],
    wanted: &[super::predictions::Wanted],
    limits: &Limits,
    faults: &mut Faults,
) -> Option<Table> {
    read_table(path, id_of(metrics), wanted, limits, faults)
}

/// Scores every metric of a request.
fn score(request: &Request) -> Result<Vec<(String, u64)>, Failure> {
    let Request { metrics, limits, .. } = request;
    if metrics.is_empty() || metrics.iter().any(|metric| !metric.validate().is_empty()) {
        return Err(Failure::Request);
    }
    // The two files have nothing to do with each other until both are read.
    let (reference, predictions) = std::thread::scope(|scope| {
        let read_reference = || {
            let mut faults = Faults::default();
            let table = read(&request.reference, metrics, &wanted_reference(metrics), limits, &mut faults);
            table.filter(|_| faults.is_empty())
        };
        let reference = std::thread::Builder::new().spawn_scoped(scope, read_reference);
        let mut faults = Faults::default();
        let wanted = wanted_predictions(metrics);
        let predictions = read(&request.predictions, metrics, &wanted, limits, &mut faults);
        let predictions = predictions.filter(|_| faults.is_empty());
        let reference = match reference {
            Ok(running) => running.join().ok().flatten(),
            Err(_) => read_reference(),
        };
        (reference, predictions)
    });
    let reference = reference.ok_or(Failure::Reference)?;
    let predictions = predictions.ok_or(Failure::Predictions)?;
    let mut faults = Faults::default();
    check_rows(&predictions, metrics, &mut faults);
    let order = match_ids(&reference.ids, &predictions, id_of(metrics), &mut faults);
    let order = order.filter(|_| faults.is_empty()).ok_or(Failure::Predictions)?;
    let tables = Joined { reference, predictions, order };
    metrics.iter().map(|metric| Ok((metric.column.clone(), tables.score(metric)?.to_bits()))).collect()
}

/// Both tables and how their rows belong together.
struct Joined {
    reference: Table,
    predictions: Table,
    order: Order,
}

impl Joined {
    fn score(&self, metric: &MetricSpec) -> Result<f64, Failure> {
        let weights = match &metric.sample_weight {
            None => None,
            Some(name) => Some(self.reference.numbers(name, &Kind::number()).ok_or(Failure::Reference)?),
        };
        let result = match metric.name.family() {
            Family::Classes => {
                let (truth, predicted) = (self.target_classes(metric)?, self.predicted_classes(metric)?);
                let classes = sorted_classes([&truth.names, &predicted.names].into_iter().flatten());
                metric.score(&Rows::Classes {
                    truth: &recode(truth, &classes),
                    predicted: &self.ordered(&recode(predicted, &classes)),
                    classes: &classes,
                    weights,
                })
            }
            Family::Scores => {
                let truth = self.target_classes(metric)?;
                let classes = match &metric.labels {
                    Some(labels) => labels.clone(),
                    None => sorted_classes(truth.names.iter()),
                };
                let columns = metric.prediction.iter().map(|name| self.predicted_numbers(metric, name));
                let columns = columns.collect::<Result<Vec<_>, _>>()?;
                let columns: Vec<&[f64]> = columns.iter().map(AsRef::as_ref).collect();
                let truth = recode(truth, &classes);
                metric.score(&Rows::Scores { classes: &classes, truth: &truth, columns: &columns, weights })
            }
            Family::Numbers => {
                let predicted = self.predicted_numbers(metric, self.column(metric)?)?;
                let truth = self.target_numbers(metric)?;
                metric.score(&Rows::Numbers { truth, predicted: predicted.as_ref(), weights })
            }
            Family::Rankings => {
                let scores = self.predicted_numbers(metric, self.column(metric)?)?;
                let groups = match &metric.group {
                    None => None,
                    Some(name) => Some(self.reference.coded(name, &Kind::Text).ok_or(Failure::Reference)?),
                };
                metric.score(&Rows::Rankings {
                    relevance: self.target_numbers(metric)?,
                    scores: scores.as_ref(),
                    queries: groups.map(|groups| groups.codes.as_slice()),
                })
            }
        };
        result.map_err(|error| Failure::Metric { column: metric.column.clone(), error })
    }

    fn column<'a>(&self, metric: &'a MetricSpec) -> Result<&'a str, Failure> {
        metric.prediction.first().map(String::as_str).ok_or(Failure::Request)
    }

    fn target_numbers(&self, metric: &MetricSpec) -> Result<&[f64], Failure> {
        self.reference.numbers(&metric.target, &target_kind(metric)).ok_or(Failure::Reference)
    }

    fn target_classes(&self, metric: &MetricSpec) -> Result<&Coded, Failure> {
        self.reference.coded(&metric.target, &target_kind(metric)).ok_or(Failure::Reference)
    }

    fn predicted_classes(&self, metric: &MetricSpec) -> Result<&Coded, Failure> {
        let kind = prediction_kind(metric);
        self.predictions.coded(self.column(metric)?, &kind).ok_or(Failure::Predictions)
    }

    fn predicted_numbers(
        &self,
        metric: &MetricSpec,
        name: &str,
    ) -> Result<std::borrow::Cow<'_, [f64]>, Failure> {
        let numbers = self.predictions.numbers(name, &prediction_kind(metric)).ok_or(Failure::Predictions)?;
        Ok(self.ordered(numbers))
    }

    /// A column of the predictions in the order of the reference.
    fn ordered<'a, T: Copy>(&self, column: &'a [T]) -> std::borrow::Cow<'a, [T]> {
        match &self.order {
            Order::Same => std::borrow::Cow::Borrowed(column),
            Order::Rows(rows) => {
                rows.iter().filter_map(|row| column.get(*row as usize)).copied().collect::<Vec<_>>().into()
            }
        }
    }
}

/// Classes as scikit-learn sorts them: by value when all are numbers, else by text.
fn sorted_classes<'a>(names: impl Iterator<Item = &'a String>) -> Vec<String> {
    let mut classes: Vec<String> = names.cloned().collect();
    classes.sort_unstable();
    classes.dedup();
    let numbers: Option<BTreeMap<_, _>> = classes
        .iter()
        .map(|name| {
            let number = name.parse::<f64>().ok().filter(|number| number.is_finite())?;
            // Of two names of one number, which canonical writing leaves only beyond 2⁵³, both stay.
            Some(((super::metric::sort_key(number), name.clone()), name.clone()))
        })
        .collect();
    match numbers {
        Some(numbers) => numbers.into_values().collect(),
        None => classes,
    }
}

/// Codes into `classes` instead of the column's own names; a name that is not there, which the
/// reader has already refused where it matters, becomes a code outside.
fn recode(column: &Coded, classes: &[String]) -> Vec<u32> {
    let positions: std::collections::HashMap<&str, u32> =
        classes.iter().map(String::as_str).zip(0u32..).collect();
    let codes: Vec<u32> =
        column.names.iter().map(|name| positions.get(name.as_str()).copied().unwrap_or(u32::MAX)).collect();
    column.codes.iter().map(|code| codes.get(*code as usize).copied().unwrap_or(u32::MAX)).collect()
}
