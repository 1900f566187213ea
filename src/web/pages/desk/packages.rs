//! Extra packages for everybody in the competition: added and removed by its organizers.

use axum::Router;
use axum::extract::multipart::Multipart;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{get, post};

use crate::contest::packages;
use crate::web::App;
use crate::web::error::PageError;
use crate::web::guard::User;
use crate::web::limits::Limited;
use crate::web::page::Frame;
use crate::web::pages::competition::hall::Hall;
use crate::web::pages::competition::packages::{PackagesView, take};

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
    take(&app, &hall, &user, None, &mut multipart).await?;
    Ok(frame.done(&format!("{}/desk/packages", hall.base()), "flash-package-added"))
}

async fn remove(
    frame: Frame,
    State(app): State<App>,
    user: User,
    Path((slug, id)): Path<(String, String)>,
) -> Result<Response, PageError> {
    let hall = Hall::enter_desk(&app, &frame, &slug).await?;
    let id = id.parse().map_err(|_| PageError::not_found())?;
    packages::remove(&app.house, hall.competition.id, None, id, (&user.actor).into()).await?;
    Ok(frame.done(&format!("{}/desk/packages", hall.base()), "flash-package-removed"))
}
