//! The organizer's sandboxes over the API: who has one and what it uses, stopping, messages.

use axum::Json;
use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::Time;
use super::ask::{Answer, Asked, Body, Here, Refusal, in_path};
use crate::ids::SandboxId;
use crate::lab::ask::{AskError, WaitingList};
use crate::lab::desk::{self, Line};
use crate::lab::model::{State as Stands, Used};
use crate::lab::reports::About;
use crate::web::App;
use crate::web::gauges::{Gauges, Told};
use crate::web::hosts;

pub(super) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(sandboxes))
        .routes(routes!(stop_all))
        .routes(routes!(tell_all))
        .routes(routes!(stop_one))
        .routes(routes!(tell_one))
        .routes(routes!(log))
}

/// What a sandbox has used (计量).
#[derive(Serialize, ToSchema)]
pub(super) struct UseView {
    /// Processor time in seconds.
    #[schema(example = 421.7)]
    pub cpu_seconds: f64,
    /// Memory held over its time, in GiB × hours.
    #[schema(example = 1.25)]
    pub memory_gib_hours: f64,
    /// Bytes of content that browsers were shown.
    pub shown_bytes: i64,
    /// Kernels started.
    pub kernels: i64,
    /// Terminals started.
    pub terminals: i64,
}

impl From<Used> for UseView {
    fn from(used: Used) -> Self {
        Self {
            cpu_seconds: used.cpu_ms as f64 / 1000.0,
            memory_gib_hours: used.memory_gib_hours(),
            shown_bytes: used.shown_bytes,
            kernels: used.kernels,
            terminals: used.terminals,
        }
    }
}

/// A sandbox as organizers may see it.
#[derive(Serialize, ToSchema)]
pub(super) struct SandboxView {
    /// Its id.
    pub id: Uuid,
    /// Whose it is.
    pub user: Uuid,
    /// The name they log in with.
    #[schema(example = "alice")]
    pub login: String,
    /// The name others see.
    pub name: String,
    /// The team they are in now.
    pub team: Option<String>,
    /// `waiting`, `starting`, `ready`, `paused`, `stopping`, `stopped` or `failed`.
    #[schema(value_type = String, example = "ready")]
    pub state: Stands,
    /// Why it is over, in one word; empty while it is not.
    pub reason: String,
    /// What its user is being told.
    pub message: String,
    /// How many wait before it; null when it does not wait.
    pub ahead: Option<i64>,
    /// When it was asked for.
    pub requested_at: Time,
    /// When it could first be used.
    pub ready_at: Option<Time>,
    /// When a person last did something in it.
    pub active_at: Option<Time>,
    /// When its session is over.
    pub deadline_at: Option<Time>,
    /// When it was over.
    pub ended_at: Option<Time>,
    /// What it has used.
    pub used: UseView,
    /// What it uses at this moment; null where it does not run, and for a second or two where another worker holds it
    /// and is asked.
    pub now: Option<Gauges>,
}

/// The sandboxes of a competition.
#[derive(Serialize, ToSchema)]
pub(super) struct SandboxList {
    /// Those that are not over, the oldest first; or those that are, the newest first.
    pub items: Vec<SandboxView>,
    /// How many have a place, in this competition.
    pub held: i64,
    /// How many wait for one, in this competition.
    pub waiting: i64,
}

fn view(app: &App, line: Line, ahead: Option<i64>, told: &Told) -> SandboxView {
    let s = line.sandbox;
    SandboxView {
        id: s.id.0,
        reason: s.why_over().to_owned(),
        user: s.user.0,
        login: line.login,
        name: line.name,
        team: line.team,
        state: s.state,
        message: s.message,
        ahead,
        requested_at: Time(s.requested_at),
        ready_at: s.ready_at.map(Time),
        active_at: s.active_at.map(Time),
        deadline_at: s.deadline_at.map(Time),
        ended_at: s.ended_at.map(Time),
        used: s.used.into(),
        now: told.gauges(app, s.id),
    }
}

/// Which sandboxes.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct WhichSandboxes {
    /// Those that are over, instead of those that are not.
    #[serde(default)]
    over: bool,
    /// How many of those that are over, 1 to 200; 50 when absent.
    limit: Option<i64>,
}

/// Who has a sandbox, who waits for one, and what each uses.
#[utoipa::path(
    get, path = "/competitions/{slug}/desk/sandboxes", tag = "desk", security(("token" = [])),
    params(("slug" = String, Path, description = "the competition's short name"), WhichSandboxes),
    responses((status = 200, body = SandboxList))
)]
async fn sandboxes(
    State(app): State<App>,
    here: Here,
    Asked(which): Asked<WhichSandboxes>,
) -> Answer<Json<SandboxList>> {
    here.organizer()?;
    let competition = here.competition.id;
    let mut conn = app.db.read().await?;
    let places = hosts::places(&hosts::alive(&app, &mut conn).await?);
    let found = match which.over {
        true => desk::over(&mut conn, competition, which.limit.unwrap_or(50).clamp(1, 200)).await?,
        false => desk::open(&mut conn, competition).await?,
    };
    let numbers = desk::numbers(&mut conn, Some(competition)).await?;
    let told = Told::ask(&app, found.iter().map(|line| &line.sandbox), About::Use).await?;
    let list = WaitingList::read(&mut conn, places, app.clock.now()).await?;
    let mut items = Vec::new();
    for line in found {
        let place = list.place(line.sandbox.id);
        items.push(view(&app, line, place.map(|place| place.ahead), &told));
    }
    Ok(Json(SandboxList { items, held: numbers.held, waiting: numbers.waiting }))
}

/// The sandbox that a path names.
struct Named(SandboxId);

impl FromRequestParts<App> for Named {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Answer<Self> {
        let id = in_path(parts, app, "id").await?;
        id.parse().map(Self).map_err(|_| Refusal::not_found())
    }
}

/// Why sandboxes are stopped.
#[derive(Deserialize, ToSchema)]
pub(super) struct StopReason {
    /// Their owners read it; may be empty.
    #[serde(default)]
    #[schema(example = "the host is needed for the final")]
    pub reason: String,
}

/// What is said to those who use sandboxes.
#[derive(Deserialize, ToSchema)]
pub(super) struct Message {
    /// At most 500 characters; empty takes back what was said.
    #[schema(example = "maintenance at six o'clock")]
    pub message: String,
}

/// How many sandboxes something was done to.
#[derive(Serialize, ToSchema)]
pub(super) struct Done {
    /// The number.
    #[schema(example = 12)]
    pub sandboxes: usize,
}

fn done(sandboxes: Result<usize, AskError>) -> Answer<Json<Done>> {
    Ok(Json(Done { sandboxes: sandboxes? }))
}

/// Stop every sandbox of the competition; files are kept.
#[utoipa::path(
    post, path = "/competitions/{slug}/desk/sandboxes/stop", tag = "desk", security(("token" = [])),
    params(("slug" = String, Path, description = "the competition's short name")),
    request_body = StopReason,
    responses((status = 200, body = Done))
)]
async fn stop_all(State(app): State<App>, here: Here, Body(why): Body<StopReason>) -> Answer<Json<Done>> {
    let by = here.organizer()?.into();
    done(desk::dismiss(&app.house, here.competition.id, None, by, &why?.reason).await)
}

/// Stop one sandbox; its owner's files are kept.
#[utoipa::path(
    post, path = "/competitions/{slug}/desk/sandboxes/{id}/stop", tag = "desk", security(("token" = [])),
    params(
        ("slug" = String, Path, description = "the competition's short name"),
        ("id" = Uuid, Path, description = "the sandbox"),
    ),
    request_body = StopReason,
    responses((status = 200, body = Done))
)]
async fn stop_one(
    State(app): State<App>,
    here: Here,
    Named(id): Named,
    Body(why): Body<StopReason>,
) -> Answer<Json<Done>> {
    let by = here.organizer()?.into();
    done(desk::dismiss(&app.house, here.competition.id, Some(id), by, &why?.reason).await)
}

/// Say something to everybody who has a sandbox open or waits for one.
#[utoipa::path(
    put, path = "/competitions/{slug}/desk/sandboxes/message", tag = "desk", security(("token" = [])),
    params(("slug" = String, Path, description = "the competition's short name")),
    request_body = Message,
    responses((status = 200, body = Done))
)]
async fn tell_all(State(app): State<App>, here: Here, Body(said): Body<Message>) -> Answer<Json<Done>> {
    let by = here.organizer()?.into();
    done(desk::tell(&app.house, here.competition.id, None, by, &said?.message).await)
}

/// Say something to whoever uses one sandbox.
#[utoipa::path(
    put, path = "/competitions/{slug}/desk/sandboxes/{id}/message", tag = "desk", security(("token" = [])),
    params(
        ("slug" = String, Path, description = "the competition's short name"),
        ("id" = Uuid, Path, description = "the sandbox"),
    ),
    request_body = Message,
    responses((status = 200, body = Done))
)]
async fn tell_one(
    State(app): State<App>,
    here: Here,
    Named(id): Named,
    Body(said): Body<Message>,
) -> Answer<Json<Done>> {
    let by = here.organizer()?.into();
    done(desk::tell(&app.house, here.competition.id, Some(id), by, &said?.message).await)
}

/// What the lab in a sandbox has printed.
#[derive(Serialize, ToSchema)]
pub(super) struct SandboxLog {
    /// Where the sandbox stands.
    #[schema(value_type = String, example = "failed")]
    pub state: Stands,
    /// The end of it; null where nothing is known, and for a second or two where another worker holds the sandbox
    /// and is asked. Everything in the sandbox can write there: it is not to be trusted.
    pub log: Option<String>,
}

/// What the lab in a sandbox has printed.
///
/// Each reading is on the audit log.
#[utoipa::path(
    get, path = "/competitions/{slug}/desk/sandboxes/{id}/log", tag = "desk", security(("token" = [])),
    params(
        ("slug" = String, Path, description = "the competition's short name"),
        ("id" = Uuid, Path, description = "the sandbox"),
    ),
    responses((status = 200, body = SandboxLog))
)]
async fn log(State(app): State<App>, here: Here, Named(id): Named) -> Answer<Json<SandboxLog>> {
    let by = here.organizer()?.into();
    let about = (here.competition.id, id);
    let (sandbox, log) = desk::read_log(&app.house, app.keeper.as_ref(), about, by).await?;
    Ok(Json(SandboxLog { state: sandbox.state, log }))
}
