//! An entry as those who judge it read it, and its files: judges theirs, the chair everything of the panel.

use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;

use crate::judging::entries::{self, Entry};
use crate::judging::panel;
use crate::store::Connection;
use crate::web::App;
use crate::web::entries::{EntryView, TeamView, respond};
use crate::web::error::PageError;
use crate::web::guard::User;
use crate::web::page::Frame;
use crate::web::pages::competition::hall::Hall;

pub(super) fn router() -> Router<App> {
    Router::new().route("/competitions/{slug}/judging/{number}/files/{id}", get(file))
}

/// What was submitted, with its team's name only where the judging is not blind. Whether the visitor may see
/// it is for the caller to know.
pub(in crate::web::pages) async fn view(
    app: &App,
    conn: &mut Connection,
    hall: &Hall,
    entry: &Entry,
    blind: bool,
) -> Result<EntryView, PageError> {
    let judged = entries::for_judge(conn, entry).await?.ok_or_else(PageError::not_found)?;
    let files = entries::db::files(conn, entry.id).await?;
    let base = format!("{}/judging/{}/files", hall.base(), entry.number);
    if blind {
        return Ok(EntryView::blind(&judged, &files, &base));
    }
    let teams = app.boards.teams(conn, hall.competition.id).await?;
    let label = teams.get(&entry.team).cloned();
    let team = label.map(|label| TeamView { name: label.name, members: label.members });
    let team = team.unwrap_or(TeamView { name: String::new(), members: Vec::new() });
    Ok(EntryView::named(entry.number, &judged.content, &files, &base, team))
}

/// A picture or report of an entry that is theirs to see.
async fn file(
    frame: Frame,
    State(app): State<App>,
    user: User,
    Path((slug, number, id)): Path<(String, i64, String)>,
) -> Result<Response, PageError> {
    let hall = Hall::enter(&app, &frame, &slug).await?;
    let id = id.parse().map_err(|_| PageError::not_found())?;
    let mut conn = app.db.read().await?;
    let entry = entries::db::by_number(&mut conn, hall.competition.id, number).await?;
    let entry = entry.ok_or_else(PageError::not_found)?;
    if !user.actor.may_judge(hall.competition.id)
        || !panel::may_see(&mut conn, &entry, user.actor.user).await?
    {
        return Err(PageError::not_found());
    }
    let judged = entries::for_judge(&mut conn, &entry).await?.ok_or_else(PageError::not_found)?;
    let (file, reader) = entries::open(&app.house, &mut conn, entry.id, &judged.content, id).await?;
    Ok(respond(number, &file, reader))
}
