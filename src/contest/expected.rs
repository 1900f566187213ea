//! What a task expects of a result file, as far as its bundle says: the columns, and sample rows.

use tokio::io::AsyncReadExt as _;

use super::db;
use super::definition::Task;
use super::given::is_plain;
use super::model::FileKind;
use crate::house::House;
use crate::ids::CompetitionId;
use crate::scoring::metric::Family;
use crate::store::{ObjectError, ObjectKey, StoreError};

/// How much of a list of ids is read for the sample rows, in bytes.
const IDS_READ: u64 = 4096;
/// Sample rows.
const SAMPLES: usize = 3;

/// A result file as it should be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    /// The columns, where a native metric says so; else none.
    pub columns: Vec<String>,
    /// Up to three rows, with published ids; none where the ids are not published.
    pub rows: Vec<Vec<String>>,
    /// Whether a model is taken in its place.
    pub models: bool,
}

/// Why it cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum ExpectedError {
    /// The list of ids cannot be read.
    #[error(transparent)]
    Objects(#[from] ObjectError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a task expects of a result file.
///
/// # Errors
/// [`ExpectedError`].
pub async fn expected(
    house: &House,
    competition: CompetitionId,
    task: &Task,
) -> Result<Expected, ExpectedError> {
    let (mut columns, mut sample): (Vec<String>, Vec<String>) = Default::default();
    for metric in &task.metrics {
        if columns.is_empty() {
            columns.push(metric.id.clone());
        }
        for column in &metric.prediction {
            if !columns.contains(column) {
                columns.push(column.clone());
                let label = metric.labels.as_ref().and_then(|labels| labels.first());
                let of_classes = metric.name.family() == Family::Classes;
                sample.push(if of_classes { label.map_or("…", String::as_str) } else { "0.0" }.to_owned());
            }
        }
    }
    let ids = match (&task.ids, task.metrics.first()) {
        (Some(path), Some(metric)) => first_ids(house, competition, path, &metric.id).await?,
        _ => Vec::new(),
    };
    let rows = ids.into_iter().map(|id| std::iter::once(id).chain(sample.iter().cloned()).collect());
    Ok(Expected { columns, rows: rows.collect(), models: task.model.is_some() })
}

/// The first of the published ids.
async fn first_ids(
    house: &House,
    competition: CompetitionId,
    path: &str,
    column: &str,
) -> Result<Vec<String>, ExpectedError> {
    let file = db::file(&mut *house.db.read().await?, competition, &path.to_owned()).await?;
    let published = |kind, path: &str| kind == FileKind::File && path.ends_with(".csv");
    let Some(file) = file.filter(|file| published(file.kind, &file.path) && is_plain(file)) else {
        return Ok(Vec::new());
    };
    let key: ObjectKey = file.object_key.parse()?;
    let mut start = Vec::new();
    let reader = house.objects.get_stream(&key).await?;
    if reader.take(IDS_READ).read_to_end(&mut start).await.is_err() {
        return Ok(Vec::new());
    }
    let mut table = csv::ReaderBuilder::new().flexible(true).from_reader(start.as_slice());
    let place = table.headers().ok().and_then(|header| header.iter().position(|name| name.trim() == column));
    let Some(place) = place else { return Ok(Vec::new()) };
    let rows = table.records().flatten().take(SAMPLES);
    Ok(rows.filter_map(|row| row.get(place).map(str::to_owned)).collect())
}
