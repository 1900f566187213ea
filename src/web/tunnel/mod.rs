//! The way into a sandbox: each has an origin of its own (`{id}.…`), behind which the server inside
//! answers over the relay. Nothing of the main site is there but the shell around the lab, under
//! `/shuyu/`. On a network without names all share the origin of a port, and the visit says which one
//! is meant.
//!
//! Whoever comes shows the visit's cookie, which a ticket from the main site left there. A request that
//! changes something, and every WebSocket, must come from this origin itself.

mod demo;
mod forward;
mod frames;
mod headers;
mod policy;
mod shell;

use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::header::{HOST, HeaderName, ORIGIN, UPGRADE};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use futures_util::FutureExt as _;

use self::forward::{ForwardError, Way, forward};
use self::policy::Verdict;
use super::App;
use super::error::PageError;
use super::{layers, visit};
use crate::ids::{SandboxId, UserId};
use crate::lab::door::Door;
use crate::lab::hosts::Host;
use crate::lab::keeper::{LAB_PORT, ReachError};
use crate::lab::ticket;
use crate::store::StoreError;

/// How often it is asked whether the visit of a connection that stays open still holds.
const LOOKED_AT: Duration = Duration::from_secs(5);

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");

/// Marks requests to a port that serves sandboxes alone.
#[derive(Clone, Copy, Debug)]
pub(super) struct Alone;

/// The policy of the page whose form leads to a sandbox: a browser lets a form go where it may, also by a
/// redirect.
pub(super) fn policy(hosts: &[Host]) -> Option<HeaderValue> {
    let sources: Vec<String> = hosts.iter().map(|host| host.door.source()).collect();
    let own = format!("form-action 'self' {};", sources.join(" "));
    HeaderValue::from_str(&layers::POLICY.replace("form-action 'self';", &own)).ok()
}

/// The cookie of a visit. With TLS the browser itself guards the name's prefix.
fn visit_cookie(door: &Door) -> &'static str {
    if door.is_https() { "__Host-shuyu_sandbox" } else { "shuyu_sandbox" }
}

/// Whether a cookie is of ours, the main site's or a visit's: on a shared host browsers send both to
/// every port.
fn is_ours(cookie: &str) -> bool {
    let name = cookie.trim().to_ascii_lowercase();
    let plain = name.strip_prefix("__host-").or(name.strip_prefix("__secure-")).unwrap_or(&name);
    plain.starts_with("shuyu")
}

fn host_of(headers: &HeaderMap) -> Option<&str> {
    headers.get(HOST)?.to_str().ok()
}

/// Whether a request is for a sandbox, where nobody is signed in to the main site.
pub(super) fn is_apart(app: &App, request: &Request) -> bool {
    let own = || app.door.as_ref()?.sandbox_at(host_of(request.headers())?);
    request.extensions().get::<Alone>().is_some() || own().is_some()
}

/// Takes requests for sandboxes' own origins out of the way of the pages.
pub(super) async fn own_origin(State(app): State<App>, request: Request, next: Next) -> Response {
    let Some(door) = &app.door else { return next.run(request).await };
    match host_of(request.headers()).and_then(|host| door.sandbox_at(host)) {
        Some(id) => answered(answer(&app, door, Some(id), request).await),
        None => next.run(request).await,
    }
}

/// Answers on a port that serves sandboxes alone.
pub(super) async fn alone(State(app): State<App>, request: Request) -> Response {
    let host = host_of(request.headers()).unwrap_or_default();
    match &app.door {
        Some(door) if door.is_at(host) => answered(answer(&app, door, None, request).await),
        Some(door) if let Some(id) = door.sandbox_at(host) => {
            answered(answer(&app, door, Some(id), request).await)
        }
        _ => PageError::not_found().into_response(),
    }
}

fn answered(answer: Result<Response, PageError>) -> Response {
    answer.unwrap_or_else(PageError::into_response)
}

/// Answers a request for the sandbox whose own origin it is for; on a shared one, for that of the visit.
async fn answer(
    app: &App,
    door: &Door,
    own: Option<SandboxId>,
    request: Request,
) -> Result<Response, PageError> {
    // an app has an origin of its own or none: on a shared one its pages could reach what else is opened there
    if let Some(id) = own
        && let Some(way_in) = demo::here(app, id)
    {
        return demo::answer(app, door, (id, way_in), request).await;
    }
    let path = request.uri().path();
    if let Some(id) = entered(path, own) {
        let query = request.uri().query().unwrap_or_default().to_owned();
        return shell::enter(app, door, id, &query).await;
    }
    if let Some(asset) = path.strip_prefix("/shuyu/static/") {
        return shell::asset(asset).await;
    }
    let origin = own.map_or_else(|| door.pattern().to_owned(), |id| door.origin(id));
    let arrives = matches!(path, "/" | "/shuyu" | "/shuyu/") && arrives(request.method(), request.headers());
    if !arrives && !is_from(&origin, request.method(), request.headers()) {
        return Err(PageError::plain(StatusCode::FORBIDDEN, "cross-site"));
    }
    let closed = || PageError::plain(StatusCode::UNAUTHORIZED, "sandbox-closed");
    let (id, secret) = visited(door, own, request.headers()).ok_or_else(closed)?;
    let secret = secret.to_owned();
    let user = visitor(app, id, &secret).await?.ok_or_else(closed)?;
    match path {
        "/" | "/shuyu" | "/shuyu/" => shell::page(app, door, (id, user), request).await,
        "/shuyu/state" => shell::state(app, id).await,
        "/shuyu/wake" if *request.method() == Method::POST => shell::wake(app, id).await,
        _ if path.starts_with("/shuyu/") => Err(PageError::not_found()),
        _ => lab(app, door, (id, secret), request).await,
    }
}

/// The sandbox whose door a path is.
fn entered(path: &str, own: Option<SandboxId>) -> Option<SandboxId> {
    match own {
        Some(id) => (path == "/shuyu/enter").then_some(id),
        None => path.strip_prefix("/shuyu/enter/")?.parse().ok(),
    }
}

/// The value of a visit's cookie: on a shared origin it says which sandbox is visited, too.
fn visit_value(door: &Door, id: SandboxId, secret: &str) -> String {
    if door.is_shared() { format!("{id}.{secret}") } else { secret.to_owned() }
}

/// The sandbox that a request's cookie is a visit of, and the visit's secret.
fn visited<'a>(door: &Door, own: Option<SandboxId>, headers: &'a HeaderMap) -> Option<(SandboxId, &'a str)> {
    let value = visit::only_cookie(headers, visit_cookie(door))?;
    match own {
        Some(id) => Some((id, value)),
        None => {
            let (id, secret) = value.split_once('.')?;
            Some((id.parse().ok()?, secret))
        }
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

/// Whether a request tells that somebody is there: it changes something, or goes to a page. What a lab's page
/// asks for by itself, every few seconds and for as long as it is open, does not.
fn is_by_a_person(request: &Request) -> bool {
    let goes = request.headers().get(SEC_FETCH_MODE).is_none_or(|mode| mode == "navigate");
    let path = request.uri().path();
    policy::changes(request.method(), path) || (goes && !policy::is_by_itself(path))
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

/// Hands a request on to the lab inside, as part of a visit to it.
async fn lab(
    app: &App,
    door: &Door,
    (id, visit): (SandboxId, String),
    request: Request,
) -> Result<Response, PageError> {
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
    let stream = match is_by_a_person(&request) {
        true => keeper.dial(id, LAB_PORT).await,
        false => keeper.dial_quietly(id, LAB_PORT).await,
    };
    let stream = stream.map_err(|error| match error {
        ReachError::NotHere => unavailable(),
        // to the lab's page 503 would mean that the lab is lost
        ReachError::Resting => PageError::plain(StatusCode::LOCKED, "sandbox-resting"),
        error => {
            tracing::warn!(sandbox = %id, %error, "a sandbox cannot be reached");
            unavailable()
        }
    })?;
    let token = HeaderValue::from_str(&format!("token {}", way_in.token)).map_err(|_| unavailable())?;
    let token = Some(token);
    let way = Way {
        shared: door.is_shared(),
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
    fn on_a_shared_origin_the_visit_says_which_sandbox_is_meant() {
        let id: SandboxId = "0198c0de-0000-7000-8000-000000000001".parse().unwrap();
        let shared = Door::read("http://10.0.0.5:8081").unwrap();
        let own = Door::read("https://{id}.box.example").unwrap();
        let cookies = |text: &str| {
            HeaderMap::from_iter([(axum::http::header::COOKIE, HeaderValue::from_str(text).unwrap())])
        };
        let told = format!("a=1; shuyu_sandbox={}", visit_value(&shared, id, "secret"));
        assert_eq!(visited(&shared, None, &cookies(&told)), Some((id, "secret")));
        for wrong in ["shuyu_sandbox=secret", "shuyu_sandbox=x.secret", "shuyu_session=1", "a"] {
            assert_eq!(visited(&shared, None, &cookies(wrong)), None, "{wrong}");
        }
        let twice = format!("{told}; {told}");
        assert_eq!(visited(&shared, None, &cookies(&twice)), None, "nobody can slip a second one in");
        let told = format!("__Host-shuyu_sandbox={}", visit_value(&own, id, "secret"));
        assert_eq!(visited(&own, Some(id), &cookies(&told)), Some((id, "secret")));
        assert_eq!(entered(&format!("/shuyu/enter/{id}"), None), Some(id));
        assert_eq!(entered("/shuyu/enter", Some(id)), Some(id));
        assert_eq!((entered("/shuyu/enter", None), entered("/shuyu/enter/x", None)), (None, None));
        assert_eq!(entered(&format!("/shuyu/enter/{id}"), Some(id)), None);
    }

    #[test]
    fn every_cookie_of_ours_is_known() {
        for ours in ["shuyu_session", "__Host-shuyu_session", "shuyu_sandbox", "SHUYU_LANG", " shuyu_flash"] {
            assert!(is_ours(ours), "{ours}");
        }
        assert!(!is_ours("_xsrf") && !is_ours("username-localhost-8888") && !is_ours("__Host-a"));
    }

    #[test]
    fn what_a_page_asks_by_itself_is_nobody() {
        let asked = |method: Method, path: &str, mode: Option<&str>| {
            let mut request = Request::builder().method(method).uri(path);
            if let Some(mode) = mode {
                request = request.header(SEC_FETCH_MODE, mode);
            }
            is_by_a_person(&request.body(axum::body::Body::empty()).unwrap())
        };
        for mode in ["cors", "same-origin", "websocket", "no-cors"] {
            assert!(!asked(Method::GET, "/api/kernels", Some(mode)), "{mode}");
        }
        assert!(
            asked(Method::GET, "/lab", Some("navigate"))
                && asked(Method::PUT, "/api/contents/a", Some("cors"))
        );
        assert!(!asked(Method::PUT, "/lab/api/workspaces/default", Some("cors")), "each ten seconds");
        assert!(asked(Method::GET, "/lab", None), "a browser that does not say");
        assert!(!asked(Method::PUT, "/lab/api/workspaces/default", None));
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
