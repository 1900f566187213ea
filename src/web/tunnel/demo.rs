//! The way into an app that people try: as into a sandbox, but whoever comes sees the app alone, and its pages
//! can neither frame nor ask anything but their own origin.

use axum::extract::Request;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, LOCATION, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use futures_util::FutureExt as _;

use super::forward::{ForwardError, Way, forward};
use super::policy::Verdict;
use super::{LOOKED_AT, SEC_FETCH_DEST, SEC_FETCH_MODE, is_from, visit_cookie, visited};
use crate::demo::stage::WayIn;
use crate::demo::{db, ticket};
use crate::ids::SandboxId;
use crate::lab::door::Door;
use crate::web::App;
use crate::web::error::PageError;

/// What an app's pages may load and ask: their own origin. It comes on top of what the app says itself.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; connect-src 'self'; form-action 'self'; \
     frame-src 'self' data: blob:; frame-ancestors 'none'; base-uri 'self'; object-src 'none'",
);
/// What the app cannot take back.
const OURS: [(HeaderName, HeaderValue); 5] = [
    (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
    (HeaderName::from_static("referrer-policy"), HeaderValue::from_static("no-referrer")),
    (
        HeaderName::from_static("permissions-policy"),
        HeaderValue::from_static(
            "camera=(), microphone=(), geolocation=(), display-capture=(), usb=(), serial=()",
        ),
    ),
    (HeaderName::from_static("x-robots-tag"), HeaderValue::from_static("noindex")),
];
/// A browser asks for the script of a service worker with this.
const SERVICE_WORKER: HeaderName = HeaderName::from_static("service-worker");

/// The way to an app that runs here under this id.
pub(super) fn here(app: &App, id: SandboxId) -> Option<WayIn> {
    app.keeper.as_ref()?.stage().way_in(id)
}

fn closed() -> PageError {
    PageError::plain(StatusCode::UNAUTHORIZED, "demo-closed")
}

/// Answers a request to an app's own origin.
pub(super) async fn answer(
    app: &App,
    door: &Door,
    (id, way_in): (SandboxId, WayIn),
    request: Request,
) -> Result<Response, PageError> {
    let path = request.uri().path();
    if path == "/shuyu/enter" {
        return enter(app, door, id, request.uri().query().unwrap_or_default()).await;
    }
    if path.starts_with("/shuyu/") {
        return Err(PageError::not_found());
    }
    // a worker of its own would go on answering there after the app has gone
    if request.headers().contains_key(SERVICE_WORKER) {
        return Err(PageError::plain(StatusCode::FORBIDDEN, "cross-site"));
    }
    let arrives = path == "/" && arrives(request.method(), request.headers());
    if !arrives && !is_from(&door.origin(id), request.method(), request.headers()) {
        return Err(PageError::plain(StatusCode::FORBIDDEN, "cross-site"));
    }
    let (_, secret) = visited(door, Some(id), request.headers()).ok_or_else(closed)?;
    let secret = secret.to_owned();
    let now = app.clock.now();
    ticket::visitor(&mut *app.db.read().await?, id, &secret, now).await?.ok_or_else(closed)?;
    if is_by_a_person(request.method(), request.headers()) {
        way_in.gauge.active(now);
    }
    through(app, (id, secret), way_in, request).await
}

/// Whether a whole window comes, as after the door, to which a page of another site had sent it.
fn arrives(method: &Method, headers: &HeaderMap) -> bool {
    let is = |name: &HeaderName, value: &str| headers.get(name).is_some_and(|given| given == value);
    *method == Method::GET && is(&SEC_FETCH_MODE, "navigate") && is(&SEC_FETCH_DEST, "document")
}

/// Whether a request tells that somebody is there: what a page asks for by itself does not.
fn is_by_a_person(method: &Method, headers: &HeaderMap) -> bool {
    let goes = headers.get(SEC_FETCH_MODE).is_none_or(|mode| mode == "navigate");
    goes || !matches!(*method, Method::GET | Method::HEAD)
}

/// Lets whoever brings a ticket in, once, and leaves the visit's cookie.
async fn enter(app: &App, door: &Door, id: SandboxId, query: &str) -> Result<Response, PageError> {
    let secret = query.split('&').find_map(|pair| pair.strip_prefix("ticket=")).ok_or_else(closed)?;
    let demo = db::by_id(&mut *app.db.read().await?, id).await?.filter(|demo| !demo.state.is_over());
    let demo = demo.ok_or_else(closed)?;
    let (visit, ends) = ticket::redeem(&app.house, &demo, secret).await?.ok_or_else(closed)?;
    let seconds = ends.duration_since(app.clock.now()).as_secs().max(0);
    let secure = if door.is_https() { "; Secure" } else { "" };
    let name = visit_cookie(door);
    let cookie = format!("{name}={visit}; Path=/; HttpOnly; SameSite=Lax; Max-Age={seconds}{secure}");
    let cookie = HeaderValue::from_str(&cookie).map_err(|error| PageError::internal(&error))?;
    let (to, kept) = (HeaderValue::from_static("/"), HeaderValue::from_static("no-store"));
    Ok((StatusCode::SEE_OTHER, [(LOCATION, to), (SET_COOKIE, cookie), (CACHE_CONTROL, kept)]).into_response())
}

/// Ends when a visit does: its person signs out, or the app is stopped.
async fn visit_over(app: App, id: SandboxId, secret: String) {
    loop {
        let Ok(mut conn) = app.db.read().await else { continue };
        // a database that cannot be asked ends nobody's visit
        if matches!(ticket::visitor(&mut conn, id, &secret, app.clock.now()).await, Ok(None)) {
            return;
        }
        drop(conn);
        tokio::time::sleep(LOOKED_AT).await;
    }
}

async fn through(
    app: &App,
    (id, visit): (SandboxId, String),
    way_in: WayIn,
    request: Request,
) -> Result<Response, PageError> {
    let unavailable = || PageError::plain(StatusCode::BAD_GATEWAY, "demo-unreachable");
    let stream = way_in.open().await.map_err(|error| {
        tracing::info!(demo = %id, %error, "an app cannot be reached");
        unavailable()
    })?;
    let way = Way {
        shared: true,
        token: None,
        gauge: way_in.gauge,
        clock: app.clock.clone(),
        visit: visit_over(app.clone(), id, visit).boxed().shared(),
    };
    match forward(stream, request, Verdict::Content, way).await {
        Ok(mut response) => {
            // in place of the app's own, which can have a browser send reports elsewhere
            response.headers_mut().insert(CONTENT_SECURITY_POLICY, POLICY);
            for (name, value) in OURS {
                response.headers_mut().insert(name, value);
            }
            Ok(response)
        }
        Err(ForwardError::TooLarge(_) | ForwardError::Spent(_)) => {
            Err(PageError::plain(StatusCode::FORBIDDEN, "demo-spent"))
        }
        Err(ForwardError::Broken(error)) => {
            tracing::info!(demo = %id, %error, "an app broke a request off");
            Err(unavailable())
        }
    }
}
