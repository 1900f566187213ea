//! The showcase (作品展示): entries that their teams show to visitors, and apps that they let them try, once the
//! competition is over.

use axum::Router;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use serde::Serialize;

use super::hall::{Hall, Season};
use super::{apps, demo};
use crate::contest::entry::db as entry_db;
use crate::ids::EntryFileId;
use crate::judging::entries::{self, Entry, Version, db};
use crate::store::Connection;
use crate::web::App;
use crate::web::entries::{AppView, EntryView, TeamView, respond};
use crate::web::error::PageError;
use crate::web::page::Frame;

pub(super) fn router() -> Router<App> {
    Router::new()
        .route("/competitions/{slug}/showcase", get(list))
        .route("/competitions/{slug}/showcase/{number}", get(one))
        .route("/competitions/{slug}/showcase/{number}/files/{id}", get(file))
}

#[derive(Serialize)]
struct Line {
    number: i64,
    title: String,
    team: String,
    picture: Option<String>,
    caption: String,
}

/// The competition, where it is over and has entries or takes apps.
async fn enter(app: &App, frame: &Frame, slug: &str) -> Result<Hall, PageError> {
    let hall = Hall::enter(app, frame, slug).await?;
    let shows = hall.entries.is_some() || hall.takes_apps();
    match shows && matches!(hall.season(), Season::Over(_)) {
        true => Ok(hall),
        false => Err(PageError::not_found()),
    }
}

async fn list(frame: Frame, State(app): State<App>, Path(slug): Path<String>) -> Result<Response, PageError> {
    let hall = enter(&app, &frame, &slug).await?;
    let mut conn = app.db.read().await?;
    let shown = db::shown(&mut conn, hall.competition.id).await?;
    let standing = db::standing(&mut conn, hall.competition.id).await?;
    let teams = app.boards.teams(&mut conn, hall.competition.id).await?;
    let tried = apps::lines(&app, &mut conn, &hall).await?;
    drop(conn);
    let lines = shown.iter().filter_map(|entry| {
        let (_, version) = standing.iter().find(|(id, _)| *id == entry.id)?;
        let first = version.content.pictures.first();
        Some(Line {
            number: entry.number,
            title: version.content.title.clone(),
            team: teams.get(&entry.team).map(|label| label.name.clone()).unwrap_or_default(),
            picture: first.map(|p| format!("{}/showcase/{}/files/{}", hall.base(), entry.number, p.file)),
            caption: first.map(|p| p.caption.clone()).unwrap_or_default(),
        })
    });
    let lines: Vec<Line> = lines.collect();
    let page = hall.page(&app, &frame, "competition/showcase.html", "showcase").await?;
    page.with("lines", &lines)
        .with("has_entries", &hall.entries.is_some())
        .with("apps", &tried)
        .with("takes_apps", &hall.takes_apps())
        .render()
}

/// An entry that is shown, with what stands of it.
async fn shown(conn: &mut Connection, hall: &Hall, number: i64) -> Result<(Entry, Version), PageError> {
    let entry = db::by_number(conn, hall.competition.id, number).await?.ok_or_else(PageError::not_found)?;
    let visible = entry.published_at.is_some() && entry.hidden_reason.is_empty();
    let standing = entry.standing_version().filter(|_| visible).ok_or_else(PageError::not_found)?;
    let version = db::version_of(conn, entry.id, standing).await?.ok_or_else(PageError::not_found)?;
    Ok((entry, version))
}

async fn one(
    frame: Frame,
    State(app): State<App>,
    Path((slug, number)): Path<(String, i64)>,
) -> Result<Response, PageError> {
    let hall = enter(&app, &frame, &slug).await?;
    let mut conn = app.db.read().await?;
    let (entry, version) = shown(&mut conn, &hall, number).await?;
    let files = db::files(&mut conn, entry.id).await?;
    let team = entry_db::team_by_id(&mut conn, entry.team).await?.ok_or_else(PageError::not_found)?;
    let members = entry_db::members(&mut conn, team.id).await?;
    let opened = apps::opened(&mut conn, &hall).await?;
    drop(conn);
    let opened = opened.iter().find(|s| Some(s.id) == version.content.submission && s.team == entry.team);
    let tried = opened.map(|s| AppView::At(demo::address(&hall, s.id)));
    let present = members.into_iter().filter(|member| member.left_at.is_none());
    let team = TeamView { name: team.name, members: present.map(|member| member.name).collect() };
    let base = format!("{}/showcase/{number}/files", hall.base());
    let view = EntryView::named(number, &version.content, &files, &base, team).with_app(tried);
    let page = hall.page(&app, &frame, "competition/showcase-entry.html", "showcase").await?;
    page.with("entry", &view).render()
}

async fn file(
    frame: Frame,
    State(app): State<App>,
    Path((slug, number, id)): Path<(String, i64, String)>,
) -> Result<Response, PageError> {
    let hall = enter(&app, &frame, &slug).await?;
    let id: EntryFileId = id.parse().map_err(|_| PageError::not_found())?;
    let mut conn = app.db.read().await?;
    let (entry, version) = shown(&mut conn, &hall, number).await?;
    let (file, reader) = entries::open(&app.house, &mut conn, entry.id, &version.content, id).await?;
    Ok(respond(number, &file, reader))
}
