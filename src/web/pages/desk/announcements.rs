//! Announcements.

use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Form, Router};
use serde::{Deserialize, Serialize};

use crate::contest::announcements;
use crate::contest::desk;
use crate::ids::AnnouncementId;
use crate::web::App;
use crate::web::error::{Explain as _, FieldFault, PageError};
use crate::web::guard::User;
use crate::web::markdown;
use crate::web::page::Frame;
use crate::web::pages::competition::hall::Hall;

pub(super) fn router() -> Router<App> {
    Router::new()
        .route("/competitions/{slug}/desk/announcements", get(list).post(make))
        .route("/competitions/{slug}/desk/announcements/{id}/withdraw", post(withdraw))
}

#[derive(Default, Deserialize, Serialize)]
struct Draft {
    title: String,
    body: String,
}

#[derive(Serialize)]
struct Made {
    id: String,
    title: String,
    html: String,
    at: jiff::Timestamp,
}

async fn show(
    frame: &Frame,
    app: &App,
    hall: &Hall,
    draft: &Draft,
    faults: &[FieldFault],
) -> Result<Response, PageError> {
    let standing = announcements::db::standing(&mut *app.db.read().await?, hall.competition.id).await?;
    let made: Vec<Made> = standing
        .into_iter()
        .map(|a| Made {
            id: a.id.to_string(),
            html: markdown::render(&a.body),
            title: a.title,
            at: a.created_at,
        })
        .collect();
    let page = hall.page(app, frame, "desk/announcements.html", "announcements").await?;
    let page = page.with("made", &made).with("draft", draft);
    if faults.is_empty() {
        page.with("faults", &Vec::<()>::new()).render()
    } else {
        page.faulty(faults).render()
    }
}

async fn list(frame: Frame, State(app): State<App>, Path(slug): Path<String>) -> Result<Response, PageError> {
    let hall = Hall::enter_desk(&app, &frame, &slug).await?;
    show(&frame, &app, &hall, &Draft::default(), &[]).await
}

async fn make(
    frame: Frame,
    State(app): State<App>,
    user: User,
    Path(slug): Path<String>,
    Form(draft): Form<Draft>,
) -> Result<Response, PageError> {
    let hall = Hall::enter_desk(&app, &frame, &slug).await?;
    let texts = (draft.title.as_str(), draft.body.as_str());
    match desk::announce(&app.house, &hall.competition, user.actor.user, texts).await {
        Ok(()) => Ok(frame.done(&format!("{}/desk/announcements", hall.base()), "flash-announced")),
        Err(error) if error.faults().is_empty() => Err(error.into()),
        Err(error) => show(&frame, &app, &hall, &draft, &error.faults()).await,
    }
}

async fn withdraw(
    frame: Frame,
    State(app): State<App>,
    user: User,
    Path((slug, id)): Path<(String, String)>,
) -> Result<Response, PageError> {
    let hall = Hall::enter_desk(&app, &frame, &slug).await?;
    let id: AnnouncementId = id.parse().map_err(|_| PageError::not_found())?;
    desk::withdraw(&app.house, &hall.competition, user.actor.user, id).await?;
    Ok(frame.done(&format!("{}/desk/announcements", hall.base()), "flash-withdrawn"))
}
