//! Dry runs over the API: an organizer's own submission, off every board.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::extract::multipart::{Multipart, MultipartRejection};
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse as _, Response};

use super::ask::{Answer, InPhase, Theirs};
use super::submissions::{SubmissionView, describe};
use super::upload::Upload;
use crate::submission::accept::{self, Request};
use crate::submission::model::{Aim, Origin};
use crate::web::App;

/// What is sent to make a dry run.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "describes the form; it is read field by field")]
pub(super) struct DryRunForm {
    /// The file: .zip, .csv, .parquet, .py or .onnx.
    #[schema(value_type = String, format = Binary)]
    file: Vec<u8>,
    /// A note for the desk, 500 characters at most.
    #[schema(example = "gradient boosting")]
    message: Option<String>,
}

/// Run a baseline on the phase's real data, for the desk alone.
///
/// At any time, before the competition is published too. It reaches no leaderboard and uses no quota;
/// what it tells of hidden data is charged to whoever asks.
#[utoipa::path(
    post, path = "/competitions/{slug}/phases/{index}/dry-runs", tag = "desk",
    security(("token" = [])),
    params(
        ("slug" = String, Path, description = "the competition's short name", example = "flight-delay"),
        ("index" = i64, Path, description = "the phase, counted from 0", example = 0),
    ),
    request_body(content = DryRunForm, content_type = "multipart/form-data"),
    responses((
        status = 201, body = SubmissionView, description = "accepted",
        headers(("Location" = String, description = "where the dry run is")),
    ))
)]
pub(super) async fn dry_run(
    State(app): State<App>,
    InPhase { here, phase }: InPhase,
    multipart: Result<Multipart, MultipartRejection>,
) -> Answer<Response> {
    let began = app.clock.now();
    let actor = here.organizer()?;
    let cap = app.settings.upload.cap_bytes;
    let sent = Upload::take(&app, actor, multipart, (&["message"], cap)).await?;
    let request = Request {
        user: actor.user,
        display_name: actor.name.clone(),
        file_name: sent.file_name.clone(),
        message: sent.text("message").to_owned(),
        facts: BTreeMap::new(),
        aim: Aim::DryRun,
        origin: Origin::Outside,
        began,
    };
    let content = sent.file.open().await?;
    let submission = accept::accept(&app.house, &here.competition, &phase, request, content, cap).await?;
    let location = format!("/api/v1/submissions/{}", submission.id);
    let view = describe(&app, &Theirs { here, phase, submission }).await?;
    Ok((StatusCode::CREATED, [(LOCATION, location)], Json(view)).into_response())
}
