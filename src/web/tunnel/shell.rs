//! What is ours on a sandbox's own origin: the door, and the page around the lab.

use axum::Json;
use axum::extract::Request;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, LOCATION, SET_COOKIE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;

use super::{visit_cookie, visit_value};
use crate::contest::db as contest_db;
use crate::ids::{SandboxId, UserId};
use crate::lab::door::Door;
use crate::lab::model::Sandbox;
use crate::lab::{db, gauge, ticket};
use crate::people;
use crate::web::error::PageError;
use crate::web::gauges::{self, Gauges};
use crate::web::page::Frame;
use crate::web::{App, assets};

/// The shell frames the lab of its own origin, and loads nothing from elsewhere.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                      connect-src 'self'; frame-src 'self'; frame-ancestors 'none'; base-uri 'none'";

/// A static file of ours.
pub(super) async fn asset(path: &str) -> Result<Response, PageError> {
    let (version, path) = path.split_once('/').ok_or_else(PageError::not_found)?;
    assets::serve(axum::extract::Path((version.to_owned(), path.to_owned()))).await
}

async fn open(app: &App, id: SandboxId) -> Result<Sandbox, PageError> {
    let found = db::by_id(&mut *app.db.read().await?, id).await?;
    let open = found.filter(|sandbox| !sandbox.state.is_over());
    open.ok_or_else(|| PageError::plain(StatusCode::UNAUTHORIZED, "sandbox-closed"))
}

/// Lets whoever brings a ticket in, once, and leaves the visit's cookie.
pub(super) async fn enter(app: &App, door: &Door, id: SandboxId, query: &str) -> Result<Response, PageError> {
    let closed = || PageError::plain(StatusCode::UNAUTHORIZED, "sandbox-closed");
    let secret = query.split('&').find_map(|pair| pair.strip_prefix("ticket=")).ok_or_else(closed)?;
    let sandbox = open(app, id).await?;
    let (visit, ends) = ticket::redeem(&app.house, &sandbox, secret).await?.ok_or_else(closed)?;
    let seconds = ends.duration_since(app.clock.now()).as_secs().max(0);
    let secure = if door.is_https() { "; Secure" } else { "" };
    let (name, value) = (visit_cookie(door), visit_value(door, id, &visit));
    let cookie = format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={seconds}{secure}");
    let cookie = HeaderValue::from_str(&cookie).map_err(|error| PageError::internal(&error))?;
    let to = HeaderValue::from_static("/shuyu/");
    let kept = HeaderValue::from_static("no-store");
    Ok((StatusCode::SEE_OTHER, [(LOCATION, to), (SET_COOKIE, cookie), (CACHE_CONTROL, kept)]).into_response())
}

/// The page around the lab: time left, what has been shown, and the lab in a frame.
pub(super) async fn page(
    app: &App,
    door: &Door,
    (id, user): (SandboxId, UserId),
    request: Request,
) -> Result<Response, PageError> {
    use axum::extract::FromRequestParts as _;

    let (mut parts, _) = request.into_parts();
    let frame = Frame::from_request_parts(&mut parts, app).await?;
    let sandbox = open(app, id).await?;
    let mut conn = app.db.read().await?;
    let competition = contest_db::by_id(&mut conn, sandbox.competition).await?;
    let competition = competition.ok_or_else(PageError::not_found)?;
    let person = people::addressed(&mut conn, user).await?;
    drop(conn);
    let frame = frame.speaking(person.as_ref().map_or("", |person| &person.locale));
    let locale = if frame.lang() == crate::web::lang::Lang::Zh { "zh" } else { "en" };
    let page = frame
        .page("sandbox/shell.html")
        .with("title", competition.title(locale))
        .with("back", &format!("{}/competitions/{}/sandbox", app.settings.public_url, competition.slug))
        .with("state", &state_of(app, &sandbox))
        .with("overheard", &door.can_be_overheard())
        .with("shared", &door.is_shared())
        .with("person", &user.to_string());
    let mut response = page.render()?;
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    Ok(response)
}

/// What the shell shows of a sandbox.
#[derive(Serialize)]
struct StateView {
    /// The sandbox: on a shared origin another may have been opened meanwhile.
    id: String,
    state: &'static str,
    /// Whether it rests because its home is being copied.
    copying: bool,
    /// Seconds until the session is over.
    left_seconds: Option<i64>,
    /// Bytes of content shown, and how many may be.
    shown: u64,
    budget: u64,
    message: String,
    /// What it uses at this moment.
    gauges: Option<Gauges>,
}

fn state_of(app: &App, sandbox: &Sandbox) -> StateView {
    let now = app.clock.now();
    let here = app.keeper.as_ref().and_then(|keeper| keeper.way_in(sandbox.id).ok());
    StateView {
        id: sandbox.id.to_string(),
        state: sandbox.state.as_str(),
        copying: app.keeper.as_ref().is_some_and(|keeper| keeper.is_being_copied(sandbox.id)),
        left_seconds: sandbox.deadline_at.map(|end| end.duration_since(now).as_secs().max(0)),
        shown: here.map_or(0, |way| way.gauge.shown()),
        budget: gauge::BUDGET,
        message: sandbox.message.clone(),
        gauges: gauges::of(app, sandbox.id),
    }
}

/// Has a paused sandbox go on, at the wish of somebody who looks at it.
pub(super) async fn wake(app: &App, id: SandboxId) -> Result<Response, PageError> {
    let unavailable = |_| PageError::plain(StatusCode::SERVICE_UNAVAILABLE, "sandbox-unreachable");
    let keeper = app.keeper.as_ref().ok_or_else(PageError::not_found)?;
    keeper.wake(id).await.map_err(unavailable)?;
    state(app, id).await
}

/// How a sandbox stands, for the shell's script, which asks every few seconds.
pub(super) async fn state(app: &App, id: SandboxId) -> Result<Response, PageError> {
    let sandbox = open(app, id).await?;
    Ok(Json(state_of(app, &sandbox)).into_response())
}
