//! What is done to an entry beside writing it: looked at as judges see it, brought back, withdrawn, shown.

use axum::Form;
use axum::extract::{Path, State};
use axum::response::Response;
use serde::Deserialize;

use super::super::demo;
use super::page::version_views;
use super::{best, desk, own_team, rules};
use crate::contest::entry::db as entry_db;
use crate::contest::model::Team;
use crate::demo::rights::{self, Refusal};
use crate::ids::EntryFileId;
use crate::judging::entries::{self, Entry, Judged, db};
use crate::store::Connection;
use crate::web::App;
use crate::web::entries::{AppView, EntryView, TeamView, respond};
use crate::web::error::PageError;
use crate::web::guard::User;
use crate::web::limits::Limited;
use crate::web::page::Frame;
use crate::web::pages::competition::hall::Hall;

/// The entry of the visitor's team.
async fn own<'a>(
    app: &App,
    hall: &'a Hall,
    user: &User,
    conn: &mut Connection,
) -> Result<(&'a Team, Entry), PageError> {
    rules(hall)?;
    // without a team there is nothing either
    hall.team.as_ref().ok_or_else(PageError::not_found)?;
    let team = own_team(app, hall, user).await?;
    let entry = db::of_team(conn, team.id).await?.ok_or_else(PageError::not_found)?;
    Ok((team, entry))
}

/// The draft as blind judges would see it: a page that names nobody, the visitor neither.
pub(super) async fn preview(
    frame: Frame,
    State(app): State<App>,
    user: User,
    Path(slug): Path<String>,
) -> Result<Response, PageError> {
    let hall = Hall::enter(&app, &frame, &slug).await?;
    let mut conn = app.db.read().await?;
    let (team, entry) = own(&app, &hall, &user, &mut conn).await?;
    let content = db::draft(&mut conn, entry.id).await?.content;
    let files = db::files(&mut conn, entry.id).await?;
    let names = entries::names(&mut conn, hall.competition.id, team.id).await?;
    // as it will be when it is submitted
    let about = match content.submission {
        None => best(&app, &mut conn, &hall, team).await?,
        chosen => chosen,
    };
    let tried = match rights::of_entry(&mut conn, &entry, about).await? {
        Ok(submission) => Some(AppView::Preview(demo::address(&hall, submission.id))),
        Err(Refusal::NoFile) => Some(AppView::NoFile),
        Err(Refusal::NotAccepted) => Some(AppView::NotAccepted),
        Err(_) => None,
    };
    drop(conn);
    let judged = Judged { id: entry.id, number: entry.number, content, names };
    let base = format!("{}/entry/files", hall.base());
    frame
        .page("entry/preview.html")
        .with("back", &format!("{}/entry", hall.base()))
        .with("entry", &EntryView::blind(&judged, &files, &base).with_app(tried))
        .render()
}

/// A file of the draft or of any version, for the team.
pub(super) async fn file(
    frame: Frame,
    State(app): State<App>,
    user: User,
    Path((slug, id)): Path<(String, String)>,
) -> Result<Response, PageError> {
    let hall = Hall::enter(&app, &frame, &slug).await?;
    let mut conn = app.db.read().await?;
    let id: EntryFileId = id.parse().map_err(|_| PageError::not_found())?;
    let (_, entry) = own(&app, &hall, &user, &mut conn).await?;
    let (file, reader) = entries::open_any(&app.house, &mut conn, entry.id, id).await?;
    Ok(respond(entry.number, &file, reader))
}

/// An earlier version.
pub(super) async fn version(
    frame: Frame,
    State(app): State<App>,
    user: User,
    Path((slug, number)): Path<(String, i64)>,
) -> Result<Response, PageError> {
    let hall = Hall::enter(&app, &frame, &slug).await?;
    let mut conn = app.db.read().await?;
    let (team, entry) = own(&app, &hall, &user, &mut conn).await?;
    let version = db::version_of(&mut conn, entry.id, number).await?.ok_or_else(PageError::not_found)?;
    let files = db::files(&mut conn, entry.id).await?;
    let members = entry_db::members(&mut conn, team.id).await?;
    drop(conn);
    let may_restore = desk(&hall, team)?.window.open(Some(&entry), hall.now).is_ok();
    let base = format!("{}/entry/files", hall.base());
    let present = members.iter().filter(|member| member.left_at.is_none());
    let view = TeamView { name: team.name.clone(), members: present.map(|m| m.name.clone()).collect() };
    let shown = EntryView::named(entry.number, &version.content, &files, &base, view);
    let views = version_views(std::slice::from_ref(&version), entry.standing_version(), &members);
    hall.page(&app, &frame, "competition/entry-version.html", "entry")
        .await?
        .with("entry", &shown)
        .with("v", &views.first())
        .with("may_restore", &may_restore)
        .render()
}

pub(super) async fn restore(
    frame: Frame,
    State(app): State<App>,
    user: User,
    Path((slug, number)): Path<(String, i64)>,
) -> Result<Response, PageError> {
    app.limits.check(Limited::Api, &user.actor.user.to_string())?;
    let hall = Hall::enter(&app, &frame, &slug).await?;
    let team = own_team(&app, &hall, &user).await?;
    entries::restore(&app.house, desk(&hall, team)?, (&user.actor).into(), number).await?;
    Ok(frame.done(&format!("{}/entry", hall.base()), "flash-entry-restored"))
}

pub(super) async fn withdraw(
    frame: Frame,
    State(app): State<App>,
    user: User,
    Path(slug): Path<String>,
) -> Result<Response, PageError> {
    app.limits.check(Limited::Api, &user.actor.user.to_string())?;
    let hall = Hall::enter(&app, &frame, &slug).await?;
    let team = own_team(&app, &hall, &user).await?;
    entries::withdraw(&app.house, desk(&hall, team)?, (&user.actor).into()).await?;
    Ok(frame.done(&format!("{}/entry", hall.base()), "flash-entry-withdrawn"))
}

/// Whether visitors are to see it.
#[derive(Deserialize)]
pub(super) struct Shown {
    #[serde(default)]
    shown: String,
}

pub(super) async fn publish(
    frame: Frame,
    State(app): State<App>,
    user: User,
    Path(slug): Path<String>,
    Form(wanted): Form<Shown>,
) -> Result<Response, PageError> {
    app.limits.check(Limited::Api, &user.actor.user.to_string())?;
    let hall = Hall::enter(&app, &frame, &slug).await?;
    let team = own_team(&app, &hall, &user).await?;
    let shown = wanted.shown == "yes";
    entries::publish(&app.house, desk(&hall, team)?, (&user.actor).into(), shown).await?;
    let flash = if shown { "flash-entry-published" } else { "flash-entry-unpublished" };
    Ok(frame.done(&format!("{}/entry", hall.base()), flash))
}
