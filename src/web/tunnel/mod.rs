//! The way into a sandbox: each has an origin of its own (`{id}.…`), behind which the server inside
//! answers over the relay. Nothing of the main site is there but the shell around the lab, under
//! `/shuyu/`.
//!
//! Whoever comes shows the visit's cookie, which a ticket from the main site left there. A request that
//! changes something, and every WebSocket, must come from this origin itself.

mod forward;
mod frames;
mod policy;
mod shell;

use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::header::{COOKIE, HOST, HeaderName, ORIGIN, UPGRADE};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use futures_util::FutureExt as _;

use self::forward::{ForwardError, Way, forward};
use self::policy::Verdict;
use super::App;
use super::error::PageError;
use super::layers;
use crate::ids::{SandboxId, UserId};
use crate::lab::keeper::{LAB_PORT, ReachError};
use crate::lab::ticket;
use crate::store::StoreError;

/// How often it is asked whether the visit of a connection that stays open still holds.
const LOOKED_AT: Duration = Duration::from_secs(5);

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");

fn scheme(app: &App) -> &'static str {
    if app.settings.is_https() { "https" } else { "http" }
}

/// A sandbox's own origin.
fn origin(app: &App, id: SandboxId) -> String {
    format!("{}://{}", scheme(app), app.settings.sandboxes.host.replace("{id}", &id.to_string()))
}

/// The policy of the page whose form leads to a sandbox: a browser lets a form go where it may, also by a
/// redirect. `None` where the origins share no wildcard.
pub(super) fn policy(app: &App) -> Option<HeaderValue> {
    let rest = app.settings.sandboxes.host.strip_prefix("{id}.")?;
    let own = format!("form-action 'self' {}://*.{rest};", scheme(app));
    HeaderValue::from_str(&layers::POLICY.replace("form-action 'self';", &own)).ok()
}

/// Where a sandbox's own origin is, with the ticket that opens it once.
pub(super) fn address(app: &App, id: SandboxId, ticket: &str) -> String {
    format!("{}/shuyu/enter?ticket={ticket}", origin(app, id))
}

/// The cookie of a visit. With TLS the browser itself guards the name's prefix.
fn visit_cookie(app: &App) -> &'static str {
    if app.settings.is_https() { "__Host-shuyu_sandbox" } else { "shuyu_sandbox" }
}

/// The sandbox whose own origin a request is for, if it is for one.
fn sandbox_of(app: &App, headers: &HeaderMap) -> Option<SandboxId> {
    let (before, after) = app.settings.sandboxes.host.split_once("{id}")?;
    let host = headers.get(HOST)?.to_str().ok()?.to_ascii_lowercase();
    host.strip_prefix(before)?.strip_suffix(after)?.parse().ok()
}

/// Takes requests for sandboxes' own origins out of the way of the pages.
pub(super) async fn own_origin(State(app): State<App>, request: Request, next: Next) -> Response {
    let Some(id) = sandbox_of(&app, request.headers()) else { return next.run(request).await };
    answer(&app, id, request).await.unwrap_or_else(PageError::into_response)
}

async fn answer(app: &App, id: SandboxId, request: Request) -> Result<Response, PageError> {
    let path = request.uri().path();
    if path == "/shuyu/enter" {
        let query = request.uri().query().unwrap_or_default().to_owned();
        return shell::enter(app, id, &query).await;
    }
    if let Some(asset) = path.strip_prefix("/shuyu/static/") {
        return shell::asset(asset).await;
    }
    let arrives = matches!(path, "/" | "/shuyu" | "/shuyu/") && arrives(request.method(), request.headers());
    if !arrives && !is_from(&origin(app, id), request.method(), request.headers()) {
        return Err(PageError::plain(StatusCode::FORBIDDEN, "cross-site"));
    }
    let closed = || PageError::plain(StatusCode::UNAUTHORIZED, "sandbox-closed");
    let secret = visit_of(app, request.headers()).ok_or_else(closed)?.to_owned();
    let user = visitor(app, id, &secret).await?.ok_or_else(closed)?;
    match path {
        "/" | "/shuyu" | "/shuyu/" => shell::page(app, id, user, request).await,
        "/shuyu/state" => shell::state(app, id).await,
        _ if path.starts_with("/shuyu/") => Err(PageError::not_found()),
        _ => lab(app, id, secret, request).await,
    }
}

/// Whether a request may come: what changes something, and every WebSocket, from this origin alone; what
/// a page elsewhere embeds or fetches not at all.
fn is_from(origin: &str, method: &Method, headers: &HeaderMap) -> bool {
    let changes = !matches!(*method, Method::GET | Method::HEAD) || headers.contains_key(UPGRADE);
    let mut given = headers.get_all(ORIGIN).iter().peekable();
    let own = given.peek().is_some().then(|| given.all(|given| given.as_bytes() == origin.as_bytes()));
    let site = headers.get(SEC_FETCH_SITE).and_then(|site| site.to_str().ok());
    match own {
        Some(own) => own,
        None if changes => false,
        None => matches!(site, None | Some("same-origin" | "none")),
    }
}

/// Whether a whole window comes to the shell, as after the door, to which a page of another site had sent it:
/// a browser calls the rest of that way cross-site too. The shell cannot be embedded and changes nothing.
fn arrives(method: &Method, headers: &HeaderMap) -> bool {
    let is = |name: &HeaderName, value: &str| headers.get(name).is_some_and(|given| given == value);
    *method == Method::GET && is(&SEC_FETCH_MODE, "navigate") && is(&SEC_FETCH_DEST, "document")
}

/// The secret of a visit that a request brings.
fn visit_of<'a>(app: &App, headers: &'a HeaderMap) -> Option<&'a str> {
    let name = visit_cookie(app);
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find_map(|(given, secret)| (given == name).then_some(secret))
}

/// Whose visit it is.
async fn visitor(app: &App, id: SandboxId, secret: &str) -> Result<Option<UserId>, StoreError> {
    let mut conn = app.db.read().await?;
    ticket::visitor(&mut conn, id, secret, app.clock.now()).await
}

/// Ends when a visit does: its person signs out, is removed, or the session is over.
async fn visit_over(app: App, id: SandboxId, secret: String) {
    // a database that cannot be asked ends nobody's work
    while !matches!(visitor(&app, id, &secret).await, Ok(None)) {
        tokio::time::sleep(LOOKED_AT).await;
    }
}

/// Hands a request on to the lab inside.
async fn lab(app: &App, id: SandboxId, visit: String, request: Request) -> Result<Response, PageError> {
    let unavailable = || PageError::plain(StatusCode::SERVICE_UNAVAILABLE, "sandbox-unreachable");
    let query = request.uri().query().unwrap_or_default();
    let verdict = policy::judge(request.method(), request.uri().path(), query);
    match verdict {
        Verdict::Closed => return Err(PageError::not_found()),
        Verdict::Export => return Err(PageError::plain(StatusCode::FORBIDDEN, "sandbox-export")),
        Verdict::Interface | Verdict::Content | Verdict::Capped => {}
    }
    let keeper = app.keeper.as_ref().ok_or_else(unavailable)?;
    let way_in = keeper.way_in(id).map_err(|_| unavailable())?;
    let stream = keeper.dial(id, LAB_PORT).await.map_err(|error| {
        match error {
            ReachError::NotHere => {}
            error => tracing::warn!(sandbox = %id, %error, "a sandbox cannot be reached"),
        }
        unavailable()
    })?;
    let token = HeaderValue::from_str(&format!("token {}", way_in.token)).map_err(|_| unavailable())?;
    let way = Way {
        token,
        gauge: way_in.gauge,
        clock: app.clock.clone(),
        visit: visit_over(app.clone(), id, visit).boxed().shared(),
    };
    match forward(stream, request, verdict, way).await {
        Ok(response) => Ok(response),
        Err(ForwardError::TooLarge(_)) => Err(PageError::plain(StatusCode::FORBIDDEN, "sandbox-export")),
        Err(ForwardError::Spent(_)) => Err(PageError::plain(StatusCode::FORBIDDEN, "sandbox-spent")),
        Err(ForwardError::Broken(error)) => {
            tracing::info!(sandbox = %id, %error, "the lab broke a request off");
            Err(unavailable())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_its_own_pages_change_anything() {
        let own = "http://x.localhost:8080";
        let request = |method: Method, pairs: &[(HeaderName, &'static str)]| {
            let headers = pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value)));
            is_from(own, &method, &headers.collect())
        };
        let foreign = "http://evil.example";
        assert!(request(Method::GET, &[]));
        assert!(request(Method::GET, &[(SEC_FETCH_SITE, "none")]));
        assert!(request(Method::GET, &[(SEC_FETCH_SITE, "same-origin")]));
        assert!(!request(Method::GET, &[(SEC_FETCH_SITE, "cross-site")]));
        assert!(!request(Method::GET, &[(SEC_FETCH_SITE, "same-site")]));
        assert!(!request(Method::GET, &[(ORIGIN, foreign)]));
        assert!(!request(Method::GET, &[(UPGRADE, "websocket")]), "a WebSocket says where it comes from");
        assert!(!request(Method::GET, &[(UPGRADE, "websocket"), (ORIGIN, foreign)]));
        assert!(request(Method::GET, &[(UPGRADE, "websocket"), (ORIGIN, own)]));
        assert!(!request(Method::POST, &[]));
        assert!(!request(Method::POST, &[(ORIGIN, "null")]));
        assert!(request(Method::POST, &[(ORIGIN, own)]));
        let both: HeaderMap = [(ORIGIN, HeaderValue::from_static(own))].into_iter().collect();
        let both = [own, foreign].iter().fold(both, |mut headers, origin| {
            headers.append(ORIGIN, HeaderValue::from_static(origin));
            headers
        });
        assert!(!is_from(own, &Method::POST, &both), "two say two things");
    }

    #[test]
    fn a_whole_window_may_come_from_elsewhere_and_nothing_else() {
        let window = |method: Method, mode: &'static str, dest: &'static str| {
            let pairs = [(SEC_FETCH_MODE, mode), (SEC_FETCH_DEST, dest), (SEC_FETCH_SITE, "cross-site")];
            arrives(
                &method,
                &pairs.map(|(name, value)| (name, HeaderValue::from_static(value))).into_iter().collect(),
            )
        };
        assert!(window(Method::GET, "navigate", "document"));
        assert!(!window(Method::POST, "navigate", "document"));
        assert!(!window(Method::GET, "navigate", "iframe"));
        assert!(!window(Method::GET, "no-cors", "image"));
        assert!(!window(Method::GET, "websocket", "empty"));
    }
}
