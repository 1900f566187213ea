//! Handing in a submission: `multipart/form-data`, its fields in any order.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::extract::multipart::{Multipart, MultipartRejection};
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse as _, Response};
use jiff::Timestamp;
use serde_json::Value;

use super::ask::{Answer, InPhase, Misread, Theirs};
use super::spool::Spooled;
use super::submissions::{SubmissionView, describe};
use super::upload::{broken, text};
use crate::people::Actor;
use crate::submission::accept::{self, AcceptError, Request};
use crate::submission::model::{Aim, Origin};
use crate::web::App;
use crate::web::limits::Limited;

/// What is sent to make a submission. The fields may come in any order; when the file comes last, a
/// submission that cannot be accepted is refused before the file is read.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "describes the form; it is read field by field")]
pub(super) struct SubmissionForm {
    /// The file: .zip, .csv, .parquet, .py or .onnx.
    #[schema(value_type = String, format = Binary)]
    file: Vec<u8>,
    /// The team's own note, 500 characters at most.
    #[schema(example = "gradient boosting, depth 6")]
    message: Option<String>,
    /// `true` for a trial run on the public twin: no quota, no leaderboard.
    #[schema(example = "false")]
    trial: Option<bool>,
    /// Answers to the fact sheet: a JSON object by the questions' keys.
    #[schema(example = json!({ "method": "boosting" }))]
    facts: Option<Value>,
}

#[derive(Default)]
struct Form {
    message: String,
    trial: Option<bool>,
    facts: BTreeMap<String, Value>,
    file: Option<(String, Spooled)>,
}

/// Hand in a submission.
///
/// Answers at once; the score comes when the submission has run: ask for the address in `Location`
/// again, or listen to its events.
#[utoipa::path(
    post, path = "/competitions/{slug}/phases/{index}/submissions", tag = "submissions",
    security(("token" = [])),
    params(
        ("slug" = String, Path, description = "the competition's short name", example = "flight-delay"),
        ("index" = i64, Path, description = "the phase, counted from 0", example = 0),
    ),
    request_body(content = SubmissionForm, content_type = "multipart/form-data"),
    responses((
        status = 201, body = SubmissionView, description = "accepted",
        headers(("Location" = String, description = "where the submission is")),
    ))
)]
pub(super) async fn submit(
    State(app): State<App>,
    InPhase { here, phase }: InPhase,
    multipart: Result<Multipart, MultipartRejection>,
) -> Answer<Response> {
    let began = app.clock.now();
    let actor = here.participant()?;
    app.limits.check(Limited::Upload, &actor.user.to_string())?;
    let multipart = multipart.map_err(|_| Misread::media_type("multipart/form-data"))?;
    let cap = app.settings.upload.cap_bytes;
    let early = |form: &Form, name: &str| request(actor, form, name, began);
    let mut form = Form::default();
    let mut fields = multipart;
    while let Some(field) = fields.next_field().await.map_err(broken)? {
        match field.name().unwrap_or_default() {
            "message" => form.message = text(field).await?,
            "trial" => form.trial = Some(truth(&text(field).await?)?),
            "facts" => form.facts = facts(&text(field).await?)?,
            "file" if form.file.is_some() => return Err(Misread::field("file", "one-file").into()),
            "file" => {
                let name = field.file_name().unwrap_or_default().to_owned();
                let refused =
                    accept::check(&app.house, &here.competition, &phase, &early(&form, &name)).await;
                if let Err(error) = refused
                    && is_final(&error, &form)
                {
                    return Err(error.into());
                }
                form.file = Some((name, Spooled::take(&app, field, cap).await?));
            }
            _ => drop(field),
        }
    }
    let Some((name, file)) = form.file.take() else { return Err(Misread::field("file", "required").into()) };
    let request = request(actor, &form, &name, began);
    let content = file.open().await?;
    let submission = accept::accept(&app.house, &here.competition, &phase, request, content, cap).await?;
    let location = format!("/api/v1/submissions/{}", submission.id);
    let view = describe(&app, &Theirs { here, phase, submission }).await?;
    Ok((StatusCode::CREATED, [(LOCATION, location)], Json(view)).into_response())
}

fn request(actor: &Actor, form: &Form, file_name: &str, began: Timestamp) -> Request {
    Request {
        user: actor.user,
        display_name: actor.name.clone(),
        file_name: file_name.to_owned(),
        message: form.message.clone(),
        facts: form.facts.clone(),
        aim: if form.trial == Some(true) { Aim::Trial } else { Aim::Compete },
        origin: Origin::Outside,
        began,
    }
}

/// Whether no field that may still come after the file could change the refusal.
fn is_final(error: &AcceptError, form: &Form) -> bool {
    match error {
        AcceptError::Facts { .. } => false,
        AcceptError::DailyQuota { .. } | AcceptError::TotalQuota { .. } => form.trial.is_some(),
        _ => true,
    }
}

fn truth(text: &str) -> Answer<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "1" | "on" | "yes" => Ok(true),
        "false" | "0" | "off" | "no" | "" => Ok(false),
        _ => Err(Misread::field("trial", "truth").into()),
    }
}

fn facts(text: &str) -> Answer<BTreeMap<String, Value>> {
    match text.trim() {
        "" => Ok(BTreeMap::new()),
        text => serde_json::from_str(text).map_err(|_| Misread::field("facts", "json-object").into()),
    }
}
