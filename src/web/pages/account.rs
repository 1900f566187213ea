//! One's own account: profile, password and sessions, tokens.

use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Form, Router};
use serde::Deserialize;

use crate::ids::{SessionId, TokenId};
use crate::people::{NewToken, Profile, Scope};
use crate::web::App;
use crate::web::error::PageError;
use crate::web::guard::User;
use crate::web::limits::Limited;
use crate::web::page::{Frame, Page};

pub(super) fn router() -> Router<App> {
    Router::new()
        .route("/account", get(profile).post(change_profile))
        .route("/account/security", get(security))
        .route("/account/security/password", post(change_password))
        .route("/account/security/sessions/end", post(end_others))
        .route("/account/security/sessions/{id}/end", post(end_one))
        .route("/account/tokens", get(tokens).post(make_token))
        .route("/account/tokens/{id}/revoke", post(revoke_token))
}

async fn profile(frame: Frame, State(app): State<App>, user: User) -> Result<Response, PageError> {
    let profile = app.people.profile(user.actor.user).await?;
    let page = profile_page(&frame, &app, &user, &profile).await?;
    page.with("faults", &Vec::<()>::new()).render()
}

async fn profile_page<'a>(
    frame: &'a Frame,
    app: &App,
    user: &User,
    profile: &Profile,
) -> Result<Page<'a>, PageError> {
    let organisation = match user.actor.organisation {
        Some(id) => Some(app.people.organisation(id).await?),
        None => None,
    };
    Ok(frame
        .page("people/profile.html")
        .with("form", profile)
        .with("organisation", &organisation)
        .with("grants", &user.actor.grants))
}

async fn change_profile(
    frame: Frame,
    State(app): State<App>,
    user: User,
    Form(form): Form<Profile>,
) -> Result<Response, PageError> {
    match app.people.change_profile(&user.actor, &form).await {
        Ok(()) => Ok(frame.done("/account", "flash-saved")),
        Err(error) => profile_page(&frame, &app, &user, &form).await?.refused(error),
    }
}

async fn security(frame: Frame, State(app): State<App>, user: User) -> Result<Response, PageError> {
    security_page(&frame, &app, &user).await?.with("faults", &Vec::<()>::new()).render()
}

async fn security_page<'a>(frame: &'a Frame, app: &App, user: &User) -> Result<Page<'a>, PageError> {
    let sessions = app.people.sessions(&user.actor).await?;
    Ok(frame.page("people/security.html").with("sessions", &sessions).with("current", &user.session))
}

#[derive(Deserialize)]
struct Passwords {
    old: String,
    password: String,
}

async fn change_password(
    frame: Frame,
    State(app): State<App>,
    user: User,
    Form(form): Form<Passwords>,
) -> Result<Response, PageError> {
    app.limits.check(Limited::Login, &frame.visit().address)?;
    let changed =
        app.people.change_password(&user.actor, Some(user.session), (form.old, form.password)).await;
    match changed {
        Ok(()) => Ok(frame.done("/account/security", "flash-password-changed")),
        Err(error) => security_page(&frame, &app, &user).await?.refused(error),
    }
}

async fn end_others(frame: Frame, State(app): State<App>, user: User) -> Result<Response, PageError> {
    app.people.end_other_sessions(&user.actor, user.session).await?;
    Ok(frame.done("/account/security", "flash-sessions-ended"))
}

async fn end_one(
    frame: Frame,
    State(app): State<App>,
    user: User,
    Path(session): Path<SessionId>,
) -> Result<Response, PageError> {
    app.people.end_session(&user.actor, session).await?;
    if session == user.session {
        frame.visit().drop_session(&app);
        return Ok(frame.done("/", "flash-logged-out"));
    }
    Ok(frame.done("/account/security", "flash-session-ended"))
}

async fn tokens(frame: Frame, State(app): State<App>, user: User) -> Result<Response, PageError> {
    let page = tokens_page(&frame, &app, &user).await?;
    page.with("faults", &Vec::<()>::new()).with("made", &None::<String>).render()
}

async fn tokens_page<'a>(frame: &'a Frame, app: &App, user: &User) -> Result<Page<'a>, PageError> {
    let tokens = app.people.tokens(&user.actor).await?;
    let mut scopes = vec![Scope::Read, Scope::Submit];
    if !user.actor.grants.is_empty() {
        scopes.push(Scope::Organize);
    }
    if user.actor.may_administer() {
        scopes.push(Scope::Admin);
    }
    Ok(frame.page("people/tokens.html").with("tokens", &tokens).with("scopes", &scopes))
}

/// The form's days come as text: what is no number is a fault of the field, not of the request.
#[derive(Deserialize)]
struct TokenForm {
    name: String,
    scope: String,
    days: String,
}

async fn make_token(
    frame: Frame,
    State(app): State<App>,
    user: User,
    Form(form): Form<TokenForm>,
) -> Result<Response, PageError> {
    let days = form.days.trim().parse().unwrap_or(0);
    let made =
        app.people.make_token(&user.actor, &NewToken { name: form.name, scope: form.scope, days }).await;
    let page = tokens_page(&frame, &app, &user).await?;
    match made {
        Ok((_, secret)) => page.with("faults", &Vec::<()>::new()).with("made", &Some(secret)).render(),
        Err(error) => page.with("made", &None::<String>).refused(error),
    }
}

async fn revoke_token(
    frame: Frame,
    State(app): State<App>,
    user: User,
    Path(token): Path<TokenId>,
) -> Result<Response, PageError> {
    app.people.revoke_token(&user.actor, token).await?;
    Ok(frame.done("/account/tokens", "flash-token-revoked"))
}
