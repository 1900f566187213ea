//! Trying the app of an entry as a judge of it. Neither its address nor the page tells whose it is, or which
//! submission.

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::{get, post};

use super::marking::{At, at};
use crate::demo::rights::{self, As, Refusal};
use crate::judging::entries::{self, Entry};
use crate::submission::model::Submission;
use crate::web::App;
use crate::web::entries::AppView;
use crate::web::error::PageError;
use crate::web::guard::User;
use crate::web::page::Frame;
use crate::web::pages::trying::Trying;

pub(super) fn router() -> Router<App> {
    let path = |rest: &str| format!("/competitions/{{slug}}/judging/{{number}}/app{rest}");
    Router::new()
        .route(&path(""), get(page))
        .route(&path("/live"), get(live))
        .route(&path("/open"), post(open))
        .route(&path("/enter"), post(enter))
        .route(&path("/close"), post(close))
}

/// What a judge's page says of an entry's app; none where the entry is not about one, or it is not for them to
/// try now.
pub(super) fn view(at: &At, found: &Result<Submission, Refusal>) -> Option<AppView> {
    match found {
        Ok(_) => Some(AppView::At(format!("{}/judging/{}/app", at.hall.base(), at.desk.assignment.number))),
        Err(Refusal::NoFile) => Some(AppView::NoFile),
        Err(Refusal::NotAccepted) => Some(AppView::NotAccepted),
        Err(_) => None,
    }
}

/// The app of the entry that a judge is at.
pub(super) async fn find(app: &App, at: &At) -> Result<(Entry, Result<Submission, Refusal>), PageError> {
    let mut conn = app.db.read().await?;
    let a = &at.desk.assignment;
    let entry = entries::by_id(&mut conn, a.entry).await?.ok_or_else(PageError::not_found)?;
    let found = rights::of_judge(&mut conn, &entry, a.judge).await?;
    Ok((entry, found))
}

/// Lets a judge try the app of an entry that is theirs to mark.
async fn trying(
    app: &App,
    frame: &Frame,
    user: &User,
    (slug, number): &(String, i64),
) -> Result<Trying, PageError> {
    let at = at(app, frame, user, slug, *number).await?;
    let (entry, found) = find(app, &at).await?;
    let submission = found.map_err(|refusal| match refusal {
        Refusal::NoFile => PageError::plain(StatusCode::GONE, "judged-app-no-file"),
        Refusal::NotAccepted => PageError::plain(StatusCode::GONE, "judged-app-not-accepted"),
        Refusal::NotMarking => PageError::plain(StatusCode::FORBIDDEN, "judged-app-not-now"),
        _ => PageError::not_found(),
    })?;
    let address = format!("{}/judging/{number}/app", at.hall.base());
    let (user, entry) = (user.actor.user, Some(entry.id));
    Ok(Trying { hall: at.hall, submission, as_whom: As::Judge, entry, user, address })
}

async fn page(
    frame: Frame,
    State(app): State<App>,
    user: User,
    Path(path): Path<(String, i64)>,
) -> Result<Response, PageError> {
    let trying = trying(&app, &frame, &user, &path).await?;
    let number = path.1;
    trying.page(&app, &frame, ("judging/app.html", "judging"), |page| page.with("number", &number)).await
}

async fn live(
    frame: Frame,
    State(app): State<App>,
    user: User,
    headers: HeaderMap,
    Path(path): Path<(String, i64)>,
) -> Result<Response, PageError> {
    trying(&app, &frame, &user, &path).await?.live(&app, &headers).await
}

async fn open(
    frame: Frame,
    State(app): State<App>,
    user: User,
    Path(path): Path<(String, i64)>,
) -> Result<Response, PageError> {
    trying(&app, &frame, &user, &path).await?.open(&app, &frame).await
}

async fn enter(
    frame: Frame,
    State(app): State<App>,
    user: User,
    Path(path): Path<(String, i64)>,
) -> Result<Response, PageError> {
    trying(&app, &frame, &user, &path).await?.enter(&app, &frame, &user).await
}

async fn close(
    frame: Frame,
    State(app): State<App>,
    user: User,
    Path(path): Path<(String, i64)>,
) -> Result<Response, PageError> {
    trying(&app, &frame, &user, &path).await?.close(&app, &frame).await
}
