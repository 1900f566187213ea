//! Making an account for oneself.

use axum::extract::{Query, State};
use axum::response::Response;
use axum::routing::get;
use axum::{Form, Router};
use serde::{Deserialize, Serialize};

use crate::people::NewUser;
use crate::web::App;
use crate::web::error::PageError;
use crate::web::guard::safe_next;
use crate::web::limits::Limited;
use crate::web::page::Frame;

pub(super) fn router() -> Router<App> {
    Router::new().route("/register", get(form).post(register))
}

/// What was filled in, to be shown again; never the password.
#[derive(Default, Serialize)]
struct Filled {
    login: String,
    name: String,
    email: String,
    organisation: String,
}

#[derive(Default, Deserialize)]
struct Next {
    #[serde(default)]
    next: String,
}

async fn form(
    frame: Frame,
    State(app): State<App>,
    Query(query): Query<Next>,
) -> Result<Response, PageError> {
    let next = safe_next(&query.next);
    if frame.actor().is_some() {
        return Ok(frame.go(next));
    }
    let template = if app.settings.site.registration { "people/register.html" } else { "people/closed.html" };
    frame
        .page(template)
        .with("form", &Filled::default())
        .with("faults", &Vec::<()>::new())
        .with("next", next)
        .render()
}

async fn register(
    frame: Frame,
    State(app): State<App>,
    Query(query): Query<Next>,
    Form(mut form): Form<NewUser>,
) -> Result<Response, PageError> {
    app.limits.check(Limited::Registration, &frame.visit().address)?;
    if !app.settings.site.registration {
        return Err(PageError::forbidden());
    }
    let next = safe_next(&query.next);
    form.locale = frame.lang().tag().to_owned();
    let filled = Filled {
        login: form.login.clone(),
        name: form.name.clone(),
        email: form.email.clone(),
        organisation: form.organisation.clone(),
    };
    let (login, password) = (form.login.clone(), form.password.clone());
    if let Err(error) = app.people.register(form).await {
        return frame.page("people/register.html").with("form", &filled).with("next", next).refused(error);
    }
    let opened = app.people.login(&login, password, &frame.visit().visitor()).await?;
    frame.visit().keep_session(&app, &opened);
    Ok(frame.done(next, "flash-registered"))
}
