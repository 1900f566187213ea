//! The entries of a panel for its chair, whole and as judges read them, whether or not they are the chair's to
//! mark: to decide about second rounds and ties. No marks.

use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;

use super::Court;
use super::overview::panel_view;
use crate::judging::{assign, panel};
use crate::web::App;
use crate::web::error::PageError;
use crate::web::page::Frame;
use crate::web::pages::judging::seen_by_judges;

pub(super) fn router() -> Router<App> {
    Router::new().route("/competitions/{slug}/desk/judging/{panel}/read/{number}", get(read))
}

async fn read(
    frame: Frame,
    State(app): State<App>,
    Path((slug, id, number)): Path<(String, String, i64)>,
) -> Result<Response, PageError> {
    let court = Court::enter(&app, &frame, &slug, &id).await?;
    let blind = court.blind();
    let Court { hall, panel, seat, .. } = court;
    let (Some(panel), Some(seat)) = (panel, seat) else { return Err(PageError::not_found()) };
    let mut conn = app.db.read().await?;
    let all = assign::entries_of(&mut conn, &panel).await?;
    let at = all.iter().position(|entry| entry.number == number).ok_or_else(PageError::not_found)?;
    if !panel::may_see(&mut conn, &all[at], seat.user).await? {
        return Err(PageError::not_found());
    }
    let entry = seen_by_judges(&app, &mut conn, &hall, &all[at], blind).await?;
    drop(conn);
    let beside = |place: Option<usize>| place.and_then(|place| all.get(place)).map(|entry| entry.number);
    hall.page(&app, &frame, "desk/judging/read.html", "judging")
        .await?
        .with("panel", &panel_view(&panel))
        .with("number", &number)
        .with("blind", &blind)
        .with("entry", &entry)
        .with("before", &beside(at.checked_sub(1)))
        .with("after", &beside(Some(at + 1)))
        .render()
}
