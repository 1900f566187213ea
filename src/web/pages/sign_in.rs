//! Logging in and out, and setting a new password with a one-time link.

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Form, Router};
use serde::{Deserialize, Serialize};

use crate::people::PeopleError;
use crate::web::App;
use crate::web::error::{Explain as _, PageError};
use crate::web::guard::{User, safe_next};
use crate::web::limits::Limited;
use crate::web::page::Frame;

pub(super) fn router() -> Router<App> {
    Router::new()
        .route("/login", get(form).post(log_in))
        .route("/logout", post(log_out))
        .route("/reset/{secret}", get(reset_form).post(reset))
}

#[derive(Default, Deserialize)]
struct Next {
    #[serde(default)]
    next: String,
}

async fn form(frame: Frame, Query(query): Query<Next>) -> Result<Response, PageError> {
    let next = safe_next(&query.next);
    if frame.actor().is_some() {
        return Ok(frame.go(next));
    }
    frame
        .page("people/login.html")
        .with("next", next)
        .with("login", "")
        .with("refusal", &None::<Refusal>)
        .render()
}

#[derive(Deserialize)]
struct Credentials {
    login: String,
    password: String,
    #[serde(default)]
    next: String,
}

/// Why a login was refused, in words.
#[derive(Serialize)]
struct Refusal {
    title: String,
    mend: String,
}

async fn log_in(
    frame: Frame,
    State(app): State<App>,
    Form(form): Form<Credentials>,
) -> Result<Response, PageError> {
    app.limits.check(Limited::Login, &frame.visit().address)?;
    let next = safe_next(&form.next);
    match app.people.login(&form.login, form.password, &frame.visit().visitor()).await {
        Ok(opened) => {
            if let Some(signed) = frame.signed() {
                app.people.end_session(&signed.actor, signed.session).await?;
            }
            frame.visit().keep_session(&app, &opened);
            Ok(frame.go(next))
        }
        Err(error @ (PeopleError::WrongLogin | PeopleError::Locked { .. })) => {
            let (key, args) = (format!("error-{}", error.code()), error.args());
            let refusal =
                Refusal { title: frame.say(&key, &args), mend: frame.say(&format!("{key}.mend"), &args) };
            let page = frame.page("people/login.html").with("next", next).with("login", &form.login);
            let mut response = page.with("refusal", &Some(refusal)).status(error.status()).render()?;
            if let Some(seconds) = error.retry_after() {
                response.headers_mut().insert("retry-after", seconds.into());
            }
            Ok(response)
        }
        Err(error) => Err(error.into()),
    }
}

async fn log_out(frame: Frame, State(app): State<App>, user: User) -> Result<Response, PageError> {
    app.people.end_session(&user.actor, user.session).await?;
    frame.visit().drop_session(&app);
    Ok(frame.done("/", "flash-logged-out"))
}

async fn reset_form(
    frame: Frame,
    State(app): State<App>,
    Path(secret): Path<String>,
) -> Result<Response, PageError> {
    let login = app.people.reset_login(&secret).await?;
    frame.page("people/reset.html").with("login", &login).with("faults", &Vec::<()>::new()).render()
}

#[derive(Deserialize)]
struct NewPassword {
    password: String,
}

async fn reset(
    frame: Frame,
    State(app): State<App>,
    Path(secret): Path<String>,
    Form(form): Form<NewPassword>,
) -> Result<Response, PageError> {
    app.limits.check(Limited::Login, &frame.visit().address)?;
    let login = app.people.reset_login(&secret).await?;
    match app.people.use_reset(&secret, form.password).await {
        Ok(()) => {
            frame.visit().drop_session(&app);
            Ok(frame.done("/login", "flash-password-set"))
        }
        Err(error) if error.status() == StatusCode::UNPROCESSABLE_ENTITY => {
            frame.page("people/reset.html").with("login", &login).refused(error)
        }
        Err(error) => Err(error.into()),
    }
}
