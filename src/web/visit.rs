//! [`Visit`]: what is known of one request before any handler runs, and what goes into its response
//! afterwards: cookies, and the words of an error.

use std::any::Any;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{
    ACCEPT, ACCEPT_LANGUAGE, CONTENT_TYPE, COOKIE, HOST, REFERER, SET_COOKIE, USER_AGENT,
};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum_extra::extract::cookie::{Cookie, CookieJar, SameSite};
use futures_util::FutureExt as _;
use tokio::sync::OnceCell;
use tracing::Instrument as _;

use super::App;
use super::error::Explanation;
use super::guard::{LOGIN_NEEDED, safe_next};
use super::lang::Lang;
use super::page::{Frame, THEME_COOKIE};
use super::tunnel;
use crate::people::{Opened, PeopleError, Signed, Visitor};

/// The cookie with the chosen language.
pub(super) const LANG_COOKIE: &str = "shuyu_lang";

/// What is known of one request.
pub struct Visit {
    /// The number a person tells support, and the log has.
    pub reference: String,
    /// The address it comes from, behind trusted proxies.
    pub address: String,
    /// Path and query.
    pub path: String,
    /// Path and query of the page of ours that it was sent from, where the browser said so.
    from: Option<String>,
    agent: String,
    json: bool,
    /// Whether it is for a sandbox: nobody is signed in there, whatever the browser sends along.
    pub apart: bool,
    jar: CookieJar,
    accepted: Option<Lang>,
    /// How many cookies of a session it brought: see [`only_cookie`].
    sessions: usize,
    set: Mutex<Vec<Cookie<'static>>>,
    signed: OnceCell<Option<Signed>>,
}

impl Visit {
    fn of(app: &App, request: &Request) -> Self {
        let headers = request.headers();
        let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
        let apart = tunnel::is_apart(app, request);
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        Self {
            reference: hex::encode(app.entropy.bytes::<6>()),
            address: address(peer, headers, &app.settings.trusted_proxies),
            path: path.to_owned(),
            from: text(HOST).and_then(|host| path_on(host, text(REFERER)?)),
            agent: text(USER_AGENT).unwrap_or("").to_owned(),
            json: path.starts_with("/api/") || text(ACCEPT).is_some_and(|a| a.contains("application/json")),
            jar: if apart { harmless(headers) } else { CookieJar::from_headers(headers) },
            apart,
            sessions: cookies(headers, session_cookie(app)).count(),
            accepted: text(ACCEPT_LANGUAGE).and_then(Lang::from_accept),
            set: Mutex::default(),
            signed: OnceCell::new(),
        }
    }

    /// From where a session is opened or used.
    pub fn visitor(&self) -> Visitor {
        Visitor { agent: self.agent.clone(), address: self.address.clone() }
    }

    /// Whether a program asks: over the API, or a script of ours that says it reads JSON.
    pub fn wants_json(&self) -> bool {
        self.json
    }

    /// The page to come back to after logging in: the one asked for, or where a form was sent from.
    fn back_after_login(&self, method: &Method) -> &str {
        match method == Method::GET || method == Method::HEAD {
            true => &self.path,
            false => self.from.as_deref().unwrap_or("/"),
        }
    }

    /// Who is signed in, looked up once for a request.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn signed(&self, app: &App) -> Result<Option<&Signed>, PeopleError> {
        let look = || async {
            let cookie = self.jar.get(session_cookie(app)).filter(|_| self.sessions == 1);
            let Some(cookie) = cookie else { return Ok::<_, PeopleError>(None) };
            let signed = app.people.signed_in(cookie.value(), &self.visitor()).await?;
            if let Some(opened) = signed.as_ref().and_then(|signed| signed.renewed.as_ref()) {
                self.keep_session(app, opened);
            }
            Ok(signed)
        };
        Ok(self.signed.get_or_try_init(look).await?.as_ref())
    }

    /// The language of the answer: the one chosen on this browser, the account's, the browser's.
    pub fn lang(&self) -> Lang {
        let chosen = self.jar.get(LANG_COOKIE).and_then(|cookie| Lang::from_tag(cookie.value()));
        let signed = self.signed.get().and_then(Option::as_ref);
        chosen.or_else(|| Lang::from_tag(&signed?.actor.locale)).or(self.accepted).unwrap_or_default()
    }

    /// A cookie of the request.
    pub(super) fn cookie(&self, name: &str) -> Option<&str> {
        self.jar.get(name).map(Cookie::value)
    }

    /// Sets a cookie with the response; it lasts so long, or until the browser is closed.
    pub(super) fn set_cookie(&self, app: &App, name: &'static str, value: String, lasts: Option<Duration>) {
        let mut cookie = Cookie::build((name, value))
            .path("/")
            .http_only(true)
            .same_site(SameSite::Lax)
            .secure(app.settings.is_https())
            .build();
        // the cookie's own type of a duration is not ours to name
        let age = cookie.max_age().or(lasts.and_then(|lasts| lasts.try_into().ok()));
        cookie.set_max_age(age);
        self.set.lock().unwrap_or_else(PoisonError::into_inner).push(cookie);
    }

    /// Takes a cookie back.
    pub(super) fn unset_cookie(&self, app: &App, name: &'static str) {
        let mut cookie = Cookie::build((name, "")).path("/").http_only(true).build();
        cookie.set_same_site(SameSite::Lax);
        cookie.set_secure(app.settings.is_https());
        cookie.make_removal();
        self.set.lock().unwrap_or_else(PoisonError::into_inner).push(cookie);
    }

    /// Puts a session's secret into the browser's cookie.
    pub(super) fn keep_session(&self, app: &App, opened: &Opened) {
        let left = opened.expires_at.duration_since(app.clock.now());
        let lasts = Duration::try_from(left).unwrap_or_default();
        self.set_cookie(app, session_cookie(app), opened.secret.clone(), Some(lasts));
    }

    /// Takes the session's cookie back.
    pub(super) fn drop_session(&self, app: &App) {
        self.unset_cookie(app, session_cookie(app));
    }
}

/// Path and query of an address on a host.
fn path_on(host: &str, address: &str) -> Option<String> {
    let (_, rest) = address.split_once("://")?;
    let path = rest.strip_prefix(host)?;
    path.starts_with('/').then(|| safe_next(path).to_owned())
}

/// With TLS the browser itself guards the name's prefix (RFC 6265bis, section 4.1.3.2).
fn session_cookie(app: &App) -> &'static str {
    if app.settings.is_https() { "__Host-shuyu_session" } else { "shuyu_session" }
}

/// The values that a request's cookie of this name has.
fn cookies<'a>(headers: &'a HeaderMap, name: &str) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.filter(move |(given, _)| *given == name).map(|(_, value)| value)
}

/// The value of a cookie that comes once. One that comes twice is nobody's: a page on another port of
/// this host can set one for a longer path, and which is whose cannot be told.
pub(super) fn only_cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = cookies(headers, name);
    values.next().filter(|_| values.next().is_none())
}

/// The cookies that say how pages are shown, and nothing about anybody.
fn harmless(headers: &HeaderMap) -> CookieJar {
    let all = CookieJar::from_headers(headers);
    let kept = all.iter().filter(|cookie| matches!(cookie.name(), LANG_COOKIE | THEME_COOKIE));
    kept.cloned().fold(CookieJar::new(), CookieJar::add)
}

/// The last address that no trusted proxy of ours stands for.
fn address(peer: Option<IpAddr>, headers: &HeaderMap, trusted: &[IpAddr]) -> String {
    let Some(mut address) = peer else { return "local".into() };
    let forwarded = headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
    let mut hops: Vec<IpAddr> =
        forwarded.flat_map(|line| line.split(',')).filter_map(|hop| hop.trim().parse().ok()).collect();
    while trusted.contains(&address)
        && let Some(before) = hops.pop()
    {
        address = before;
    }
    address.to_string()
}

/// The outer layer of every request: makes its [`Visit`], catches panics, words errors, sets cookies.
pub(super) async fn around(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let visit = Arc::new(Visit::of(&app, &request));
    request.extensions_mut().insert(Arc::clone(&visit));
    let method = request.method().clone();
    // The path may hold a secret (a reset link): the route stands for it.
    let route = request.extensions().get::<axum::extract::MatchedPath>();
    let route = route.map_or("none", axum::extract::MatchedPath::as_str).to_owned();
    let span = tracing::info_span!("request", reference = %visit.reference, %method, route);

    let answered = std::panic::AssertUnwindSafe(next.run(request)).catch_unwind();
    let response = match answered.instrument(span.clone()).await {
        Ok(response) => response,
        Err(panic) => panicked(panic.as_ref()),
    };
    let mut response = worded(&app, (&visit, &method), response).instrument(span.clone()).await;
    span.in_scope(|| tracing::debug!(status = response.status().as_u16(), "answered"));

    let headers = response.headers_mut();
    if let Ok(reference) = HeaderValue::from_str(&visit.reference) {
        headers.insert("x-request-id", reference);
    }
    let set = visit.set.lock().unwrap_or_else(PoisonError::into_inner);
    for cookie in set.iter() {
        if let Ok(value) = HeaderValue::from_str(&cookie.to_string()) {
            headers.append(SET_COOKIE, value);
        }
    }
    response
}

fn panicked(panic: &(dyn Any + Send)) -> Response {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
    super::error::PageError::internal(&format!("panic: {text}")).into_response()
}

/// Gives an error response its words. One without an explanation and without a body of its own
/// (a path that is not there, a form that cannot be read) is explained by its status.
async fn worded(app: &App, (visit, method): (&Arc<Visit>, &Method), response: Response) -> Response {
    let status = response.status();
    if !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let told = response.extensions().get::<Arc<Explanation>>().cloned();
    let explanation = match told {
        Some(explanation) => explanation,
        None => {
            let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
            if kind.is_some_and(|kind| !kind.starts_with("text/plain")) {
                return response;
            }
            Arc::new(Explanation::of_status(status))
        }
    };
    if let Some(internal) = &explanation.internal {
        tracing::error!(code = explanation.code, error = internal, "request failed");
    }
    let kept: Vec<_> = ["retry-after", "allow", "www-authenticate"]
        .into_iter()
        .filter_map(|name| Some((name, response.headers().get(name)?.clone())))
        .collect();
    let words = app.templates.words();
    let mut worded = if explanation.problem || visit.json {
        explanation.problem_json(&words, visit.lang(), &visit.reference)
    } else {
        let frame = Frame::for_error(app, visit).await;
        let said = explanation.worded(&words, frame.lang());
        let template = if visit.apart { "sandbox/error.html" } else { "error.html" };
        let page = frame
            .page(template)
            .with("home", &app.settings.public_url)
            .with("error", &said)
            .with("log_in", &(explanation.code == LOGIN_NEEDED).then(|| visit.back_after_login(method)))
            .with("status", &explanation.status.as_u16());
        page.status(explanation.status).rendered().unwrap_or_else(|error| {
            // The error page itself is broken: say so plainly.
            tracing::error!(%error, "the error page cannot be rendered");
            (StatusCode::INTERNAL_SERVER_ERROR, "数域暂时出错 · Shuyu is out of order\n").into_response()
        })
    };
    for (name, value) in kept {
        worded.headers_mut().insert(name, value);
    }
    worded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_that_comes_twice_is_nobodys() {
        let of = |lines: &[&'static str]| {
            let lines = lines.iter().map(|line| (COOKIE, HeaderValue::from_static(line)));
            lines.collect::<HeaderMap>()
        };
        assert_eq!(only_cookie(&of(&["a=1; b=2"]), "b"), Some("2"));
        assert_eq!(only_cookie(&of(&["a=1"]), "b"), None);
        assert_eq!(only_cookie(&of(&["b=1; b=2"]), "b"), None);
        assert_eq!(only_cookie(&of(&["b=1", "b=1"]), "b"), None);
        let kept = harmless(&of(&["shuyu_lang=en; shuyu_session=s; shuyu_flash=f"]));
        assert_eq!(kept.iter().map(|c| c.name().to_owned()).collect::<Vec<_>>(), ["shuyu_lang"]);
    }

    #[test]
    fn only_a_page_of_ours_is_come_back_to() {
        let path = |address| path_on("shuyu.example:8080", address);
        assert_eq!(path("http://shuyu.example:8080/a?b=c").as_deref(), Some("/a?b=c"));
        for other in
            ["https://evil.example/a", "http://shuyu.example:8080.evil/a", "http://shuyu.example/a", ""]
        {
            assert_eq!(path(other), None, "{other}");
        }
        assert_eq!(path("http://shuyu.example:8080//evil.example").as_deref(), Some("/"));
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", HeaderValue::from_static("6.6.6.6, 9.9.9.9, 10.0.0.3"));
        let seen = |peer: &str, trusted: &[IpAddr]| address(Some(ip(peer)), &headers, trusted);
        assert_eq!(seen("10.0.0.2", &[]), "10.0.0.2");
        assert_eq!(seen("10.0.0.2", &[ip("10.0.0.2")]), "10.0.0.3");
        assert_eq!(seen("10.0.0.2", &[ip("10.0.0.2"), ip("10.0.0.3")]), "9.9.9.9");
        assert_eq!(seen("8.8.8.8", &[ip("10.0.0.2")]), "8.8.8.8");
    }
}
