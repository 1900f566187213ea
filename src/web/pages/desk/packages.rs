//! Extra packages for everybody in the competition: added and removed by its organizers.

use axum::Router;
use axum::extract::multipart::Multipart;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{get, post};

use crate::web::App;
use crate::web::error::PageError;
use crate::web::guard::User;
use crate::web::limits::Limited;
use crate::web::page::Frame;
use crate::web::pages::competition::hall::Hall;
use crate::web::pages::competition::packages::{PackagesView, take, take_away};

pub(super) fn router() -> Router<App> {
    Router::new()
        .route("/competitions/{slug}/desk/packages", get(page))
        .route("/competitions/{slug}/desk/packages/{id}/remove", post(remove))
}

pub(super) fn uploads() -> Router<App> {
    Router::new().route("/competitions/{slug}/desk/packages/upload", post(add))
}

async fn page(frame: Frame, State(app): State<App>, Path(slug): Path<String>) -> Result<Response, PageError> {
    let hall = Hall::enter_desk(&app, &frame, &slug).await?;
    let view = PackagesView::of(&app, &hall, None).await?;
    hall.page(&app, &frame, "desk/packages.html", "packages").await?.with("packages", &view).render()
}

async fn add(
    frame: Frame,
    State(app): State<App>,
    user: User,
    Path(slug): Path<String>,
    mut multipart: Multipart,
) -> Result<Response, PageError> {
    app.limits.check(Limited::Upload, &user.actor.user.to_string())?;
    let hall = Hall::enter_desk(&app, &frame, &slug).await?;
    let page = page_of(&hall);
    take(&app, &frame, (&hall, &page), &user, None, &mut multipart).await
}

async fn remove(
    frame: Frame,
    State(app): State<App>,
    user: User,
    Path((slug, id)): Path<(String, String)>,
) -> Result<Response, PageError> {
    let hall = Hall::enter_desk(&app, &frame, &slug).await?;
    let page = page_of(&hall);
    take_away(&app, &frame, (&hall, &page), &user, None, &id).await
}

fn page_of(hall: &Hall) -> String {
    format!("{}/desk/packages", hall.base())
}
