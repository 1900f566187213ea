//! Dry runs: an organizer's own submission on the competition's real data, before or while it runs.
//! Nothing of it reaches a board, and the desk sees all of it.

use std::collections::BTreeMap;

use axum::extract::multipart::Multipart;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Form, Router};
use serde::{Deserialize, Serialize};

use super::submissions::{Line, lines};
use crate::contest::db as contest_db;
use crate::contest::definition::Solution;
use crate::contest::entry::db as entry_db;
use crate::contest::model::{FileKind, StoredFile};
use crate::ids::UserId;
use crate::submission::accept::{self, AcceptError, Request};
use crate::submission::desk::db::{self, Filter};
use crate::submission::model::{Aim, Origin, Submission};
use crate::web::App;
use crate::web::error::{Explain as _, FieldFault, PageError};
use crate::web::guard::User;
use crate::web::limits::Limited;
use crate::web::page::Frame;
use crate::web::pages::competition::hall::Hall;
use crate::web::pages::competition::upload;

/// Dry runs that are listed.
const LISTED: i64 = 50;

pub(super) fn router() -> Router<App> {
    Router::new()
        .route("/competitions/{slug}/desk/dry-run", get(page))
        .route("/competitions/{slug}/desk/dry-run/solution", post(run_solution))
}

pub(super) fn uploads() -> Router<App> {
    Router::new().route("/competitions/{slug}/desk/dry-run/upload", post(run_upload))
}

/// A solution of the bundle, and the phases that have one of its tasks: (position, name).
#[derive(Serialize)]
struct SolutionView {
    index: i64,
    name: String,
    description: String,
    phases: Vec<(i64, String)>,
}

fn solution_view(hall: &Hall, solution: &Solution) -> SolutionView {
    let solves = |p: &&crate::contest::model::Phase| {
        solution.tasks.is_empty() || p.definition.tasks.iter().any(|task| solution.tasks.contains(task))
    };
    let phases = hall.phases.iter().filter(solves);
    SolutionView {
        index: solution.index,
        name: match solution.name.is_empty() {
            true => solution.path.as_str().to_owned(),
            false => solution.name.clone(),
        },
        description: solution.description.clone(),
        phases: phases.map(|p| (p.position, hall.phase_name(p).to_owned())).collect(),
    }
}

async fn page(frame: Frame, State(app): State<App>, Path(slug): Path<String>) -> Result<Response, PageError> {
    let hall = Hall::enter_desk(&app, &frame, &slug).await?;
    show(&frame, &app, &hall, &[]).await
}

async fn show(frame: &Frame, app: &App, hall: &Hall, faults: &[FieldFault]) -> Result<Response, PageError> {
    let mut conn = app.db.read().await?;
    let mut made: Vec<Line> = Vec::new();
    if let Some(team) = entry_db::desk_team(&mut conn, hall.competition.id).await? {
        let filter = Filter { team: Some(team.id), limit: LISTED, ..Filter::default() };
        let (found, _) = db::filtered(&mut conn, hall.competition.id, &filter).await?;
        made = lines(app, &mut conn, hall, &found).await?;
    }
    drop(conn);
    let solutions = hall.competition.definition.solutions.iter();
    let solutions: Vec<SolutionView> = solutions.map(|solution| solution_view(hall, solution)).collect();
    let endings: Vec<String> = accept::ENDINGS.iter().map(|e| format!(".{e}")).collect();
    let page = hall.page(app, frame, "desk/dry-run.html", "dry-run").await?;
    let page = page
        .with("solutions", &solutions)
        .with("lines", &made)
        .with("columns", &hall.columns())
        .with("endings", &endings.join(","))
        .with("cap", &app.settings.upload.cap_bytes);
    if faults.is_empty() {
        page.with("faults", &Vec::<()>::new()).render()
    } else {
        page.faulty(faults).render()
    }
}

fn request(app: &App, user: &User, file_name: String, message: String) -> Request {
    Request {
        user: user.actor.user,
        display_name: user.actor.name.clone(),
        file_name,
        message,
        facts: BTreeMap::new(),
        aim: Aim::DryRun,
        origin: Origin::Outside,
        began: app.clock.now(),
    }
}

#[derive(Deserialize)]
struct Chosen {
    solution: i64,
    phase: i64,
}

async fn run_solution(
    frame: Frame,
    State(app): State<App>,
    user: User,
    Path(slug): Path<String>,
    Form(chosen): Form<Chosen>,
) -> Result<Response, PageError> {
    let hall = Hall::enter_desk(&app, &frame, &slug).await?;
    let phase = hall.phase(Some(chosen.phase))?;
    let solutions = &hall.competition.definition.solutions;
    let solution = solutions.iter().find(|s| s.index == chosen.solution).ok_or_else(PageError::not_found)?;
    let file = contest_db::file(&mut *app.db.read().await?, hall.competition.id, &solution.path).await?;
    let file = file.ok_or_else(PageError::not_found)?;
    let request = request(&app, &user, file_name(&file), solution.name.chars().take(500).collect());
    let taken = accept::dry_run_solution(&app.house, &hall.competition, phase, request, &file).await;
    finish(&frame, &app, &hall, taken).await
}

/// What a solution's file is called as a submission: a folder was packed as a zip.
fn file_name(file: &StoredFile) -> String {
    let last = file.path.trim_end_matches('/').rsplit('/').next().unwrap_or("solution");
    match file.kind {
        FileKind::Directory => format!("{last}.zip"),
        FileKind::File => last.to_owned(),
    }
}

async fn run_upload(
    frame: Frame,
    State(app): State<App>,
    user: User,
    Path(slug): Path<String>,
    mut multipart: Multipart,
) -> Result<Response, PageError> {
    app.limits.check(Limited::Upload, &UserId::to_string(&user.actor.user))?;
    let hall = Hall::enter_desk(&app, &frame, &slug).await?;
    let cap = app.settings.upload.cap_bytes;
    let taken = upload::receive(&mut multipart, |fields, file_name, content| {
        let (app, hall, user) = (&app, &hall, &user);
        async move {
            let position = fields.get("phase").and_then(|p| p.parse::<i64>().ok());
            let phase = hall.phase(position)?;
            let message = fields.get("message").map(|m| m.trim().to_owned()).unwrap_or_default();
            let request = request(app, user, file_name, message);
            let taken = accept::accept(&app.house, &hall.competition, phase, request, content, cap).await;
            Ok::<_, PageError>(taken)
        }
    })
    .await?;
    finish(&frame, &app, &hall, taken).await
}

/// To the dry run's own page, or back to the form with what is wrong with it.
async fn finish(
    frame: &Frame,
    app: &App,
    hall: &Hall,
    taken: Result<Submission, AcceptError>,
) -> Result<Response, PageError> {
    match taken {
        Ok(submission) => Ok(frame.go(&format!("{}/desk/submissions/{}", hall.base(), submission.id))),
        Err(error) if error.faults().is_empty() => Err(error.into()),
        Err(error) => show(frame, app, hall, &error.faults()).await,
    }
}
