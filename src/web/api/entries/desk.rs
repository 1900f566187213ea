//! Entries on the desk: the list, what was submitted, what organizers do to one, all of them as a ZIP.

use axum::Json;
use axum::body::Body as Sent;
use axum::extract::{FromRequestParts, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::response::{IntoResponse as _, Response};
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{EntryText, text};
use crate::judging::entries::{self, Entry, archive, db};
use crate::web::App;
use crate::web::api::Time;
use crate::web::api::ask::{Answer, Body, Here, Refusal, in_path};
use crate::web::api::files::attachment;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(zip))
        .routes(routes!(one))
        .routes(routes!(unsubmit))
        .routes(routes!(allow_late))
        .routes(routes!(showcase))
}

/// An entry in the desk's list.
#[derive(Serialize, ToSchema)]
pub(in crate::web::api) struct EntryLine {
    /// The number that judges know it by.
    #[schema(example = 417)]
    pub number: i64,
    /// The team's name.
    pub team: String,
    /// `draft`, `submitted` or `withdrawn`.
    #[schema(example = "submitted")]
    pub state: &'static str,
    /// The title, where it is submitted.
    pub title: Option<String>,
    /// When it was last submitted.
    pub submitted_at: Option<Time>,
}

/// The entries of a competition.
#[derive(Serialize, ToSchema)]
pub(in crate::web::api) struct EntryList {
    /// The entries, by number.
    pub items: Vec<EntryLine>,
    /// How many there are.
    #[schema(example = 12)]
    pub total: usize,
}

/// An entry as organizers know it. What a draft says is for its team alone.
#[derive(Serialize, ToSchema)]
pub(in crate::web::api) struct EntryOnDesk {
    /// The number that judges know it by.
    #[schema(example = 417)]
    pub number: i64,
    /// The team's name.
    pub team: String,
    /// `draft`, `submitted` or `withdrawn`.
    #[schema(example = "submitted")]
    pub state: &'static str,
    /// What was last submitted, also where it was taken back.
    pub submitted: Option<EntryText>,
    /// When it was last submitted.
    pub submitted_at: Option<Time>,
    /// Why it was given back; empty where it was not.
    pub withdrawn_reason: String,
    /// Until when the team may go on after the deadline.
    pub late_until: Option<Time>,
    /// Whether the team shows it to visitors.
    pub published: bool,
    /// Why it was taken out of the showcase; empty where it was not.
    pub hidden_reason: String,
}

/// Why something is done to an entry; its team reads it.
#[derive(Deserialize, ToSchema)]
pub(in crate::web::api) struct EntryReason {
    /// The reason.
    reason: String,
}

/// More time for one team.
#[derive(Deserialize, ToSchema)]
pub(in crate::web::api) struct EntryLate {
    /// Hours from now on, 1 to 1440.
    #[schema(example = 24)]
    hours: i64,
    /// Why; the team reads it.
    reason: String,
}

/// Whether an entry may be in the showcase.
#[derive(Deserialize, ToSchema)]
pub(in crate::web::api) struct EntryShowcase {
    /// `false`: it is taken out, `true`: its team may show it again.
    shown: bool,
    /// Why it is taken out; the team reads it.
    #[serde(default)]
    reason: String,
}

/// The entry that a path names, for an organizer.
struct OnDesk {
    here: Here,
    entry: Entry,
}

impl FromRequestParts<App> for OnDesk {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Answer<Self> {
        let here = Here::from_request_parts(parts, app).await?;
        here.organizer()?;
        let number = in_path(parts, app, "number").await?.parse().map_err(|_| Refusal::not_found())?;
        let found = db::by_number(&mut *app.db.read().await?, here.competition.id, number).await?;
        Ok(Self { entry: found.ok_or_else(Refusal::not_found)?, here })
    }
}

async fn on_desk(app: &App, here: &Here, entry: Entry) -> Answer<Json<EntryOnDesk>> {
    let mut conn = app.db.read().await?;
    let teams = app.boards.teams(&mut conn, here.competition.id).await?;
    let version = match entry.submitted_version {
        Some(number) => db::version_of(&mut conn, entry.id, number).await?,
        None => None,
    };
    Ok(Json(EntryOnDesk {
        number: entry.number,
        team: teams.get(&entry.team).map(|label| label.name.clone()).unwrap_or_default(),
        state: entry.state.as_str(),
        submitted: version.map(|version| text(&version.content)),
        submitted_at: entry.submitted_at.map(Time),
        withdrawn_reason: entry.withdrawn_reason,
        late_until: entry.late_until.map(Time),
        published: entry.published_at.is_some(),
        hidden_reason: entry.hidden_reason,
    }))
}

/// Every team's entry. What a draft says is for its team alone.
#[utoipa::path(
    get, path = "/competitions/{slug}/desk/entries", tag = "desk", security(("token" = [])),
    params(("slug" = String, Path, description = "the competition's short name")),
    responses((status = 200, body = EntryList))
)]
async fn list(State(app): State<App>, here: Here) -> Answer<Json<EntryList>> {
    here.organizer()?;
    let id = here.competition.id;
    let mut conn = app.db.read().await?;
    entries::rules(&mut conn, &here.competition).await?.ok_or_else(Refusal::not_found)?;
    let teams = app.boards.teams(&mut conn, id).await?;
    let standing = db::standing(&mut conn, id).await?;
    let line = |entry: Entry| EntryLine {
        number: entry.number,
        team: teams.get(&entry.team).map(|label| label.name.clone()).unwrap_or_default(),
        state: entry.state.as_str(),
        title: standing
            .iter()
            .find(|(id, _)| *id == entry.id)
            .map(|(_, version)| version.content.title.clone()),
        submitted_at: entry.submitted_at.map(Time),
    };
    let items: Vec<EntryLine> = db::all(&mut conn, id).await?.into_iter().map(line).collect();
    Ok(Json(EntryList { total: items.len(), items }))
}

/// What was submitted of every entry as a ZIP: a folder each, with `entry.json`, report and pictures. That it
/// was given out is written to the audit log.
#[utoipa::path(
    get, path = "/competitions/{slug}/desk/entries.zip", tag = "desk", security(("token" = [])),
    params(("slug" = String, Path, description = "the competition's short name")),
    responses((status = 200, description = "the files", content_type = "application/zip"))
)]
async fn zip(State(app): State<App>, here: Here) -> Answer<Response> {
    let actor = here.organizer()?;
    entries::rules(&mut *app.db.read().await?, &here.competition).await?.ok_or_else(Refusal::not_found)?;
    let stream = archive::all(&app.house, here.competition.id, actor.into()).await?;
    let name = format!("{}-entries.zip", here.competition.slug);
    let headers = [(CONTENT_TYPE, "application/zip".to_owned()), attachment(&name)];
    Ok((headers, Sent::from_stream(stream)).into_response())
}

/// An entry: where it stands, and what was submitted.
#[utoipa::path(
    get, path = "/competitions/{slug}/desk/entries/{number}", tag = "desk", security(("token" = [])),
    params(
        ("slug" = String, Path, description = "the competition's short name"),
        ("number" = i64, Path, description = "the entry's number"),
    ),
    responses((status = 200, body = EntryOnDesk))
)]
async fn one(State(app): State<App>, OnDesk { here, entry }: OnDesk) -> Answer<Json<EntryOnDesk>> {
    on_desk(&app, &here, entry).await
}

/// Give an entry back: it leaves the judging until its team submits it again.
#[utoipa::path(
    post, path = "/competitions/{slug}/desk/entries/{number}/unsubmit", tag = "desk", security(("token" = [])),
    params(
        ("slug" = String, Path, description = "the competition's short name"),
        ("number" = i64, Path, description = "the entry's number"),
    ),
    request_body = EntryReason,
    responses((status = 200, body = EntryOnDesk))
)]
async fn unsubmit(
    State(app): State<App>,
    OnDesk { here, entry }: OnDesk,
    Body(sent): Body<EntryReason>,
) -> Answer<Json<EntryOnDesk>> {
    let by = here.organizer()?.into();
    let entry = entries::unsubmit(&app.house, &entry, by, &sent?.reason).await?;
    on_desk(&app, &here, entry).await
}

/// Let one team go on after the deadline.
#[utoipa::path(
    post, path = "/competitions/{slug}/desk/entries/{number}/late", tag = "desk", security(("token" = [])),
    params(
        ("slug" = String, Path, description = "the competition's short name"),
        ("number" = i64, Path, description = "the entry's number"),
    ),
    request_body = EntryLate,
    responses((status = 200, body = EntryOnDesk))
)]
async fn allow_late(
    State(app): State<App>,
    OnDesk { here, entry }: OnDesk,
    Body(sent): Body<EntryLate>,
) -> Answer<Json<EntryOnDesk>> {
    let by = here.organizer()?.into();
    let EntryLate { hours, reason } = sent?;
    let hours = hours.clamp(0, (entries::LATE_DAYS + 1) * 24);
    let until = app.clock.now() + SignedDuration::from_hours(hours);
    let entry = entries::allow_late(&app.house, &entry, by, until, &reason).await?;
    on_desk(&app, &here, entry).await
}

/// Take an entry out of the showcase, or let its team show it again.
#[utoipa::path(
    post, path = "/competitions/{slug}/desk/entries/{number}/showcase", tag = "desk", security(("token" = [])),
    params(
        ("slug" = String, Path, description = "the competition's short name"),
        ("number" = i64, Path, description = "the entry's number"),
    ),
    request_body = EntryShowcase,
    responses((status = 200, body = EntryOnDesk))
)]
async fn showcase(
    State(app): State<App>,
    OnDesk { here, entry }: OnDesk,
    Body(sent): Body<EntryShowcase>,
) -> Answer<Json<EntryOnDesk>> {
    let by = here.organizer()?.into();
    let EntryShowcase { shown, reason } = sent?;
    if !shown && reason.trim().is_empty() {
        return Err(entries::EntryFault::NoReason.into());
    }
    let reason = if shown { "" } else { reason.as_str() };
    let entry = entries::take_down(&app.house, &entry, by, reason).await?;
    on_desk(&app, &here, entry).await
}
