//! Submitting: what is expected, and the upload.

use std::collections::BTreeMap;

use axum::Router;
use axum::extract::multipart::Multipart;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::hall::Hall;
use super::packages::{self, PackagesView};
use super::upload::{self, Fields};
use crate::contest::db as contest_db;
use crate::contest::definition::{FactKind, FactQuestion, ModelRules};
use crate::contest::expected::{self, Expected};
use crate::contest::model::{Phase, PhaseTime, Task};
use crate::submission::accept::{self, AcceptError, Request};
use crate::submission::model::{Aim, Origin, Submission};
use crate::web::App;
use crate::web::error::{Explain as _, FieldFault, PageError};
use crate::web::guard::User;
use crate::web::limits::Limited;
use crate::web::page::Frame;

pub(super) fn router() -> Router<App> {
    Router::new().route("/competitions/{slug}/submit", get(form))
}

pub(super) fn uploads() -> Router<App> {
    Router::new().route("/competitions/{slug}/upload", post(take))
}

/// A task as the form describes it.
#[derive(Serialize)]
struct TaskView {
    name: String,
    description: String,
    /// Whether it takes apps alone.
    takes_apps: bool,
    /// What a model is given and asked for, where models are taken.
    model: Option<ModelView>,
    hidden_input: bool,
    twin: bool,
    /// The columns of a result file, where a native metric says so.
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
    metrics: Vec<String>,
}

/// What a model is given and asked for.
#[derive(Serialize)]
struct ModelView {
    table: String,
    features: Vec<String>,
    predictions: Vec<String>,
    /// The first features, for the sample of a model.yaml.
    some: Vec<String>,
    max_bytes: u64,
    first: i64,
    last: i64,
}

impl ModelView {
    fn of(rules: &ModelRules) -> Self {
        Self {
            table: rules.table.clone(),
            features: rules.features.clone(),
            predictions: rules.predictions.clone(),
            some: rules.features.iter().take(2).cloned().collect(),
            max_bytes: rules.max_bytes,
            first: rules.opset[0],
            last: rules.opset[1],
        }
    }
}

/// What the form asks beside the file.
#[derive(Serialize)]
struct Question<'a> {
    key: &'a str,
    title: &'a str,
    kind: &'static str,
    selection: &'a [String],
    required: bool,
    value: String,
}

#[derive(Deserialize)]
struct Wanted {
    phase: Option<i64>,
}

async fn form(
    frame: Frame,
    State(app): State<App>,
    user: User,
    Path(slug): Path<String>,
    Query(wanted): Query<Wanted>,
) -> Result<Response, PageError> {
    let hall = Hall::enter(&app, &frame, &slug).await?;
    show(&frame, &app, (&hall, &user), wanted.phase, &Fields::new(), &[]).await
}

async fn show(
    frame: &Frame,
    app: &App,
    (hall, user): (&Hall, &User),
    wanted: Option<i64>,
    filled: &Fields,
    faults: &[FieldFault],
) -> Result<Response, PageError> {
    let phase = hall.phase(wanted)?;
    let (tasks, quota) = {
        let mut conn = app.db.read().await?;
        let tasks = contest_db::tasks_of_phase(&mut conn, phase.id).await?;
        (tasks, hall.quota(&mut conn, phase).await?)
    };
    let mut views = Vec::new();
    for task in &tasks {
        views.push(task_view(app, hall, task, phase.definition.accepts_only_result_submissions).await?);
    }
    let d = &hall.competition.definition;
    let questions: Vec<_> = d.fact_sheet.iter().map(|q| question(q, filled)).collect();
    let apps = !views.is_empty() && views.iter().all(|task| task.takes_apps);
    let endings: Vec<String> = accept::ENDINGS
        .iter()
        .filter(|e| !(phase.definition.accepts_only_result_submissions && **e == "py"))
        .filter(|e| **e != "onnx" || views.iter().any(|task| task.model.is_some()))
        .filter(|e| **e == "zip" || !apps)
        .map(|e| format!(".{e}"))
        .collect();
    let message = filled.get("message").cloned().unwrap_or_default();
    let extra = extra_packages(app, hall, user).await?;
    let page = hall.page(app, frame, "competition/submit.html", "submit").await?;
    let page = page
        .with("phase", &phase.position)
        .with("phase_name", hall.phase_name(phase))
        .with("open", &(phase.time(hall.now) == PhaseTime::Open))
        .with("results_only", &phase.definition.accepts_only_result_submissions)
        .with("quota", &quota)
        .with("tasks", &views)
        .with("trial", &tasks.iter().any(|task| task.definition.has_trial()))
        .with("columns", &columns_of_all(&views))
        .with("questions", &questions)
        .with("endings", &endings.join(","))
        .with("apps", &apps)
        .with("cap", &app.settings.upload.cap_bytes)
        .with("message", &message)
        .with("packages", &extra)
        .with("message_length", &accept::MESSAGE_LENGTH);
    if faults.is_empty() {
        page.with("faults", &Vec::<()>::new()).render()
    } else {
        page.faulty(faults).render()
    }
}

/// The packages that programs find, where their place is here.
async fn extra_packages(app: &App, hall: &Hall, user: &User) -> Result<Option<PackagesView>, PageError> {
    let here = format!("{}/submit#packages", hall.base());
    match hall.admitted() && packages::place(hall) == Some(here) {
        true => PackagesView::of(app, hall, Some(user.actor.user)).await.map(Some),
        false => Ok(None),
    }
}

/// The columns every single result file needs: those of the phase's only task.
fn columns_of_all(views: &[TaskView]) -> String {
    match views {
        [only] => only.columns.join(","),
        _ => String::new(),
    }
}

fn question<'a>(q: &'a FactQuestion, filled: &Fields) -> Question<'a> {
    Question {
        key: &q.key,
        title: &q.title,
        kind: match q.kind {
            FactKind::Checkbox => "checkbox",
            FactKind::Text => "text",
            FactKind::Select => "select",
        },
        selection: &q.selection,
        required: q.is_required,
        value: filled.get(&format!("fact-{}", q.key)).cloned().unwrap_or_default(),
    }
}

async fn task_view(app: &App, hall: &Hall, task: &Task, results_only: bool) -> Result<TaskView, PageError> {
    let d = &task.definition;
    let Expected { columns, rows, .. } = expected::expected(&app.house, hall.competition.id, d).await?;
    let key = format!("tasks.{}", task.position);
    Ok(TaskView {
        name: hall.named(&key, &d.name).to_owned(),
        description: hall.named(&format!("{key}.description"), &d.description).to_owned(),
        takes_apps: d.takes_apps(),
        model: d.model.as_ref().filter(|_| !results_only).map(ModelView::of),
        hidden_input: d.closes_programs(),
        twin: d.has_trial(),
        rows,
        metrics: d.metrics.iter().map(|metric| metric.name.to_string()).collect(),
        columns,
    })
}

#[derive(Serialize)]
struct Taken {
    location: String,
    id: String,
}

async fn take(
    frame: Frame,
    State(app): State<App>,
    user: User,
    Path(slug): Path<String>,
    multipart: Result<Multipart, axum::extract::multipart::MultipartRejection>,
) -> Result<Response, PageError> {
    // a script wants to be told where to go on
    let json = frame.visit().wants_json();
    match multipart {
        Ok(mut multipart) => accept_upload(&frame, &app, &user, &slug, &mut multipart, json).await,
        Err(_) => Err(PageError::plain(StatusCode::UNSUPPORTED_MEDIA_TYPE, "upload-form")),
    }
}

async fn accept_upload(
    frame: &Frame,
    app: &App,
    user: &User,
    slug: &str,
    multipart: &mut Multipart,
    json: bool,
) -> Result<Response, PageError> {
    let began = app.clock.now();
    app.limits.check(Limited::Upload, &user.actor.user.to_string())?;
    let hall = Hall::enter(app, frame, slug).await?;
    let mut filled = Fields::new();
    let outcome = upload::receive(multipart, |fields, file_name, content| {
        filled.clone_from(&fields);
        accept_file(app, user, &hall, began, fields, file_name, content)
    })
    .await?;
    match outcome {
        Ok(submission) => {
            let location = format!("{}/submissions/{}", hall.base(), submission.id);
            if json {
                let taken = Taken { location, id: submission.id.to_string() };
                return Ok((StatusCode::CREATED, axum::Json(taken)).into_response());
            }
            Ok(frame.go(&location))
        }
        Err(error) if json || error.faults().is_empty() => Err(error.into()),
        // the form again, with what was filled in
        Err(error) => {
            let wanted = filled.get("phase").and_then(|p| p.parse().ok());
            show(frame, app, (&hall, user), wanted, &filled, &error.faults()).await
        }
    }
}

/// The room's refusal is an answer; only what else goes wrong is an error here.
async fn accept_file(
    app: &App,
    user: &User,
    hall: &Hall,
    began: jiff::Timestamp,
    fields: Fields,
    file_name: String,
    content: Box<dyn tokio::io::AsyncRead + Send + Unpin>,
) -> Result<Result<Submission, AcceptError>, PageError> {
    let wanted = fields.get("phase").map(|p| p.parse::<i64>());
    let phase: &Phase = match wanted {
        Some(Ok(position)) => hall.phase(Some(position))?,
        None => hall.phase(None)?,
        Some(Err(_)) => return Err(PageError::not_found()),
    };
    let request = Request {
        user: user.actor.user,
        display_name: user.actor.name.clone(),
        file_name,
        message: fields.get("message").map(|m| m.trim().to_owned()).unwrap_or_default(),
        facts: facts(&hall.competition.definition.fact_sheet, &fields),
        aim: if fields.get("trial").is_some_and(|value| value == "yes") { Aim::Trial } else { Aim::Compete },
        origin: Origin::Outside,
        began,
    };
    let cap = app.settings.upload.cap_bytes;
    Ok(accept::accept(&app.house, &hall.competition, phase, request, content, cap).await)
}

/// The answers to the fact sheet: a box that is not ticked sends nothing and means no.
fn facts(sheet: &[FactQuestion], fields: &Fields) -> BTreeMap<String, Value> {
    let answer = |q: &FactQuestion| {
        let given = fields.get(&format!("fact-{}", q.key)).map(|value| value.trim());
        match q.kind {
            FactKind::Checkbox => Some(Value::Bool(given == Some("yes"))),
            _ => given.filter(|value| !value.is_empty()).map(|value| Value::String(value.to_owned())),
        }
    };
    sheet.iter().filter_map(|q| Some((q.key.clone(), answer(q)?))).collect()
}
