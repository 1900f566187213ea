//! Trying the app of a submission, for its team, organizers and, once the competition is over, visitors; its team
//! opens it to those.

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Form, Router};
use serde::Deserialize;

use super::hall::Hall;
use crate::contest::entry;
use crate::demo::rights::{self, As, Refusal};
use crate::demo::{ask, db};
use crate::ids::SubmissionId;
use crate::submission::db as submission_db;
use crate::submission::model::Origin;
use crate::web::App;
use crate::web::error::PageError;
use crate::web::guard::User;
use crate::web::page::Frame;
use crate::web::pages::trying::{Trying, refused};

pub(super) fn router() -> Router<App> {
    let path = |rest: &str| format!("/competitions/{{slug}}/submissions/{{id}}/demo{rest}");
    Router::new()
        .route(&path(""), get(page))
        .route(&path("/live"), get(live))
        .route(&path("/open"), post(open))
        .route(&path("/enter"), post(enter))
        .route(&path("/close"), post(close))
        .route(&path("/visitors"), post(visitors))
}

/// Where the app of a submission is tried.
pub(super) fn address(hall: &Hall, id: SubmissionId) -> String {
    format!("{}/submissions/{id}/demo", hall.base())
}

/// Lets somebody try the app of a submission.
async fn find(
    app: &App,
    frame: &Frame,
    user: &User,
    (slug, id): &(String, String),
) -> Result<Trying, PageError> {
    let id: SubmissionId = id.parse().map_err(|_| PageError::not_found())?;
    let hall = Hall::enter(app, frame, slug).await?;
    let mut conn = app.db.read().await?;
    let submission = submission_db::by_id(&mut conn, id).await?.ok_or_else(PageError::not_found)?;
    if submission.competition != hall.competition.id {
        return Err(PageError::not_found());
    }
    let user = user.actor.user;
    match rights::of(&mut conn, &submission, (user, hall.organizer), app.clock.now()).await? {
        Ok(as_whom) => {
            let address = address(&hall, submission.id);
            Ok(Trying { hall, submission, as_whom, entry: None, user, address })
        }
        Err(Refusal::NoFile) => Err(PageError::plain(StatusCode::GONE, "demo-no-file")),
        // that there is such a submission is nobody's business
        Err(_) => Err(PageError::not_found()),
    }
}

async fn page(
    frame: Frame,
    State(app): State<App>,
    user: User,
    Path(path): Path<(String, String)>,
) -> Result<Response, PageError> {
    let trying = find(&app, &frame, &user, &path).await?;
    let s = &trying.submission;
    let mut conn = app.db.read().await?;
    let team = entry::db::team_by_id(&mut conn, s.team).await?.map(|team| team.name);
    let open = db::is_open_to_visitors(&mut conn, s.id).await?;
    drop(conn);
    let tab = match trying.as_whom {
        As::Team => "submissions",
        As::Visitor => "showcase",
        As::Organizer | As::Judge => "leaderboard",
    };
    trying
        .page(&app, &frame, ("competition/demo.html", tab), |page| {
            page.with("file_name", &s.file_name)
                .with("team", &team)
                .with("back", &format!("{}/submissions/{}", trying.hall.base(), s.id))
                .with("desk", &format!("{}/desk/submissions/{}", trying.hall.base(), s.id))
                .with("is_team", &(trying.as_whom == As::Team))
                .with("is_visitor", &(trying.as_whom == As::Visitor))
                .with("opened", &open)
                .with("can_be_opened", &(s.origin == Origin::Outside))
        })
        .await
}

async fn live(
    frame: Frame,
    State(app): State<App>,
    user: User,
    headers: HeaderMap,
    Path(path): Path<(String, String)>,
) -> Result<Response, PageError> {
    find(&app, &frame, &user, &path).await?.live(&app, &headers).await
}

async fn open(
    frame: Frame,
    State(app): State<App>,
    user: User,
    Path(path): Path<(String, String)>,
) -> Result<Response, PageError> {
    find(&app, &frame, &user, &path).await?.open(&app, &frame).await
}

async fn enter(
    frame: Frame,
    State(app): State<App>,
    user: User,
    Path(path): Path<(String, String)>,
) -> Result<Response, PageError> {
    find(&app, &frame, &user, &path).await?.enter(&app, &frame, &user).await
}

async fn close(
    frame: Frame,
    State(app): State<App>,
    user: User,
    Path(path): Path<(String, String)>,
) -> Result<Response, PageError> {
    find(&app, &frame, &user, &path).await?.close(&app, &frame).await
}

#[derive(Deserialize)]
struct Visitors {
    on: String,
}

async fn visitors(
    frame: Frame,
    State(app): State<App>,
    user: User,
    Path(path): Path<(String, String)>,
    Form(form): Form<Visitors>,
) -> Result<Response, PageError> {
    let trying = find(&app, &frame, &user, &path).await?;
    if trying.as_whom != As::Team {
        return Err(PageError::forbidden());
    }
    let on = form.on == "yes";
    ask::open_to_visitors(&app.house, &trying.submission, trying.user, on).await.map_err(refused)?;
    Ok(frame.go(&trying.address))
}
