//! A participant's own sandbox over the API: where it stands and what it uses; opening, stopping and
//! restarting it. The way into it is a browser's alone.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::Time;
use super::ask::{Answer, Body, Here};
use super::sandboxes::UseView;
use crate::contest::{db as contest_db, terms_digest};
use crate::ids::UserId;
use crate::lab::ask::{self, AskError, Place, WaitingList};
use crate::lab::db;
use crate::lab::model::{Sandbox, State as Stands, Wanted};
use crate::lab::reports::About;
use crate::web::gauges::{Gauges, Told};
use crate::web::limits::Limited;
use crate::web::{App, hosts};

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(own))
        .routes(routes!(open))
        .routes(routes!(stop))
        .routes(routes!(restart))
}

/// A sandbox, as its owner sees it.
#[derive(Serialize, ToSchema)]
pub(super) struct OwnSandbox {
    /// Its id.
    pub id: Uuid,
    /// `waiting`, `starting`, `ready`, `paused`, `stopping`, `stopped` or `failed`.
    #[schema(value_type = String, example = "ready")]
    pub state: Stands,
    /// Whether it is on its way to be stopped or restarted.
    pub ending: bool,
    /// Why it is over, in one word; empty while it is not.
    pub reason: String,
    /// What the organizer has to say; empty when nothing.
    pub message: String,
    /// Its place in the waiting list; null when it does not wait.
    pub place: Option<WaitingPlace>,
    /// When it was asked for.
    pub requested_at: Time,
    /// When it could first be used.
    pub ready_at: Option<Time>,
    /// When its session is over.
    pub deadline_at: Option<Time>,
    /// When it was over.
    pub ended_at: Option<Time>,
    /// What it has used.
    pub used: UseView,
    /// What it uses at this moment; null where it does not run, and for a second or two where another worker holds it
    /// and is asked.
    pub now: Option<Gauges>,
    /// Its page, where a browser goes into it.
    #[schema(example = "http://127.0.0.1:8080/competitions/flight-delay/sandbox")]
    pub page: String,
}

/// A place in the waiting list.
#[derive(Serialize, ToSchema)]
pub(super) struct WaitingPlace {
    /// How many wait before it.
    #[schema(example = 3)]
    pub ahead: i64,
    /// How long it may take, in seconds: 0 when there is a place now, null before anybody has given one up.
    #[schema(example = 540)]
    pub expected_seconds: Option<i64>,
}

impl From<Place> for WaitingPlace {
    fn from(Place { ahead, expected_seconds }: Place) -> Self {
        Self { ahead, expected_seconds }
    }
}

/// The newest sandbox of a person in a competition that offers them.
async fn newest(app: &App, here: &Here, user: UserId) -> Answer<Option<Sandbox>> {
    if !ask::is_offered(&here.competition) {
        return Err(AskError::NotOffered.into());
    }
    Ok(db::latest(&mut *app.db.read().await?, here.competition.id, user).await?)
}

async fn view(app: &App, here: &Here, s: Sandbox) -> Answer<OwnSandbox> {
    let told = Told::ask(app, [&s], About::Use).await?;
    let mut conn = app.db.read().await?;
    let places = hosts::places(&hosts::alive(app, &mut conn).await?);
    let list = WaitingList::read(&mut conn, places, app.clock.now()).await?;
    Ok(OwnSandbox {
        id: s.id.0,
        state: s.state,
        ending: s.wanted != Wanted::Running && !s.state.is_over(),
        reason: s.why_over().to_owned(),
        place: list.place(s.id).map(WaitingPlace::from),
        requested_at: Time(s.requested_at),
        ready_at: s.ready_at.map(Time),
        deadline_at: s.deadline_at.map(Time),
        ended_at: s.ended_at.map(Time),
        used: s.used.into(),
        now: told.gauges(app, s.id),
        message: s.message,
        page: format!("{}/competitions/{}/sandbox", app.settings.public_url, here.competition.slug),
    })
}

/// Your sandbox in a competition.
///
/// The newest: null before the first was opened.
#[utoipa::path(
    get, path = "/competitions/{slug}/sandbox", tag = "sandboxes", security(("token" = [])),
    params(("slug" = String, Path, description = "the competition's short name")),
    responses((status = 200, body = Option<OwnSandbox>))
)]
async fn own(State(app): State<App>, here: Here) -> Answer<Json<Option<OwnSandbox>>> {
    let user = here.person()?.user;
    match newest(&app, &here, user).await? {
        Some(sandbox) => Ok(Json(Some(view(&app, &here, sandbox).await?))),
        None => Ok(Json(None)),
    }
}

/// Open your sandbox.
///
/// The one that is open already, or a new one, which waits for a place. A browser goes into it from its page.
#[utoipa::path(
    post, path = "/competitions/{slug}/sandbox/open", tag = "sandboxes", security(("token" = [])),
    params(("slug" = String, Path, description = "the competition's short name")),
    responses((status = 200, body = OwnSandbox))
)]
async fn open(State(app): State<App>, here: Here) -> Answer<Json<OwnSandbox>> {
    let user = asking(&app, &here)?;
    let mut conn = app.db.read().await?;
    let phases = contest_db::phases(&mut conn, here.competition.id).await?;
    let terms = terms_digest(&mut conn, &here.competition).await?;
    drop(conn);
    let sandbox = ask::open(&app.house, &here.competition, &phases, user, &terms).await?;
    Ok(Json(view(&app, &here, sandbox).await?))
}

/// How a sandbox is stopped.
#[derive(Deserialize, ToSchema)]
pub(super) struct Stopping {
    /// Whether your files in it are deleted as well; they cannot be had back.
    #[serde(default)]
    pub reset: bool,
}

/// Stop your sandbox, or leave the waiting list.
///
/// What runs in it ends; files are kept.
#[utoipa::path(
    post, path = "/competitions/{slug}/sandbox/stop", tag = "sandboxes", security(("token" = [])),
    params(("slug" = String, Path, description = "the competition's short name")),
    request_body = Stopping,
    responses((status = 200, body = OwnSandbox))
)]
async fn stop(State(app): State<App>, here: Here, Body(how): Body<Stopping>) -> Answer<Json<OwnSandbox>> {
    let user = asking(&app, &here)?;
    let wanted = if how?.reset { Wanted::Reset } else { Wanted::Stopped };
    end(&app, &here, user, wanted).await
}

/// Restart your sandbox.
///
/// What runs in it ends; files, its place and the session's end stay. One that waits goes on waiting.
#[utoipa::path(
    post, path = "/competitions/{slug}/sandbox/restart", tag = "sandboxes", security(("token" = [])),
    params(("slug" = String, Path, description = "the competition's short name")),
    responses((status = 200, body = OwnSandbox))
)]
async fn restart(State(app): State<App>, here: Here) -> Answer<Json<OwnSandbox>> {
    let user = asking(&app, &here)?;
    end(&app, &here, user, Wanted::Restart).await
}

/// Whoever asks something of their sandbox, which makes work.
fn asking(app: &App, here: &Here) -> Answer<UserId> {
    let user = here.participant()?.user;
    app.limits.check(Limited::Sandbox, &user.to_string())?;
    Ok(user)
}

async fn end(app: &App, here: &Here, user: UserId, wanted: Wanted) -> Answer<Json<OwnSandbox>> {
    let sandbox = newest(app, here, user).await?.filter(|s| !s.state.is_over()).ok_or(AskError::None)?;
    ask::stop(&app.house, sandbox.id, user, wanted).await?;
    let sandbox = newest(app, here, user).await?.ok_or(AskError::None)?;
    Ok(Json(view(app, here, sandbox).await?))
}
