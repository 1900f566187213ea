//! The faults of a result file that was refused, to be taken along by its team.

use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;

use super::stream;
use super::submission::Seen;
use crate::lab::shown;
use crate::scoring::predictions::FaultReport;
use crate::submission::model::Submission;
use crate::web::App;
use crate::web::error::PageError;
use crate::web::guard::User;
use crate::web::page::Frame;

pub(super) fn router() -> Router<App> {
    Router::new()
        .route("/competitions/{slug}/submissions/{id}/faults.csv", get(csv))
        .route("/competitions/{slug}/submissions/{id}/faults.json", get(json))
}

/// The faults of a result file, where the refusal holds them.
pub(super) fn of(submission: &Submission) -> Option<FaultReport> {
    let document = submission.disclosed_reason.faults.clone()?;
    serde_json::from_value(document).ok()
}

/// The faults of a result file, where the refusal holds them, to be handed out.
async fn handed_out(app: &App, seen: &Seen) -> Result<FaultReport, PageError> {
    let report = of(&seen.submission).ok_or_else(PageError::not_found)?;
    seen.count(app, shown::reason_bytes(&seen.submission.disclosed_reason)).await?;
    Ok(report)
}

/// The report for a program: the first faults and the counts of all.
async fn json(
    frame: Frame,
    State(app): State<App>,
    _: User,
    Path((slug, id)): Path<(String, String)>,
) -> Result<Response, PageError> {
    let seen = Seen::own(&app, &frame, &slug, &id).await?;
    let report = handed_out(&app, &seen).await?;
    let document = serde_json::to_vec_pretty(&report).map_err(|e| PageError::internal(&e))?;
    Ok(stream::text("faults.json", "application/json", document))
}

/// The first faults as a table, for a spreadsheet.
async fn csv(
    frame: Frame,
    State(app): State<App>,
    _: User,
    Path((slug, id)): Path<(String, String)>,
) -> Result<Response, PageError> {
    let seen = Seen::own(&app, &frame, &slug, &id).await?;
    let report = handed_out(&app, &seen).await?;
    let mut writer = ::csv::Writer::from_writer(Vec::new());
    let broken = |e: ::csv::Error| PageError::internal(&e);
    writer.write_record(["line", "column", "found", "expected", "kind"]).map_err(broken)?;
    for fault in &report.first {
        let line = fault.line.map(|line| line.to_string()).unwrap_or_default();
        let row = [
            line,
            stream::cell(fault.column.as_deref().unwrap_or("")),
            stream::cell(fault.found.as_deref().unwrap_or("")),
            fault.expected.clone(),
            fault.kind.to_string(),
        ];
        writer.write_record(row).map_err(broken)?;
    }
    let bytes = writer.into_inner().map_err(|e| PageError::internal(&e))?;
    Ok(stream::csv("faults.csv", &bytes))
}
