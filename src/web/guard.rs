//! Who is asking: extractors that a handler names in its arguments.
//!
//! [`User`] is somebody signed in by cookie (others are sent to the login page and back), [`Admin`]
//! one who runs the service, [`Bearer`] the holder of an API token.

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};

use super::App;
use super::error::{PageError, Problem};
use super::limits::Limited;
use super::page::visit;
use crate::ids::SessionId;
use crate::people::Actor;

/// The kind of error of whoever has to log in first.
pub(super) const LOGIN_NEEDED: &str = "login-needed";

/// Somebody signed in by cookie.
#[derive(Clone, Debug)]
pub struct User {
    /// Who.
    pub actor: Actor,
    /// By which session.
    pub session: SessionId,
}

/// Somebody signed in by cookie who runs the service.
#[derive(Clone, Debug)]
pub struct Admin(pub User);

/// The holder of an API token.
#[derive(Clone, Debug)]
pub struct Bearer(pub Actor);

/// Not signed in, or not allowed.
#[derive(Debug)]
pub enum Refused {
    /// To the login page and back.
    ToLogin(String),
    /// An error page.
    Page(PageError),
}

impl From<PageError> for Refused {
    fn from(error: PageError) -> Self {
        Self::Page(error)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        match self {
            Self::ToLogin(address) => Redirect::to(&address).into_response(),
            Self::Page(error) => error.into_response(),
        }
    }
}

impl FromRequestParts<App> for User {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Refused> {
        let visit = visit(parts)?;
        if let Some(signed) = visit.signed(app).await.map_err(PageError::from)? {
            return Ok(Self { actor: signed.actor.clone(), session: signed.session });
        }
        if parts.method == Method::GET || parts.method == Method::HEAD {
            let next = percent_encoding::utf8_percent_encode(&visit.path, percent_encoding::NON_ALPHANUMERIC);
            return Err(Refused::ToLogin(format!("/login?next={next}")));
        }
        Err(PageError::plain(StatusCode::UNAUTHORIZED, LOGIN_NEEDED).into())
    }
}

impl FromRequestParts<App> for Admin {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Refused> {
        let user = User::from_request_parts(parts, app).await?;
        if !user.actor.may_administer() {
            return Err(PageError::forbidden().into());
        }
        Ok(Self(user))
    }
}

/// The token of an `Authorization: Bearer …` header (RFC 6750).
pub(super) fn bearer_secret(headers: &axum::http::HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, secret) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| secret.trim())
}

/// A token is missing, or is not one that stands.
#[derive(Debug)]
pub enum NoBearer {
    /// None, or not one that stands.
    Unauthorized,
    /// Something else.
    Other(Problem),
}

impl IntoResponse for NoBearer {
    fn into_response(self) -> Response {
        match self {
            Self::Unauthorized => {
                let mut response = Problem::plain(StatusCode::UNAUTHORIZED, "token-needed").into_response();
                let challenge = HeaderValue::from_static("Bearer realm=\"shuyu\"");
                response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
                response
            }
            Self::Other(problem) => problem.into_response(),
        }
    }
}

impl FromRequestParts<App> for Bearer {
    type Rejection = NoBearer;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, NoBearer> {
        let secret = bearer_secret(&parts.headers).ok_or(NoBearer::Unauthorized)?;
        let actor = app.people.bearer(secret).await.map_err(|e| NoBearer::Other(e.into()))?;
        if actor.is_none() {
            // Whoever tries tokens is limited by address, and so is what the lookups cost us.
            let visit = visit(parts).map_err(|e| NoBearer::Other(e.into_problem()))?;
            app.limits.check(Limited::Api, &visit.address).map_err(|e| NoBearer::Other(e.into()))?;
        }
        actor.map(Self).ok_or(NoBearer::Unauthorized)
    }
}

/// Without an `Authorization` header: nobody. With one that does not stand: refused.
impl OptionalFromRequestParts<App> for Bearer {
    type Rejection = NoBearer;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Option<Self>, NoBearer> {
        if !parts.headers.contains_key(AUTHORIZATION) {
            return Ok(None);
        }
        <Self as FromRequestParts<App>>::from_request_parts(parts, app).await.map(Some)
    }
}

/// A path of ours to go on to, or `/`: never another host's address.
pub fn safe_next(next: &str) -> &str {
    let ours = next.starts_with('/')
        && !next.starts_with("//")
        && !next.starts_with("/\\")
        && !next.chars().any(|c| c.is_control() || c == '\\');
    if ours { next } else { "/" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn next_never_leads_elsewhere() {
        assert_eq!(safe_next("/account?tab=1"), "/account?tab=1");
        for bad in
            ["", "account", "//evil.example", "/\\evil.example", "https://evil.example", "/\t/evil", "/a\\b"]
        {
            assert_eq!(safe_next(bad), "/", "{bad:?}");
        }
    }
}
